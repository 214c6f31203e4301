# SPDX-License-Identifier: Apache-2.0
"""Encoding `mono`: one 64-bit word per event, resolution 1 ns.

Bits 0-31: ns after the time base; 32-47: x; 48-62: y; 63: polarity (documentation of
event_camera_msgs).
"""

from typing import Final

import numpy as np

from hybrid_pose_ros.events.array import EventArray, MalformedEventsError
from hybrid_pose_ros.events.encodings.packet import Buffer, EncodedPacket, assemble, read_words

NAME: Final = "mono"

MAX_COORDINATE: Final = 2**15 - 1

_WORD: Final = np.dtype([("dt", "<u4"), ("x", "<u2"), ("y_polarity", "<u2")])


def encode(events: EventArray) -> EncodedPacket:
    """Encode checked events; the time base is the first event's time.

    Raises:
        MalformedEventsError: the packet spans 2^32 ns or more.
    """
    time_base = int(events["t"][0])
    dt = events["t"] - time_base
    if dt[-1] >> 32:
        raise MalformedEventsError(
            f"{NAME}: packet of {int(dt[-1])} ns is too long; the limit is 2^32 ns"
        )
    words = np.empty(len(events), _WORD)
    words["dt"], words["x"] = dt, events["x"]
    words["y_polarity"] = events["y"] | (events["polarity"].astype(np.uint16) << 15)
    return EncodedPacket(time_base, words.tobytes())


class Decoder:
    """Stateless decoder of `mono`."""

    def __init__(self, width: int, height: int) -> None:
        self._size = (width, height)

    def decode(self, time_base: int, data: Buffer) -> EventArray:
        """Return the events of a packet; raises MalformedPacketError."""
        words = read_words(NAME, time_base, data, _WORD)
        y_polarity = words["y_polarity"]
        return assemble(
            NAME,
            self._size,
            words["dt"] + np.int64(time_base),
            words["x"],
            y_polarity & 0x7FFF,
            y_polarity >> 15,
        )

    def reset(self) -> None:
        """Nothing to forget."""
