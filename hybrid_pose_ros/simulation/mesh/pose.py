# SPDX-License-Identifier: Apache-2.0
"""From the 13 joints over time to the transforms of a mesh's bones.

The person is scaled to the motion's size, and each limb stretched a little to its lengths. Elbows
and knees bend about hinges that follow the motion where a limb is bent, and the body where it is
straight.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d

from hybrid_pose_ros.arrays import F64
from hybrid_pose_ros.simulation.markers import unit
from hybrid_pose_ros.simulation.mesh.rotations import about, between, frame, smooth_step, swing
from hybrid_pose_ros.simulation.mesh.shape import SIDES, Shape, load_people
from hybrid_pose_ros.simulation.motion import Motion
from hybrid_pose_ros.skeleton import JOINTS, joint_id

_STRETCH: Final = (0.85, 1.18)
"""Least and greatest factor on the length of a part."""

_EAR_BELOW_CROWN_M: Final = 0.128
"""A motion's head joint is at the height of the ears; of a person of 1.7 m."""

_HINGE_S: Final = 0.04
"""Standard deviation of the filter that smooths hinges."""

_FORWARD, _UP = np.array((0.0, -1.0, 0.0)), np.array((0.0, 0.0, 1.0))
_LIMBS: Final = {
    "arm": (("shoulder", "elbow", "hand"), ("upperarm01", "lowerarm01", "hand")),
    "leg": (("hip", "knee", "foot"), ("upperleg01", "lowerleg01", "foot")),
}


@dataclass(frozen=True)
class Habits:
    """How a person holds hands and feet.

    Attributes:
        pronation: turn of the right and the left hand about the forearm, rad.
        toes: how far free feet hang down, rad.
    """

    pronation: tuple[float, float]
    toes: float

    @classmethod
    def sample(cls, rng: np.random.Generator) -> "Habits":
        """Draw a person's habits."""
        right, left = rng.normal(0.0, 0.35, 2)
        return cls((float(right), float(left)), float(rng.uniform(0.1, 0.5)))


class Poser:
    """Poses a person after a motion."""

    def __init__(self, shape: Shape, habits: Habits, motion: Motion) -> None:
        self._shape, self._habits, self._motion = shape, habits, motion
        self._groups = load_people().groups
        self._joints = rest_joints(shape)
        at = {name: self._joints[joint_id(name)] for name in JOINTS}
        self._rest = at
        self._hip = 0.5 * (at["right_hip"] + at["left_hip"])
        self._breast = 0.5 * (at["right_shoulder"] + at["left_shoulder"])
        up = unit(self._breast - self._hip)
        self._rest_pelvis = frame(at["right_hip"] - at["left_hip"], up)
        self._rest_chest = frame(at["right_shoulder"] - at["left_shoulder"], up)
        joints = motion.joints_m
        self._floor = float(joints[:, [joint_id("right_foot"), joint_id("left_foot")], 2].min())
        self._sizes = self._fit(joints)
        self._hinges = {
            (limb, side): self._hinge(limb, side, joints) for limb in _LIMBS for side in SIDES
        }

    def transforms(self, times_s: NDArray[np.floating]) -> F64:
        """Transforms of the groups of bones from rest pose, [F, G, 3, 4], at times [F]."""
        joints = self._motion.at(times_s)
        turns = self._turns(joints, np.asarray(times_s, np.float64))
        trunk = _Trunk(joints, self)
        people, shape = load_people(), self._shape
        result = np.empty((len(joints), len(self._groups), 3, 4))
        places: list[F64] = []
        for group, name in enumerate(self._groups):
            result[:, group, :, :3] = turns[name] @ self._sizes[name]
            parent = int(people.parents[group])
            if parent < 0:
                step = shape.pivots[group] - self._hip
                places.append(trunk.hip + result[:, group, :, :3] @ step)
            else:
                step = shape.pivots[group] - shape.pivots[parent]
                places.append(places[parent] + result[:, parent, :, :3] @ step)
            result[:, group, :, 3] = places[group] - result[:, group, :, :3] @ shape.pivots[group]
        self._meet_shoulders(result, trunk.breast)
        return result

    def points(self, points: F64, groups: Sequence[str], transforms: F64) -> F64:
        """Move points [P, 3] of the rest pose with one group each, [F, P, 3]."""
        own = transforms[:, [self._groups.index(name) for name in groups]]
        moved = np.einsum("fpij,pj->fpi", own[..., :3], points)
        return np.asarray(moved + own[..., 3])

    def _fit(self, joints: F64) -> dict[str, F64]:
        """Scale of each group in rest pose, [3, 3]: the person's, and a stretch along the bone."""

        def length(start: str, end: str) -> float:
            both = [
                np.median(np.linalg.norm(joints[:, joint_id(a)] - joints[:, joint_id(b)], axis=-1))
                for a, b in ((start.format(s), end.format(s)) for s in SIDES)
            ]
            return float(np.mean(both))

        def own(start: str, end: str) -> float:
            a, b = self._rest[start.format("right")], self._rest[end.format("right")]
            return float(np.linalg.norm(a - b))

        middle = {part: _middle(joints, part) for part in ("shoulder", "hip")}
        spine = float(np.median(np.linalg.norm(middle["shoulder"] - middle["hip"], axis=-1)))
        own_spine = float(np.linalg.norm(self._breast - self._hip))
        bones = {
            "upperarm": ("{}_shoulder", "{}_elbow"),
            "lowerarm": ("{}_elbow", "{}_hand"),
            "upperleg": ("{}_hip", "{}_knee"),
            "lowerleg": ("{}_knee", "{}_foot"),
        }
        legs = [bones["upperleg"], bones["lowerleg"]]
        size = (spine + sum(length(*leg) for leg in legs)) / (
            own_spine + sum(own(*leg) for leg in legs)
        )

        def stretch(wanted: float, rest: float, along: F64, part: tuple[float, float]) -> F64:
            factor = np.clip(wanted / (size * rest), *part)
            return np.asarray(size * (np.eye(3) + (factor - 1.0) * np.outer(along, along)))

        side = np.array((1.0, 0.0, 0.0))
        sizes = {name: size * np.eye(3) for name in self._groups}
        trunk = unit(self._breast - self._hip)
        for name in self._groups:
            bone, _, letter = name.partition(".")
            if bone.startswith("spine"):
                sizes[name] = stretch(spine, own_spine, trunk, _STRETCH)
            elif bone == "clavicle":
                wanted = length("right_shoulder", "left_shoulder")
                rest = own("{}_shoulder", "left_shoulder")
                sizes[name] = stretch(wanted, rest, side, (0.9, 1.15))
            elif bone == "pelvis":
                wanted, rest = length("right_hip", "left_hip"), own("{}_hip", "left_hip")
                sizes[name] = stretch(wanted, rest, side, (0.92, 1.08))
            elif bone[:8] in bones:
                start, end = bones[bone[:8]]
                word = "right" if letter == "R" else "left"
                along = unit(self._rest[end.format(word)] - self._rest[start.format(word)])
                sizes[name] = stretch(length(start, end), own(start, end), along, _STRETCH)
        return sizes

    def _bone(self, limb: str, side: str, joints: F64) -> tuple[F64, F64, F64, F64]:
        """Directions of a limb's two bones, [F, 3] each, and the same in rest pose, [3]."""
        names = [f"{side}_{joint}" for joint in _LIMBS[limb][0]]
        first, second, third = (joints[:, joint_id(name)] for name in names)
        a, b, c = (self._rest[name] for name in names)
        return unit(second - first), unit(third - second), unit(b - a), unit(c - b)

    def _rest_hinge(self, limb: str, side: str) -> F64:
        if limb == "leg":
            return np.array((1.0, 0.0, 0.0))
        _, _, upper, lower = self._bone(limb, side, self._motion.joints_m[:1])
        return unit(np.cross(upper, lower))

    def _hinge(self, limb: str, side: str, joints: F64) -> F64:
        """Axis about which elbow or knee bends, [F, 3], at the motion's own times."""
        upper, lower, rest, _ = self._bone(limb, side, joints)
        trunk = _Trunk(joints, self)
        turn = trunk.chest if limb == "arm" else trunk.pelvis
        straight = (swing(turn @ rest, upper) @ turn) @ self._rest_hinge(limb, side)
        bent = np.cross(upper, lower)
        sine = np.linalg.norm(bent, axis=-1)
        bent = unit(bent)
        if limb == "leg":  # noise may bend a straight knee the wrong way
            bent = bent * np.where(np.sum(bent * straight, -1, keepdims=True) < 0, -1.0, 1.0)
        share = smooth_step(sine, 0.1, 0.45)[:, None]
        mixed = share * bent + (0.17 - 0.15 * share) * straight
        rate = 1.0 / float(np.median(np.diff(self._motion.times_s)))
        return np.asarray(gaussian_filter1d(mixed, _HINGE_S * rate, axis=0, mode="nearest"))

    def _turns(self, joints: F64, times_s: F64) -> dict[str, F64]:
        """Rotation of each group from rest pose, [F, 3, 3]."""
        trunk = _Trunk(joints, self)
        turns = {"pelvis": trunk.pelvis}
        for step, vertebra in enumerate((5, 4, 3, 2, 1)):
            turns[f"spine0{vertebra}"] = between(trunk.pelvis, trunk.chest, (step + 1) / 5)
        head = unit(joints[:, joint_id("head")] - trunk.breast)
        # a motion's head is level where it lies on the trunk's axis
        rest = unit(self._breast - self._hip)
        turns["head"] = swing(trunk.chest @ rest, head) @ trunk.chest
        for step in (1, 2, 3):
            turns[f"neck0{step}"] = between(trunk.chest, turns["head"], step / 4)
        clipped = np.clip(times_s, 0.0, self._motion.duration_s)
        for limb in _LIMBS:
            for side in SIDES:
                own = self._hinges[limb, side]
                axis = [np.interp(clipped, self._motion.times_s, column) for column in own.T]
                bones = self._bone(limb, side, joints)
                hinge = unit(np.stack(axis, -1))
                if limb == "arm":
                    turns |= self._arm(side, trunk, bones, hinge)
                else:
                    height = joints[:, joint_id(f"{side}_foot"), 2] - self._floor
                    turns |= self._leg(side, trunk, bones, hinge, height)
        return turns

    def _arm(
        self, side: str, trunk: "_Trunk", bones: tuple[F64, F64, F64, F64], hinge: F64
    ) -> dict[str, F64]:
        letter, upper, lower, rest_upper, rest_lower = SIDES[side], *bones
        rest_hinge = self._rest_hinge("arm", side)
        outwards = trunk.chest @ np.array((-1.0 if side == "right" else 1.0, 0.0, 0.0))
        forward, up = trunk.chest @ _FORWARD, trunk.chest @ _UP
        raised = np.arccos(np.clip(-np.sum(upper * up, -1), -1.0, 1.0))
        lift = np.minimum(0.25 * np.maximum(raised - 0.6, 0.0), 0.4)
        reach = 0.2 * np.clip(np.sum(upper * forward, -1), 0.0, 1.0)
        collar = about(np.cross(outwards, up), lift) @ trunk.chest
        collar = about(np.cross(outwards, forward), reach) @ collar
        # half of the twist between trunk and elbow or knee lies above the middle of the bone
        rest_upper_frame = frame(rest_upper, rest_hinge)
        full = frame(upper, hinge) @ rest_upper_frame.T
        loose = swing(collar @ rest_upper, upper) @ collar @ rest_hinge
        forearm = frame(lower, hinge) @ frame(rest_lower, rest_hinge).T
        turn = self._habits.pronation[0 if side == "right" else 1]
        return {
            f"clavicle.{letter}": collar,
            f"upperarm01.{letter}": frame(upper, loose + hinge) @ rest_upper_frame.T,
            f"upperarm02.{letter}": full,
            f"lowerarm01.{letter}": forearm,
            f"lowerarm02.{letter}": about(lower, np.full(len(lower), 0.5 * turn)) @ forearm,
            f"hand.{letter}": about(lower, np.full(len(lower), turn)) @ forearm,
        }

    def _leg(
        self,
        side: str,
        trunk: "_Trunk",
        bones: tuple[F64, F64, F64, F64],
        hinge: F64,
        height: F64,
    ) -> dict[str, F64]:
        letter, upper, lower, rest_upper, rest_lower = SIDES[side], *bones
        rest_hinge = self._rest_hinge("leg", side)
        # half of the twist between trunk and elbow or knee lies above the middle of the bone
        rest_upper_frame = frame(rest_upper, rest_hinge)
        full = frame(upper, hinge) @ rest_upper_frame.T
        loose = swing(trunk.pelvis @ rest_upper, upper) @ trunk.pelvis @ rest_hinge
        shank = frame(lower, hinge) @ frame(rest_lower, rest_hinge).T
        ahead = shank @ _FORWARD
        level = frame(ahead * (1.0, 1.0, 0.0), _UP) @ frame(_FORWARD, _UP).T
        drop = np.full(len(lower), self._habits.toes)
        free = about(shank @ np.array((1.0, 0.0, 0.0)), drop) @ shank
        # on the floor soles are level, but not a lying person's
        lifted = np.maximum(
            smooth_step(height, 0.02, 0.12), 1.0 - smooth_step(-lower[:, 2], 0.4, 0.75)
        )
        return {
            f"upperleg01.{letter}": frame(upper, loose + hinge) @ rest_upper_frame.T,
            f"upperleg02.{letter}": full,
            f"lowerleg01.{letter}": shank,
            f"lowerleg02.{letter}": shank,
            f"foot.{letter}": between(level, free, lifted),
        }

    def _meet_shoulders(self, transforms: F64, breast: F64) -> None:
        """Shift what hangs on the spine, each vertebra more, until the chest is in its place."""
        own = self._groups.index("spine01")
        found = transforms[:, own, :, :3] @ self._breast + transforms[:, own, :, 3]
        missing = breast - found
        for group, name in enumerate(self._groups):
            part = name.partition(".")[0]
            if part.startswith("spine"):
                share = (6 - int(part[-1])) / 5
            elif part.startswith(("neck", "head", "clavicle", "upperarm", "lowerarm", "hand")):
                share = 1.0
            else:
                continue
            transforms[:, group, :, 3] += share * missing


class _Trunk:
    """Rotations of pelvis and chest from rest pose, [F, 3, 3], middles of hips and shoulders."""

    def __init__(self, joints: F64, poser: Poser) -> None:
        self.hip, self.breast = _middle(joints, "hip"), _middle(joints, "shoulder")
        up = unit(self.breast - self.hip)
        hips = joints[:, joint_id("right_hip")] - joints[:, joint_id("left_hip")]
        shoulders = joints[:, joint_id("right_shoulder")] - joints[:, joint_id("left_shoulder")]
        self.pelvis = frame(hips, up) @ poser._rest_pelvis.T
        self.chest = frame(shoulders, up) @ poser._rest_chest.T


def _middle(joints: F64, part: str) -> F64:
    both = joints[:, joint_id(f"right_{part}")] + joints[:, joint_id(f"left_{part}")]
    return np.asarray(0.5 * both)


JOINT_GROUPS: Final = tuple(
    "head"
    if name == "head"
    else {
        "shoulder": "upperarm01",
        "elbow": "lowerarm01",
        "hand": "hand",
        "hip": "upperleg01",
        "knee": "lowerleg01",
        "foot": "foot",
    }[name.partition("_")[2]]
    + f".{SIDES[name.partition('_')[0]]}"
    for name in JOINTS
)
"""The group whose centre of rotation each joint is; the head's joint moves with its group."""


def rest_joints(shape: Shape) -> F64:
    """Joints of a person in rest pose, [13, 3]."""
    joints = np.stack([shape.pivot(group) for group in JOINT_GROUPS])
    people = load_people()
    skull = shape.vertices[people.weight_of("head") > 0.6]
    crown, low = skull[:, 2].max(), shape.vertices[:, 2].min()
    below = _EAR_BELOW_CROWN_M * (crown - low) / 1.7
    joints[joint_id("head")] = (0.0, skull[:, 1].mean(), crown - below)
    return joints
