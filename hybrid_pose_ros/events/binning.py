# SPDX-License-Identifier: Apache-2.0
"""From events to steps: causal histograms over absolute bins of sensor time.

Bin k covers [k * T, (k + 1) * T) of sensor time, so a recording gives the same steps however its
stream is cut into packets, and a step needs no event of the future.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Final

import numba
import numpy as np
from numba import types
from numba.extending import register_jitable
from numpy.typing import NDArray

from hybrid_pose_ros.events.array import EventArray
from hybrid_pose_ros.events.compiled import COUNTS, FIELDS, PLACES, TIMES
from hybrid_pose_ros.events.noise import NoiseFilter, NoiseMemory, is_supported
from hybrid_pose_ros.geometry.image import inside_image

MAX_COUNT: Final = 65_535
"""Counts of a cell saturate here."""


class TimeJumpError(ValueError):
    """Sensor time went backwards."""


@register_jitable  # called with arrays by Python, and with numbers by compiled code
def cells_to_px(cells: Any, cell: Any, shift: Any, scale: Any) -> Any:
    """Map places in cells to sensor pixels; the other arguments are those of a GridView."""
    return ((cells + 0.5) * cell - 0.5 - shift) / scale


@numba.njit(
    types.UniTuple(types.int64, 2)(
        *FIELDS.values(),
        types.int64,
        types.int64,
        PLACES,
        PLACES,
        COUNTS,
        TIMES,
        types.uint64,
        types.int64,
        types.int64,
    ),
    cache=True,
    nogil=True,
)
def _count(
    t: NDArray[np.int64],
    x: NDArray[np.uint16],
    y: NDArray[np.uint16],
    polarity: NDArray[np.bool_],
    first: int,
    end_ns: int,
    columns: NDArray[np.int64],
    rows: NDArray[np.int64],
    counts: NDArray[np.uint16],
    last_ns: NDArray[np.int64],
    stride: int,
    window_ns: int,
    support: int,
) -> tuple[int, int]:
    """Count the events from ``first`` on that lie before ``end_ns`` and pass the noise filter.

    Args:
        columns, rows: what each column and row of the sensor adds to the number of a cell; at
            least ``len(counts)`` outside the grid.
        counts: of each cell, first of OFF, then of ON, flat.
        last_ns, stride, window_ns, support: as in :class:`NoiseMemory`.

    Returns:
        the number of the next event, and how many did not pass.
    """
    outside = len(counts)
    dropped = 0
    for i in range(first, len(t)):
        if t[i] >= end_ns:
            return i, dropped
        if support:
            corner = np.uint64(y[i]) * stride + np.uint64(x[i])
            if not is_supported(last_ns, stride, corner, t[i], window_ns, support):
                dropped += 1
                continue
        cell = rows[y[i]] + columns[x[i]]
        if cell >= outside:
            continue
        if polarity[i]:
            cell += outside // 2
        if counts[cell] < MAX_COUNT:
            counts[cell] += 1
    return len(t), dropped


@numba.njit(
    types.boolean(FIELDS["x"], FIELDS["y"], types.int64, types.int64), cache=True, nogil=True
)
def _are_inside(x: NDArray[np.uint16], y: NDArray[np.uint16], width: int, height: int) -> bool:
    """Return whether all events lie on a sensor of this size."""
    inside = True
    for i in range(len(x)):
        inside &= x[i] < width and y[i] < height
    return inside


@dataclass(frozen=True)
class GridView:
    """The mapping from a sensor's pixels to the cells of the network's grid.

    The sensor is scaled uniformly to fit the view and centred in it (letterbox); the view is
    cropped and pooled into cells. Integer coordinates are the centres of pixels and of cells. On a
    sensor with more pixels than the view a cell covers more pixels and so collects more events; on
    one with fewer pixels it collects fewer, and where a pixel is larger than a cell some cells
    stay empty.

    Attributes:
        sensor_width, sensor_height: of the sensor, in pixels.
        view_width, view_height: of the view, in pixels.
        cell: view pixels per cell along each axis.
        crop_x, crop_y: the grid's upper left corner, in view pixels.
        grid_width, grid_height: of the grid, in cells.
        columns: grid column of each sensor column, -1 outside the grid; int32 [sensor_width].
        rows: grid row of each sensor row, -1 outside the grid; int32 [sensor_height].

    Example:
        >>> view = GridView.fit(640, 480)
        >>> view.shape, view.columns.shape, view.rows.shape
        ((2, 65, 87), (640,), (480,))
        >>> corners = view.to_grid(np.array([(0.0, 0.0), (639.0, 479.0)]))  # [2, 2], in cells
        >>> corners.round(2).tolist()
        [[-0.43, -0.37], [85.93, 64.37]]
        >>> np.allclose(view.to_sensor(corners), [(0.0, 0.0), (639.0, 479.0)])
        True
    """

    sensor_width: int
    sensor_height: int
    view_width: int
    view_height: int
    cell: int
    crop_x: int
    crop_y: int
    grid_width: int
    grid_height: int
    columns: NDArray[np.int32] = field(init=False, repr=False, compare=False)
    rows: NDArray[np.int32] = field(init=False, repr=False, compare=False)
    _column_terms: NDArray[np.int64] = field(init=False, repr=False, compare=False)
    _row_terms: NDArray[np.int64] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.sensor_width < 1 or self.sensor_height < 1:
            raise ValueError(f"no sensor has {self.sensor_width}x{self.sensor_height} pixels")
        for name, size, axis, cells, stride in (
            ("column", self.sensor_width, 0, self.grid_width, 1),
            ("row", self.sensor_height, 1, self.grid_height, self.grid_width),
        ):
            position = np.arange(size) * self.scale + self.shift[axis]
            # the small term keeps exact multiples from falling below a border by rounding
            lookup = np.floor((position + 0.5) / self.cell + 1e-9).astype(np.int32)
            lookup[(lookup < 0) | (lookup >= cells)] = -1
            lookup.setflags(write=False)
            terms = np.where(lookup < 0, self._outside, lookup.astype(np.int64) * stride)
            object.__setattr__(self, f"{name}s", lookup)
            object.__setattr__(self, f"_{name}_terms", terms)

    @classmethod
    def fit(
        cls,
        sensor_width: int,
        sensor_height: int,
        *,
        view: tuple[int, int] = (346, 260),
        cell: int = 4,
        crop: tuple[int, int, int, int] = (0, 0, 87, 65),
    ) -> "GridView":
        """Fit a sensor to a view; ``crop`` is (x, y) in view pixels and (width, height) in cells.

        Raises:
            ValueError: the sensor has no pixels.
        """
        return cls(sensor_width, sensor_height, *view, cell, *crop)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Of the counts: polarities, rows and columns."""
        return 2, self.grid_height, self.grid_width

    @cached_property
    def scale(self) -> float:
        """View pixels per sensor pixel."""
        return min(self.view_width / self.sensor_width, self.view_height / self.sensor_height)

    @cached_property
    def shift(self) -> NDArray[np.float64]:
        """Position, in pixels of the crop, of the sensor's pixel (0, 0)."""
        sensor = np.array((self.sensor_width, self.sensor_height))
        view = np.array((self.view_width, self.view_height))
        letterbox = (view - sensor * self.scale) / 2
        return 0.5 * self.scale - 0.5 + letterbox - (self.crop_x, self.crop_y)

    @property
    def _outside(self) -> int:
        """The number after the last cell's; events outside the grid are counted there."""
        return 2 * self.grid_height * self.grid_width

    def to_sensor(self, points: NDArray[np.floating]) -> NDArray[np.float64]:
        """Map (x, y) in cells, [..., 2], to sensor pixels."""
        return cells_to_px(np.asarray(points, np.float64), self.cell, self.shift, self.scale)

    def to_grid(self, points: NDArray[np.floating]) -> NDArray[np.float64]:
        """Map (x, y) in sensor pixels, [..., 2], to cells; the inverse of :meth:`to_sensor`."""
        crop = np.asarray(points, np.float64) * self.scale + self.shift
        return (crop + 0.5) / self.cell - 0.5

    def inside(self, points: NDArray[np.floating]) -> NDArray[np.bool_]:
        """Tell which (x, y) in sensor pixels, [..., 2], lie in the sensor's picture."""
        return inside_image(points, self.sensor_width, self.sensor_height)

    def check(self, events: EventArray) -> None:
        """Raise IndexError where an event lies outside the sensor."""
        width, height = self.sensor_width, self.sensor_height
        if not _are_inside(events["x"], events["y"], width, height):
            raise IndexError(f"an event lies outside the sensor of {width}x{height} pixels")

    def noise_memory(self, noise_filter: NoiseFilter | None) -> NoiseMemory:
        """Return the memory of a noise filter for this sensor, in which nothing happened yet."""
        return NoiseMemory(noise_filter, self.sensor_width, self.sensor_height)

    def count_until(
        self,
        events: EventArray,
        first: int,
        end_ns: int,
        counts: NDArray[np.uint16],
        noise: NoiseMemory,
    ) -> tuple[int, int]:
        """Add the events from ``first`` on that lie before ``end_ns`` and are no noise.

        Args:
            events: in order of time, all on the sensor, which :meth:`check` tells.
            counts: contiguous [2, grid_height, grid_width], changed in place; they saturate.
            noise: what :meth:`noise_memory` gave, changed in place.

        Returns:
            the number of the next event, and how many were filtered out as noise.
        """
        times, dropped = events["t"], 0
        while first < len(times) and times[first] < end_ns:
            holds_ns = noise.adapt(int(times[first]))
            first, more = _count(
                times,
                events["x"],
                events["y"],
                events["polarity"],
                first,
                min(end_ns, holds_ns),
                self._column_terms,
                self._row_terms,
                counts.ravel(),
                noise.times_ns,
                noise.stride,
                noise.window_ns,
                noise.support,
            )
            dropped += more
        return first, dropped


@dataclass(frozen=True, eq=False)
class Step:
    """The events of one bin, or of several merged ones.

    Attributes:
        index: of the (last) bin.
        counts: events per polarity and cell, [2, grid_height, grid_width], without noise.
        events: number of events, noise and those outside the grid included.
        merged: number of bins in it.
        dropped: number of events that were filtered out as noise.
    """

    index: int
    counts: NDArray[np.uint16]
    events: int
    merged: int = 1
    dropped: int = 0

    def end_ns(self, step_ns: int) -> int:
        """Sensor time at which the step ends."""
        return (self.index + 1) * step_ns


def merge_steps(steps: Sequence[Step]) -> Step:
    """Merge successive steps into one that ends with the last."""
    if len(steps) == 1:
        return steps[0]
    total = np.sum([step.counts for step in steps], axis=0, dtype=np.uint32)
    return Step(
        index=steps[-1].index,
        counts=np.minimum(total, MAX_COUNT).astype(np.uint16),
        events=sum(step.events for step in steps),
        merged=sum(step.merged for step in steps),
        dropped=sum(step.dropped for step in steps),
    )


class StepBinner:
    """Cuts a stream of events into steps.

    A step is complete as soon as an event at or past its end was seen.

    Args:
        view: the mapping to the grid.
        step_ns: length T of a step in ns.
        max_gap_steps: empty steps that are emitted in a gap; a longer gap is skipped, and the
            consumer sees the jump in ``index``.
        noise_filter: which events are left out of the counts; None: none are.
    """

    def __init__(
        self,
        view: GridView,
        step_ns: int,
        *,
        noise_filter: NoiseFilter | None = None,
        max_gap_steps: int = 100,
    ) -> None:
        self._view = view
        self._noise = view.noise_memory(noise_filter)
        self._step_ns = step_ns
        self._max_gap = max_gap_steps
        self.reset()

    def reset(self) -> None:
        """Forget the open bin, and when the pixels had their last events."""
        self._index: int | None = None
        self._counts: NDArray[np.uint16]
        self._events = 0
        self._dropped = 0
        self._noise.forget()

    def push(self, events: EventArray) -> list[Step]:
        """Add events in order of time and return the steps they complete, oldest first.

        Raises:
            TimeJumpError: an event lies before the open bin; nothing was added. Call
                :meth:`reset` before going on.
            IndexError: an event lies outside the sensor; nothing was added.
        """
        count = len(events)
        if not count:
            return []
        times = events["t"]
        if self._index is not None and times[0] < self._index * self._step_ns:
            raise TimeJumpError(
                f"sensor time jumps back: event at {int(times[0])} ns after the bin that "
                f"begins at {self._index * self._step_ns} ns was begun"
            )
        self._view.check(events)
        done: list[Step] = []
        start = 0
        while start < count:
            index = int(times[start]) // self._step_ns
            if index != self._index:
                self._close(index, done)
                self._index, self._events, self._dropped = index, 0, 0
                self._counts = np.zeros(self._view.shape, np.uint16)
            end_ns = (index + 1) * self._step_ns
            end, dropped = self._view.count_until(events, start, end_ns, self._counts, self._noise)
            self._events += end - start
            self._dropped += dropped
            start = end
        return done

    def _close(self, next_index: int, done: list[Step]) -> None:
        """Complete the open bin, and the empty ones between it and the next."""
        if self._index is None:
            return
        done.append(Step(self._index, self._counts, self._events, dropped=self._dropped))
        gap = range(self._index + 1, next_index)
        if len(gap) <= self._max_gap:
            done.extend(Step(index, np.zeros(self._view.shape, np.uint16), 0) for index in gap)
