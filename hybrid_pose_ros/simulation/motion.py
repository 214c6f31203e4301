# SPDX-License-Identifier: Apache-2.0
"""Joints over time."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import CubicSpline


@dataclass(frozen=True)
class Motion:
    """The 13 joints of a person over time, in metres, z up.

    A person who faces +y has the right side at +x.

    Attributes:
        times_s: [F], increasing from 0.
        joints_m: [F, 13, 3].
        name: of the movement.
    """

    times_s: NDArray[np.float64]
    joints_m: NDArray[np.float64]
    name: str

    @cached_property
    def _spline(self) -> CubicSpline:
        return CubicSpline(self.times_s, self.joints_m)

    @property
    def duration_s(self) -> float:
        """Length in seconds."""
        return float(self.times_s[-1])

    def at(self, times_s: NDArray[np.floating]) -> NDArray[np.float64]:
        """Interpolate (cubic) at times [T]; before the start and after the end it stands still."""
        return np.asarray(self._spline(np.clip(times_s, 0.0, self.duration_s)))


def rotate_about_vertical(points: NDArray[np.floating], yaw: float) -> NDArray[np.float64]:
    """Turn points [..., 3] counter-clockwise (seen from above) by ``yaw`` radians."""
    cosine, sine = np.cos(yaw), np.sin(yaw)
    return np.asarray(points @ np.array(((cosine, sine, 0), (-sine, cosine, 0), (0, 0, 1))))
