# SPDX-License-Identifier: Apache-2.0
"""Encoding `libcaer_cmp`: libcaer's events as 16-bit words, resolution 1 us.

Code 0 TIME_HIGH, 1 TIME_LOW: 24 bits of us after the time base, both 0 at the start of a packet
(the drivers leave the words out there); 2 ADDR_X; 3 ADDR_Y: an event, polarity in bit 11;
4 VECT_BASE_Y: y and polarity; 5 VECT_8: 8 pixels from the base on, which moves on by 8. Source:
libcaer_driver and event_camera_codecs.
"""

from typing import Final

from hybrid_pose_ros.events.array import EventArray
from hybrid_pose_ros.events.encodings.packet import (
    Buffer,
    EncodedPacket,
    assemble,
    read_words,
    relative_us,
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

NAME: Final = "libcaer_cmp"

_FORMAT: Final = WordFormat(
    NAME, time_high=0, time_low=1, line=2, single=3, base=4, vectors={5: 8}
)
_START: Final = WordState(high=0, low=0)


def encode(events: EventArray) -> EncodedPacket:
    """Encode checked events, time floored to us.

    Raises:
        MalformedEventsError: the packet spans 2^24 us or more.
    """
    time_base, us = relative_us(NAME, events, TIME_BITS)
    data = encode_words(_FORMAT, us, events["x"], events["y"], events["polarity"], _START)
    return EncodedPacket(time_base, data)


class Decoder:
    """Stateless decoder of `libcaer_cmp`."""

    def __init__(self, width: int, height: int, losses: Losses | None = None) -> None:
        self._size = (width, height)
        self.losses = Losses() if losses is None else losses

    def decode(self, time_base: int, data: Buffer) -> EventArray:
        """Return the events of a packet; raises MalformedPacketError.

        Events before the first ADDR_X, and vectors before the first VECT_BASE_Y, are skipped.
        """
        decoded = decode_words(_FORMAT, read_words(NAME, time_base, data, "<u2"), _START)
        us, x, y, polarity = decoded.us, decoded.line, decoded.position, decoded.polarity
        whole = (x >= 0) & (y >= 0)
        count = len(us)
        if not whole.all():
            us, x, y, polarity = us[whole], x[whole], y[whole], polarity[whole]
        events = assemble(NAME, self._size, us * 1000 + time_base, x, y, polarity, self.losses)
        self.losses.skipped += decoded.unknown + count - len(us)
        return events

    def reset(self) -> None:
        """Nothing to forget."""
