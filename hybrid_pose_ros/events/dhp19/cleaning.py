# SPDX-License-Identifier: Apache-2.0
"""How the authors of DHP19 clean the events of a recording, step by step.

All steps see the four cameras side by side in one mosaic of 1384x260 pixels, as theirs do: camera
0 is the leftmost. Coordinates are those of the upright image.
"""

from dataclasses import dataclass, fields
from typing import Final

import numba
import numpy as np
from numpy.typing import NDArray

from hybrid_pose_ros.events import aedat2
from hybrid_pose_ros.events.aedat2 import Words
from hybrid_pose_ros.events.array import EventArray, make_events
from hybrid_pose_ros.geometry.cameras import DHP19_SIZE

CAMERAS: Final = 4
WIDTH, HEIGHT = DHP19_SIZE
_COLUMNS: Final = CAMERAS * WIDTH

HOT_EVENTS: Final = 10_000
"""A pixel with so many events between start and stop is hot."""

SUPPORT_US: Final = 70_000
"""An event needs another one, at one of the eight pixels around it, not longer ago than this."""

MASKS: Final = ((2, 88, 117, 115, 144), (3, 214, 220, 136, 143))
"""Where lamps of the motion capture shine: (camera, first column, end, first row, end)."""

STEPS: Final = ("unknown", "trimmed", "hot", "background", "masked")
"""Why an event is left out: it is of no camera or pixel of DHP19, or a step of the cleaning."""

_UNKNOWN, _TRIMMED, _HOT, _BACKGROUND, _MASKED = range(len(STEPS))
_NEVER: Final = -(2**62)
_NOT_AN_EVENT: Final = aedat2.SAMPLE_BIT | aedat2.SPECIAL_BIT


@dataclass(frozen=True)
class Cleaning:
    """Which steps are done; all are by default.

    Attributes:
        trim: events outside of the recording's start and stop signal are left out.
        mirror: both axes are turned over, so that images are upright and fit the calibration.
        hot_pixels: the events of pixels with :data:`HOT_EVENTS` or more are left out.
        background: events without support within :data:`SUPPORT_US` are left out.
        masks: events in :data:`MASKS` are left out.
    """

    trim: bool = True
    mirror: bool = True
    hot_pixels: bool = True
    background: bool = True
    masks: bool = True

    @classmethod
    def none(cls) -> "Cleaning":
        """Return the one that leaves every event as it is."""
        return cls(**{step.name: False for step in fields(cls)})


@dataclass(frozen=True)
class Span:
    """Start and stop of a recording in sensor time (us); events lie strictly between."""

    start_us: int
    stop_us: int


class Tally:
    """How many events of each camera were read and what became of them.

    Attributes:
        read: int64 [5]; the last one counts the events of cameras that DHP19 has not.
        dropped: int64 [5, 5]: by the step of :data:`STEPS` and the camera.
        late: int64 [5], events older than the one before of the same camera; they got its time.
    """

    def __init__(self) -> None:
        self.read = np.zeros(CAMERAS + 1, np.int64)
        self.dropped = np.zeros((len(STEPS), CAMERAS + 1), np.int64)
        self.late = np.zeros(CAMERAS + 1, np.int64)

    def describe(self, camera: int) -> str:
        """Return a line about a camera."""
        steps = [
            f"{count:,} {step}"
            for step, count in zip(STEPS, self.dropped[:, camera].tolist(), strict=True)
            if count
        ]
        line = f"of {self.read[camera]:,} events; left out: {', '.join(steps) or 'none'}"
        late = int(self.late[camera])
        return line + f"; {late:,} out of order, given the time of the one before" * bool(late)


class HotPixels:
    """Counts the events of each pixel inside of a span.

    Args:
        span: of the recording; None to count all.
    """

    def __init__(self, span: Span | None) -> None:
        self._limits = _limits(span)
        self._counts = np.zeros((_COLUMNS, HEIGHT), np.int64)

    def add(self, words: Words) -> None:
        """Count the events among words."""
        _count(words.address, words.us, *self._limits, self._counts)

    def found(self) -> NDArray[np.bool_]:
        """Return which pixels of the mosaic are hot, [1384, 260]."""
        return self._counts >= HOT_EVENTS


class Cleaner:
    """Cleans a recording piece by piece; what it has seen counts for the next piece.

    Args:
        cleaning: which steps are done.
        span: start and stop.
        hot: which pixels are hot, [1384, 260]; None if that step is not done.

    Attributes:
        tally: what became of the events so far.
    """

    def __init__(self, cleaning: Cleaning, span: Span, hot: NDArray[np.bool_] | None) -> None:
        self.tally = Tally()
        self._limits = _limits(span if cleaning.trim else None)
        self._mirror = cleaning.mirror
        self._hot = np.zeros((_COLUMNS, HEIGHT), bool) if hot is None else hot
        self._support_us = SUPPORT_US if cleaning.background else 2**63 - 1
        self._last_us = np.full((_COLUMNS, HEIGHT), _NEVER, np.int64)
        self._masked = np.zeros((_COLUMNS, HEIGHT), bool)
        for camera, left, right, top, bottom in MASKS if cleaning.masks else ():
            self._masked[camera * WIDTH + left : camera * WIDTH + right, top:bottom] = True
        self._latest_us = np.full(CAMERAS, _NEVER, np.int64)

    def clean(self, words: Words) -> list[EventArray]:
        """Return what is left of the next words: the events of each camera in order of time."""
        shape = (CAMERAS, len(words.us))
        us, x, y = (
            np.empty(shape, np.int64),
            np.empty(shape, np.uint16),
            np.empty(shape, np.uint16),
        )
        polarity, counts = np.empty(shape, bool), np.zeros(CAMERAS, np.int64)
        _clean(
            words.address,
            words.us,
            *self._limits,
            self._hot,
            self._support_us,
            self._last_us,
            self._masked,
            self._mirror,
            self._latest_us,
            self.tally.read,
            self.tally.dropped,
            self.tally.late,
            us,
            x,
            y,
            polarity,
            counts,
        )
        return [
            make_events(
                us[camera, :count] * 1000,
                x[camera, :count],
                y[camera, :count],
                polarity[camera, :count],
            )
            for camera, count in enumerate(counts.tolist())
        ]


def _limits(span: Span | None) -> tuple[int, int]:
    return (-(2**63), 2**63 - 1) if span is None else (span.start_us, span.stop_us)


@numba.njit(cache=True, inline="always")
def _place(address):  # type: ignore[no-untyped-def]
    """Camera, column in its upright image, and row; they may be none of DHP19's."""
    camera = np.int64(address & aedat2.CAMERA_MASK)
    x = np.int64(address >> aedat2.X_SHIFT & aedat2.X_MASK)
    y = np.int64(address >> aedat2.Y_SHIFT & aedat2.Y_MASK)
    return camera, WIDTH - 1 - x, HEIGHT - 1 - y


@numba.njit(cache=True)
def _count(address, us, start_us, stop_us, counts):  # type: ignore[no-untyped-def]
    for i in range(len(us)):
        if address[i] & _NOT_AN_EVENT or not start_us < us[i] < stop_us:
            continue
        camera, column, row = _place(address[i])
        if camera < CAMERAS and column >= 0 and row >= 0:
            counts[camera * WIDTH + column, row] += 1


@numba.njit(cache=True)
def _clean(  # type: ignore[no-untyped-def]
    address,
    us,
    start_us,
    stop_us,
    hot,
    support_us,
    last_us,
    masks,
    mirror,
    latest_us,
    read,
    dropped,
    late,
    out_us,
    out_x,
    out_y,
    out_polarity,
    counts,
):
    columns, rows = last_us.shape
    for i in range(len(us)):
        if address[i] & _NOT_AN_EVENT:
            continue
        camera, column, y = _place(address[i])
        whose = min(camera, CAMERAS)
        read[whose] += 1
        if camera >= CAMERAS or column < 0 or y < 0:
            dropped[_UNKNOWN, whose] += 1
            continue
        t, x = us[i], camera * WIDTH + column
        if not start_us < t < stop_us:
            dropped[_TRIMMED, whose] += 1
            continue
        if hot[x, y]:
            dropped[_HOT, whose] += 1
            continue
        supported = t - last_us[x, y] <= support_us
        # pixels at the mosaic's edge support no others; an event does not support its own pixel
        if 0 < x < columns - 1 and 0 < y < rows - 1:
            for dx in range(-1, 2):
                for dy in range(-1, 2):
                    if dx or dy:
                        last_us[x + dx, y + dy] = t
        if not supported:
            dropped[_BACKGROUND, whose] += 1
            continue
        if masks[x, y]:
            dropped[_MASKED, whose] += 1
            continue
        if t < latest_us[camera]:
            late[whose] += 1
            t = latest_us[camera]
        latest_us[camera] = t
        n = counts[camera]
        counts[camera] = n + 1
        out_us[camera, n] = t
        out_x[camera, n] = column if mirror else WIDTH - 1 - column
        out_y[camera, n] = y if mirror else HEIGHT - 1 - y
        out_polarity[camera, n] = address[i] & aedat2.POLARITY_BIT != 0
