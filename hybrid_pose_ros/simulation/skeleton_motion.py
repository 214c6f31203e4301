# SPDX-License-Identifier: Apache-2.0
"""Forward kinematics: joint angles over time to the 13 joints.

The body's own frame has x to the right, y forwards and z up. All angles are in radians, arrays
over frames [F]; limbs hang straight down at zero.
"""

from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from hybrid_pose_ros.arrays import F64
from hybrid_pose_ros.simulation.floor_contact import ANKLE_M, plant
from hybrid_pose_ros.simulation.motion import rotate_about_vertical
from hybrid_pose_ros.skeleton import JOINTS

SIDES: Final = ("right", "left")
SIGN: Final = {"right": 1.0, "left": -1.0}


@dataclass(frozen=True)
class Proportions:
    """Lengths in metres."""

    spine: float
    head: float
    shoulder_width: float
    hip_width: float
    upper_arm: float
    forearm: float
    thigh: float
    shank: float

    @classmethod
    def sample(cls, rng: np.random.Generator) -> "Proportions":
        """Draw a person: stature, and every length around its share of it.

        The mean is the person of DHP19's published label. One in 25 is a child.
        """
        if rng.random() < 0.04:
            stature = rng.uniform(1.2, 1.5)
        else:
            stature = np.clip(rng.normal(1.65, 0.09), 1.5, 1.95)

        def share(fraction: float) -> float:
            return float(stature * fraction * np.clip(rng.normal(1.0, 0.05), 0.88, 1.12))

        return cls(
            spine=share(0.2195),
            head=share(0.086),
            shoulder_width=share(0.206),
            hip_width=share(0.135),
            upper_arm=share(0.157),
            forearm=share(0.153),
            thigh=share(0.284),
            shank=share(0.262),
        )

    @classmethod
    def of(cls, joints_m: NDArray[np.floating]) -> "Proportions":
        """Measure a person's lengths (medians over time) in joints [F, 13, 3]."""
        at = {name: np.asarray(joints_m[:, i], np.float64) for i, name in enumerate(JOINTS)}
        pelvis = 0.5 * (at["right_hip"] + at["left_hip"])
        breast = 0.5 * (at["right_shoulder"] + at["left_shoulder"])

        def between(first: F64, second: F64) -> float:
            return float(np.median(np.linalg.norm(first - second, axis=-1)))

        def limb(first: str, second: str) -> float:
            return sum(between(at[f"{s}_{first}"], at[f"{s}_{second}"]) for s in SIDES) / 2

        return cls(
            spine=between(pelvis, breast),
            head=between(breast, at["head"]),
            shoulder_width=between(at["right_shoulder"], at["left_shoulder"]),
            hip_width=between(at["right_hip"], at["left_hip"]),
            upper_arm=limb("shoulder", "elbow"),
            forearm=limb("elbow", "hand"),
            thigh=limb("hip", "knee"),
            shank=limb("knee", "foot"),
        )


@dataclass
class Arm:
    """Shoulder abduction (sideways) and flexion (forwards), elbow flexion towards ``bend``.

    Without a ``bend`` [F, 3] the elbow bends in the direction of the shoulder's flexion.
    """

    abduction: F64
    flexion: F64
    elbow: F64
    bend: F64 | None = None


@dataclass
class Leg:
    """Hip abduction (sideways) and flexion (forwards), knee flexion (backwards)."""

    abduction: F64
    flexion: F64
    knee: F64


@dataclass
class JointAngles:
    """Joint angles over time; movements change it before the joints are computed.

    Attributes:
        offset: the pelvis' place on the floor, body frame, [F, 2].
        lift: height of the lower foot above the floor, [F].
        yaw: of the whole body against its mean direction, [F].
        lean, tilt, twist: of the trunk forwards, to the right, and to the left about the spine.
        nod, cock: of the head against the trunk forwards, and to the right.
        recline: of the whole body about its hips, backwards; at pi / 2 it lies on its back.
        roll: of the whole body about its long axis, to its right, before it reclines.
        planted: what touches the floor stays where it is, so that steps move the body.
        balance: share to which the whole body gives way to the limbs' weight, as people do who
            keep their centre of mass above their feet.
    """

    times: F64
    offset: F64 = field(init=False)
    lift: F64 = field(init=False)
    yaw: F64 = field(init=False)
    lean: F64 = field(init=False)
    tilt: F64 = field(init=False)
    twist: F64 = field(init=False)
    nod: F64 = field(init=False)
    cock: F64 = field(init=False)
    recline: F64 = field(init=False)
    roll: F64 = field(init=False)
    planted: bool = field(init=False, default=False)
    balance: float = field(init=False, default=0.0)
    arms: dict[str, Arm] = field(init=False)
    legs: dict[str, Leg] = field(init=False)

    def __post_init__(self) -> None:
        count = len(self.times)

        def zero() -> F64:
            return np.zeros(count)

        self.offset = np.zeros((count, 2))
        self.lift, self.yaw, self.lean, self.tilt, self.twist = (zero() for _ in range(5))
        self.nod, self.cock, self.recline, self.roll = (zero() for _ in range(4))
        self.arms = {side: Arm(zero(), zero(), zero()) for side in SIDES}
        self.legs = {side: Leg(zero(), zero(), zero()) for side in SIDES}


def _limb(abduction: F64, flexion: F64, sign: float) -> F64:
    """Direction of a limb's first segment, [F, 3]."""
    cosine = np.cos(abduction)
    return np.stack(
        (sign * np.sin(abduction), cosine * np.sin(flexion), -cosine * np.cos(flexion)), -1
    )


def ahead(flexion: F64) -> F64:
    """Where a limb's end moves as its flexion grows, [F, 3]; never parallel to the limb."""
    return np.stack((np.zeros_like(flexion), np.cos(flexion), np.sin(flexion)), -1)


def _bent(direction: F64, angle: F64, bend: F64) -> F64:
    """Turn ``direction`` [F, 3] by ``angle`` [F] towards ``bend`` [F, 3]."""
    across = bend - np.sum(bend * direction, -1, keepdims=True) * direction
    across /= np.maximum(np.linalg.norm(across, axis=-1, keepdims=True), 1e-6)
    return np.asarray(np.cos(angle)[:, None] * direction + np.sin(angle)[:, None] * across)


def _turned(first: F64, second: F64, angle: F64) -> tuple[F64, F64]:
    """Turn two coordinates by ``angle`` from the first axis towards the second."""
    cosine, sine = np.cos(angle), np.sin(angle)
    return first * cosine - second * sine, first * sine + second * cosine


def _trunk(pose: JointAngles, vectors: F64) -> F64:
    """Turn vectors [F, 3] of the trunk's frame by lean, tilt and twist."""
    x, y, z = vectors.T
    z, y = _turned(z, y, pose.lean)
    z, x = _turned(z, x, pose.tilt)
    x, y = _turned(x, y, pose.twist)
    return np.stack((x, y, z), -1)


def joints_of(pose: JointAngles, lengths: Proportions, facing: float) -> F64:
    """Compute the joints, [F, 13, 3] in metres, of a person who faces +y turned by ``facing``."""
    count = len(pose.times)
    at: dict[str, F64] = {}

    def fixed(x: float, y: float, z: float) -> F64:
        return np.tile((x, y, z), (count, 1))

    for side in SIDES:
        sign, arm, leg = SIGN[side], pose.arms[side], pose.legs[side]
        hip = fixed(sign * lengths.hip_width / 2, 0, 0)
        thigh = _limb(leg.abduction, leg.flexion, sign)
        knee = hip + lengths.thigh * thigh
        shank = _bent(thigh, leg.knee, -ahead(leg.flexion))
        shoulder = _trunk(pose, fixed(sign * lengths.shoulder_width / 2, 0, lengths.spine))
        upper = _limb(arm.abduction, arm.flexion, sign)
        elbow = shoulder + lengths.upper_arm * _trunk(pose, upper)
        bend = ahead(arm.flexion) if arm.bend is None else arm.bend
        forearm = _trunk(pose, _bent(upper, arm.elbow, bend))
        at |= {
            f"{side}_hip": hip,
            f"{side}_knee": knee,
            f"{side}_foot": knee + lengths.shank * shank,
            f"{side}_shoulder": shoulder,
            f"{side}_elbow": elbow,
            f"{side}_hand": elbow + lengths.forearm * forearm,
        }
    neck = np.stack(
        (np.sin(pose.cock), np.sin(pose.nod), np.cos(np.hypot(pose.cock, pose.nod))), -1
    )
    at["head"] = _trunk(pose, fixed(0, 0.02, lengths.spine) + lengths.head * neck)
    joints = np.stack([at[name] for name in JOINTS], 1)
    if pose.planted:
        joints = _laid(joints, pose)
    cosine, sine = np.cos(pose.yaw)[:, None], np.sin(pose.yaw)[:, None]
    x, y = joints[..., 0], joints[..., 1]
    joints = np.stack((x * cosine - y * sine, x * sine + y * cosine, joints[..., 2]), -1)
    joints[..., :2] += pose.offset[:, None]
    if pose.balance:
        joints = _give_way(joints, pose.balance)
    if pose.planted:
        joints = plant(joints)
    else:
        lowest = joints[:, _FEET, 2].min(1)
        joints[..., 2] += (ANKLE_M - lowest + pose.lift)[:, None]
    return rotate_about_vertical(joints, facing)


def _laid(joints: F64, pose: JointAngles) -> F64:
    """Turn the whole body, joints [F, 13, 3], about the hips by roll and recline."""
    x, y, z = np.moveaxis(joints, -1, 0)
    y, x = _turned(y, x, pose.roll[:, None])
    y, z = _turned(y, z, pose.recline[:, None])
    return np.stack((x, y, z), -1)


def _give_way(joints: F64, share: float) -> F64:
    """Lean the whole body over the feet, against what its centre of mass moves [F, 13, 3]."""
    centre = np.einsum("fjc,j->fc", joints, _MASS)
    feet = joints[:, _FEET]
    height = (centre[:, 2] - feet[..., 2].min(1)).mean()
    moved = centre[:, :2] - centre[:, :2].mean(0)
    angle = share * np.linalg.norm(moved, axis=-1) / height
    across = moved / np.maximum(np.linalg.norm(moved, axis=-1, keepdims=True), 1e-9)
    pivot = np.append(feet[..., :2].mean((0, 1)), feet[..., 2].min())
    rest = joints - pivot
    along = np.einsum("fjc,fc->fj", rest[..., :2], across)
    # towards -across by the angle
    along_new, up_new = _turned(along, rest[..., 2], angle[:, None])
    turned = rest.copy()
    turned[..., :2] += (along_new - along)[..., None] * across[:, None]
    turned[..., 2] = up_new
    return turned + pivot


_FEET: Final = [JOINTS.index("right_foot"), JOINTS.index("left_foot")]
_SHARES: Final = {
    "head": 0.09, "shoulder": 0.12, "elbow": 0.03, "hand": 0.02, "hip": 0.15, "knee": 0.09,
    "foot": 0.045,
}  # fmt: skip
_MASS: Final = np.array([_SHARES[name.split("_")[-1]] for name in JOINTS])
"""Share of the body's mass at each joint; their sum is 1."""
