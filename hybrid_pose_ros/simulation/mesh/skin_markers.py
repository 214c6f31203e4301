# SPDX-License-Identifier: Apache-2.0
"""Where DHP19's markers sit on a mesh person: places on the skin near the 13 joints."""

from dataclasses import dataclass
from typing import Final

import numpy as np

from hybrid_pose_ros.arrays import F64
from hybrid_pose_ros.simulation.markers import unit
from hybrid_pose_ros.simulation.mesh.pose import rest_joints
from hybrid_pose_ros.simulation.mesh.shape import SIDES, Shape, load_people
from hybrid_pose_ros.skeleton import JOINTS, joint_id

_NEAR_M: Final = 0.04
"""Vertices so near to a line count as the skin that the line goes through."""


@dataclass(frozen=True)
class _Place:
    """Where a marker sits.

    Attributes:
        group: the bones that move it.
        offset: from the joint in metres, sideways (away from the body's middle), forwards, and
            up along the segment.
        axis: of these three, the one along which it then goes out to the skin.
        above: metres above the skin.
    """

    group: str
    offset: tuple[float, float, float]
    axis: int
    above: float


# Fitted to DHP19's published CNN on simulated people, by tools/fit_markers.py; metres of a person
# of 1.7 m. Those of head and shoulders float above the skin, as the fit would have them.
_PLACES: Final = {
    "head": _Place("head", (0.0, -0.05, 0.0), 2, 0.045),
    "shoulder": _Place("clavicle", (0.012, 0.003, 0.0), 2, 0.058),
    "elbow": _Place("upperarm02", (0.0, -0.004, 0.033), 0, 0.006),
    "hand": _Place("hand", (0.03, 0.0, -0.02), 1, -0.002),
    "hip": _Place("pelvis", (0.018, 0.0, 0.06), 1, -0.007),
    "knee": _Place("upperleg02", (-0.001, 0.0, 0.04), 1, 0.01),
    "foot": _Place("foot", (0.007, 0.145, 0.0), 2, 0.002),
}
_PARENT: Final = {"elbow": "shoulder", "hand": "elbow"}

MARKER_GROUPS: Final = tuple(
    _PLACES[name.partition("_")[2] or name].group
    + (f".{SIDES[name.partition('_')[0]]}" if "_" in name and "hip" not in name else "")
    for name in JOINTS
)
"""The group of bones that moves each marker."""


def marker_axes(shape: Shape) -> F64:
    """Axes sideways, forwards and up of each marker's segment in rest pose, [13, 3 (axis), 3]."""
    joints, axes = rest_joints(shape), np.empty((13, 3, 3))
    for index, name in enumerate(JOINTS):
        side, _, part = name.partition("_")
        axes[index] = np.diag((-1.0 if side == "right" else 1.0, -1.0, 1.0))
        if part in _PARENT:
            up = joints[joint_id(f"{side}_{_PARENT[part]}")] - joints[index]
            axes[index] = _arm_axes(axes[index], up)
    return axes


def rest_markers(shape: Shape) -> F64:
    """Place the markers on a person in rest pose, [13, 3]."""
    joints, axes = rest_joints(shape), marker_axes(shape)
    stature = np.ptp(shape.vertices[:, 2]) / 1.7
    markers = np.empty((13, 3))
    for index, name in enumerate(JOINTS):
        place = _PLACES[name.partition("_")[2] or name]
        start = joints[index] + stature * np.array(place.offset) @ axes[index]
        out = axes[index, place.axis]
        markers[index] = start + (_skin(shape, start, out) + stature * place.above) * out
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
