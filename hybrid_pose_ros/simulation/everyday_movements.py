# SPDX-License-Identifier: Apache-2.0
"""Movements of everyday life as parametric motion: sitting, bending, lying, walking about.

Most go through key poses: angles added to those of a person who stands, held for a while and
smoothly joined. Feet, knees or hips that touch the floor hold the body in its place, so steps
carry it through the room.
"""

from functools import partial
from typing import Final

import numpy as np
from scipy.ndimage import gaussian_filter1d

from hybrid_pose_ros.arrays import F64
from hybrid_pose_ros.simulation.gymnastics import gymnastics
from hybrid_pose_ros.simulation.markers import unit
from hybrid_pose_ros.simulation.movement_parts import (
    Movement,
    Range,
    Stage,
    add_angles,
    blend,
    phase_of,
    plant_feet,
    pulse,
    through,
    walk,
    wander,
)
from hybrid_pose_ros.simulation.skeleton_motion import SIDES, SIGN, JointAngles, ahead

Place = tuple[tuple[float, float, float], tuple[float, float, float]]
"""Where a hand goes from its shoulder and where the elbow points: outwards, forwards and up."""

_UPPER_ARM_M: Final = 0.26
_FOREARM_M: Final = 0.25
"""Of the arm for which the places that hands reach are given."""


def _reach(pose: JointAngles, side: str, target_m: F64, elbow: F64, weight: F64) -> None:
    """Bring a hand to a place of the trunk's frame.

    Args:
        target_m: the hand from the shoulder: outwards, forwards and up, for a usual arm.
        elbow: direction in which the elbow points: outwards, forwards and up.
        weight: share of the way there, [F].
    """
    sign, arm = np.array((SIGN[side], 1.0, 1.0)), pose.arms[side]
    target, pole = target_m * sign, elbow * sign
    most = 0.98 * (_UPPER_ARM_M + _FOREARM_M)
    distance = min(float(np.linalg.norm(target)), most)
    along = unit(target)
    across = unit(pole - (pole @ along) * along)
    cosine = (_UPPER_ARM_M**2 + distance**2 - _FOREARM_M**2) / (2 * _UPPER_ARM_M * distance)
    inner = np.arccos(np.clip(cosine, -1.0, 1.0))
    upper = np.cos(inner) * along + np.sin(inner) * across
    between = (_UPPER_ARM_M**2 + _FOREARM_M**2 - distance**2) / (2 * _UPPER_ARM_M * _FOREARM_M)
    bend = ahead(arm.flexion) if arm.bend is None else arm.bend
    arm.bend = blend(bend, along, weight[:, None])
    arm.abduction = blend(arm.abduction, float(np.arcsin(upper[0] * SIGN[side])), weight)
    arm.flexion = blend(arm.flexion, float(np.arctan2(upper[1], -upper[2])), weight)
    arm.elbow = blend(arm.elbow, float(np.pi - np.arccos(np.clip(between, -1, 1))), weight)


def _staged(pose: JointAngles, rng: np.random.Generator, *, stages: list[Stage]) -> None:
    plant_feet(pose)
    add_angles(pose, through(pose, rng, stages))


def _mirrored(stages: list[Stage]) -> list[Stage]:
    def swap(name: str) -> str:
        return name.replace("right_", "~").replace("left_", "right_").replace("~", "left_")

    return [({swap(n): v for n, v in key.items()}, hold, way) for key, hold, way in stages]


_STAND: Final[dict[str, float]] = {}
_RISE: Final = {"lean": 0.75, "leg.flexion": 0.95, "leg.knee": 1.3, "arm.flexion": 0.3}
_SEAT: Final = {
    "lean": 0.02, "leg.flexion": 1.45, "leg.knee": 1.4, "arm.flexion": 0.45, "arm.elbow": 0.6,
}  # fmt: skip
_SQUAT: Final = {
    "lean": 0.65, "leg.flexion": 1.85, "leg.knee": 2.2, "leg.abduction": 0.15,
    "arm.flexion": 1.3, "arm.elbow": -0.1,
}  # fmt: skip
_CROUCH: Final = {
    "lean": 0.7, "leg.flexion": 2.1, "leg.knee": 2.4, "leg.abduction": 0.1, "arm.flexion": 0.2,
}  # fmt: skip
_HALF_KNEEL: Final = {
    "lean": 0.1, "right_leg.flexion": 1.5, "right_leg.knee": 1.5, "left_leg.flexion": -0.05,
    "left_leg.knee": 1.5, "arm.elbow": 0.3,
}  # fmt: skip
_KNEEL: Final = {"leg.flexion": 0.1, "leg.knee": 1.6}
_HEELS: Final = {
    "lean": 0.15, "leg.flexion": 1.0, "leg.knee": 2.5, "arm.flexion": 0.3, "arm.elbow": 0.6,
}  # fmt: skip
_FLOOR_SEAT: Final = {
    "recline": 0.25, "lean": 0.15, "leg.flexion": 1.9, "leg.knee": 1.7, "arm.flexion": -0.5,
}  # fmt: skip
_LONG_SEAT: Final = {"recline": 0.2, "lean": 0.2, "leg.flexion": 1.4, "leg.knee": 0.3}
_SUPINE: Final = {"recline": 1.5, "leg.flexion": 0.05, "leg.knee": 0.05}

_CROSSED: Final = (
    ((-0.22, 0.20, -0.16), (0.5, -0.1, -1.0)),
    ((-0.20, 0.15, -0.22), (0.5, -0.2, -1.0)),
)
_EAR: Final = ((-0.08, 0.05, 0.14), (0.6, 0.5, -0.8))
_WAIST: Final = ((0.0, 0.02, -0.32), (1.0, -0.35, 0.0))

_SIT_DOWN: Final[list[Stage]] = [
    (_STAND, (0.6, 2.0), (0.7, 1.2)),
    (_RISE, (0.0, 0.0), (0.6, 1.0)),
    (_SEAT, (0.8, 4.0), (0.6, 1.0)),
    (_RISE, (0.0, 0.0), (0.7, 1.2)),
]
_BEND: Final[list[Stage]] = [
    (_STAND, (0.2, 1.5), (0.8, 1.8)),
    ({"lean": 1.5, "leg.flexion": 0.28, "leg.knee": 0.1, "arm.flexion": 1.3, "nod": 0.2},
     (0.0, 1.5), (0.8, 1.8)),
]  # fmt: skip
_PICK_UP: Final[list[Stage]] = [
    (_STAND, (0.3, 1.5), (0.9, 1.6)),
    ({"lean": 1.15, "leg.flexion": 1.35, "leg.knee": 1.7, "right_arm.flexion": 1.2,
      "left_arm.flexion": 0.4, "nod": 0.2}, (0.1, 0.8), (0.9, 1.6)),
    ({"right_arm.flexion": 0.5, "right_arm.elbow": 1.2}, (0.3, 1.5), (0.6, 1.2)),
]  # fmt: skip
_SQUATS: Final[list[Stage]] = [
    (_STAND, (0.1, 1.0), (0.8, 1.5)),
    (_SQUAT, (0.0, 1.0), (0.8, 1.5)),
]
_KNEELING: Final[list[Stage]] = [
    (_STAND, (0.3, 1.0), (0.9, 1.4)),
    (_HALF_KNEEL, (0.1, 1.0), (0.7, 1.2)),
    (_KNEEL, (0.3, 2.0), (0.8, 1.2)),
    (_HEELS, (0.3, 2.0), (0.8, 1.2)),
    (_KNEEL, (0.1, 0.6), (0.7, 1.2)),
    (_HALF_KNEEL, (0.1, 0.6), (0.9, 1.4)),
]
_LIE_DOWN: Final[list[Stage]] = [
    (_STAND, (0.3, 1.0), (1.2, 1.8)),
    (_CROUCH, (0.0, 0.3), (0.8, 1.2)),
    (_FLOOR_SEAT, (0.0, 0.5), (0.7, 1.2)),
    (_LONG_SEAT, (0.1, 1.5), (1.2, 2.0)),
    (_SUPINE, (0.5, 4.0), (1.2, 2.0)),
    (_LONG_SEAT, (0.1, 1.0), (0.7, 1.2)),
    (_FLOOR_SEAT, (0.0, 0.5), (0.9, 1.3)),
    (_CROUCH, (0.0, 0.3), (1.2, 1.8)),
]


def _either(pose: JointAngles, rng: np.random.Generator, *, stages: list[Stage]) -> None:
    """Through the stages or their mirror image."""
    _staged(pose, rng, stages=_mirrored(stages) if rng.random() < 0.5 else stages)


def _sit(pose: JointAngles, rng: np.random.Generator) -> None:
    """Sit still on a chair; the arms rest, speak or lie on the thighs."""
    plant_feet(pose)
    lean = rng.uniform(-0.2, 0.3)
    add_angles(pose, {name: np.full_like(pose.times, value) for name, value in _SEAT.items()})
    pose.lean += lean
    for side in SIDES:
        leg = pose.legs[side]
        leg.abduction += rng.uniform(-0.02, 0.2)
        leg.knee += rng.uniform(-0.5, 0.4)
        if rng.random() < 0.6:
            _gesture(pose, rng, side)


def _gesture(pose: JointAngles, rng: np.random.Generator, side: str) -> None:
    """An arm accompanies speech: raised now and then, in small strokes."""
    times, arm = pose.times, pose.arms[side]
    raised = np.clip(0.3 + wander(rng, times, 0.6, 5.0), 0.0, 1.2)
    strokes = wander(rng, times, 0.2, 1.5) * raised
    arm.flexion += 0.5 * raised + strokes
    arm.abduction += 0.15 * raised + 0.5 * np.roll(strokes, 17)
    arm.elbow += 0.8 * raised - strokes


def _lie(pose: JointAngles, rng: np.random.Generator) -> None:
    """Lie on the back, a side or the front; stir, and roll over now and then."""
    plant_feet(pose)
    times = pose.times
    pose.recline += np.pi / 2
    place = rng.choice((0.0, 0.0, np.pi / 2, -np.pi / 2, np.pi))
    pose.roll += place
    if rng.random() < 0.4:
        at = rng.uniform(0.2, 0.8) * times[-1]
        pose.roll += rng.choice((-1, 1)) * np.pi / 2 / (1 + np.exp(-(times - at) / 0.3))
    pose.lean *= 0.3
    for side in SIDES:
        arm, leg = pose.arms[side], pose.legs[side]
        drawn = rng.choice((0.0, rng.uniform(0.2, 1.0))) + np.abs(wander(rng, times, 0.08, 8.0))
        leg.flexion += drawn
        leg.knee += (1.9 if place == 0.0 else 1.3) * drawn
        arm.flexion += rng.choice((0.0, rng.uniform(0.3, 1.2))) + wander(rng, times, 0.08, 4.0)
        arm.abduction += rng.uniform(0.0, 0.6)
        arm.elbow += np.abs(wander(rng, times, 0.3, 5.0))
        # nothing is pressed into the floor: limbs below the body lie before it, or straight
        below = np.clip(SIGN[side] * np.sin(pose.roll), 0.0, 1.0)
        front = np.clip(-np.cos(pose.roll), 0.0, 1.0)
        arm.abduction *= 1 - np.abs(np.sin(pose.roll))
        leg.abduction *= 1 - np.abs(np.sin(pose.roll))
        arm.flexion = (1 - front) * blend(arm.flexion, 1.2, below)
        arm.elbow *= 1 - front
        leg.flexion *= 1 - front


def _smooth_steps(
    rng: np.random.Generator, times: F64, levels: list[float], seconds: Range
) -> F64:
    """One level after the other, each for a random while, smoothly joined, from any of them."""
    curve, now, i = np.zeros_like(times), 0.0, int(rng.integers(len(levels)))
    while now <= times[-1]:
        curve[times >= now] = levels[i % len(levels)]
        now += rng.uniform(*seconds)
        i += 1
    return np.asarray(gaussian_filter1d(curve, 20.0, mode="nearest"))


def _walk_by(
    pose: JointAngles, rng: np.random.Generator, levels: list[float], seconds: Range
) -> F64:
    """Walk at levels of a tempo; returns the tempo as a share of it, [F]."""
    plant_feet(pose)
    share = _smooth_steps(rng, pose.times, levels, seconds)
    step = np.gradient(pose.times)
    phase = rng.random() + np.cumsum(rng.uniform(0.7, 1.0) * share * step)
    walk(pose, rng, phase, np.clip(1.5 * np.abs(share), 0.0, 1.0))
    return share


def _walk_backwards(pose: JointAngles, rng: np.random.Generator) -> None:
    """Some steps backwards, a stop, some forwards."""
    _walk_by(pose, rng, [-0.8, 0.0, 0.8, 0.0] if rng.random() < 0.7 else [-0.8], (0.8, 2.5))
    pose.yaw += wander(rng, pose.times, 0.15, 8.0)


def _walk_about(pose: JointAngles, rng: np.random.Generator) -> None:
    """Walk in curves, or to and fro with turns, through about 3 m."""
    if rng.random() < 0.5:
        share = _walk_by(pose, rng, [1.0, 1.0, 0.6, 0.0], (1.0, 3.0))
        bend = rng.choice((-1, 1)) * rng.uniform(0.5, 1.3) + wander(rng, pose.times, 0.4, 8.0)
        pose.yaw += np.cumsum(bend * share * np.gradient(pose.times))
    else:
        _walk_by(pose, rng, [1.0, 0.95], (1.0, 2.5))
        at = rng.uniform(0.2, 1.5)
        while at < pose.times[-1]:
            angle = rng.choice((-1, 1)) * rng.normal(np.pi, 0.3)
            pose.yaw += angle / (1 + np.exp(-(pose.times - at) / rng.uniform(0.12, 0.25)))
            at += rng.uniform(1.5, 3.0)
    pose.yaw += rng.uniform(0, 2 * np.pi)


def _side_steps(pose: JointAngles, rng: np.random.Generator) -> None:
    """Some steps to one side, then to the other."""
    plant_feet(pose)
    share = _smooth_steps(rng, pose.times, [1.0, 0.0, -1.0, 0.0], (0.8, 2.5))
    phase = rng.random() + np.cumsum(rng.uniform(0.6, 1.1) * share * np.gradient(pose.times))
    size, amplitude = rng.uniform(0.1, 0.2), np.clip(1.5 * np.abs(share), 0.0, 1.0)
    for side in SIDES:
        leg = pose.legs[side]
        cycle = phase + (0.0 if side == "right" else 0.5)
        # a leg swings to the right while it is lifted
        leg.abduction += amplitude * size * (1.0 + SIGN[side] * np.sin(2 * np.pi * cycle))
        lifted = amplitude * pulse(cycle + 0.25, 0.5)
        leg.flexion += 0.25 * lifted
        leg.knee += 0.5 * lifted


def _turn_round(pose: JointAngles, rng: np.random.Generator) -> None:
    """Turn on the spot in small steps, a full turn or more, one way or both."""
    plant_feet(pose)
    rate = rng.uniform(0.8, 2.0) * _smooth_steps(
        rng, pose.times, [1.0, 1.0, float(rng.choice((0.0, -1.0)))], (1.5, 4.0)
    )
    turned = np.cumsum(rate * np.gradient(pose.times))
    pose.yaw += turned + rng.uniform(0, 2 * np.pi)
    phase = turned / rng.uniform(0.8, 1.3)
    for side in SIDES:
        lifted = pulse(phase + (0.0 if side == "right" else 0.5), 0.5)
        pose.legs[side].flexion += 0.25 * lifted
        pose.legs[side].knee += 0.5 * lifted


def _slow_arms(pose: JointAngles, rng: np.random.Generator) -> None:
    """Arms move slowly and wide, as in tai chi, above legs that stand still."""
    plant_feet(pose)
    bent = rng.uniform(0.0, 0.4)
    for leg in pose.legs.values():
        leg.abduction = np.full_like(pose.times, leg.abduction.mean() + rng.uniform(0.0, 0.15))
        leg.flexion = np.full_like(pose.times, 0.05 + bent)
        leg.knee = np.full_like(pose.times, 0.1 + 2 * bent)
    pose.yaw = np.full_like(pose.times, pose.yaw[0])
    slow = rng.uniform(6.0, 12.0)
    common = wander(rng, pose.times, 0.5, slow)
    for side in SIDES:
        arm = pose.arms[side]
        arm.flexion += 0.8 + common + wander(rng, pose.times, 0.25, slow)
        arm.abduction += 0.3 + np.abs(wander(rng, pose.times, 0.5, slow))
        arm.elbow += 0.5 + np.abs(wander(rng, pose.times, 0.4, slow))


def _arms_to(pose: JointAngles, rng: np.random.Generator, *, places: tuple[Place, ...]) -> None:
    """Bring one or both hands to a place of the body, stay there, and let them hang again."""
    weight = through(
        pose, rng, [({}, (0.2, 1.5), (0.6, 1.4)), ({"weight": 1.0}, (1.5, 6.0), (0.6, 1.4))]
    )["weight"]
    sides = list(rng.permutation(SIDES))[: len(places)]
    for side, (target, elbow) in zip(sides, places, strict=True):
        _reach(pose, side, np.array(target) + rng.normal(0, 0.012, 3), np.array(elbow), weight)


def _sway(pose: JointAngles, rng: np.random.Generator) -> None:
    """Shift the weight from foot to foot, the feet in their places."""
    plant_feet(pose)
    shift = rng.uniform(0.05, 0.12) * np.sin(2 * np.pi * phase_of(rng, pose.times, (0.15, 0.5)))
    for side in SIDES:
        pose.legs[side].abduction += SIGN[side] * shift
    pose.tilt += rng.uniform(0.3, 1.0) * shift


EVERYDAY: Final[dict[str, Movement]] = {
    "sitting_down": partial(_staged, stages=_SIT_DOWN),
    "sitting": _sit,
    "bending": partial(_staged, stages=_BEND),
    "picking_up": partial(_either, stages=_PICK_UP),
    "squatting": partial(_staged, stages=_SQUATS),
    "kneeling": partial(_either, stages=_KNEELING),
    "lying_down": partial(_staged, stages=_LIE_DOWN),
    "lying": _lie,
    "walking_backwards": _walk_backwards,
    "walking_about": _walk_about,
    "side_steps": _side_steps,
    "turning_round": _turn_round,
    "slow_arms": _slow_arms,
    "crossed_arms": partial(_arms_to, places=_CROSSED),
    "phone": partial(_arms_to, places=(_EAR,)),
    "hands_on_hips": partial(_arms_to, places=(_WAIST, _WAIST)),
    "swaying": _sway,
    "gymnastics": gymnastics,
}
"""Everyday movements by name."""
