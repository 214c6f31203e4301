# SPDX-License-Identifier: Apache-2.0
"""Distortion of lenses, by the models of OpenCV and sensor_msgs/CameraInfo.

``plumb_bob`` and ``rational_polynomial`` scale a point (x, y) of the normalised image by
``(1 + k1 r2 + k2 r4 + k3 r6) / (1 + k4 r2 + k5 r4 + k6 r6)`` and add the tangential part of p1 and
p2; ``equidistant`` moves it from tan(theta) to ``theta (1 + k1 theta2 + ... + k4 theta8)``.
Sources: OpenCV, "Camera Calibration and 3D Reconstruction" and "Fisheye camera model".
"""

from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hybrid_pose_ros.geometry.ranges import MAX_COEFFICIENT, check_range

MODELS: Final = {"plumb_bob": (4, 5), "rational_polynomial": (8,), "equidistant": (4,)}
"""Name -> how many coefficients there may be."""

_MAX_ITERATIONS: Final = 100
_CLOSE: Final = 1e-10
"""In the normalised image; a millionth of a pixel."""


@dataclass(frozen=True)
class Distortion:
    """The distortion of a lens.

    Attributes:
        model: a name in :data:`MODELS`.
        coefficients: in the order of OpenCV: k1, k2, p1, p2, k3, k4, k5, k6, or k1 to k4.
        intrinsic: camera matrix of the image as the sensor has it, [3, 3].

    Raises:
        ValueError: the model is not known, or the coefficients are not its own.
    """

    model: str
    coefficients: tuple[float, ...]
    intrinsic: NDArray[np.float64] = field(repr=False)

    def __post_init__(self) -> None:
        if self.model not in MODELS:
            raise ValueError(
                f"distortion model {self.model!r} is not known; there are {', '.join(MODELS)}"
            )
        if len(self.coefficients) not in MODELS[self.model]:
            counts = " or ".join(map(str, MODELS[self.model]))
            raise ValueError(
                f"{self.model} has {counts} distortion coefficients, not {len(self.coefficients)}"
            )
        check_range("distortion coefficient", self.coefficients, -MAX_COEFFICIENT, MAX_COEFFICIENT)

    def undistort(
        self, points: NDArray[np.floating], ideal: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Return where points would lie without distortion.

        Args:
            points: (u, v) in pixels, [..., 2].
            ideal: camera matrix of the image without distortion, [3, 3].

        Returns:
            [..., 2] in pixels; NaN where the model maps nothing to the point.
        """
        normal = _transform(np.asarray(np.linalg.inv(self.intrinsic), np.float64), points)
        with np.errstate(all="ignore"):  # what does not converge becomes NaN
            if self.model == "equidistant":
                straight = self._undo_equidistant(normal)
            else:
                straight = self._undo_polynomial(normal)
        return _transform(ideal, straight)

    def _undo_polynomial(self, distorted: NDArray[np.float64]) -> NDArray[np.float64]:
        k1, k2, p1, p2, k3, k4, k5, k6 = (*self.coefficients, 0.0, 0.0, 0.0, 0.0)[:8]
        straight = distorted
        for _ in range(_MAX_ITERATIONS):
            x, y = straight[..., 0], straight[..., 1]
            r2 = x * x + y * y
            radial = (1 + r2 * (k1 + r2 * (k2 + r2 * k3))) / (1 + r2 * (k4 + r2 * (k5 + r2 * k6)))
            tangential = np.stack(
                (
                    2 * p1 * x * y + p2 * (r2 + 2 * x * x),
                    p1 * (r2 + 2 * y * y) + 2 * p2 * x * y,
                ),
                axis=-1,
            )
            before, straight = straight, (distorted - tangential) / radial[..., None]
            far = ~(np.abs(straight - before) <= _CLOSE).all(-1)
            if not far.any():
                break
        return np.where((far | (radial <= 0))[..., None], np.nan, straight)

    def _undo_equidistant(self, distorted: NDArray[np.float64]) -> NDArray[np.float64]:
        k1, k2, k3, k4 = self.coefficients
        wanted = np.linalg.norm(distorted, axis=-1)
        theta = np.minimum(wanted, np.pi / 2)
        for _ in range(_MAX_ITERATIONS):
            t2 = theta * theta
            value = theta * (1 + t2 * (k1 + t2 * (k2 + t2 * (k3 + t2 * k4))))
            slope = 1 + t2 * (3 * k1 + t2 * (5 * k2 + t2 * (7 * k3 + t2 * 9 * k4)))
            before, theta = theta, theta - (value - wanted) / slope
            far = ~(np.abs(theta - before) <= _CLOSE)
            if not far.any():
                break
        far |= (theta < 0) | (theta >= np.pi / 2)
        scale = np.where(wanted > 0, np.tan(theta) / np.where(wanted > 0, wanted, 1.0), 1.0)
        return np.where(far[..., None], np.nan, distorted * scale[..., None])


def make_distortion(
    model: str, coefficients: ArrayLike, intrinsic: NDArray[np.float64]
) -> Distortion | None:
    """Return the distortion of these coefficients, None where all are 0.

    Raises:
        ValueError: the model is not known, or the coefficients are not its own.
    """
    numbers = np.atleast_1d(np.asarray(coefficients, np.float64))
    if numbers.ndim != 1:
        raise ValueError("distortion coefficients are not a row of numbers")
    return Distortion(model, tuple(numbers.tolist()), intrinsic) if numbers.any() else None


def _transform(matrix: NDArray[np.float64], points: NDArray[np.floating]) -> NDArray[np.float64]:
    """Apply an upper triangular matrix with a last row of (0, 0, 1)."""
    return np.asarray(points @ matrix[:2, :2].T + matrix[:2, 2])
