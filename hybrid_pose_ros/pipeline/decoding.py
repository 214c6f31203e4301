# SPDX-License-Identifier: Apache-2.0
"""From what a network says in cells to a pose in sensor pixels, with how uncertain it is."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from hybrid_pose_ros.events.binning import GridView
from hybrid_pose_ros.networks.config import ModelConfig
from hybrid_pose_ros.pipeline.state import Pose
from hybrid_pose_ros.skeleton import NUM_JOINTS

LOWEST_PEAK: Final = 0.01
"""A lower peak says no more than that the joint may be anywhere around."""

SLOW_CELLS_PER_S: Final = 5.5
SPEED_SHARE: Final = 0.25
"""Errors of the velocities of joints at rest, and as a share of the speed of others: by how far
joints of simulated movements were off 10, 20 and 50 ms later (root mean squares)."""


class PoseDecoder:
    """Makes poses of decoded heatmaps and velocities.

    Args:
        config: of the model.
        view: the mapping from the sensor to the model's grid.
    """

    def __init__(self, config: ModelConfig, view: GridView) -> None:
        self._view = view
        cell_px = view.cell / view.scale
        self._sigma_px = config.sigma * cell_px
        self._per_second = np.float32(cell_px * 1e9 / config.step_ns)
        self._slow_variance = np.float32((SLOW_CELLS_PER_S * cell_px) ** 2)

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
        speeds: NDArray[np.float32] = np.full((NUM_JOINTS, 2), np.nan, np.float32)
        if velocity is not None:
            np.multiply(velocity, self._per_second, out=speeds)
        return Pose(
            sensor_time_ns=sensor_time_ns,
            keypoints=self._view.to_sensor(points).astype(np.float32),
            confidence=confidence,
            source=source,
            steps_since_init=steps_since_init,
            init_age_ns=init_age_ns,
            variance=position_variance(confidence, self._sigma_px),
            velocity=speeds,
            velocity_variance=self._slow_variance
            + np.float32(SPEED_SHARE**2) * np.square(speeds).sum(-1),
        )


def position_variance(confidence: NDArray[np.float32], sigma: float) -> NDArray[np.float32]:
    """Return the variance of x and of y, in the square of the unit of ``sigma``.

    A network trained by least squares on Gaussians of height 1 draws their mean over all places
    where the joint may be. If those are spread by a Gaussian of variance u, the mean has the
    height ``sigma^2 / (sigma^2 + u)``, from which u follows.

    Args:
        confidence: heights of the peaks, 0 to 1.
        sigma: standard deviation of the Gaussians that the network was trained on.

    Example:
        >>> position_variance(np.array([1.0, 0.5], np.float32), sigma=6.0).tolist()
        [0.0, 36.0]
    """
    peaks = np.maximum(confidence, np.float32(LOWEST_PEAK))
    return np.asarray(np.float32(sigma * sigma) * (1 / peaks - 1), np.float32)
