# SPDX-License-Identifier: Apache-2.0
"""The part of the picture around the person that is followed.

The network knows one person. Where there are two, its heatmaps have a peak on each, and from one
inference to the next the higher one may be the other's. So an inference sees only what lies around
the last pose: whoever was found first is kept. Now and then one sees the whole picture, so that
what was followed by mistake is left for a person who is surer.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

MIN_JOINTS: Final = 6
MIN_CONFIDENCE: Final = 0.2
"""So many joints with this confidence make a person; with fewer the whole picture is seen."""

MARGIN: Final = 0.1
SPEED: Final = 1.5
"""Room on each side of the joints, as shares of the longer side of the box around them: at once,
and more per second since they were found. A quarter after 100 ms: enough for what a body does
meanwhile, and to grow where a pose was drawn together."""

MIN_SIDE: Final = 12.0
"""Cells; the room around a smaller person is that of this size."""

LOOK_AROUND_NS: Final = 1_000_000_000
"""After so much sensor time an inference sees the whole picture again."""

SURER: Final = 1.3
"""Somebody outside of the window is followed if the sum of the confidences is so many times that
of the person who was."""


class PersonWindow:
    """A box of cells around the joints of the last pose; everything, before the first.

    Args:
        height, width: of the grid in cells.
    """

    def __init__(self, height: int, width: int) -> None:
        self._size = np.array((width, height))
        self._joints: NDArray[np.float32] | None = None
        self._time_ns = 0
        self._confidence = 0.0
        self._looked_ns = 0

    def follow(
        self, points: NDArray[np.float32], confidence: NDArray[np.float32], time_ns: int
    ) -> None:
        """Move to where the person is.

        Args:
            points: of the joints in cells (x, y), [13, 2].
            confidence: [13].
            time_ns: sensor time of the pose.
        """
        self._time_ns = time_ns
        self._confidence = float(confidence.sum())
        sure = confidence >= MIN_CONFIDENCE
        enough = np.count_nonzero(sure) >= MIN_JOINTS
        self._joints = points[sure].clip(0, self._size - 1) if enough else None

    def seen(self, maps: NDArray[np.float32], time_ns: int) -> NDArray[np.float32]:
        """Return maps [..., H, W] with zeros outside of the window; themselves without one.

        Args:
            maps: what the ANN is to see.
            time_ns: sensor time up to which they hold events.
        """
        box = self._box(time_ns)
        if box is None:
            return maps
        (left, top), (right, bottom) = box
        inside = np.zeros_like(maps)
        inside[..., top:bottom, left:right] = maps[..., top:bottom, left:right]
        return inside

    def looks_around(self, time_ns: int) -> bool:
        """Return whether an inference at this sensor time is to see the whole picture.

        If so, it is taken to have seen it.
        """
        looks = self._joints is None or time_ns - self._looked_ns >= LOOK_AROUND_NS
        if looks:
            self._looked_ns = time_ns
        return looks

    def accepts(
        self, points: NDArray[np.float32], confidence: NDArray[np.float32], time_ns: int
    ) -> bool:
        """Return whether a pose found in the whole picture is to be followed.

        It is if it lies in the window, or is surer than the last one was.

        Arguments are those of :meth:`follow`.
        """
        box = self._box(time_ns)
        if box is None or confidence.sum() > SURER * self._confidence:
            return True
        joints = points[confidence >= MIN_CONFIDENCE]
        return bool(((joints >= box[0]) & (joints < box[1])).all())

    def _box(self, time_ns: int) -> NDArray[np.int64] | None:
        """The first cell (x, y) that is seen and the one after the last, or None: [2, 2]."""
        if self._joints is None:
            return None
        low, high = self._joints.min(0), self._joints.max(0)
        side = max(float((high - low).max()), MIN_SIDE)
        room = side * (MARGIN + SPEED * 1e-9 * max(time_ns - self._time_ns, 0))
        first = np.maximum(np.floor(low - room), 0)
        end = np.minimum(np.ceil(high + room) + 1, self._size)
        return np.stack((first, end)).astype(np.int64)
