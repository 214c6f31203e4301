# SPDX-License-Identifier: Apache-2.0
"""Pose errors."""

import numpy as np
from numpy.typing import NDArray


def mpjpe(
    estimate: NDArray[np.floating], truth: NDArray[np.floating], visible: NDArray[np.bool_]
) -> float:
    """Mean per joint position error: the mean distance over all visible joints.

    Args:
        estimate, truth: [..., 13, D], in the same unit.
        visible: [..., 13]; joints that do not count are False.

    Returns:
        the error in the unit of the input; NaN if no joint is visible.
    """
    distance = np.linalg.norm(estimate - truth, axis=-1)
    return float(distance[visible].mean()) if visible.any() else float("nan")
