# SPDX-License-Identifier: Apache-2.0
"""Where DHP19's markers sit on the body: the points that labels and 3D truth mean.

DHP19's labels are places of reflective markers on the skin, not centres of rotation: on top of
the head and the shoulders, at the front of pelvis and knees, near the toes. Simulated and captured
motion moves centres of rotation; the labels of both are the markers placed around these. The
offsets were fitted: with them the network that DHP19's authors trained on their recordings has
the least systematic error on simulated ones.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from hybrid_pose_ros.arrays import F64
from hybrid_pose_ros.skeleton import joint_id

# metres along three axes of the joint's own segment: sideways (away from the body's middle),
# forwards, and up along the segment (towards the trunk; the head's towards the crown)
_OFFSETS: Final = {
    "head": (0.0, -0.02, 0.165),
    "shoulder": (0.01, 0.01, 0.087),
    "elbow": (0.03, -0.015, 0.03),
    "hand": (0.03, 0.04, -0.02),
    "hip": (0.005, 0.095, 0.06),
    "knee": (-0.005, 0.068, 0.04),
    "foot": (0.025, 0.165, -0.015),
}
_PARENT: Final = {"elbow": "shoulder", "hand": "elbow", "knee": "hip", "foot": "knee"}


def unit(vectors: NDArray[np.floating]) -> F64:
    """Vectors [..., 3] scaled to length 1; those of length 0 stay."""
    return np.asarray(vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-9))


def body_axes(joints_m: NDArray[np.floating]) -> tuple[F64, F64, F64]:
    """The trunk's axes to the right, forwards and up, each [F, 3], of joints [F, 13, 3]."""
    joints = np.asarray(joints_m, np.float64)
    shoulders = joints[:, joint_id("right_shoulder")] + joints[:, joint_id("left_shoulder")]
    right_hip, left_hip = joints[:, joint_id("right_hip")], joints[:, joint_id("left_hip")]
    up = unit(shoulders - right_hip - left_hip)
    forward = unit(np.cross(up, right_hip - left_hip))
    return np.asarray(np.cross(forward, up)), forward, up


def segment_axes(joints_m: NDArray[np.floating]) -> F64:
    """Axes sideways, forwards and up of each joint's segment, [F, 13, 3 (axis), 3]."""
    right, forward, up = body_axes(joints_m)
    axes = np.empty((len(joints_m), 13, 3, 3))
    breast = 0.5 * (
        joints_m[:, joint_id("right_shoulder")] + joints_m[:, joint_id("left_shoulder")]
    )
    trunk = np.stack((right, forward, up), 1)
    axes[:, joint_id("head")] = _swung(trunk, joints_m[:, joint_id("head")] - breast)
    for side, sign in (("right", 1.0), ("left", -1.0)):
        own_trunk = trunk * np.array((sign, 1.0, 1.0))[:, None]
        for joint in ("shoulder", "hip"):
            axes[:, joint_id(f"{side}_{joint}")] = own_trunk
        for joint, parent in _PARENT.items():
            own = joint_id(f"{side}_{joint}")
            along = joints_m[:, joint_id(f"{side}_{parent}")] - joints_m[:, own]
            axes[:, own] = _swung(own_trunk, along)
    return axes


def _swung(axes: F64, along: NDArray[np.floating]) -> F64:
    """Turn axes [F, 3, 3], the shortest way, so that the last points ``along`` [F, 3]."""
    new, old = unit(along), axes[:, 2]
    half = new + old
    scale = 1.0 / np.maximum(1.0 + np.sum(new * old, -1), 1e-6)
    mirrored = np.einsum("fc,fac->fa", half, axes) * scale[:, None]
    straight = np.einsum("fc,fac->fa", old, axes)
    return np.asarray(
        axes - mirrored[..., None] * half[:, None] + 2 * straight[..., None] * new[:, None]
    )


def markers_of(joints_m: NDArray[np.floating]) -> F64:
    """Place the markers, [F, 13, 3] in metres, of a body with joints [F, 13, 3]."""
    joints = np.asarray(joints_m, np.float64)
    return joints + np.einsum("ja,fjac->fjc", _OFFSET_ARRAY, segment_axes(joints))


def _offset_array() -> F64:
    offsets = np.zeros((13, 3))
    for name, offset in _OFFSETS.items():
        for joint in [name] if name == "head" else [f"right_{name}", f"left_{name}"]:
            offsets[joint_id(joint)] = offset
    return offsets


_OFFSET_ARRAY: Final = _offset_array()
