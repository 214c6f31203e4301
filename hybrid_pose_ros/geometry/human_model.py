# SPDX-License-Identifier: Apache-2.0
"""A kinematic model of a person: joint angles from the 13 joints in space, and back.

The tree is that of `config/human.urdf.template`, with names and axes of ROS4HRI's package
`human_description` where both have a joint. The body's frame lies in the middle of the hips: x
forwards, y to the left (along the hips), z up (as near to the spine as it gets). From there, with
rotations R about x, y and z:

- spine: Rx(r_waist) Rz(y_waist), then Rx(r_torso) in the middle of the shoulders, which bends
  sideways, twists, and tilts the shoulders; its bend forwards is that of the body's frame,
- head: Rx(r_head) Ry(-p_head); it has no yaw, for one point does not show it,
- arms from the torso, s = 1 left, -1 right: Rz(-s y_shoulder) Rx(s p_shoulder) Rz(s r_shoulder),
  then Ry(-elbow),
- legs from the body: Rz(-y_hip) Rx(s p_hip) Ry(-r_hip), then Ry(-knee).

At 0 the person stands upright with hanging arms. Elbows bend from 0 to pi, knees from 0 to -pi.
With 21 angles and the body's frame the model reaches all directions that 13 joints can have.
"""

import math
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hybrid_pose_ros.arrays import F64
from hybrid_pose_ros.skeleton import JOINTS, NUM_JOINTS

Vector = tuple[float, float, float]
LimbAngles = tuple[float, float, float, float]

ARM: Final = ("y_shoulder", "p_shoulder", "r_shoulder", "elbow")
LEG: Final = ("y_hip", "p_hip", "r_hip", "knee")
ANGLES: Final = (
    *("r_waist", "y_waist", "r_torso", "r_head", "p_head"),
    *(f"{side}_{name}" for side in "lr" for name in (*ARM, *LEG)),
)
"""Names of the angles. Their first letter is a side before another part, else r, y or p: roll, yaw
or pitch."""

_SIDES: Final = (("left", 1.0, 5), ("right", -1.0, 13))
"""Name, sign and the first of the eight angles."""

_TINY: Final = 1e-9
"""Lengths (m) and sines below it are 0."""


_UNKNOWN: Final = (math.nan, math.nan, math.nan, math.nan)


class BodyLengths(NamedTuple):
    """Lengths of a body's segments between joints, in metres; those of left and right are equal.

    The defaults are those between the markers of DHP19 on one of its adults.
    """

    hip_width: float = 0.23
    torso: float = 0.39
    shoulder_width: float = 0.36
    neck: float = 0.23
    upper_arm: float = 0.31
    forearm: float = 0.30
    thigh: float = 0.48
    shank: float = 0.51


class BodyPose(NamedTuple):
    """A pose of the model.

    Attributes:
        origin: middle of the hips, [3] in metres.
        axes: columns are the axes x, y and z of the body's frame, [3, 3].
        angles: in the order of :data:`ANGLES`, [21] in radians; NaN: not known.
    """

    origin: F64
    axes: F64
    angles: F64

    @property
    def is_known(self) -> bool:
        """Whether there is a body's frame; without it no angle is known."""
        return bool(np.isfinite(self.axes).all())


def inverse_kinematics(joints: NDArray[np.floating], straight_rad: float = 0.0) -> BodyPose:
    """Return the pose of the model whose segments have the directions of those of a person.

    Without both hips and both shoulders nothing is known. Of a limb without its end (hand, foot)
    the last angle is not known, without its middle (elbow, knee) none is.

    A straight limb does not show its rotation about itself: then that one (r_shoulder, y_hip) is
    0, and so it is where the end is not known. Of an arm that hangs or is raised straight along
    the torso, y_shoulder is 0 likewise.

    Args:
        joints: [13, 3] in metres, in the order of :data:`~hybrid_pose_ros.skeleton.JOINTS`; NaN:
            not known.
        straight_rad: a limb that is bent less counts as straight, and keeps of its bend what lies
            in the plane of its hinge; 0: all bends are exact.

    Example:
        >>> straight = BodyPose(np.zeros(3), np.eye(3), np.zeros(len(ANGLES)))
        >>> standing = forward_kinematics(straight, BodyLengths())
        >>> standing.shape, bool(np.allclose(inverse_kinematics(standing).angles, 0.0))
        ((13, 3), True)
    """
    # Plain floats: NumPy takes twenty times as long for vectors of three.
    at: dict[str, Vector] = dict(zip(JOINTS, np.asarray(joints, np.float64).tolist(), strict=True))
    origin = _middle(at["left_hip"], at["right_hip"])
    breast = _middle(at["left_shoulder"], at["right_shoulder"])
    left, spine = _direction(at["right_hip"], at["left_hip"]), _difference(origin, breast)
    forward = _unit(_cross(left, spine))
    axes = (forward, left, _cross(forward, left))
    if not all(map(math.isfinite, forward)):
        unknown = np.full(len(ANGLES), np.nan)
        return BodyPose(np.array(origin), np.full((3, 3), np.nan), unknown)

    def in_body(start: str, end: str) -> Vector:
        return _components(axes, _direction(at[start], at[end]))

    def in_torso(vector: Vector) -> Vector:
        return _turn_x(_turn_z(_turn_x(vector, -r_waist), -y_waist), -r_torso)

    _, y, z = _components(axes, spine)
    r_waist = math.atan2(-y, z)
    x, y, z = _turn_x(in_body("right_shoulder", "left_shoulder"), -r_waist)
    y_waist, r_torso = _atan2(-x, y), math.atan2(z, math.hypot(x, y))
    x, y, z = in_torso(_components(axes, _direction(breast, at["head"])))
    angles = [r_waist, y_waist, r_torso, _atan2(-y, z), math.atan2(-x, math.hypot(y, z))]
    for name, side, _ in _SIDES:
        upper = in_torso(in_body(f"{name}_shoulder", f"{name}_elbow"))
        lower = in_torso(in_body(f"{name}_elbow", f"{name}_hand"))
        angles += _arm_angles(upper, lower, side, straight_rad)
        upper = in_body(f"{name}_hip", f"{name}_knee")
        lower = in_body(f"{name}_knee", f"{name}_foot")
        angles += _leg_angles(upper, lower, side, straight_rad)
    return BodyPose(np.array(origin), np.array(axes).T, np.array(angles))


def forward_kinematics(pose: BodyPose, lengths: BodyLengths) -> F64:
    """Return the joints of a pose of the model, [13, 3] in metres; NaN where not known."""
    angle = dict(zip(ANGLES, pose.angles.tolist(), strict=True))

    def from_torso(vector: Vector) -> Vector:
        turned = _turn_z(_turn_x(vector, angle["r_torso"]), angle["y_waist"])
        return _turn_x(turned, angle["r_waist"])

    breast = np.array(_turn_x((0.0, 0.0, lengths.torso), angle["r_waist"]))
    head = _turn_x(_turn_y((0.0, 0.0, lengths.neck), -angle["p_head"]), angle["r_head"])
    at = {"head": breast + from_torso(head)}  # in the body's frame
    for name, side, first in _SIDES:
        *turns, bend = pose.angles[first : first + 4].tolist()
        forearm = _turn_y((0.0, 0.0, -lengths.forearm), -bend)
        shoulder = breast + from_torso((0.0, side * lengths.shoulder_width / 2, 0.0))
        elbow = shoulder + from_torso(_turn_arm((0.0, 0.0, -lengths.upper_arm), side, *turns))
        hand = elbow + from_torso(_turn_arm(forearm, side, *turns))
        at |= {f"{name}_shoulder": shoulder, f"{name}_elbow": elbow, f"{name}_hand": hand}
        *turns, bend = pose.angles[first + 4 : first + 8].tolist()
        shank = _turn_y((0.0, 0.0, -lengths.shank), -bend)
        hip = np.array((0.0, side * lengths.hip_width / 2, 0.0))
        knee = hip + _turn_leg((0.0, 0.0, -lengths.thigh), side, *turns)
        foot = knee + _turn_leg(shank, side, *turns)
        at |= {f"{name}_hip": hip, f"{name}_knee": knee, f"{name}_foot": foot}
    return np.stack([at[name] for name in JOINTS]) @ pose.axes.T + pose.origin


def measure_lengths(joints: NDArray[np.floating]) -> BodyLengths:
    """Return the median lengths of a person in N poses, those of left and right taken together.

    Args:
        joints: [N, 13, 3] in metres; NaN: not known. What is never known has its default.
    """
    poses = np.asarray(joints, np.float64).reshape(-1, NUM_JOINTS, 3)
    at = dict(zip(JOINTS, np.moveaxis(poses, 1, 0), strict=True))
    hips = (at["left_hip"] + at["right_hip"]) / 2
    breast = (at["left_shoulder"] + at["right_shoulder"]) / 2
    found = {
        "hip_width": [at["left_hip"] - at["right_hip"]],
        "torso": [breast - hips],
        "shoulder_width": [at["left_shoulder"] - at["right_shoulder"]],
        "neck": [at["head"] - breast],
    }
    for name, upper, lower in (
        ("upper_arm", "shoulder", "elbow"),
        ("forearm", "elbow", "hand"),
        ("thigh", "hip", "knee"),
        ("shank", "knee", "foot"),
    ):
        found[name] = [at[f"{side}_{lower}"] - at[f"{side}_{upper}"] for side, *_ in _SIDES]
    lengths = {}
    for name, vectors in found.items():
        known = np.linalg.norm(np.concatenate(vectors), axis=-1)
        known = known[np.isfinite(known)]
        if len(known):
            lengths[name] = float(np.median(known))
    return BodyLengths(**lengths)


def _arm_angles(upper: Vector, lower: Vector, side: float, straight_rad: float) -> LimbAngles:
    """Angles of an arm whose segments have these directions in the torso's frame."""
    x, y, z = upper
    if math.isnan(x):
        return _UNKNOWN
    yaw, pitch = _atan2(-side * x, side * y), side * math.atan2(math.hypot(x, y), -z)
    x, y, z = _turn_x(_turn_z(lower, -yaw), -pitch)
    roll, bend = 0.0, math.atan2(x, -z)
    if _is_bent(upper, lower, straight_rad):
        roll, bend = math.atan2(y, x), math.atan2(math.hypot(x, y), -z)
    return -side * yaw, side * pitch, side * roll, bend


def _leg_angles(upper: Vector, lower: Vector, side: float, straight_rad: float) -> LimbAngles:
    """Angles of a leg whose segments have these directions in the body's frame."""
    if math.isnan(upper[0]):
        return _UNKNOWN
    if _is_bent(upper, lower, straight_rad):
        x, y, z = _unit(_cross(upper, lower))  # the hinge's axis
        yaw, pitch = _atan2(-x, y), math.atan2(z, math.hypot(x, y))
    else:
        x, y, z = upper
        yaw, pitch = 0.0, _atan2(y, -z)
        # Two ways lead there; of a kick forwards above the hip this one is the longer.
        if abs(pitch) + abs(math.atan2(x, math.hypot(y, z))) > math.pi:
            pitch = _atan2(-y, z)
    x, y, z = _turn_x(_turn_z(upper, -yaw), -pitch)
    roll = math.atan2(-x, -z)
    x, _, z = _turn_y(_turn_x(_turn_z(lower, -yaw), -pitch), -roll)
    return -yaw, side * pitch, -roll, math.atan2(x, -z)


def _turn_arm(vector: Vector, side: float, yaw: float, pitch: float, roll: float) -> Vector:
    return _turn_z(_turn_x(_turn_z(vector, side * roll), side * pitch), -side * yaw)


def _turn_leg(vector: Vector, side: float, yaw: float, pitch: float, roll: float) -> Vector:
    return _turn_z(_turn_x(_turn_y(vector, -roll), side * pitch), -yaw)


def _is_bent(upper: Vector, lower: Vector, straight_rad: float) -> bool:
    """Whether a limb shows the plane of its bend; it does not where its end is not known."""
    sine = math.hypot(*_cross(upper, lower))
    return sine > _TINY and math.atan2(sine, _dot(upper, lower)) > straight_rad


def _atan2(y: float, x: float) -> float:
    """The angle of a direction in a plane; 0 if there is none."""
    return 0.0 if math.hypot(y, x) < _TINY else math.atan2(y, x)


def _unit(vector: Vector) -> Vector:
    """The vector scaled to length 1; NaN if it has none."""
    length = math.hypot(*vector)
    scale = 1.0 / length if length > _TINY else math.nan
    return vector[0] * scale, vector[1] * scale, vector[2] * scale


def _middle(a: Vector, b: Vector) -> Vector:
    return (a[0] + b[0]) / 2, (a[1] + b[1]) / 2, (a[2] + b[2]) / 2


def _difference(start: Vector, end: Vector) -> Vector:
    return end[0] - start[0], end[1] - start[1], end[2] - start[2]


def _direction(start: Vector, end: Vector) -> Vector:
    return _unit(_difference(start, end))


def _dot(a: Vector, b: Vector) -> float:
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]


def _cross(a: Vector, b: Vector) -> Vector:
    return a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]


def _components(axes: tuple[Vector, Vector, Vector], vector: Vector) -> Vector:
    return _dot(axes[0], vector), _dot(axes[1], vector), _dot(axes[2], vector)


def _turn_x(vector: Vector, angle: float) -> Vector:
    (x, y, z), cosine, sine = vector, math.cos(angle), math.sin(angle)
    return x, cosine * y - sine * z, sine * y + cosine * z


def _turn_y(vector: Vector, angle: float) -> Vector:
    (x, y, z), cosine, sine = vector, math.cos(angle), math.sin(angle)
    return cosine * x + sine * z, y, cosine * z - sine * x


def _turn_z(vector: Vector, angle: float) -> Vector:
    (x, y, z), cosine, sine = vector, math.cos(angle), math.sin(angle)
    return cosine * x - sine * y, sine * x + cosine * y, z
