# SPDX-License-Identifier: Apache-2.0
"""From events to steps: causal histograms over absolute bins of sensor time.

Bin k covers [k * T, (k + 1) * T) of sensor time, so a recording gives the same steps however its
stream is cut into packets, and a step needs no event of the future.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from hybrid_pose_ros.events.array import EventArray


class TimeJumpError(ValueError):
    """Sensor time went backwards."""


@dataclass(frozen=True)
class GridView:
    """The mapping from a sensor's pixels to the cells of the network's grid.

    The sensor is scaled uniformly to fit the view and centred in it (letterbox); the view is
    cropped and pooled into cells. Integer coordinates are the centres of pixels and of cells. On a
    sensor with more pixels than the view a cell covers more pixels and so collects more events.

    Attributes:
        sensor_width, sensor_height: of the sensor, in pixels.
        view_width, view_height: of the view, in pixels.
        cell: view pixels per cell along each axis.
        crop_x, crop_y: the grid's upper left corner, in view pixels.
        grid_width, grid_height: of the grid, in cells.
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

    def __post_init__(self) -> None:
        if self.sensor_width < 1 or self.sensor_height < 1:
            raise ValueError(f"no sensor has {self.sensor_width}x{self.sensor_height} pixels")
        for name, size, axis, cells in (
            ("columns", self.sensor_width, 0, self.grid_width),
            ("rows", self.sensor_height, 1, self.grid_height),
        ):
            position = np.arange(size) * self.scale + self._shift[axis]
            # the small term keeps exact multiples from falling below a border by rounding
            lookup = np.floor((position + 0.5) / self.cell + 1e-9).astype(np.int32)
            lookup[(lookup < 0) | (lookup >= cells)] = -1
            lookup.setflags(write=False)
            object.__setattr__(self, name, lookup)

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
    def scale(self) -> float:
        """View pixels per sensor pixel."""
        return min(self.view_width / self.sensor_width, self.view_height / self.sensor_height)

    @property
    def _shift(self) -> NDArray[np.float64]:
        """Position, in pixels of the crop, of the sensor's pixel (0, 0)."""
        sensor = np.array((self.sensor_width, self.sensor_height))
        view = np.array((self.view_width, self.view_height))
        letterbox = (view - sensor * self.scale) / 2
        return 0.5 * self.scale - 0.5 + letterbox - (self.crop_x, self.crop_y)

    def to_sensor(self, points: NDArray[np.floating]) -> NDArray[np.float64]:
        """Map (x, y) in cells, [..., 2], to sensor pixels."""
        crop = (np.asarray(points, np.float64) + 0.5) * self.cell - 0.5
        return (crop - self._shift) / self.scale

    def to_grid(self, points: NDArray[np.floating]) -> NDArray[np.float64]:
        """Map (x, y) in sensor pixels, [..., 2], to cells; the inverse of :meth:`to_sensor`."""
        crop = np.asarray(points, np.float64) * self.scale + self._shift
        return (crop + 0.5) / self.cell - 0.5

    def histogram(self, events: EventArray) -> NDArray[np.uint16]:
        """Count events per polarity and cell: [2, grid_height, grid_width], OFF then ON.

        Counts saturate at 65535. Events outside the grid are ignored.
        """
        return self._histograms(events, np.zeros(len(events), np.int64), 1)[0]

    def _histograms(
        self, events: EventArray, slots: NDArray[np.int64], count: int
    ) -> NDArray[np.uint16]:
        """Histogram each slot of events: [count, 2, grid_height, grid_width]."""
        column, row = self.columns[events["x"]], self.rows[events["y"]]
        plane = slots * 2 + events["polarity"]
        index = (plane * self.grid_height + row) * self.grid_width + column
        index = index[(column >= 0) & (row >= 0)]
        shape = (count, 2, self.grid_height, self.grid_width)
        counts = np.bincount(index, minlength=int(np.prod(shape)))
        return np.minimum(counts, 65535).astype(np.uint16).reshape(shape)


@dataclass(frozen=True)
class Step:
    """The events of one bin, or of several merged ones.

    Attributes:
        index: of the (last) bin.
        counts: events per polarity and cell, [2, grid_height, grid_width].
        events: number of events, those outside the grid included.
        merged: number of bins in it.
    """

    index: int
    counts: NDArray[np.uint16]
    events: int
    merged: int = 1

    def end_ns(self, step_ns: int) -> int:
        """Sensor time at which the step ends."""
        return (self.index + 1) * step_ns


def merge_steps(steps: Sequence[Step]) -> Step:
    """Merge successive steps into one that ends with the last."""
    total = np.sum([step.counts for step in steps], axis=0, dtype=np.uint32)
    return Step(
        index=steps[-1].index,
        counts=np.minimum(total, 65535).astype(np.uint16),
        events=sum(step.events for step in steps),
        merged=sum(step.merged for step in steps),
    )


class StepBinner:
    """Cuts a stream of events into steps.

    A step is complete as soon as an event at or past its end was seen.

    Args:
        view: the mapping to the grid.
        step_ns: length T of a step in ns.
        max_gap_steps: empty steps that are emitted in a gap; a longer gap is skipped, and the
            consumer sees the jump in ``index``.
    """

    def __init__(self, view: GridView, step_ns: int, *, max_gap_steps: int = 100) -> None:
        self._view = view
        self._step_ns = step_ns
        self._max_gap = max_gap_steps
        self._open: Step | None = None

    def reset(self) -> None:
        """Forget the open bin."""
        self._open = None

    def push(self, events: EventArray) -> list[Step]:
        """Add events in order of time and return the steps they complete, oldest first.

        Raises:
            TimeJumpError: an event lies before the open bin; nothing was added. Call
                :meth:`reset` before going on.
        """
        if not len(events):
            return []
        bins = events["t"] // self._step_ns
        if self._open is not None and bins[0] < self._open.index:
            raise TimeJumpError(
                f"sensor time jumps back: event at {int(events['t'][0])} ns after the bin that "
                f"begins at {self._open.index * self._step_ns} ns was begun"
            )
        starts = np.flatnonzero(np.diff(bins)) + 1
        indices = bins[np.concatenate(([0], starts))]
        slots = np.zeros(len(events), np.int64)
        slots[starts] = 1
        counts = self._view._histograms(events, np.cumsum(slots), len(indices))
        sizes = np.diff(np.concatenate(([0], starts, [len(events)])))
        done: list[Step] = []
        for index, count, size in zip(indices, counts, sizes, strict=True):
            self._add(Step(int(index), count, int(size)), done)
        return done

    def _add(self, step: Step, done: list[Step]) -> None:
        if self._open is None:
            self._open = step
        elif step.index == self._open.index:
            merged = merge_steps((self._open, step))
            self._open = Step(step.index, merged.counts, merged.events)
        else:
            done.append(self._open)
            gap = range(self._open.index + 1, step.index)
            if len(gap) <= self._max_gap:
                done.extend(Step(index, np.zeros_like(step.counts), 0) for index in gap)
            self._open = step
