# SPDX-License-Identifier: Apache-2.0
"""Encoding `libcaer`: polarity events as libcaer lays them out, resolution 1 us.

Per event a 32-bit word (bit 0: valid, 1: polarity, 2-16: y, 17-31: x) and a signed 32-bit one:
us after the time base, which starts over at 0 after 2^31 us. Events that are marked as invalid are
skipped. Sources: libcaer's polarity events and the documentation of event_camera_msgs.
"""

from typing import Final

import numpy as np

from hybrid_pose_ros.events.array import EventArray
from hybrid_pose_ros.events.encodings.packet import (
    Buffer,
    EncodedPacket,
    MalformedPacketError,
    assemble,
    read_words,
    relative_us,
)

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

    def __init__(self, width: int, height: int) -> None:
        self._size = (width, height)

    def decode(self, time_base: int, data: Buffer) -> EventArray:
        """Return the events of a packet; raises MalformedPacketError."""
        words = read_words(NAME, time_base, data, _WORD)
        if not (words["address"] & 1).all():
            words = words[words["address"] & 1 == 1]
        if (words["us"] < 0).any():
            first = int((words["us"] < 0).argmax())
            raise MalformedPacketError(f"{NAME}: valid event {first} has a negative time")
        times = words["us"].astype(np.int64)
        # A step back by more than half the range is the time starting over.
        restarts = times[:-1] - times[1:] > 2 ** (_TIME_BITS - 1)
        if restarts.any():
            times[1:] += np.cumsum(restarts) << _TIME_BITS
        address = words["address"]
        return assemble(
            NAME,
            self._size,
            times * 1000 + time_base,
            address >> 17,
            (address >> 2) & 0x7FFF,
            address & 2,
        )

    def reset(self) -> None:
        """Nothing to forget."""
