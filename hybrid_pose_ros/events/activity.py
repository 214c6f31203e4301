# SPDX-License-Identifier: Apache-2.0
"""Ages of each cell's last activity: the memory of what rests.

A limb at rest makes no events; where its outline was last seen moving is all that is known of it.
The age of a cell's last activity keeps that for minutes, at one number per cell.
"""

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

NEVER: Final = np.iinfo(np.int64).min // 2
"""Step at which a cell was last active that never was."""

SHORTEST_S: Final = 0.01
LONGEST_S: Final = 120.0
"""Ages in seconds between which they are told apart."""


def encode_ages(last: NDArray[np.int64], now: int, step_s: float) -> NDArray[np.float32]:
    """Encode ages in log time: 1 for the step just ended, 0 for 120 s and for never.

    Args:
        last: step in which each cell was last active, any shape.
        now: the step just ended.
        step_s: length of a step in seconds.

    Returns:
        float32, shaped like ``last``.
    """
    age_s = np.maximum(now - last, 0) * np.float64(step_s)
    share = np.log1p(age_s / SHORTEST_S) / np.log1p(LONGEST_S / SHORTEST_S)
    return np.maximum(1.0 - share, 0.0).astype(np.float32)


class LastActivity:
    """The step in which each cell last had enough events, for several meanings of enough.

    Args:
        levels: numbers of events, of both polarities together.
        height, width: of the grid in cells.
    """

    def __init__(self, levels: Sequence[int], height: int, width: int) -> None:
        self._levels = np.array(levels, np.int64)[:, None, None]
        self.last: NDArray[np.int64] = np.full((len(levels), height, width), NEVER)
        self._index = NEVER
        self._events = np.zeros((height, width), np.int64)

    def reset(self) -> None:
        """Forget all activity."""
        self.last[:] = NEVER
        self._index = NEVER

    def add(self, index: int, counts: NDArray[np.integer]) -> None:
        """Take the events of a step, [2, height, width], or of a further part of the same step."""
        if index != self._index:
            self._index = index
            self._events[:] = 0
        self._events += counts.sum(0, dtype=np.int64)
        self.last[self._events >= self._levels] = index
