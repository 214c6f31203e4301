# SPDX-License-Identifier: Apache-2.0
"""The image plane: integer coordinates are the centres of pixels."""

import numpy as np
from numpy.typing import NDArray


def inside_image(points: NDArray[np.floating], width: int, height: int) -> NDArray[np.bool_]:
    """Tell which points (x, y) in pixels, [..., 2], lie in an image.

    Example:
        >>> inside_image(np.array([(-0.5, 0.0), (345.5, 0.0)]), 346, 260).tolist()
        [True, False]
    """
    size = np.array((width, height)) - 0.5
    return np.asarray(((points >= -0.5) & (points < size)).all(-1))
