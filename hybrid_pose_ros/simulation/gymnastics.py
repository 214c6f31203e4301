# SPDX-License-Identifier: Apache-2.0
"""A body that goes through poses drawn at random, as in dance, yoga and gymnastics.

No list of movements holds all that people do. These poses are drawn within what joints allow,
each part for itself: the trunk bends any way, arms go anywhere, and the legs stand, stride, squat
or are lifted.
"""

from typing import Final

import numpy as np

from hybrid_pose_ros.simulation.movement_parts import (
    Range,
    Stage,
    add_angles,
    plant_feet,
    through,
)
from hybrid_pose_ros.simulation.skeleton_motion import SIDES, SIGN, JointAngles, ahead

_OUTWARDS: Final = np.array((1.0, 0.0, 0.0))
_STAGES: Final = 8
_HELD: Final = 0.5
"""Share of the poses that are held for a while; the others are passed through."""


def gymnastics(pose: JointAngles, rng: np.random.Generator) -> None:
    """Go from one random pose to the next, quickly or slowly, and turn meanwhile."""
    plant_feet(pose)
    pace = float(np.exp(rng.uniform(np.log(0.5), np.log(1.6))))
    add_angles(pose, through(pose, rng, [_draw(rng, pace) for _ in range(_STAGES)]))
    for side in SIDES:
        arm, turned = pose.arms[side], rng.uniform(-1.0, 1.0)
        # less than a right angle, or else the elbow would bend along the arm at times
        arm.bend = np.cos(turned) * ahead(arm.flexion) + np.sin(turned) * _OUTWARDS * SIGN[side]


def _draw(rng: np.random.Generator, pace: float) -> Stage:
    angles = _legs(rng) | _arms(rng)
    bend = rng.uniform(0.4, 1.6) if rng.random() < 0.25 else rng.normal(0.1, 0.3)
    lean = angles.pop("lean", 0.0) + bend
    angles |= {
        "lean": float(np.clip(lean, -0.4, 1.6)),
        "tilt": _normal(rng, 0.3, 0.8),
        "twist": _normal(rng, 0.35, 0.9),
        "nod": _normal(rng, 0.3, 0.6),
        "cock": _normal(rng, 0.2, 0.5),
        "yaw": _normal(rng, 0.5, 3.0),
    }
    held: Range = (0.2 * pace, 1.5 * pace) if rng.random() < _HELD else (0.0, 0.0)
    return angles, held, (0.6 * pace, 1.6 * pace)


def _normal(rng: np.random.Generator, deviation: float, largest: float) -> float:
    return float(np.clip(rng.normal(0.0, deviation), -largest, largest))


def _legs(rng: np.random.Generator) -> dict[str, float]:
    """Draw the legs' angles, and how the trunk leans to keep the balance."""
    one, other = rng.permutation(SIDES)
    kind = rng.choice(("stand", "one_leg", "stride", "wide"), p=(0.3, 0.4, 0.15, 0.15))
    bent = float(rng.exponential(0.2))
    if kind == "stand":
        return {"leg.flexion": min(bent, 1.6), "leg.knee": min(2 * bent, 2.2)}
    if kind == "stride":
        knee = rng.uniform(0.1, 1.6)
        return {
            f"{one}_leg.flexion": 0.3 + 0.6 * knee,
            f"{one}_leg.knee": knee,
            f"{other}_leg.flexion": rng.uniform(-0.7, 0.0),
            f"{other}_leg.knee": rng.uniform(0.0, 0.7),
        }
    if kind == "wide":
        knees = rng.uniform(0.0, 1.3, 2) * rng.integers(0, 2)
        return {
            "leg.abduction": rng.uniform(0.15, 0.6),
            f"{one}_leg.flexion": 0.5 * knees[0],
            f"{one}_leg.knee": knees[0],
            f"{other}_leg.flexion": 0.5 * knees[1],
            f"{other}_leg.knee": knees[1],
        }
    lifted = rng.uniform(-1.4, 1.7)
    aside = rng.uniform(0.0, 1.2) * (rng.random() < 0.5)
    straight = rng.random() < 0.5
    return {
        f"{one}_leg.flexion": lifted * float(np.cos(aside)),
        f"{one}_leg.abduction": aside,
        f"{one}_leg.knee": 0.1 if straight else rng.uniform(0.2, 2.0),
        f"{other}_leg.flexion": min(bent, 0.8),
        f"{other}_leg.knee": min(2 * bent, 1.6),
        "lean": 0.9 * max(-lifted, 0.0) - 0.1 * max(lifted, 0.0),
    }


def _arms(rng: np.random.Generator) -> dict[str, float]:
    """Draw the arms' angles; both are often alike."""
    drawn = {side: _arm(rng) for side in SIDES}
    if rng.random() < 0.4:
        drawn["left"] = drawn["right"]
    return {
        f"{side}_arm.{angle}": value for side, arm in drawn.items() for angle, value in arm.items()
    }


def _arm(rng: np.random.Generator) -> dict[str, float]:
    if rng.random() < 0.2:
        return {"flexion": rng.uniform(0.0, 0.4)}
    flexion = rng.uniform(-0.7, 2.8)
    return {
        "flexion": flexion,
        "abduction": rng.uniform(0.0, 1.5),
        "elbow": rng.uniform(0.0, 2.2) * (rng.random() < 0.6),
    }
