# SPDX-License-Identifier: Apache-2.0
"""Changes to motions: what rests rests, bones keep their lengths, nothing jumps."""

import numpy as np
import pytest
from numpy.typing import NDArray

from hybrid_pose_ros.simulation.floor_contact import clearance
from hybrid_pose_ros.simulation.modifiers import (
    LIMBS,
    approach,
    between,
    heading_of,
    hold,
    only_limbs,
    walk_in,
    walk_out,
)
from hybrid_pose_ros.simulation.motion import Motion
from hybrid_pose_ros.simulation.movements import PLACE_M, make_motion
from hybrid_pose_ros.skeleton import JOINTS, joint_id

HIPS = [joint_id("right_hip"), joint_id("left_hip")]
BONES = [
    (f"{side}_{start}", f"{side}_{end}")
    for side in ("right", "left")
    for start, end in (("shoulder", "elbow"), ("elbow", "hand"), ("hip", "knee"), ("knee", "foot"))
]


def perform(name: str, seconds: float = 6.0, seed: int = 4) -> Motion:
    motion = make_motion(name, np.random.default_rng(seed), seconds, 0.3)
    return Motion(motion.times_s, motion.joints_m - PLACE_M, name)


def check_body(motion: Motion) -> None:
    step = np.linalg.norm(np.diff(motion.joints_m, axis=0), axis=-1)
    assert step.max() / np.diff(motion.times_s).min() < 12
    for start, end in BONES:
        bone = motion.joints_m[:, joint_id(start)] - motion.joints_m[:, joint_id(end)]
        assert np.ptp(np.linalg.norm(bone, axis=-1)) < 5e-3


def speeds(motion: Motion) -> NDArray[np.float64]:
    """Of all joints in m/s, [F - 1, 13]."""
    step = np.linalg.norm(np.diff(motion.joints_m, axis=0), axis=-1)
    return np.asarray(step / np.diff(motion.times_s)[:, None])


@pytest.mark.parametrize("name", ["star_jumps", "punch_up_left", "walking_about"])
def test_a_hold_stops_everything_and_goes_on(name: str) -> None:
    motion = perform(name)
    held = hold(motion, 2.0, 10.0)
    check_body(held)
    assert held.duration_s == pytest.approx(16.0)
    still = held.joints_m[220:1180]
    assert np.abs(still - still[0]).max() < 1e-9
    assert still[0] == pytest.approx(motion.at(np.array([2.0]))[0], abs=0.05)
    early, late = np.arange(0, 1.8, 0.1), np.arange(2.3, 6.0, 0.1)
    assert held.at(early) == pytest.approx(motion.at(early), abs=1e-4)
    assert held.at(late + 10.0) == pytest.approx(motion.at(late), abs=1e-4)


def test_a_hold_at_the_end_prolongs_the_last_pose() -> None:
    motion = perform("clap", 3.0)
    held = hold(motion, 4.0, 2.0)
    assert np.abs(held.joints_m[301:] - motion.joints_m[-1]).max() < 1e-3


@pytest.mark.parametrize("limb", LIMBS)
def test_only_one_limb_moves(limb: str) -> None:
    motion = perform("slow_jogging")
    alone = only_limbs(motion, (limb,), 2.0)
    check_body(alone)
    before = np.arange(0, 1.8, 0.1)
    assert alone.at(before) == pytest.approx(motion.at(before), abs=1e-4)
    moving = [joint_id(name) for name in LIMBS[limb][1]]
    resting = [i for i in range(len(JOINTS)) if i not in moving]
    speed = speeds(alone)[220:]
    assert speed[:, resting].max() < 1e-6
    assert speed[:, moving].max() > (0.02 if limb == "head" else 0.5)


def test_a_limb_goes_on_as_it_moved_against_the_body() -> None:
    motion = perform("circle_hand_right")
    alone = only_limbs(motion, ("right_arm",), 1.0)
    shoulder, hand = joint_id("right_shoulder"), joint_id("right_hand")
    wanted = np.linalg.norm(motion.joints_m[:, hand] - motion.joints_m[:, shoulder], axis=-1)
    found = np.linalg.norm(alone.joints_m[:, hand] - alone.joints_m[:, shoulder], axis=-1)
    assert found == pytest.approx(wanted, abs=1e-6)


def test_from_the_beginning_means_from_the_first_frame() -> None:
    speed = speeds(only_limbs(perform("star_jumps"), ("left_arm",), 0.0))
    resting = [i for i, name in enumerate(JOINTS) if name not in ("left_elbow", "left_hand")]
    assert speed[20:, resting].max() < 1e-6


@pytest.mark.parametrize("yaw", [0.0, 1.5, 3.0, -2.0])
@pytest.mark.parametrize("name", ["clap", "walking_about", "sitting"])
def test_people_come_from_a_place_and_leave_to_one(name: str, yaw: float) -> None:
    motion = perform(name)
    ahead = np.array((-np.sin(yaw), np.cos(yaw)))
    came = walk_in(motion, np.random.default_rng(0), yaw, 3.0)
    left = walk_out(motion, np.random.default_rng(0), yaw, 3.0)
    for changed in (came, left):
        check_body(changed)
        assert clearance(changed.joints_m).min() > -0.03
    end = came.duration_s - motion.duration_s
    assert end > 1.5
    later = np.arange(0.6, 6.0, 0.1)
    assert came.at(later + end) == pytest.approx(motion.at(later), abs=1e-3)
    earlier = np.arange(0.0, 5.4, 0.1)
    assert left.at(earlier) == pytest.approx(motion.at(earlier), abs=1e-3)
    for place, start in ((came.joints_m[0], motion.joints_m[0]),
                         (left.joints_m[-1], motion.joints_m[-1])):  # fmt: skip
        way = (place[HIPS] - start[HIPS]).mean(0)[:2]
        assert np.linalg.norm(way) == pytest.approx(3.0, abs=0.5)
        assert way @ ahead > 2.0
    # who walks looks where he goes
    heading = heading_of(left.joints_m[-5:])
    assert np.cos(heading - yaw) > 0.9
    assert np.cos(heading_of(came.joints_m[:5]) - yaw) < -0.9


def test_an_approach_moves_the_whole_body_by_the_distance() -> None:
    motion = perform("clap")
    near = approach(motion, np.pi / 2, 1.5)
    moved = near.joints_m - motion.joints_m
    assert moved[0] == pytest.approx(0.0)
    assert moved[-1] == pytest.approx(np.tile((-1.5, 0.0, 0.0), (13, 1)), abs=1e-9)
    check_body(near)


def test_poses_between_two_keep_the_bones() -> None:
    first, second = perform("clap").joints_m, perform("star_jumps").joints_m
    weight = np.linspace(0, 1, len(first), dtype=np.float64)
    joints = between(first, second, weight)
    assert joints[0] == pytest.approx(first[0], abs=1e-9)
    assert joints[-1] == pytest.approx(second[-1], abs=1e-9)
    assert between(first, first, weight) == pytest.approx(first, abs=1e-9)
