# SPDX-License-Identifier: Apache-2.0
"""Parts of which movements are made: random curves, repetition, key poses, standing, walking."""

from collections.abc import Callable

import numpy as np
from scipy.interpolate import PchipInterpolator
from scipy.ndimage import gaussian_filter1d

from hybrid_pose_ros.arrays import F64
from hybrid_pose_ros.simulation.skeleton_motion import SIDES, JointAngles

Range = tuple[float, float]
Stage = tuple[dict[str, float], Range, Range]
"""A key pose, the seconds for which it is held, and those of the way to the next."""

Movement = Callable[[JointAngles, np.random.Generator], None]
"""Changes the joint angles of a person who stands."""


def wander(rng: np.random.Generator, times: F64, size: float, slowest_s: float = 6.0) -> F64:
    """A smooth random curve of standard deviation about ``size``."""
    curve = np.zeros_like(times)
    for octave in range(4):
        frequency = 2.0**octave / slowest_s * rng.uniform(0.7, 1.3)
        curve += 0.6**octave * np.sin(2 * np.pi * (frequency * times + rng.random()))
    return size * curve


def phase_of(rng: np.random.Generator, times: F64, hertz: tuple[float, float]) -> F64:
    """Phase in cycles of a movement repeated at a tempo that varies a little."""
    tempo = rng.uniform(*hertz)
    return tempo * times + rng.random() + wander(rng, times, 0.04 * tempo)


def pulse(phase: F64, duty: float = 1.0) -> F64:
    """Rises from 0 to 1 and falls back once per cycle, within the share ``duty`` of it."""
    part = np.clip(np.mod(phase, 1.0) / duty, 0.0, 1.0)
    return 0.5 - 0.5 * np.cos(2 * np.pi * part)


def sizes(rng: np.random.Generator, phase: F64, spread: float = 0.12) -> F64:
    """A factor around 1 that differs from cycle to cycle."""
    cycles = np.floor(phase).astype(int)
    factors = np.clip(rng.normal(1.0, spread, cycles.max() - cycles.min() + 1), 0.6, 1.2)
    return np.asarray(factors[cycles - cycles.min()])


def stand(pose: JointAngles, rng: np.random.Generator) -> None:
    """Stand and sway, arms hanging."""
    times = pose.times
    pose.balance = rng.uniform(0.5, 1.0)
    pose.lean += rng.normal(0.03, 0.04) + wander(rng, times, 0.025)
    pose.tilt += wander(rng, times, 0.025)
    pose.twist += wander(rng, times, 0.05)
    pose.yaw += rng.normal(0.0, 0.06) + wander(rng, times, 0.06)
    pose.offset += np.stack([wander(rng, times, 0.035) for _ in range(2)], -1)
    pose.nod += rng.normal(0.15, 0.1) + wander(rng, times, 0.05, 3.0)
    pose.cock += wander(rng, times, 0.04, 3.0)
    stance = rng.uniform(0.03, 0.15)
    for side in SIDES:
        arm, leg = pose.arms[side], pose.legs[side]
        arm.abduction += rng.uniform(0.05, 0.3) + wander(rng, times, 0.03)
        arm.flexion += rng.uniform(-0.1, 0.25) + wander(rng, times, 0.04)
        arm.elbow += rng.uniform(0.1, 0.6) + np.abs(wander(rng, times, 0.05))
        leg.abduction += stance + wander(rng, times, 0.012)
        slack = rng.uniform(0.02, 0.12) + np.abs(wander(rng, times, 0.04))
        leg.flexion += slack
        leg.knee += 2 * slack


def blend(value: F64, target: float | F64, weight: F64) -> F64:
    """Go over from ``value`` to ``target`` as ``weight`` rises from 0 to 1."""
    return value + weight * (target - value)


def gait(pose: JointAngles, rng: np.random.Generator, *, jog: bool) -> None:
    """Walk or jog on the spot, as on a treadmill."""
    phase = phase_of(rng, pose.times, (1.15, 1.4) if jog else (0.7, 1.0))
    walk(pose, rng, phase, np.ones_like(phase), jog=jog)


def walk(
    pose: JointAngles, rng: np.random.Generator, phase: F64, amplitude: F64, *, jog: bool = False
) -> None:
    """Move legs and arms as in walking.

    Args:
        phase: in cycles of two steps [F]; decreasing, the person walks backwards.
        amplitude: factor on the steps [F]; 0 stands.
    """
    swing = rng.uniform(0.35, 0.55) if jog else rng.uniform(0.25, 0.4)
    arms = rng.uniform(0.4, 0.8) if jog else rng.uniform(0.2, 0.6)
    share = 0.6 if jog else 0.5  # of the cycle, in which a foot is off the ground
    elbow = rng.uniform(1.3, 1.8) if jog else rng.uniform(0.2, 0.6)
    pose.lean += rng.uniform(0.05, 0.2) if jog else 0.04
    for side in SIDES:
        cycle = phase + (0.0 if side == "right" else 0.5)
        leg, arm = pose.legs[side], pose.arms[side]
        forward = np.sin(2 * np.pi * cycle)
        leg.flexion = 0.12 + swing * amplitude * forward
        # feet land close to the line below the body, 0.1 to 0.2 m apart
        leg.abduction = 0.5 * leg.abduction - (0.09 if jog else 0.07)
        lifted = amplitude * pulse(cycle + 0.5 * share, share)
        leg.knee = 0.15 + (rng.uniform(0.9, 1.3) if jog else rng.uniform(0.7, 1.0)) * lifted
        arm.flexion += -arms * amplitude * forward
        arm.elbow = elbow + 0.25 * amplitude * np.abs(forward)
    # the hips turn with the leg that swings forwards, the shoulders against them
    pose.yaw += 0.05 * amplitude * np.sin(2 * np.pi * phase)
    pose.twist -= 0.12 * amplitude * np.sin(2 * np.pi * phase)
    if jog:
        pose.lift += rng.uniform(0.03, 0.08) * np.abs(np.sin(2 * np.pi * phase))


def through(pose: JointAngles, rng: np.random.Generator, stages: list[Stage]) -> dict[str, F64]:
    """Return all channels over time, through the stages again and again from any moment."""
    channels = sorted({name for angles, _, _ in stages for name in angles})
    knots: list[float] = []
    keys: list[list[float]] = []
    now = -rng.uniform(0.0, sum(hold[1] + way[1] for _, hold, way in stages))
    while now < pose.times[-1] + 1.0:
        for angles, hold, way in stages:
            size = rng.uniform(0.92, 1.04)
            key = [size * angles.get(name, 0.0) for name in channels]
            still = rng.uniform(*hold)
            ends = [now, now + still] if still > 0.05 else [now]
            knots += ends
            keys += [key] * len(ends)
            now = ends[-1] + rng.uniform(*way)
    curves = gaussian_filter1d(
        PchipInterpolator(knots, keys)(pose.times), 8.0, axis=0, mode="nearest"
    )
    return dict(zip(channels, curves.T, strict=True))


def add_angles(pose: JointAngles, values: dict[str, F64]) -> None:
    """Add angles: of the trunk by its name, of limbs as ``leg.knee`` or ``right_leg.knee``."""
    for name, value in values.items():
        limb, _, angle = name.rpartition(".")
        if not limb:
            setattr(pose, name, getattr(pose, name) + value)
            continue
        side, _, kind = limb.rpartition("_")
        limbs = pose.arms if kind == "arm" else pose.legs
        for each in [side] if side else SIDES:
            setattr(limbs[each], angle, getattr(limbs[each], angle) + value)


def plant_feet(pose: JointAngles) -> None:
    """Let the floor hold the body; both legs bend alike, so that both feet stand on it."""
    pose.planted = True
    pose.balance = 0.0
    right, left = pose.legs["right"], pose.legs["left"]
    for angle in ("abduction", "flexion", "knee"):
        mean = 0.5 * (getattr(right, angle) + getattr(left, angle))
        setattr(right, angle, mean.copy())
        setattr(left, angle, mean.copy())
