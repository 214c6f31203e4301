# SPDX-License-Identifier: Apache-2.0
"""From what a network says in cells to a pose in sensor pixels, with how uncertain it is."""

from typing import Any, Final

import numba
import numpy as np
from numba import types
from numpy.typing import NDArray

from hybrid_pose_ros.events.binning import GridView, cells_to_px
from hybrid_pose_ros.networks.config import ModelConfig
from hybrid_pose_ros.pipeline.state import Pose
from hybrid_pose_ros.skeleton import NUM_JOINTS

LOWEST_PEAK: Final = 0.01
"""A lower peak says no more than that the joint may be anywhere around."""

SLOW_CELLS_PER_S: Final = 5.5
SPEED_SHARE: Final = 0.25
"""Errors of the velocities of joints at rest, and as a share of the speed of others: by how far
joints of simulated movements were off 10, 20 and 50 ms later (root mean squares)."""

_NO_VELOCITY: Final = np.full((NUM_JOINTS, 2), np.nan, np.float32)

_OLD_1, _OLD_2 = (types.Array(types.float32, n, "C", readonly=True) for n in (1, 2))
_NEW_1, _NEW_2 = (types.Array(types.float32, n, "C") for n in (1, 2))


class PoseDecoder:
    """Makes poses of decoded heatmaps and velocities.

    Args:
        config: of the model.
        view: the mapping from the sensor to the model's grid.
    """

    def __init__(self, config: ModelConfig, view: GridView) -> None:
        shift_x, shift_y = map(float, view.shift)
        self._view = (float(view.cell), shift_x, shift_y, view.scale)
        cell_px = view.cell / view.scale
        self._units = (
            config.sigma * cell_px,
            cell_px * 1e9 / config.step_ns,
            (SLOW_CELLS_PER_S * cell_px) ** 2,
        )

    def pose(
        self,
        points: NDArray[np.float32],
        confidence: NDArray[np.float32],
        velocity: NDArray[np.float32] | None,
        *,
        sensor_time_ns: int,
        source: str,
        steps_since_init: int,
        init_age_ns: int,
    ) -> Pose:
        """Return a pose.

        Args:
            points: of the joints in cells, [13, 2].
            confidence: 0 to 1, [13].
            velocity: in cells per step, [13, 2]; None in a model without.

        The other arguments are fields of :class:`Pose`.
        """
        cells = _NO_VELOCITY if velocity is None else velocity
        keypoints, speeds = np.empty_like(points), np.empty_like(points)
        variance, velocity_variance = np.empty_like(confidence), np.empty_like(confidence)
        new = (keypoints, speeds, variance, velocity_variance)
        _to_pixels(points, confidence, cells, *self._view, *self._units, *new)
        return Pose(
            sensor_time_ns=sensor_time_ns,
            keypoints=keypoints,
            confidence=confidence,
            source=source,
            steps_since_init=steps_since_init,
            init_age_ns=init_age_ns,
            variance=variance,
            velocity=speeds,
            velocity_variance=velocity_variance,
        )


@numba.njit(types.float32(types.float32, types.float64), cache=True, nogil=True)
def position_variance(peak: float, sigma: float) -> float:
    """Return the variance of x and of y, in the square of the unit of ``sigma``.

    A network trained by least squares on Gaussians of height 1 draws their mean over all places
    where the joint may be. If those are spread by a Gaussian of variance u, the mean has the
    height ``sigma^2 / (sigma^2 + u)``, from which u follows.

    Args:
        peak: height of the peak, 0 to 1.
        sigma: standard deviation of the Gaussians that the network was trained on.

    Example:
        >>> position_variance(1.0, 6.0), position_variance(0.5, 6.0)
        (0.0, 36.0)
    """
    height: Any = max(peak, np.float32(LOWEST_PEAK))
    return np.float32(sigma * sigma) * (np.float32(1.0) / height - np.float32(1.0))


@numba.njit(
    types.void(
        *(_OLD_2, _OLD_1, _OLD_2),
        *(types.float64,) * 5,
        *(types.float32,) * 2,
        *(_NEW_2, _NEW_2, _NEW_1, _NEW_1),
    ),
    cache=True,
    nogil=True,
)
def _to_pixels(
    points: NDArray[np.float32],
    confidence: NDArray[np.float32],
    velocity: NDArray[np.float32],
    cell: float,
    shift_x: float,
    shift_y: float,
    scale: float,
    sigma: float,
    per_second: float,
    slow: float,
    keypoints: NDArray[np.float32],
    speeds: NDArray[np.float32],
    variance: NDArray[np.float32],
    velocity_variance: NDArray[np.float32],
) -> None:
    """Write what a pose holds in pixels; with arrays as a whole it takes ten times as long.

    Args:
        points, confidence, velocity: as :meth:`PoseDecoder.pose` has them.
        cell, shift_x, shift_y, scale: as in :func:`cells_to_px`.
        sigma: as in :func:`position_variance`, in px.
        per_second: px/s of a cell per step.
        slow: the variance of the velocity of a joint at rest.
        keypoints, speeds, variance, velocity_variance: are written.
    """
    share = np.float32(SPEED_SHARE**2)
    for joint in range(len(confidence)):
        for axis, shift in enumerate((shift_x, shift_y)):
            place = np.float64(points[joint, axis])
            keypoints[joint, axis] = cells_to_px(place, cell, shift, scale)
            speeds[joint, axis] = velocity[joint, axis] * per_second
        vx, vy = speeds[joint]
        velocity_variance[joint] = slow + share * (vx * vx + vy * vy)
        variance[joint] = position_variance(confidence[joint], sigma)
