# SPDX-License-Identifier: Apache-2.0
"""Decoders of the words of Prophesee's files that are no encodings of packets: EVT 2, DAT.

EVT 2.0 has little-endian words of 32 bits, whose upper 4 are a type: 0 an OFF and 1 an ON event
(bits 22-27: lower 6 bits of the time in us, 11-21: x, 0-10: y), 8 the upper 28 bits of the time,
10, 14 and 15 triggers, extensions and their continuation, which are skipped. The time wraps at
2^34 us (4.8 h). EVT 2.1 has words of 64 bits: the upper 32 are one of EVT 2.0, and bit i of the
lower 32 stands for an event at x + i; in files whose header says ``endianness=legacy`` the halves
are swapped. DAT has two words of 32 bits per event: the time in us, and x in bits 0-13, y in 14-27
and the polarity in 28.
Source: docs.prophesee.ai, "EVT 2.0 Format", "EVT 2.1 Format", "DAT File Format".
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from hybrid_pose_ros.events.array import EventArray, empty_events
from hybrid_pose_ros.events.encodings import Buffer, MalformedPacketError
from hybrid_pose_ros.events.encodings.packet import assemble, keep_order, read_words
from hybrid_pose_ros.events.encodings.words import hold_strays
from hybrid_pose_ros.events.losses import Losses, is_nonsense

MAX_STEP_BACK_US: Final = 1_000_000
"""Cameras have been seen to step back a little; more is a clock that was reset, or damage."""

_MAX_STRAY_STEP: Final = 128
"""In units of 64 us: an upper half of the time that goes on by more, while the next is again this
near, is a damaged word."""

_VECTOR: Final = 32


class Evt2Decoder:
    """Decoder of EVT 2.0 and 2.1, with memory: the time goes from piece to piece of the stream.

    Events before the first upper half of the time are skipped. Where the camera's time steps back
    by up to :data:`MAX_STEP_BACK_US`, events keep the latest time seen, and are counted.

    Args:
        width, height: of the sensor in pixels.
        losses: the account of bad events.
        name: `evt2`, `evt21` or `evt21_legacy`.
    """

    _TIME_HIGH, _LOW_BITS, _HIGH_BITS = 8, 6, 28
    _SKIPPED = (10, 14, 15)

    def __init__(self, width: int, height: int, losses: Losses, name: str = "evt2") -> None:
        self.losses = losses
        self._size = (width, height)
        self._name = name
        self._high = -1
        self._latest_us = 0

    def decode(self, time_base: int, data: Buffer) -> EventArray:
        """Return the events of a piece, times as the camera counts them; ``time_base`` is 0.

        Raises:
            MalformedPacketError: most words have unknown types, most events lie outside the
                sensor, or the time steps back further.
        """
        if self._name == "evt2":
            words, masks = read_words(self._name, time_base, data, "<u4"), None
        else:
            pairs = read_words(self._name, time_base, data, "<u8").view("<u4").reshape(-1, 2)
            upper = 0 if self._name == "evt21_legacy" else 1
            words, masks = pairs[:, upper], pairs[:, 1 - upper]
        types = words >> 28
        unknown = self._count_unknown(types)
        high = self._high_at(words, types == self._TIME_HIGH)
        chosen = (types <= 1) & (high >= 0)
        words, us = words[chosen], high[chosen] << self._LOW_BITS
        us |= words >> 22 & 0x3F
        x, y, polarity = words >> 11 & 0x7FF, words & 0x7FF, words >> 28
        if masks is not None:
            bits = masks[chosen, None] >> np.arange(_VECTOR, dtype=np.uint32) & 1
            which, column = np.nonzero(bits)
            us, x, y, polarity = us[which], x[which] + column, y[which], polarity[which]
        if not len(us):
            self.losses.skipped += unknown
            return empty_events()
        sent_us = us
        us, held = keep_order(us, self._latest_us)
        if (us - sent_us > MAX_STEP_BACK_US).any():
            raise MalformedPacketError(f"{self._name}: the time jumps back by more than a second")
        events = assemble(self._name, self._size, us * 1000, x, y, polarity, self.losses)
        self.losses.skipped += unknown
        self.losses.held += held
        self._latest_us = int(us[-1])
        return events

    def reset(self) -> None:
        """Nothing to forget: time words come often."""

    def _count_unknown(self, types: NDArray[np.integer]) -> int:
        known = (types <= 1) | (types == self._TIME_HIGH)
        if known.all():
            return 0
        unknown = ~known & ~np.isin(types, self._SKIPPED)
        count = int(np.count_nonzero(unknown))
        if is_nonsense(count, len(types)):
            place = int(unknown.argmax())
            raise MalformedPacketError(
                f"{self._name}: {count} of {len(types)} words have types that do not exist, the "
                f"first is word {place} with the type {types[place]}"
            )
        return count

    def _high_at(self, words: NDArray[np.uint32], sets: NDArray[np.bool_]) -> NDArray[np.int64]:
        """Return the upper part of the time at each word, with the rounds it has made."""
        values = (words[sets] & (2**self._HIGH_BITS - 1)).astype(np.int64)
        if len(values):
            before = int(values[0]) if self._high < 0 else self._high
            values = hold_strays(values, before, 2**self._HIGH_BITS, _MAX_STRAY_STEP)
            steps = np.diff(values, prepend=before % 2**self._HIGH_BITS)
            steps[steps < -(2 ** (self._HIGH_BITS - 1))] += 2**self._HIGH_BITS
            values = before + np.cumsum(steps)
        high = np.concatenate(([self._high], values))[np.cumsum(sets)]
        self._high = int(high[-1]) if len(high) else self._high
        return high


class DatDecoder:
    """Decoder of DAT; its time wraps at 2^32 us (71.6 min), which is counted on.

    Args:
        width, height: of the sensor in pixels.
        losses: the account of bad events.
    """

    def __init__(self, width: int, height: int, losses: Losses) -> None:
        self.losses = losses
        self._size = (width, height)
        self._latest_us = 0

    def decode(self, time_base: int, data: Buffer) -> EventArray:
        """Return the events of a piece, times as the camera counts them; ``time_base`` is 0.

        Raises:
            MalformedPacketError: most events lie outside the sensor, or out of order.
        """
        words = read_words("dat", time_base, data, "<u8").view("<u4").reshape(-1, 2)
        if not len(words):
            return empty_events()
        us, pixel = words[:, 0].astype(np.int64), words[:, 1]
        us += self._latest_us >> 32 << 32
        if self._latest_us - us[0] > 2**31:
            us += 2**32
        restarts = np.diff(us) < -(2**31)
        us[1:] += np.cumsum(restarts) << 32
        held = int(np.count_nonzero(us < self._latest_us))
        us = np.maximum(us, self._latest_us)
        events = assemble(
            "dat",
            self._size,
            us * 1000,
            pixel & 0x3FFF,
            pixel >> 14 & 0x3FFF,
            pixel >> 28 & 1,
            self.losses,
        )
        self.losses.held += held
        if len(events):
            self._latest_us = int(events["t"][-1]) // 1000
        return events

    def reset(self) -> None:
        """Nothing to forget: every event has its whole time."""
