# SPDX-License-Identifier: Apache-2.0
"""The 33 movements of DHP19, and standing and turning, as parametric motion.

Each movement changes the joint angles of a person who stands and sways. Tempo, size, phase and
what the rest of the body does meanwhile are random.
"""

from collections.abc import Callable
from functools import partial
from typing import Final

import numpy as np

from hybrid_pose_ros.simulation.everyday_movements import EVERYDAY
from hybrid_pose_ros.simulation.motion import Motion
from hybrid_pose_ros.simulation.movement_parts import (
    Movement,
    blend,
    gait,
    phase_of,
    pulse,
    sizes,
    stand,
    wander,
)
from hybrid_pose_ros.simulation.skeleton_motion import (
    SIDES,
    SIGN,
    JointAngles,
    Proportions,
    joints_of,
)

RATE_HZ: Final = 100.0
PLACE_M: Final = (0.0, 0.24, 0.045)
"""Where people stand in DHP19's room: on a treadmill, whose belt is this high."""

_GRAVITY: Final = 9.81
_OTHER: Final = {"right": "left", "left": "right"}


def _turn(pose: JointAngles, rng: np.random.Generator) -> None:
    pose.yaw += wander(rng, pose.times, 1.2, 8.0)


def _arm_abduction(side: str, pose: JointAngles, rng: np.random.Generator) -> None:
    phase = phase_of(rng, pose.times, (0.3, 0.8))
    raised = pulse(phase) * sizes(rng, phase)
    arm = pose.arms[side]
    arm.abduction = blend(arm.abduction, rng.uniform(1.2, 2.5), raised)
    arm.elbow = blend(arm.elbow, rng.uniform(0.0, 0.3), raised)
    pose.tilt -= SIGN[side] * 0.06 * raised


def _leg_abduction(side: str, pose: JointAngles, rng: np.random.Generator) -> None:
    phase = phase_of(rng, pose.times, (0.3, 0.8))
    raised = pulse(phase) * sizes(rng, phase)
    leg = pose.legs[side]
    leg.abduction += rng.uniform(0.4, 0.9) * raised
    leg.knee *= 1 - raised
    pose.tilt -= SIGN[side] * rng.uniform(0.05, 0.25) * raised


def _bicep_curl(side: str, pose: JointAngles, rng: np.random.Generator) -> None:
    phase = phase_of(rng, pose.times, (0.4, 1.0))
    raised = pulse(phase) * sizes(rng, phase, 0.06)
    arm = pose.arms[side]
    arm.elbow = blend(arm.elbow, rng.uniform(1.8, 2.2), raised)
    arm.flexion += rng.uniform(0.0, 0.3) * raised


def _knee_lift(side: str, pose: JointAngles, rng: np.random.Generator) -> None:
    phase = phase_of(rng, pose.times, (0.4, 1.0))
    raised = pulse(phase) * sizes(rng, phase)
    leg = pose.legs[side]
    leg.flexion = blend(leg.flexion, rng.uniform(1.0, 1.7), raised)
    leg.knee = blend(leg.knee, rng.uniform(1.1, 1.9), raised)


def _jump(
    pose: JointAngles,
    rng: np.random.Generator,
    *,
    often: bool,
    forwards: bool,
    legs: tuple[str, ...],
) -> None:
    """Crouch, push off, fly and land; ``legs`` are those jumped from."""
    hop = len(legs) == 1
    phase = phase_of(rng, pose.times, (0.8, 1.4) if often or hop else (0.35, 0.6))
    tempo = np.ptp(phase) / np.ptp(pose.times)
    height = rng.uniform(0.05, 0.18) if often or hop else rng.uniform(0.12, 0.35)
    # share of the cycle; what is left of the second half is for landing
    flight = min(2 * np.sqrt(2 * height / _GRAVITY) * tempo, 0.32)
    part = np.mod(phase, 1.0)
    in_air = np.clip((part - 0.5) / flight, 0.0, 1.0)
    pose.lift += _GRAVITY / 2 * (flight / tempo) ** 2 * in_air * (1 - in_air)
    crouch = pulse(part, 0.5) * rng.uniform(0.5, 1.0)
    landing = pulse(part - 0.5 - flight, min(0.5 - flight, 0.3)) * rng.uniform(0.2, 0.6)
    bend = np.maximum(crouch, landing * (part > 0.5 + flight))
    if hop:  # one leg does not carry a deep crouch
        bend = 0.6 * bend
    for side in legs:
        pose.legs[side].flexion += 0.7 * bend
        pose.legs[side].knee += 1.4 * bend
    if hop:
        other = pose.legs[_OTHER[legs[0]]]
        other.flexion += rng.uniform(0.1, 0.5)
        other.knee += rng.uniform(1.0, 1.7)
        pose.legs[legs[0]].abduction -= 0.2  # the foot is below the body's middle
    pose.lean += (0.25 if hop else 0.4) * bend
    for side in SIDES:
        raised = rng.uniform(0.3, 1.5) * pulse(part - 0.3, 0.6)
        pose.arms[side].flexion += (0.5 if hop else 1.0) * raised - 0.5 * bend
    if forwards:
        pose.offset[:, 1] += 0.25 * np.sin(np.pi * phase)


def _star_jump(pose: JointAngles, rng: np.random.Generator) -> None:
    phase = phase_of(rng, pose.times, (0.6, 1.1))
    opened = pulse(phase)
    pose.lift += rng.uniform(0.05, 0.12) * pulse(2 * phase)
    for side in SIDES:
        arm, leg = pose.arms[side], pose.legs[side]
        arm.abduction = blend(arm.abduction, rng.uniform(2.2, 2.8), opened)
        arm.elbow = blend(arm.elbow, 0.3, opened)
        leg.abduction += rng.uniform(0.3, 0.5) * opened
        leg.knee += 0.3 * (1 - pulse(2 * phase))


def _kick(side: str, pose: JointAngles, rng: np.random.Generator, *, sideways: bool) -> None:
    phase = phase_of(rng, pose.times, (0.4, 0.8))
    chamber, snap = pulse(phase, 0.7), pulse(phase - 0.2, 0.5)
    size = sizes(rng, phase)
    leg = pose.legs[side]
    if sideways:
        leg.abduction += rng.uniform(0.6, 1.2) * snap * size
        pose.tilt -= SIGN[side] * rng.uniform(0.2, 0.5) * snap
        leg.knee += 0.9 * np.clip(chamber - snap, 0, 1)
    else:
        leg.flexion += rng.uniform(0.8, 1.4) * np.maximum(chamber, snap) * size
        leg.knee += rng.uniform(1.0, 1.6) * np.clip(chamber - snap, 0, 1)
        pose.lean -= rng.uniform(0.0, 0.3) * snap
    for arm in pose.arms.values():
        arm.abduction += rng.uniform(0.0, 0.5) * chamber
        arm.elbow += rng.uniform(0.2, 1.0)


def _punch(side: str, pose: JointAngles, rng: np.random.Generator, *, height: float) -> None:
    """From a guard to an outstretched arm, ``height`` radians above the horizontal."""
    phase = phase_of(rng, pose.times, (0.6, 1.2))
    out = pulse(phase, 0.6) * sizes(rng, phase, 0.05)
    guard = rng.uniform(1.8, 2.4)
    for name, arm in pose.arms.items():
        arm.flexion = arm.flexion + rng.uniform(0.1, 0.5)
        arm.elbow = guard + wander(rng, pose.times, 0.05)
        if name == side:
            arm.flexion = blend(arm.flexion, np.pi / 2 + height, out)
            arm.elbow = blend(arm.elbow, 0.1, out)
            arm.abduction = blend(arm.abduction, 0.0, out)
    pose.twist += SIGN[side] * rng.uniform(0.2, 0.6) * out
    pose.lean += 0.1 * out
    for leg, flexion in zip(SIDES, rng.permutation((0.2, -0.1)), strict=True):
        pose.legs[leg].flexion += flexion
        pose.legs[leg].knee += 0.25


def _raise_hand(pose: JointAngles, side: str, rng: np.random.Generator) -> None:
    arm = pose.arms[side]
    arm.abduction = np.full_like(pose.times, rng.uniform(0.2, 1.0)) + wander(rng, pose.times, 0.04)
    arm.flexion = np.full_like(pose.times, rng.uniform(0.3, 1.0)) + wander(rng, pose.times, 0.04)


def _wave(side: str, pose: JointAngles, rng: np.random.Generator) -> None:
    phase = phase_of(rng, pose.times, (1.0, 2.2))
    _raise_hand(pose, side, rng)
    arm = pose.arms[side]
    arm.elbow = np.full_like(pose.times, rng.uniform(1.6, 2.3))
    sideways = rng.uniform(0.4, 0.9) * np.sin(2 * np.pi * phase) * sizes(rng, phase)
    arm.bend = np.stack(
        (SIGN[side] * (0.3 + sideways), np.full_like(phase, 0.4), np.ones_like(phase)), -1
    )


def _hand_path(side: str, pose: JointAngles, rng: np.random.Generator, *, eight: bool) -> None:
    """The hand draws circles or figures of eight before the body."""
    phase = phase_of(rng, pose.times, (0.5, 1.2)) * rng.choice((-1, 1))
    size = rng.uniform(0.25, 0.55) * (1 + wander(rng, pose.times, 0.06))
    arm = pose.arms[side]
    angle = 2 * np.pi * phase
    arm.flexion = rng.uniform(1.0, 1.6) + size * np.sin(2 * angle if eight else angle)
    arm.abduction = rng.uniform(0.0, 0.4) + size * np.cos(angle)
    arm.elbow = np.full_like(angle, rng.uniform(0.2, 0.9)) + wander(rng, pose.times, 0.05)


def _clap(pose: JointAngles, rng: np.random.Generator) -> None:
    phase = phase_of(rng, pose.times, (0.8, 2.5))
    apart = pulse(phase) * sizes(rng, phase)
    flexion, elbow = rng.uniform(0.5, 1.2), rng.uniform(0.9, 1.5)
    for side in SIDES:
        arm = pose.arms[side]
        arm.flexion = np.full_like(phase, flexion) + wander(rng, pose.times, 0.03)
        arm.abduction = rng.uniform(0.1, 0.2) + rng.uniform(0.2, 0.5) * apart
        arm.elbow = np.full_like(phase, elbow)
        inward = -SIGN[side] * (1.0 - 1.2 * apart)
        arm.bend = np.stack((inward, np.ones_like(phase), np.full_like(phase, 0.6)), -1)


def _both(name: str, movement: Callable[..., None], **options: float) -> dict[str, Movement]:
    return {f"{name}_{side}": partial(movement, side, **options) for side in SIDES}


_BOTH_LEGS: Final = ("right", "left")

SESSIONS: Final[tuple[dict[str, Movement], ...]] = (
    _both("arm_abduction", _arm_abduction)
    | _both("leg_abduction", _leg_abduction)
    | _both("bicep_curl", _bicep_curl)
    | _both("knee_lift", _knee_lift),
    {
        "walking": partial(gait, jog=False),
        "single_jump": partial(_jump, often=False, forwards=False, legs=_BOTH_LEGS),
        "jump_forwards": partial(_jump, often=False, forwards=True, legs=_BOTH_LEGS),
        "multiple_jumps": partial(_jump, often=True, forwards=False, legs=_BOTH_LEGS),
        "hop_right": partial(_jump, often=True, forwards=False, legs=("right",)),
        "hop_left": partial(_jump, often=True, forwards=False, legs=("left",)),
    },
    _both("punch_straight", _punch, height=0.0)
    | _both("punch_up", _punch, height=0.6)
    | _both("punch_down", _punch, height=-0.6),
    dict[str, Movement](slow_jogging=partial(gait, jog=True), star_jumps=_star_jump)
    | _both("kick", _kick, sideways=False)
    | _both("side_kick", _kick, sideways=True),
    _both("wave_hello", _wave)
    | _both("circle_hand", _hand_path, eight=False)
    | _both("figure_8", _hand_path, eight=True)
    | {"clap": _clap},
)
"""The movements of DHP19's five sessions, by name."""

MOVEMENTS: Final[dict[str, Movement]] = {
    name: movement for session in SESSIONS for name, movement in session.items()
} | {"standing": lambda pose, rng: None, "turning": _turn}
"""All movements by name: DHP19's 33, standing and turning."""


def make_motion(
    name: str, rng: np.random.Generator, duration_s: float, yaw: float = np.pi
) -> Motion:
    """Draw a person and a performance of a movement.

    Args:
        name: one of :data:`MOVEMENTS` or of the everyday movements.
        duration_s: length in seconds.
        yaw: direction in which the person faces, counter-clockwise from +y; DHP19's people
            face -y, the default.

    Raises:
        KeyError: there is no such movement.
    """
    movement = (MOVEMENTS | EVERYDAY)[name]
    times = np.arange(int(np.ceil(duration_s * RATE_HZ)) + 1) / RATE_HZ
    pose = JointAngles(times)
    stand(pose, rng)
    movement(pose, rng)
    joints = joints_of(pose, Proportions.sample(rng), yaw)
    if name in EVERYDAY:  # these travel
        ground = joints[..., :2].mean(1)
        joints[..., :2] -= 0.5 * (ground.min(0) + ground.max(0))
    joints += (*rng.normal(PLACE_M[:2], 0.06), PLACE_M[2])
    return Motion(times, joints, name)
