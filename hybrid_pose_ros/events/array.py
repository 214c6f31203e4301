# SPDX-License-Identifier: Apache-2.0
"""The event array: one numpy structured array, in order of sensor time."""

from collections.abc import Sequence
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hybrid_pose_ros.errors import UserError

EVENT_DTYPE: Final = np.dtype(
    [("t", "<i8"), ("x", "<u2"), ("y", "<u2"), ("polarity", "?")], align=True
)
"""t: sensor time in ns; x, y: pixel column and row; polarity: True = brighter (ON)."""

_BYTES: Final = np.dtype(f"V{EVENT_DTYPE.itemsize}")

EventArray: TypeAlias = NDArray[np.void]
"""Array [n] of :data:`EVENT_DTYPE` in non-decreasing ``t``."""


MAX_SENSOR_PX: Final = 4096
"""No camera is wider or higher."""


class MalformedEventsError(UserError, ValueError):
    """An event array is not what it should be; the message says where."""


def empty_events() -> EventArray:
    """Return an array without events.

    Example:
        >>> empty_events().shape, empty_events().dtype.names
        ((0,), ('t', 'x', 'y', 'polarity'))
    """
    return np.empty(0, EVENT_DTYPE)


def make_events(t: ArrayLike, x: ArrayLike, y: ArrayLike, polarity: ArrayLike) -> EventArray:
    """Build an event array from its columns, each [n].

    Args:
        t: sensor time in ns, in order.
        x, y: pixel column and row.
        polarity: True or 1: the pixel became brighter.

    Example:
        >>> events = make_events([1000, 2500], x=[3, 4], y=[7, 7], polarity=[True, False])
        >>> events["t"].tolist()
        [1000, 2500]
    """
    events = np.empty(len(np.atleast_1d(t)), EVENT_DTYPE)
    events["t"], events["x"], events["y"], events["polarity"] = t, x, y, polarity
    return events


def join_events(parts: Sequence[EventArray]) -> EventArray:
    """Return the events of some arrays, one after the other.

    Example:
        >>> events = make_events([1000, 2500], x=[3, 4], y=[7, 7], polarity=[True, False])
        >>> join_events([events[:1], events[1:]]).shape
        (2,)
    """
    if len(parts) == 1:
        return parts[0]
    # NumPy would copy one field after the other; of plain bytes it does so ten times as fast.
    joined: EventArray = np.concatenate([part.view(_BYTES) for part in parts]).view(EVENT_DTYPE)
    return joined


def check_sensor(width: int, height: int) -> None:
    """Check the size of a sensor in pixels.

    Raises:
        MalformedEventsError: no camera has it.
    """
    if not (0 < width <= MAX_SENSOR_PX and 0 < height <= MAX_SENSOR_PX):
        raise MalformedEventsError(
            f"impossible sensor size {width}x{height}: a side has 1 to {MAX_SENSOR_PX} pixels"
        )


def check_events(events: EventArray, width: int, height: int) -> None:
    """Check the type, the order in time and the coordinates.

    Raises:
        MalformedEventsError: names the first event that is wrong.

    Example:
        >>> events = make_events([1000, 2500], x=[3, 400], y=[7, 7], polarity=[True, False])
        >>> check_events(events, 346, 260)
        Traceback (most recent call last):
        hybrid_pose_ros.events.array.MalformedEventsError: event 1 lies at (400, 7), outside the \
sensor of 346x260
    """
    array = np.asarray(events)
    if array.dtype != EVENT_DTYPE or array.ndim != 1 or array is not events:
        raise MalformedEventsError(
            f"not an event array but a {type(events).__name__} of {array.dtype}, "
            f"{array.ndim} dimensions; make_events(t, x, y, polarity) makes one"
        )
    outside = np.flatnonzero((events["x"] >= width) | (events["y"] >= height))
    if len(outside):
        x, y = int(events["x"][outside[0]]), int(events["y"][outside[0]])
        raise MalformedEventsError(
            f"event {outside[0]} lies at ({x}, {y}), outside the sensor of {width}x{height}"
        )
    backwards = np.flatnonzero(np.diff(events["t"]) < 0)
    if len(backwards):
        raise MalformedEventsError(f"event {backwards[0] + 1} is older than the one before it")
