# SPDX-License-Identifier: Apache-2.0
"""The sane range of numbers that come from outside: calibrations and poses, by one function."""

from typing import Final

import numpy as np
from numpy.typing import ArrayLike

MAX_PIXEL: Final = 1e5
"""No image point lies farther out, be it guessed beyond the border."""

MAX_PX_PER_S: Final = 1e7
"""No image point moves faster."""

MAX_METRES: Final = 1e5
"""No camera or joint is farther from the origin of the world."""

MAX_COEFFICIENT: Final = 1e4
"""Of a distortion model."""

FOCAL_PX: Final = (1e-2, 1e6)
"""Focal lengths."""

MATRIX: Final = 1e12
"""Of the numbers in a projection matrix, whatever its scale and units."""


class RangeError(ValueError):
    """A number is not what it can be; the message names it and the range."""


def check_range(
    what: str, values: ArrayLike, low: float, high: float, *, nan: bool = False
) -> None:
    """Raise RangeError unless all numbers lie in [low, high].

    Args:
        what: for the message.
        values: any shape.
        low, high: the range.
        nan: whether NaN is allowed, which stands for what is not known.
    """
    numbers = np.asarray(values, np.float64)
    good = (numbers >= low) & (numbers <= high)
    if nan:
        good |= np.isnan(numbers)
    if not good.all():
        first = float(numbers[~good].flat[0])
        raise RangeError(f"{what}: {first:.6g} is not from {low:.6g} to {high:.6g}")
