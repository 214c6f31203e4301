# SPDX-License-Identifier: Apache-2.0
"""Encoding `libcaer`: polarity events as libcaer lays them out, resolution 1 us.

Per event a 32-bit word (bit 0: valid, 1: polarity, 2-16: y, 17-31: x) and a signed 32-bit one:
us after the time base, which starts over at 0 after 2^31 us. Events that are marked as invalid are
skipped. Sources: libcaer's polarity events and the documentation of event_camera_msgs.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from hybrid_pose_ros.events.array import EventArray
from hybrid_pose_ros.events.encodings.packet import (
    Buffer,
    EncodedPacket,
    MalformedPacketError,
    assemble,
    read_words,
    relative_us,
)
from hybrid_pose_ros.events.losses import Losses, is_nonsense

NAME: Final = "libcaer"

MAX_COORDINATE: Final = 2**15 - 1

_TIME_BITS: Final = 31
_WORD: Final = np.dtype([("address", "<u4"), ("us", "<i4")])


def encode(events: EventArray) -> EncodedPacket:
    """Encode checked events, time floored to us.

    Raises:
        MalformedEventsError: the packet spans 2^31 us or more.
    """
    time_base, times = relative_us(NAME, events, _TIME_BITS)
    words = np.empty(len(events), _WORD)
    words["us"] = times
    words["address"] = (
        (events["x"].astype(np.uint32) << 17)
        | (events["y"].astype(np.uint32) << 2)
        | (events["polarity"].astype(np.uint32) << 1)
        | 1
    )
    return EncodedPacket(time_base, words.tobytes())


class Decoder:
    """Stateless decoder of `libcaer`."""

    def __init__(self, width: int, height: int, losses: Losses | None = None) -> None:
        self._size = (width, height)
        self.losses = Losses() if losses is None else losses

    def decode(self, time_base: int, data: Buffer) -> EventArray:
        """Return the events of a packet; raises MalformedPacketError."""
        words = read_words(NAME, time_base, data, _WORD)
        if not (words["address"] & 1).all():
            words = words[words["address"] & 1 == 1]
        negative = words["us"] < 0
        skipped = int(negative.sum())
        if skipped:
            if is_nonsense(skipped, len(words)):
                raise MalformedPacketError(
                    f"{NAME}: {skipped} of {len(words)} valid events have a negative time, the "
                    f"first is event {negative.argmax()}"
                )
            words = words[~negative]
        times = _count_rounds(words["us"].astype(np.int64))
        address = words["address"]
        events = assemble(
            NAME,
            self._size,
            times * 1000 + time_base,
            address >> 17,
            (address >> 2) & 0x7FFF,
            address & 2,
            self.losses,
        )
        self.losses.skipped += skipped
        return events

    def reset(self) -> None:
        """Nothing to forget."""


def _count_rounds(times: NDArray[np.int64]) -> NDArray[np.int64]:
    """Add 2^31 us from where the time starts over, which is a step back by more than half of that.

    A step back from or to a single time that stands apart from both its neighbours is none.
    """
    steps = np.diff(times)
    half = 2 ** (_TIME_BITS - 1)
    restarts = steps < -half
    if restarts.any():
        ahead = steps > half
        restarts[1:] &= ~ahead[:-1]
        restarts[:-1] &= ~ahead[1:]
        times[1:] += np.cumsum(restarts) << _TIME_BITS
    return times
