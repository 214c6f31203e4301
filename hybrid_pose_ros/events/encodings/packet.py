# SPDX-License-Identifier: Apache-2.0
"""What all encodings share: the packet, the decoder's interface and the checks."""

from array import array
from dataclasses import dataclass
from typing import Any, Final, Protocol, TypeAlias

import numba
import numpy as np
from numba import types
from numpy.typing import DTypeLike, NDArray

from hybrid_pose_ros.events.array import EVENT_DTYPE, EventArray, MalformedEventsError
from hybrid_pose_ros.events.compiled import FIELDS

Buffer: TypeAlias = "bytes | bytearray | memoryview | array[int] | NDArray[np.uint8]"
"""What a decoder reads: anything that lends its bytes."""

MAX_TIME_BASE_NS: Final = 2**62
"""146 years; sums of a smaller time base and a packet's times fit into 64 bits."""


class MalformedPacketError(ValueError):
    """A packet cannot be decoded; the message names the encoding, the place and what is wrong."""


@dataclass(frozen=True)
class EncodedPacket:
    """One packet.

    Attributes:
        time_base: sensor time in ns to which the packet's times are relative.
        data: the encoded events.
    """

    time_base: int
    data: bytes


class Decoder(Protocol):
    """Decodes the packets of one camera in one encoding."""

    def decode(self, time_base: int, data: Buffer) -> EventArray:
        """Return the events of a packet in order of time, in an array of their own.

        Raises:
            MalformedPacketError: the packet has to be dropped; the decoder is as after
                :meth:`reset`.
        """
        ...

    def reset(self) -> None:
        """Forget what earlier packets left behind, for instance because one was lost."""
        ...


def check_encodable(encoding: str, events: EventArray, max_coordinate: int) -> None:
    """Raise MalformedEventsError unless times and coordinates can be encoded."""
    if events.dtype != EVENT_DTYPE or events.ndim != 1:
        raise MalformedEventsError(f"not an event array: {events.dtype}, {events.ndim} dimensions")
    times = events["t"]
    if times[0] < 0:
        raise MalformedEventsError(f"{encoding}: sensor time {times[0]} ns is negative")
    backwards, largest = _survey(times, events["x"], events["y"])
    if backwards:
        raise MalformedEventsError(
            f"{encoding}: event {backwards} is older than the one before it"
        )
    if largest > max_coordinate:
        raise MalformedEventsError(
            f"{encoding}: coordinate {largest} does not fit; the largest is {max_coordinate}"
        )


@numba.njit(
    types.UniTuple(types.int64, 2)(FIELDS["t"], FIELDS["x"], FIELDS["y"]),
    cache=True,
    nogil=True,
)
def _survey(t: NDArray[np.int64], x: NDArray[np.uint16], y: NDArray[np.uint16]) -> tuple[int, int]:
    """Return the first event older than the one before it, or 0, and the largest coordinate."""
    backwards, largest, last = 0, 0, t[0]
    for i in range(len(t)):
        if t[i] < last and not backwards:
            backwards = i
        last = t[i]
        largest = max(largest, int(x[i]), int(y[i]))
    return backwards, largest


def relative_us(encoding: str, events: EventArray, bits: int) -> tuple[int, NDArray[np.int64]]:
    """Return the time base (ns) and the events' times in us after it.

    Raises:
        MalformedEventsError: the times do not fit into ``bits``.
    """
    times = events["t"] // 1000
    times -= times[0]
    if times[-1] >> bits:
        raise MalformedEventsError(
            f"{encoding}: packet of {int(times[-1])} us is too long; the limit is 2^{bits} us"
        )
    return int(events["t"][0]) // 1000 * 1000, times


def read_words(encoding: str, time_base: int, data: Buffer, word: DTypeLike) -> NDArray[Any]:
    """View a packet's bytes as words.

    Raises:
        MalformedPacketError: not a whole number of words, or a time base out of range.
    """
    if not 0 <= time_base < MAX_TIME_BASE_NS:
        raise MalformedPacketError(f"{encoding}: time base {time_base} ns is out of range")
    raw, dtype = np.frombuffer(data, np.uint8), np.dtype(word)
    if len(raw) % dtype.itemsize:
        raise MalformedPacketError(
            f"{encoding}: {len(raw)} bytes are not a whole number of words of "
            f"{dtype.itemsize} bytes"
        )
    return raw.view(dtype)


def assemble(
    encoding: str,
    size: tuple[int, int],
    t: NDArray[np.int64],
    x: NDArray[np.integer],
    y: NDArray[np.integer],
    polarity: NDArray[Any],
) -> EventArray:
    """Check decoded columns, each [n], and build the event array.

    Args:
        encoding: name for the error.
        size: (width, height) of the sensor.
        t: sensor time in ns.
        x, y: pixels.
        polarity: not zero for ON.

    Raises:
        MalformedPacketError: an event outside the sensor, or older than the one before it.
    """
    events = np.empty(len(t), EVENT_DTYPE)
    if not len(t):
        return events
    width, height = size
    if x.max() >= width or y.max() >= height:
        first = int(((x >= width) | (y >= height)).argmax())
        raise MalformedPacketError(
            f"{encoding}: event {first} lies at ({x[first]}, {y[first]}), outside the sensor of "
            f"{width}x{height}"
        )
    backwards = t[1:] < t[:-1]
    if backwards.any():
        raise MalformedPacketError(
            f"{encoding}: event {backwards.argmax() + 1} is older than the one before it"
        )
    events["t"], events["x"], events["y"], events["polarity"] = t, x, y, polarity
    return events
