# SPDX-License-Identifier: Apache-2.0
"""Poses at moments that are no ends of steps: between two poses, and ahead of the last one.

Ahead, a joint goes on with the velocity that the network reads from the spikes around it, which
dies away: limbs turn back. On the evaluation's recordings an acceleration from differences of
velocities made predictions no better 20 ms ahead and worse 50 ms ahead, so there is none.
"""

import math
from bisect import bisect_left
from collections import deque
from dataclasses import replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from hybrid_pose_ros.pipeline.state import Pose

MAX_PREDICTION_NS: Final = 100_000_000
"""No pose is predicted farther ahead of the last events in it."""

DAMPING_S: Final = 0.1
"""Time in which a velocity falls to 1/e."""

HISTORY: Final = 100
"""Poses that are kept for moments that have passed."""


def way_s(ahead_s: float) -> float:
    """Return for how long a joint would have to keep its velocity to come as far.

    Args:
        ahead_s: time in which the velocity dies away.
    """
    return DAMPING_S * (1.0 - math.exp(-ahead_s / DAMPING_S))


def predict(pose: Pose, time_ns: int) -> Pose:
    """Return where the joints will be at a moment after a pose.

    The variance grows with the square of the time ahead; a pose without velocities is held.

    Args:
        pose: of an estimator, itself not predicted.
        time_ns: sensor time, not before the pose and at most :data:`MAX_PREDICTION_NS` after it.

    Raises:
        ValueError: a moment before the pose, or too far ahead.
    """
    ahead_ns = time_ns - pose.sensor_time_ns
    if not 0 <= ahead_ns <= MAX_PREDICTION_NS:
        raise ValueError(
            f"the moment {time_ns} ns lies {ahead_ns / 1e6:g} ms after the pose of "
            f"{pose.sensor_time_ns} ns; a pose can be predicted 0 to "
            f"{MAX_PREDICTION_NS / 1e6:g} ms ahead"
        )
    ahead_s = ahead_ns * 1e-9
    velocity: NDArray[np.float32] = np.nan_to_num(pose.velocity)
    spread: NDArray[np.float32] = np.nan_to_num(pose.velocity_variance)
    return replace(
        pose,
        sensor_time_ns=time_ns,
        prediction_ns=pose.prediction_ns + ahead_ns,
        keypoints=np.asarray(pose.keypoints + np.float32(way_s(ahead_s)) * velocity, np.float32),
        variance=np.asarray(pose.variance + np.float32(ahead_s * ahead_s) * spread, np.float32),
        velocity=np.float32(math.exp(-ahead_s / DAMPING_S)) * pose.velocity,
    )


def ahead(pose: Pose, distance_ns: int) -> Pose:
    """Return a pose predicted so far ahead; the pose itself for 0."""
    return predict(pose, pose.sensor_time_ns + distance_ns) if distance_ns else pose


def prediction_ns(predict_ms: float) -> int:
    """Return a parameter ``predict_ms`` in ns.

    Raises:
        ValueError: it is negative or beyond :data:`MAX_PREDICTION_NS`.
    """
    if not 0 <= predict_ms <= MAX_PREDICTION_NS / 1e6:
        raise ValueError(
            f"predict_ms {predict_ms:g}: it must be from 0 to {MAX_PREDICTION_NS / 1e6:g} ms"
        )
    return round(predict_ms * 1e6)


def interpolate(before: Pose, after: Pose, time_ns: int) -> Pose:
    """Return the pose at a moment from one pose to the next, on a straight line between them.

    Everything but keypoints, velocities, confidence and variances is that of ``before``.
    """
    span = after.sensor_time_ns - before.sensor_time_ns
    share = np.float32((time_ns - before.sensor_time_ns) / span)

    def between(old: NDArray[np.float32], new: NDArray[np.float32]) -> NDArray[np.float32]:
        return np.asarray(old + share * (new - old), np.float32)

    return replace(
        before,
        sensor_time_ns=time_ns,
        keypoints=between(before.keypoints, after.keypoints),
        confidence=between(before.confidence, after.confidence),
        variance=between(before.variance, after.variance),
        velocity=between(before.velocity, after.velocity),
        velocity_variance=between(before.velocity_variance, after.velocity_variance),
    )


class PoseHistory:
    """The newest poses of an estimator, in order of time; answers for any moment near them.

    Args:
        limit: how many are kept.
    """

    def __init__(self, limit: int = HISTORY) -> None:
        self._poses: deque[Pose] = deque(maxlen=limit)

    def reset(self) -> None:
        """Forget all poses."""
        self._poses.clear()

    def add(self, pose: Pose) -> None:
        """Add a pose that is later than all before."""
        self._poses.append(pose)

    def at(self, time_ns: int) -> Pose:
        """Return the pose at a moment: interpolated, or predicted from the last pose.

        Raises:
            ValueError: no pose was made yet, or the moment lies before those that are kept or too
                far ahead of the last.
        """
        poses = self._poses
        if not poses:
            raise ValueError("there is no pose yet: push the events of a whole step first")
        if time_ns >= poses[-1].sensor_time_ns:
            return predict(poses[-1], time_ns)
        if time_ns < poses[0].sensor_time_ns:
            raise ValueError(
                f"the moment {time_ns} ns lies before the oldest of the {len(poses)} poses kept, "
                f"that of {poses[0].sensor_time_ns} ns"
            )
        index = bisect_left(poses, time_ns, key=lambda pose: pose.sensor_time_ns)
        if poses[index].sensor_time_ns == time_ns:
            return poses[index]
        return interpolate(poses[index - 1], poses[index], time_ns)
