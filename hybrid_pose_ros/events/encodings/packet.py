# SPDX-License-Identifier: Apache-2.0
"""The packet, the decoder's interface and the checks that all encodings share."""

from array import array
from dataclasses import dataclass
from typing import Any, Final, Protocol, TypeAlias

import numba
import numpy as np
from numba import types
from numpy.typing import DTypeLike, NDArray

from hybrid_pose_ros.events.array import EVENT_DTYPE, EventArray, MalformedEventsError
from hybrid_pose_ros.events.compiled import FIELDS
from hybrid_pose_ros.events.losses import MIN_TOLD, SWAPPED, Losses, is_nonsense

Buffer: TypeAlias = "bytes | bytearray | memoryview | array[int] | NDArray[np.uint8]"
"""Input of a decoder: anything that lends its bytes."""

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
    """Decodes the packets of one camera in one encoding.

    Attributes:
        losses: single events of the packets decoded so far that were dropped or mended.
    """

    losses: Losses

    def decode(self, time_base: int, data: Buffer) -> EventArray:
        """Return the events of a packet in order of time, in an array of their own.

        A bad event costs itself: it is dropped, or its time held, and counted in ``losses``.

        Raises:
            MalformedPacketError: the structure makes no sense and the packet has to be dropped;
                the decoder is as after :meth:`reset`.
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
    losses: Losses,
) -> EventArray:
    """Build the event array from decoded columns, each [n]: the one rule for bad events.

    An event outside the sensor is dropped. One out of order keeps its place and gets the time of
    the one before it; those are out of order whose removal leaves the most events in order, so
    that a single time that is far ahead does not spoil all that follow. Times that no packet can
    have are dropped where they are in order, that is, at the beginning and at the end.

    Args:
        encoding: name for the error.
        size: (width, height) of the sensor.
        t: sensor time in ns.
        x, y: pixels, not negative.
        polarity: not zero for ON.
        losses: the account to which bad events are added.

    Raises:
        MalformedPacketError: most events are bad: this is no packet of this sensor and encoding.
    """
    if not len(t):
        return np.empty(0, EVENT_DTYPE)
    width, height = size
    if x.max() >= width or y.max() >= height:
        outside = (x >= width) | (y >= height)
        count, first = int(outside.sum()), int(outside.argmax())
        turned = int(np.count_nonzero(outside & (x < height) & (y < width)))
        if is_nonsense(count, len(t)):
            swapped = f" ({SWAPPED})" if MIN_TOLD <= count == turned else ""
            raise MalformedPacketError(
                f"{encoding}: {count} of {len(t)} events lie outside the sensor of "
                f"{width}x{height}, the first at ({x[first]}, {y[first]}){swapped}"
            )
        losses.outside += count
        losses.turned += turned
        inside = ~outside
        t, x, y, polarity = t[inside], x[inside], y[inside], polarity[inside]
    if (t[1:] < t[:-1]).any():
        t, held = hold_times(t)
        if is_nonsense(held, len(t)):
            raise MalformedPacketError(f"{encoding}: {held} of {len(t)} events are out of order")
        losses.held += held
    if len(t) and (t[0] < 0 or t[-1] >= MAX_TIME_BASE_NS):
        possible = (t >= 0) & (t < MAX_TIME_BASE_NS)
        count = len(t) - int(possible.sum())
        if is_nonsense(count, len(t)):
            raise MalformedPacketError(
                f"{encoding}: {count} of {len(t)} times are not from 0 to 2^62 ns, the first "
                f"{t[~possible][0]}; count time from the start of the recording"
            )
        losses.skipped += count
        t, x, y, polarity = t[possible], x[possible], y[possible], polarity[possible]
    events = np.empty(len(t), EVENT_DTYPE)
    events["t"], events["x"], events["y"], events["polarity"] = t, x, y, polarity
    return events


def keep_order(t: NDArray[np.int64], earliest: int) -> tuple[NDArray[np.int64], int]:
    """Hold times [n] that go back: each is at least ``earliest`` and all before it.

    Unlike :func:`hold_times` this believes a step forwards, as a stream has to.

    Returns:
        the times, and how many of them were held.
    """
    ordered = np.maximum.accumulate(np.maximum(t, earliest))
    return ordered, int(np.count_nonzero(ordered != t))


def pixels_of(column: NDArray[Any], outside: int) -> NDArray[np.int64]:
    """Return a file's coordinates for :func:`assemble`.

    Those that are negative or no numbers become ``outside``, which is none of the sensor.
    """
    with np.errstate(invalid="ignore"):
        values = column.astype(np.int64)
    return np.where((values < 0) | ~np.isfinite(column), outside, values)


def nanoseconds_of(column_us: NDArray[Any]) -> NDArray[np.int64]:
    """Return a file's times, which it gives in us, for :func:`assemble`.

    Those that no packet can have, or that are no numbers, become -1, which is none either.
    """
    with np.errstate(invalid="ignore", over="ignore"):
        possible = (column_us >= 0) & (column_us < MAX_TIME_BASE_NS // 1000)
        return np.where(possible, column_us.astype(np.int64), -1) * np.where(possible, 1000, 1)


def hold_times(t: NDArray[np.int64]) -> tuple[NDArray[np.int64], int]:
    """Put times [n] in order by changing as few as possible; returns how many, too.

    A time that is changed becomes that of the event before it, at the beginning that of the first
    event that is in order.
    """
    kept = _longest_in_order(np.ascontiguousarray(t))
    sources = np.where(kept, np.arange(len(t)), -1)
    sources[0] = int(kept.argmax())
    return t[np.maximum.accumulate(sources)], len(t) - int(kept.sum())


@numba.njit(types.boolean[::1](types.int64[::1]), cache=True, nogil=True)
def _longest_in_order(t: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Return which members make a longest subsequence that does not decrease (patience sort)."""
    ends = np.empty(len(t), np.int64)  # of the subsequences of each length, where they end lowest
    before = np.empty(len(t), np.int64)
    length = 0
    for i in range(len(t)):
        if not length or t[i] >= t[ends[length - 1]]:
            place = length
        else:
            low, high = 0, length - 1
            while low < high:
                middle = (low + high) // 2
                if t[ends[middle]] > t[i]:
                    high = middle
                else:
                    low = middle + 1
            place = low
        before[i] = ends[place - 1] if place else -1
        ends[place] = i
        length = max(length, place + 1)
    kept = np.zeros(len(t), np.bool_)
    i = ends[length - 1]
    while i >= 0:
        kept[i] = True
        i = before[i]
    return kept
