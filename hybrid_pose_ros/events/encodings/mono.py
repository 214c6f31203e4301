# SPDX-License-Identifier: Apache-2.0
"""Encoding `mono`: one 64-bit word per event, resolution 1 ns.

Bits 0-31: ns after the time base; 32-47: x; 48-62: y; 63: polarity (documentation of
event_camera_msgs).
"""

from typing import Final

import numba
import numpy as np
from numba import types
from numpy.typing import NDArray

from hybrid_pose_ros.events.array import EVENT_DTYPE, EventArray, MalformedEventsError
from hybrid_pose_ros.events.compiled import FIELDS, NEW_FIELDS, NEW_WORDS, WORDS
from hybrid_pose_ros.events.encodings.packet import Buffer, EncodedPacket, assemble, read_words
from hybrid_pose_ros.events.losses import Losses

NAME: Final = "mono"

MAX_COORDINATE: Final = 2**15 - 1

_WORD: Final = np.dtype([("dt", "<u4"), ("x", "<u2"), ("y_polarity", "<u2")])


def encode(events: EventArray) -> EncodedPacket:
    """Encode checked events; the time base is the first event's time.

    Raises:
        MalformedEventsError: the packet spans 2^32 ns or more.
    """
    time_base = int(events["t"][0])
    length_ns = int(events["t"][-1]) - time_base
    if length_ns >> 32:
        raise MalformedEventsError(
            f"{NAME}: packet of {length_ns} ns is too long; the limit is 2^32 ns"
        )
    words = np.empty(len(events), "<u8")
    _pack(events["t"], events["x"], events["y"], events["polarity"], time_base, words)
    return EncodedPacket(time_base, words.tobytes())


@numba.njit(types.void(*FIELDS.values(), types.int64, NEW_WORDS), cache=True, nogil=True)
def _pack(
    t: NDArray[np.int64],
    x: NDArray[np.uint16],
    y: NDArray[np.uint16],
    polarity: NDArray[np.bool_],
    time_base: int,
    words: NDArray[np.uint64],
) -> None:
    """Write a word for each event."""
    for i in range(len(words)):
        word = np.uint64(t[i] - time_base) | np.uint64(x[i]) << np.uint64(32)
        word |= np.uint64(y[i]) << np.uint64(48) | np.uint64(polarity[i]) << np.uint64(63)
        words[i] = word


@numba.njit(
    types.boolean(WORDS, types.int64, types.int64, types.int64, *NEW_FIELDS.values()),
    cache=True,
    nogil=True,
)
def _unpack(
    words: NDArray[np.uint64],
    time_base: int,
    width: int,
    height: int,
    t: NDArray[np.int64],
    x: NDArray[np.uint16],
    y: NDArray[np.uint16],
    polarity: NDArray[np.bool_],
) -> bool:
    """Write the fields of each word; return False at the first that is bad."""
    last = np.int64(0)
    for i in range(len(words)):
        word = words[i]
        dt = np.int64(word & np.uint64(0xFFFFFFFF))
        column = np.int64((word >> np.uint64(32)) & np.uint64(0xFFFF))
        row = np.int64((word >> np.uint64(48)) & np.uint64(0x7FFF))
        if column >= width or row >= height or dt < last:
            return False
        last = dt
        t[i] = time_base + dt
        x[i] = column
        y[i] = row
        polarity[i] = (word >> np.uint64(63)) != 0
    return True


class Decoder:
    """Stateless decoder of `mono`."""

    def __init__(self, width: int, height: int, losses: Losses | None = None) -> None:
        self._size = (width, height)
        self.losses = Losses() if losses is None else losses

    def decode(self, time_base: int, data: Buffer) -> EventArray:
        """Return the events of a packet; raises MalformedPacketError."""
        words = read_words(NAME, time_base, data, _WORD)
        events = np.empty(len(words), EVENT_DTYPE)
        fields = (events["t"], events["x"], events["y"], events["polarity"])
        if _unpack(words.view("<u8"), time_base, *self._size, *fields):
            return events
        # What is wrong is mended where all encodings have it mended.
        y_polarity = words["y_polarity"]
        return assemble(
            NAME,
            self._size,
            words["dt"].astype(np.int64) + time_base,
            words["x"],
            y_polarity & 0x7FFF,
            y_polarity >> 15,
            self.losses,
        )

    def reset(self) -> None:
        """Nothing to forget."""
