# SPDX-License-Identifier: Apache-2.0
"""The 33 movements of DHP19, and standing and turning, as parametric motion.

Each movement changes the joint angles of a person who stands and sways. Tempo, size, phase and
what the rest of the body does meanwhile are random.
"""

from collections.abc import Callable
from functools import partial
from typing import Final

import numpy as np
from numpy.typing import NDArray

from hybrid_pose_ros.simulation.motion import Motion
from hybrid_pose_ros.simulation.skeleton_motion import SIDES, Pose, Proportions, joints_of

F64 = NDArray[np.float64]
RATE_HZ: Final = 100.0
PLACE_M: Final = (0.0, 0.24, 0.07)
"""Where people stand in DHP19's room: on a treadmill, whose belt is this high."""

_GRAVITY: Final = 9.81
_OTHER: Final = {"right": "left", "left": "right"}
_SIGN: Final = {"right": 1.0, "left": -1.0}

Movement = Callable[[Pose, np.random.Generator], None]


def _wander(rng: np.random.Generator, times: F64, size: float, slowest_s: float = 6.0) -> F64:
    """A smooth random curve of standard deviation about ``size``."""
    curve = np.zeros_like(times)
    for octave in range(4):
        frequency = 2.0**octave / slowest_s * rng.uniform(0.7, 1.3)
        curve += 0.6**octave * np.sin(2 * np.pi * (frequency * times + rng.random()))
    return size * curve


def _phase(rng: np.random.Generator, times: F64, hertz: tuple[float, float]) -> F64:
    """Phase in cycles of a movement repeated at a tempo that varies a little."""
    tempo = rng.uniform(*hertz)
    return tempo * times + rng.random() + _wander(rng, times, 0.04 * tempo)


def _pulse(phase: F64, duty: float = 1.0) -> F64:
    """Rises from 0 to 1 and falls back once per cycle, within the share ``duty`` of it."""
    part = np.clip(np.mod(phase, 1.0) / duty, 0.0, 1.0)
    return 0.5 - 0.5 * np.cos(2 * np.pi * part)


def _sizes(rng: np.random.Generator, phase: F64, spread: float = 0.12) -> F64:
    """A factor around 1 that differs from cycle to cycle."""
    cycles = np.floor(phase).astype(int)
    factors = np.clip(rng.normal(1.0, spread, cycles.max() - cycles.min() + 1), 0.6, 1.2)
    return np.asarray(factors[cycles - cycles.min()])


def _stand(pose: Pose, rng: np.random.Generator) -> None:
    times = pose.times
    pose.balance = rng.uniform(0.5, 1.0)
    pose.lean += rng.normal(0.03, 0.04) + _wander(rng, times, 0.025)
    pose.tilt += _wander(rng, times, 0.025)
    pose.twist += _wander(rng, times, 0.05)
    pose.yaw += rng.normal(0.0, 0.06) + _wander(rng, times, 0.06)
    pose.offset += np.stack([_wander(rng, times, 0.035) for _ in range(2)], -1)
    pose.nod += rng.normal(0.0, 0.1) + _wander(rng, times, 0.05, 3.0)
    pose.cock += _wander(rng, times, 0.04, 3.0)
    stance = rng.uniform(0.03, 0.15)
    for side in SIDES:
        arm, leg = pose.arms[side], pose.legs[side]
        arm.abduction += rng.uniform(0.05, 0.3) + _wander(rng, times, 0.03)
        arm.flexion += rng.uniform(-0.1, 0.25) + _wander(rng, times, 0.04)
        arm.elbow += rng.uniform(0.1, 0.6) + np.abs(_wander(rng, times, 0.05))
        leg.abduction += stance + _wander(rng, times, 0.012)
        slack = rng.uniform(0.02, 0.12) + np.abs(_wander(rng, times, 0.04))
        leg.flexion += slack
        leg.knee += 2 * slack


def _turn(pose: Pose, rng: np.random.Generator) -> None:
    pose.yaw += _wander(rng, pose.times, 1.2, 8.0)


def _blend(value: F64, target: float | F64, weight: F64) -> F64:
    return value + weight * (target - value)


def _arm_abduction(side: str, pose: Pose, rng: np.random.Generator) -> None:
    phase = _phase(rng, pose.times, (0.3, 0.8))
    raised = _pulse(phase) * _sizes(rng, phase)
    arm = pose.arms[side]
    arm.abduction = _blend(arm.abduction, rng.uniform(1.2, 2.5), raised)
    arm.elbow = _blend(arm.elbow, rng.uniform(0.0, 0.3), raised)
    pose.tilt -= _SIGN[side] * 0.06 * raised


def _leg_abduction(side: str, pose: Pose, rng: np.random.Generator) -> None:
    phase = _phase(rng, pose.times, (0.3, 0.8))
    raised = _pulse(phase) * _sizes(rng, phase)
    leg = pose.legs[side]
    leg.abduction += rng.uniform(0.4, 0.9) * raised
    leg.knee *= 1 - raised
    pose.tilt -= _SIGN[side] * rng.uniform(0.05, 0.25) * raised


def _bicep_curl(side: str, pose: Pose, rng: np.random.Generator) -> None:
    phase = _phase(rng, pose.times, (0.4, 1.0))
    raised = _pulse(phase) * _sizes(rng, phase, 0.06)
    arm = pose.arms[side]
    arm.elbow = _blend(arm.elbow, rng.uniform(1.8, 2.2), raised)
    arm.flexion += rng.uniform(0.0, 0.3) * raised


def _knee_lift(side: str, pose: Pose, rng: np.random.Generator) -> None:
    phase = _phase(rng, pose.times, (0.4, 1.0))
    raised = _pulse(phase) * _sizes(rng, phase)
    leg = pose.legs[side]
    leg.flexion = _blend(leg.flexion, rng.uniform(1.0, 1.7), raised)
    leg.knee = _blend(leg.knee, rng.uniform(1.1, 1.9), raised)


def _gait(pose: Pose, rng: np.random.Generator, *, jog: bool) -> None:
    phase = _phase(rng, pose.times, (1.15, 1.4) if jog else (0.7, 1.0))
    swing = rng.uniform(0.35, 0.55) if jog else rng.uniform(0.25, 0.4)
    arms = rng.uniform(0.4, 0.8) if jog else rng.uniform(0.2, 0.6)
    share = 0.6 if jog else 0.5  # of the cycle, in which a foot is off the ground
    elbow = rng.uniform(1.3, 1.8) if jog else rng.uniform(0.2, 0.6)
    pose.lean += rng.uniform(0.05, 0.2) if jog else 0.04
    for side in SIDES:
        cycle = phase + (0.0 if side == "right" else 0.5)
        leg, arm = pose.legs[side], pose.arms[side]
        forward = np.sin(2 * np.pi * cycle)
        leg.flexion = 0.12 + swing * forward
        # feet land close to the line below the body, 0.1 to 0.2 m apart
        leg.abduction = 0.5 * leg.abduction - (0.09 if jog else 0.07)
        lifted = _pulse(cycle + 0.5 * share, share)
        leg.knee = 0.15 + (rng.uniform(0.9, 1.3) if jog else rng.uniform(0.7, 1.0)) * lifted
        arm.flexion += -arms * forward
        arm.elbow = elbow + 0.25 * np.abs(forward)
    # the hips turn with the leg that swings forwards, the shoulders against them
    pose.yaw += 0.05 * np.sin(2 * np.pi * phase)
    pose.twist -= 0.12 * np.sin(2 * np.pi * phase)
    if jog:
        pose.lift += rng.uniform(0.03, 0.08) * np.abs(np.sin(2 * np.pi * phase))


def _jump(
    pose: Pose, rng: np.random.Generator, *, often: bool, forwards: bool, legs: tuple[str, ...]
) -> None:
    """Crouch, push off, fly and land; ``legs`` are those jumped from."""
    hop = len(legs) == 1
    phase = _phase(rng, pose.times, (0.8, 1.4) if often or hop else (0.35, 0.6))
    tempo = np.ptp(phase) / np.ptp(pose.times)
    height = rng.uniform(0.05, 0.18) if often or hop else rng.uniform(0.12, 0.35)
    # share of the cycle; what is left of the second half is for landing
    flight = min(2 * np.sqrt(2 * height / _GRAVITY) * tempo, 0.32)
    part = np.mod(phase, 1.0)
    in_air = np.clip((part - 0.5) / flight, 0.0, 1.0)
    pose.lift += _GRAVITY / 2 * (flight / tempo) ** 2 * in_air * (1 - in_air)
    crouch = _pulse(part, 0.5) * rng.uniform(0.5, 1.0)
    landing = _pulse(part - 0.5 - flight, min(0.5 - flight, 0.3)) * rng.uniform(0.2, 0.6)
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
        raised = rng.uniform(0.3, 1.5) * _pulse(part - 0.3, 0.6)
        pose.arms[side].flexion += (0.5 if hop else 1.0) * raised - 0.5 * bend
    if forwards:
        pose.offset[:, 1] += 0.25 * np.sin(np.pi * phase)


def _star_jump(pose: Pose, rng: np.random.Generator) -> None:
    phase = _phase(rng, pose.times, (0.6, 1.1))
    opened = _pulse(phase)
    pose.lift += rng.uniform(0.05, 0.12) * _pulse(2 * phase)
    for side in SIDES:
        arm, leg = pose.arms[side], pose.legs[side]
        arm.abduction = _blend(arm.abduction, rng.uniform(2.2, 2.8), opened)
        arm.elbow = _blend(arm.elbow, 0.3, opened)
        leg.abduction += rng.uniform(0.3, 0.5) * opened
        leg.knee += 0.3 * (1 - _pulse(2 * phase))


def _kick(side: str, pose: Pose, rng: np.random.Generator, *, sideways: bool) -> None:
    phase = _phase(rng, pose.times, (0.4, 0.8))
    chamber, snap = _pulse(phase, 0.7), _pulse(phase - 0.2, 0.5)
    size = _sizes(rng, phase)
    leg = pose.legs[side]
    if sideways:
        leg.abduction += rng.uniform(0.6, 1.2) * snap * size
        pose.tilt -= _SIGN[side] * rng.uniform(0.2, 0.5) * snap
        leg.knee += 0.9 * np.clip(chamber - snap, 0, 1)
    else:
        leg.flexion += rng.uniform(0.8, 1.4) * np.maximum(chamber, snap) * size
        leg.knee += rng.uniform(1.0, 1.6) * np.clip(chamber - snap, 0, 1)
        pose.lean -= rng.uniform(0.0, 0.3) * snap
    for arm in pose.arms.values():
        arm.abduction += rng.uniform(0.0, 0.5) * chamber
        arm.elbow += rng.uniform(0.2, 1.0)


def _punch(side: str, pose: Pose, rng: np.random.Generator, *, height: float) -> None:
    """From a guard to an outstretched arm, ``height`` radians above the horizontal."""
    phase = _phase(rng, pose.times, (0.6, 1.2))
    out = _pulse(phase, 0.6) * _sizes(rng, phase, 0.05)
    guard = rng.uniform(1.8, 2.4)
    for name, arm in pose.arms.items():
        arm.flexion = arm.flexion + rng.uniform(0.1, 0.5)
        arm.elbow = guard + _wander(rng, pose.times, 0.05)
        if name == side:
            arm.flexion = _blend(arm.flexion, np.pi / 2 + height, out)
            arm.elbow = _blend(arm.elbow, 0.1, out)
            arm.abduction = _blend(arm.abduction, 0.0, out)
    pose.twist += _SIGN[side] * rng.uniform(0.2, 0.6) * out
    pose.lean += 0.1 * out
    for leg, flexion in zip(SIDES, rng.permutation((0.2, -0.1)), strict=True):
        pose.legs[leg].flexion += flexion
        pose.legs[leg].knee += 0.25


def _raise_hand(pose: Pose, side: str, rng: np.random.Generator) -> None:
    arm = pose.arms[side]
    arm.abduction = np.full_like(pose.times, rng.uniform(0.2, 1.0)) + _wander(
        rng, pose.times, 0.04
    )
    arm.flexion = np.full_like(pose.times, rng.uniform(0.3, 1.0)) + _wander(rng, pose.times, 0.04)


def _wave(side: str, pose: Pose, rng: np.random.Generator) -> None:
    phase = _phase(rng, pose.times, (1.0, 2.2))
    _raise_hand(pose, side, rng)
    arm = pose.arms[side]
    arm.elbow = np.full_like(pose.times, rng.uniform(1.6, 2.3))
    sideways = rng.uniform(0.4, 0.9) * np.sin(2 * np.pi * phase) * _sizes(rng, phase)
    arm.bend = np.stack(
        (_SIGN[side] * (0.3 + sideways), np.full_like(phase, 0.4), np.ones_like(phase)), -1
    )


def _hand_path(side: str, pose: Pose, rng: np.random.Generator, *, eight: bool) -> None:
    """The hand draws circles or figures of eight before the body."""
    phase = _phase(rng, pose.times, (0.5, 1.2)) * rng.choice((-1, 1))
    size = rng.uniform(0.25, 0.55) * (1 + _wander(rng, pose.times, 0.06))
    arm = pose.arms[side]
    angle = 2 * np.pi * phase
    arm.flexion = rng.uniform(1.0, 1.6) + size * np.sin(2 * angle if eight else angle)
    arm.abduction = rng.uniform(0.0, 0.4) + size * np.cos(angle)
    arm.elbow = np.full_like(angle, rng.uniform(0.2, 0.9)) + _wander(rng, pose.times, 0.05)


def _clap(pose: Pose, rng: np.random.Generator) -> None:
    phase = _phase(rng, pose.times, (0.8, 2.5))
    apart = _pulse(phase) * _sizes(rng, phase)
    flexion, elbow = rng.uniform(0.5, 1.2), rng.uniform(0.9, 1.5)
    for side in SIDES:
        arm = pose.arms[side]
        arm.flexion = np.full_like(phase, flexion) + _wander(rng, pose.times, 0.03)
        arm.abduction = rng.uniform(0.1, 0.2) + rng.uniform(0.2, 0.5) * apart
        arm.elbow = np.full_like(phase, elbow)
        inward = -_SIGN[side] * (1.0 - 1.2 * apart)
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
        "walking": partial(_gait, jog=False),
        "single_jump": partial(_jump, often=False, forwards=False, legs=_BOTH_LEGS),
        "jump_forwards": partial(_jump, often=False, forwards=True, legs=_BOTH_LEGS),
        "multiple_jumps": partial(_jump, often=True, forwards=False, legs=_BOTH_LEGS),
        "hop_right": partial(_jump, often=True, forwards=False, legs=("right",)),
        "hop_left": partial(_jump, often=True, forwards=False, legs=("left",)),
    },
    _both("punch_straight", _punch, height=0.0)
    | _both("punch_up", _punch, height=0.6)
    | _both("punch_down", _punch, height=-0.6),
    dict[str, Movement](slow_jogging=partial(_gait, jog=True), star_jumps=_star_jump)
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
        name: one of :data:`MOVEMENTS`.
        duration_s: length in seconds.
        yaw: direction in which the person faces, counter-clockwise from +y; DHP19's people
            face -y, the default.

    Raises:
        KeyError: there is no such movement.
    """
    movement = MOVEMENTS[name]
    times = np.arange(int(np.ceil(duration_s * RATE_HZ)) + 1) / RATE_HZ
    pose = Pose(times)
    _stand(pose, rng)
    movement(pose, rng)
    joints = joints_of(pose, Proportions.sample(rng), yaw)
    joints += (*rng.normal(PLACE_M[:2], 0.06), PLACE_M[2])
    return Motion(times, joints, name)
