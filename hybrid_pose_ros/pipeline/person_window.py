# SPDX-License-Identifier: Apache-2.0
"""The part of the picture around the person that is followed.

The network knows one person. Where there are two, its heatmaps have a peak on each, and from one
inference to the next the higher one may be the other's. So an inference sees only what lies around
the last pose: the nearest body is kept. Now and then one sees the whole picture, so that what was
followed by mistake is left for a person who is surer.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

MIN_JOINTS: Final = 6
MIN_CONFIDENCE: Final = 0.2
"""So many joints with this confidence make a person; with fewer the whole picture is seen."""

MARGIN: Final = 0.25
"""Room on each side of the joints, as a share of the longer side of the box around them: enough
for what a body does between two inferences, and to grow where a pose was drawn together."""

MIN_SIDE: Final = 12.0
"""Cells; the margin of a smaller person is that of this size."""

LOOK_AROUND: Final = 10
"""Every so many inferences the whole picture is seen."""

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
        self._box: tuple[slice, slice] | None = None
        self._confidence = 0.0
        self._inferences = 0

    def follow(self, points: NDArray[np.float32], confidence: NDArray[np.float32]) -> None:
        """Move to where the person is now.

        Args:
            points: of the joints in cells (x, y), [13, 2].
            confidence: [13].
        """
        self._inferences += 1
        self._confidence = float(confidence.sum())
        sure = confidence >= MIN_CONFIDENCE
        if np.count_nonzero(sure) < MIN_JOINTS:
            self._box = None
            return
        joints = points[sure].clip(0, self._size - 1)
        low, high = joints.min(0), joints.max(0)
        margin = MARGIN * max(float((high - low).max()), MIN_SIDE)
        left, top = np.maximum(np.floor(low - margin), 0).astype(int)
        right, bottom = np.minimum(np.ceil(high + margin) + 1, self._size).astype(int)
        self._box = slice(top, bottom), slice(left, right)

    def seen(self, maps: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return maps [..., H, W] with zeros outside of the window; themselves without one."""
        if self._box is None:
            return maps
        inside = np.zeros_like(maps)
        inside[(..., *self._box)] = maps[(..., *self._box)]
        return inside

    def looks_around(self) -> bool:
        """Return whether the next inference is to see the whole picture."""
        return self._box is None or self._inferences % LOOK_AROUND == 0

    def accepts(self, points: NDArray[np.float32], confidence: NDArray[np.float32]) -> bool:
        """Return whether a pose found in the whole picture is to be followed.

        It is if it lies in the window, or is surer than the last one was.

        Arguments are those of :meth:`follow`.
        """
        if self._box is None or confidence.sum() > SURER * self._confidence:
            return True
        rows, columns = self._box
        x, y = points[confidence >= MIN_CONFIDENCE].T
        inside = (x >= columns.start) & (x < columns.stop) & (y >= rows.start) & (y < rows.stop)
        return bool(inside.all())
