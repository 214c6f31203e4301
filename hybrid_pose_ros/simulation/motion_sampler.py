# SPDX-License-Identifier: Apache-2.0
"""Draws motions: captured ones, DHP19's movements, everyday life, gymnastics; and changes them.

People hold still, move one limb alone, come or leave, so that a network sees bodies that rest, and
limbs that move on a body which rested for long.
"""

from collections.abc import Collection
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np

from hybrid_pose_ros.simulation.everyday_movements import EVERYDAY
from hybrid_pose_ros.simulation.floor_contact import clearance
from hybrid_pose_ros.simulation.mocap import draw_clip, load_clip, vary
from hybrid_pose_ros.simulation.modifiers import (
    LIMBS,
    approach,
    heading_of,
    hold,
    only_limbs,
    walk_in,
    walk_out,
)
from hybrid_pose_ros.simulation.motion import Motion
from hybrid_pose_ros.simulation.movements import MOVEMENTS, PLACE_M, make_motion
from hybrid_pose_ros.skeleton import joint_id

_KINDS: Final = {"captured": 0.38, "dhp19": 0.22, "everyday": 0.2, "gymnastics": 0.2}
"""Shares of the kinds of motion; without motion capture those of the others grow."""

_HOLD, _ONLY_LIMB, _COME_OR_LEAVE, _APPROACH = 0.2, 0.25, 0.1, 0.1
"""Probabilities of the changes."""

_BELOW_M: Final = 0.03
"""No part of a body may be so deep in the floor."""
_TRIES: Final = 8
_ROOM_M: Final = 1.5
"""Captured people who walk farther than this from their middle walk on the spot instead."""


@dataclass(frozen=True)
class Repertoire:
    """The motions that may be drawn.

    Attributes:
        test_subjects: of motion capture; these alone in the test, all others else.
        held_out: names of movements that only the test shows.
        test: whether this is the test.
    """

    test_subjects: Collection[str]
    held_out: Collection[str]
    test: bool

    def may_see(self, subject: str) -> bool:
        """Whether the captured motions of a subject may be drawn."""
        return (subject in self.test_subjects) == self.test

    @property
    def movements(self) -> list[str]:
        """Names of the parametric movements that may be drawn."""
        return [name for name in MOVEMENTS if self.test or name not in self.held_out]


def sample_motion(
    rng: np.random.Generator,
    seconds: float,
    repertoire: Repertoire,
    *,
    mocap: Path | None,
    yaw: float,
) -> Motion:
    """Draw a motion of a length, on the floor z = 0 around the origin.

    Args:
        repertoire: the motions that may be drawn.
        mocap: file of captured motions; None for none.
        yaw: direction in which the person faces on average, counter-clockwise from +y.

    Returns:
        The motion; its name tells the changes, as ``cmu_s14_03+hold+only_right_arm``.

    Raises:
        OSError, MocapError: the motion capture cannot be read.
    """
    for _ in range(_TRIES):
        motion = _changed(_plain(rng, seconds, repertoire, mocap, yaw), rng, seconds)
        # a limb that goes on alone may reach below the floor
        if clearance(motion.joints_m).min() > -_BELOW_M:
            return motion
    return _lasting(_plain(rng, seconds, repertoire, mocap, yaw), seconds)


def _plain(
    rng: np.random.Generator,
    seconds: float,
    repertoire: Repertoire,
    mocap: Path | None,
    yaw: float,
) -> Motion:
    shares = np.array(list(_KINDS.values()))
    if mocap is None:
        shares[0] = 0.0
    kind = list(_KINDS)[int(rng.choice(len(shares), p=shares / shares.sum()))]
    if kind == "captured" and mocap is not None:
        name = draw_clip(mocap, rng, repertoire.may_see)
        clip = load_clip(mocap, name, in_place=False)
        if np.abs(clip.joints_m[..., :2]).max() > _ROOM_M + 0.5:
            clip = load_clip(mocap, name)
        return vary(clip, rng, seconds, yaw)
    names = {"dhp19": repertoire.movements, "everyday": list(EVERYDAY)}.get(kind, [kind])
    motion = make_motion(names[int(rng.integers(len(names)))], rng, seconds, yaw)
    return Motion(motion.times_s, motion.joints_m - PLACE_M, motion.name)


def _lasting(motion: Motion, seconds: float) -> Motion:
    """Prolong a motion by its last pose, or cut its end, to a length."""
    if motion.duration_s < seconds - 1e-9:
        motion = hold(motion, motion.duration_s - 0.15, seconds - motion.duration_s)
    times = np.append(np.arange(0.0, seconds - 1e-6, 0.01), seconds)
    return Motion(times, motion.at(times), motion.name)


def _changed(motion: Motion, rng: np.random.Generator, seconds: float) -> Motion:
    """Change a motion at random and bring it to its length."""
    said = [motion.name]
    come = rng.random() < _COME_OR_LEAVE
    leave = come and rng.random() < 0.5
    if rng.random() < _ONLY_LIMB:
        early = 0.0 if rng.random() < 0.2 else 0.5 + rng.exponential(0.15 * seconds)
        limb = _busy_limb(motion, rng)
        frozen_s = moment_on_floor(motion, min(early, 0.7 * motion.duration_s))
        motion = only_limbs(motion, (limb,), frozen_s)
        said.append(f"only_{limb}")
    if rng.random() < _HOLD:
        still = float(np.exp(rng.uniform(0.0, np.log(max(seconds / 2, 1.5)))))
        at_s = rng.uniform(0.0, min(motion.duration_s, max(seconds - still, 0.0)))
        motion = hold(motion, moment_on_floor(motion, at_s), still)
        said.append("hold")
    if rng.random() < _APPROACH:
        motion = approach(motion, rng.uniform(0, 2 * np.pi), rng.uniform(0.3, 1.5))
        said.append("approach")
    if come:
        motion = _come_or_leave(motion, rng, seconds, leave=leave)
        said.append("walk_out" if leave else "walk_in")
    return replace(_lasting(motion, seconds), name="+".join(said))


def moment_on_floor(motion: Motion, at_s: float) -> float:
    """The moment nearest to one in which the body touches the floor: nobody rests in the air."""
    times = np.arange(0.0, motion.duration_s, 0.02)
    height = clearance(motion.at(times)).min(1)
    candidates = times[height < height.min() + 0.05]
    return float(candidates[np.argmin(np.abs(candidates - at_s))])


def _busy_limb(motion: Motion, rng: np.random.Generator) -> str:
    """Draw a limb, mostly one of those that move."""
    times = np.arange(0.0, motion.duration_s, 0.1)
    joints = motion.at(times)
    middle = joints[:, [joint_id("right_hip"), joint_id("left_hip")]].mean(1, keepdims=True)
    paths = np.abs(np.diff(joints - middle, axis=0)).sum(-1).mean(0)
    weights = np.array([paths[joint_id(names[-1])] for _, names in LIMBS.values()])
    weights = weights / max(weights.sum(), 1e-9) + 0.05
    return list(LIMBS)[int(rng.choice(len(weights), p=weights / weights.sum()))]


def _come_or_leave(
    motion: Motion, rng: np.random.Generator, seconds: float, *, leave: bool
) -> Motion:
    """Let a person come from or go to a place 2 to 4 m away, within a part of the time."""
    distance = min(rng.uniform(2.0, 4.0), 0.6 * seconds)
    yaw = heading_of(motion.joints_m) + rng.uniform(0, 2 * np.pi)
    if not leave:
        return walk_in(motion, rng, yaw, distance)
    stay = max(0.3 * seconds, seconds - distance - 1.5)
    end = min(stay, motion.duration_s)
    times = np.linspace(0.0, end, int(100 * end) + 2, dtype=np.float64)
    return walk_out(Motion(times, motion.at(times), motion.name), rng, yaw, distance)
