# SPDX-License-Identifier: Apache-2.0
"""Encoding `evt3`: Prophesee's EVT 3.0, 16-bit words, resolution 1 us.

Code 0 ADDR_Y; 2 ADDR_X: an event, polarity in bit 11; 3 VECT_BASE_X: x and polarity; 4 VECT_12 and
5 VECT_8: pixels from the base on, which moves on by as much; 6 TIME_LOW, 8 TIME_HIGH: 24 bits of
us; 7, 9, 10, 14, 15: continuations, padding, triggers and vendor extensions, which are skipped.
Sources: docs.prophesee.ai, "EVT 3.0 Format"; event_camera_codecs.

A packet is a piece of the camera's stream, so the decoder's state goes from packet to packet. Of
the sensor time the stream has only 24 bits; the decoder counts the rounds of 2^24 us (16.8 s) from
its first packet on, which it places near a time that it is given. The time base of the message is
undefined (documentation of event_camera_msgs): drivers fill in 0 or anything. :func:`encode` fills
in the time of the first event (1 for 0), so a time base that is not 0 and has the first event's 24
bits is believed: it tells the round, and packets from here keep their times however many were lost
before them.
"""

from dataclasses import replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from hybrid_pose_ros.events.array import EventArray, MalformedEventsError, empty_events
from hybrid_pose_ros.events.encodings.packet import (
    Buffer,
    EncodedPacket,
    MalformedPacketError,
    assemble,
    keep_order,
    read_words,
)
from hybrid_pose_ros.events.encodings.words import (
    MAX_COORDINATE,
    TIME_BITS,
    WordFormat,
    WordState,
    decode_words,
    encode_words,
)
from hybrid_pose_ros.events.losses import Losses

__all__ = ["MAX_COORDINATE", "NAME", "Decoder", "encode"]

NAME: Final = "evt3"

_MAX_STEP_BACK: Final = 10
"""Cameras have been seen to step back a little in TIME_HIGH without a new round; as
event_camera_codecs does, up to this many units (of 4096 us) are taken for that."""

_FORMAT: Final = WordFormat(
    NAME,
    time_high=8,
    time_low=6,
    line=0,
    single=2,
    base=3,
    vectors={4: 12, 5: 8},
    ignored=(7, 9, 10, 14, 15),
    max_step_back=_MAX_STEP_BACK,
)
_ROUND_US: Final = 2**TIME_BITS

_AT_ZERO: Final = 1
"""The time base of a packet that begins at 0, as 0 tells nothing."""

_MAX_GAP_HIGH: Final = 2**12 - _MAX_STEP_BACK - 1


def encode(events: EventArray) -> EncodedPacket:
    """Encode checked events, time floored to us; TIME_HIGH and TIME_LOW come first.

    Raises:
        MalformedEventsError: a gap between events is so long that rounds cannot be counted.
    """
    us = events["t"] // 1000
    if (np.diff(us >> 12) > _MAX_GAP_HIGH).any():
        raise MalformedEventsError(
            f"{NAME}: a gap in the packet is too long; the limit is {_MAX_GAP_HIGH * 4096} us"
        )
    data = encode_words(_FORMAT, us, events["y"], events["x"], events["polarity"], WordState())
    return EncodedPacket(int(us[0]) * 1000 or _AT_ZERO, data)


class Decoder:
    """Decoder of `evt3`, with memory.

    Until a TIME_HIGH, a TIME_LOW after it and an ADDR_Y have come, events are skipped. Where the
    camera's time steps back a little, events keep the latest time seen, and are counted.

    Args:
        width, height: of the sensor in pixels.
        near_ns: the first events are taken to be less than half a round away from this time.
        losses: the account of bad events; None for one of its own.
    """

    def __init__(
        self, width: int, height: int, near_ns: int = 0, losses: Losses | None = None
    ) -> None:
        self._size = (width, height)
        self.losses = Losses() if losses is None else losses
        self._near_us: int | None = near_ns // 1000
        self._latest_us = 0
        self._state = WordState()
        self._synchronised = False

    def decode(self, time_base: int, data: Buffer) -> EventArray:
        """Return the events of a packet; raises MalformedPacketError."""
        try:
            return self._decode(time_base, read_words(NAME, time_base, data, "<u2"))
        except MalformedPacketError:
            self.reset()
            raise

    def reset(self) -> None:
        """Wait for new time and address words. The rounds counted so far are kept."""
        self._state = WordState(high=self._state.high)
        self._synchronised = False

    def _decode(self, time_base: int, words: NDArray[np.uint16]) -> EventArray:
        if not self._synchronised:
            is_high = words >> 12 == _FORMAT.time_high
            self._synchronised = bool(is_high.any())
            words = words[is_high.argmax() :] if self._synchronised else words[:0]
        decoded = decode_words(_FORMAT, words, self._state)
        self._state = decoded.state
        self.losses.skipped += decoded.unknown
        self.losses.inferred += decoded.inferred
        us, x, y, polarity = decoded.us, decoded.position, decoded.line, decoded.polarity
        whole = (us >= 0) & (x >= 0) & (y >= 0)
        if not whole.all():
            us, x, y, polarity = us[whole], x[whole], y[whole], polarity[whole]
        if not len(us):
            return empty_events()
        told_ns = 0 if time_base == _AT_ZERO else time_base
        rounds, rest = divmod(told_ns - int(us[0]) * 1000, _ROUND_US * 1000)
        told = bool(time_base) and not rest
        if not told:
            rounds = self._first_rounds(int(us[0]))
        us = us + rounds * _ROUND_US
        self._state = replace(self._state, high=self._state.high + (rounds << 12))
        self._near_us = None
        us, held = keep_order(us, 0 if told else self._latest_us)
        events = assemble(NAME, self._size, us * 1000, x, y, polarity, self.losses)
        self.losses.held += held
        self._latest_us = int(us[-1])
        return events

    def _first_rounds(self, us: int) -> int:
        """Return the rounds before the first events of all, 0 for all others."""
        if self._near_us is None:
            return 0
        return max(0, (self._near_us - us + _ROUND_US // 2) // _ROUND_US)
