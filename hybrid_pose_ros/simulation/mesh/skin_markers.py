# SPDX-License-Identifier: Apache-2.0
"""Where DHP19's markers sit on a mesh person: places on the skin near the 13 joints."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from hybrid_pose_ros.simulation.markers import unit
from hybrid_pose_ros.simulation.mesh.pose import rest_joints
from hybrid_pose_ros.simulation.mesh.shape import SIDES, Shape, load_people
from hybrid_pose_ros.skeleton import JOINTS, joint_id

F64 = NDArray[np.float64]

_MARKER_M: Final = 0.01
"""Height of a marker's centre above the skin."""

_NEAR_M: Final = 0.04
"""Vertices so near to a line count as the skin that the line goes through."""

# joint: parts that move its marker; offset in metres sideways (away from the body's middle),
# forwards, and up along the segment; the axis along which it then goes on to the skin
_PLACES: Final = {
    "head": ("head", (0.0, -0.02, 0.0), 2),
    "shoulder": ("clavicle", (0.01, 0.01, 0.0), 2),
    "elbow": ("upperarm02", (0.0, -0.015, 0.03), 0),
    "hand": ("hand", (0.01, 0.0, -0.02), 1),
    "hip": ("pelvis", (0.005, 0.0, 0.06), 1),
    "knee": ("upperleg02", (-0.005, 0.0, 0.04), 1),
    "foot": ("foot", (0.025, 0.14, 0.0), 2),
}
_PARENT: Final = {"elbow": "shoulder", "hand": "elbow"}

MARKER_GROUPS: Final = tuple(
    _PLACES[name.partition("_")[2] or name][0]
    + (f".{SIDES[name.partition('_')[0]]}" if "_" in name and "hip" not in name else "")
    for name in JOINTS
)
"""The group of bones that moves each marker."""


def rest_markers(shape: Shape) -> F64:
    """Place the markers on a person in rest pose, [13, 3]."""
    joints = rest_joints(shape)
    stature = np.ptp(shape.vertices[:, 2]) / 1.7
    markers = np.empty((13, 3))
    for index, name in enumerate(JOINTS):
        side, _, part = name.partition("_")
        _, offset, axis = _PLACES[part or name]
        axes = np.array(((-1.0 if side == "right" else 1.0, 0, 0), (0, -1.0, 0), (0, 0, 1.0)))
        if part in _PARENT:
            axes = _arm_axes(axes, joints[joint_id(f"{side}_{_PARENT[part]}")] - joints[index])
        start = joints[index] + stature * np.array(offset) @ axes
        markers[index] = start + (_skin(shape, start, axes[axis]) + _MARKER_M) * axes[axis]
    return markers


def _arm_axes(axes: F64, up: F64) -> F64:
    up = unit(up)
    forward = unit(axes[1] - (axes[1] @ up) * up)
    side = np.cross(forward, up)
    return np.stack((side * np.sign(side @ axes[0]), forward, up))


def _skin(shape: Shape, start: F64, direction: F64) -> float:
    """Distance in metres from a point inside the body to the skin."""
    step = shape.vertices - start
    along = step @ direction
    beside = np.linalg.norm(step - along[:, None] * direction, axis=1)
    # not the skin of the other arm or leg, nor the far end of a limb
    near = (beside < _NEAR_M) & (along > 0) & (along < 0.25)
    if not near.any():
        return 0.0
    weight = np.exp(-0.5 * (beside[near] / (0.4 * _NEAR_M)) ** 2)
    outside = load_people().normals(shape.vertices)[near] @ direction
    weight = weight * np.maximum(outside, 0.01)
    return float((weight * along[near]).sum() / weight.sum())
