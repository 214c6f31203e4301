# SPDX-License-Identifier: Apache-2.0
"""Bodies on the floor: which parts touch it, and how these hold the body in its place."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from hybrid_pose_ros.arrays import F64
from hybrid_pose_ros.simulation.markers import unit
from hybrid_pose_ros.skeleton import JOINTS, joint_id

ANKLE_M: Final = 0.11
"""Height of the foot joint above the floor on which a person stands."""

_THICKNESS_M: Final = {
    "head": 0.10, "shoulder": 0.09, "elbow": 0.05, "hip": 0.10, "hand": 0.04, "knee": 0.06,
    "foot": 0.05,
}  # fmt: skip
"""Height of each joint's centre where its part of the body lies on the floor."""
_THICK: Final = np.array([_THICKNESS_M[name.split("_")[-1]] for name in JOINTS])
_GRIP_M: Final = 0.012
"""Parts so much higher than the lowest hold the body e times less."""


def clearance(joints_m: NDArray[np.floating]) -> F64:
    """Height in metres of each part's skin above the floor z = 0, [F, 13].

    The sole is 0.11 m below the foot joint of an upright shank, and 0.05 m below that of a lying
    one.
    """
    joints = np.asarray(joints_m, np.float64)
    heights = joints[..., 2] - _THICK
    for side in ("right", "left"):
        foot, knee = joint_id(f"{side}_foot"), joint_id(f"{side}_knee")
        upright = np.abs(unit(joints[:, knee] - joints[:, foot])[:, 2])
        heights[:, foot] -= (ANKLE_M - _THICK[foot]) * upright
    return np.asarray(heights)


def plant(joints_m: NDArray[np.floating]) -> F64:
    """Put a body, joints [F, 13, 3], on the floor z = 0, where what touches it does not slip."""
    joints = np.array(joints_m, np.float64)
    heights = clearance(joints)
    lowest = heights.min(1, keepdims=True)
    grip = np.exp((lowest - heights) / _GRIP_M)
    grip /= grip.sum(1, keepdims=True)
    step = np.diff(joints[..., :2], axis=0)
    slip = np.einsum("fj,fjc->fc", 0.5 * (grip[1:] + grip[:-1]), step)
    joints[1:, :, :2] -= np.cumsum(slip, 0)[:, None]
    joints[..., 2] -= lowest
    return joints
