# SPDX-License-Identifier: Apache-2.0
"""Everyday movements: people on the floor, held by their feet, as the names say."""

import numpy as np
import pytest
from numpy.typing import NDArray

from hybrid_pose_ros.simulation.everyday_movements import EVERYDAY
from hybrid_pose_ros.simulation.floor_contact import ANKLE_M, clearance, plant
from hybrid_pose_ros.simulation.markers import markers_of
from hybrid_pose_ros.simulation.movements import MOVEMENTS, PLACE_M, make_motion
from hybrid_pose_ros.simulation.skeleton_motion import Proportions
from hybrid_pose_ros.skeleton import JOINTS, LIMBS, joint_id

HIPS = [joint_id("right_hip"), joint_id("left_hip")]
FEET = [joint_id("right_foot"), joint_id("left_foot")]
TRUNK = {"head", "right_shoulder", "left_shoulder", "right_hip", "left_hip"}
BONES = [limb for limb in LIMBS if not {JOINTS[i] for i in limb} <= TRUNK]
SEEDS = range(4)


def perform(name: str, seed: int = 0, seconds: float = 20.0) -> NDArray[np.float64]:
    motion = make_motion(name, np.random.default_rng(seed), seconds, 0.0)
    return motion.joints_m - PLACE_M


def hip_height(joints: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(joints[:, HIPS, 2].mean(1))


def facing(joints: NDArray[np.float64]) -> NDArray[np.float64]:
    """Unit vectors ahead, [F, 2]."""
    right = joints[:, HIPS[0], :2] - joints[:, HIPS[1], :2]
    ahead = np.stack((-right[:, 1], right[:, 0]), -1)
    return np.asarray(ahead / np.linalg.norm(ahead, axis=-1, keepdims=True))


@pytest.mark.parametrize("name", EVERYDAY)
def test_bodies_are_rigid_on_the_floor_and_smooth(name: str) -> None:
    for seed in SEEDS:
        joints = perform(name, seed, 8.0)
        for start, end in BONES:
            assert np.ptp(np.linalg.norm(joints[:, start] - joints[:, end], axis=-1)) < 1e-9
        if name not in ("crossed_arms", "phone", "hands_on_hips"):
            assert clearance(joints).min(1) == pytest.approx(0.0, abs=1e-9)
        assert np.linalg.norm(np.diff(joints, axis=0), axis=-1).max() * 100 < 8


def test_everyday_names_are_not_dhp19s() -> None:
    assert not set(EVERYDAY) & set(MOVEMENTS)


def test_what_touches_the_floor_does_not_slip() -> None:
    for name in ("squatting", "bending", "swaying", "sitting_down", "slow_arms"):
        feet = perform(name)[:, FEET, :2]
        assert np.ptp(feet.mean(1), axis=0).max() < 0.02


def test_planting_moves_the_body_by_the_steps_of_the_standing_foot() -> None:
    joints = np.zeros((11, 13, 3))
    joints[..., 2] = 1.0
    joints[:, FEET, 2] = (0.0, 0.3)
    joints[:, [joint_id("right_knee"), joint_id("left_knee")], 2] = 0.5
    joints[:, FEET[0], 1] = -np.linspace(0, 0.5, 11)  # the foot glides back below the body
    planted = plant(joints)
    assert planted[:, FEET[0], 2] == pytest.approx(ANKLE_M, abs=0.02)
    assert planted[:, FEET[0], 1] == pytest.approx(0.0, abs=1e-6)
    assert planted[-1, 0, 1] == pytest.approx(0.5, abs=1e-6)


@pytest.mark.parametrize(
    ("name", "lowest", "highest"),
    [
        ("sitting_down", (0.35, 0.65), (0.75, 1.1)),
        ("squatting", (0.15, 0.5), (0.75, 1.1)),
        ("kneeling", (0.2, 0.45), (0.75, 1.1)),
        ("lying_down", (0.08, 0.15), (0.75, 1.1)),
        ("lying", (0.08, 0.3), (0.2, 0.35)),
        ("sitting", (0.35, 0.65), (0.35, 0.65)),
    ],
)
def test_hips_are_as_high_as_the_name_says(
    name: str, lowest: tuple[float, float], highest: tuple[float, float]
) -> None:
    heights = hip_height(perform(name, 1, 60.0))
    assert lowest[0] < heights.min() < lowest[1]
    assert highest[0] < heights.max() < highest[1]


def test_a_hand_comes_near_the_floor_to_pick_something_up() -> None:
    hands = perform("picking_up", 2, 30.0)[:, [joint_id("right_hand"), joint_id("left_hand")], 2]
    assert hands.min() < 0.3


def test_a_lying_head_is_low() -> None:
    joints = perform("lying_down", 1, 60.0)
    assert joints[hip_height(joints) < 0.13, 0, 2].min() < 0.3


def test_walking_goes_ahead_and_backwards_behind() -> None:
    for name, sign in (("walking_about", 1.0), ("walking_backwards", -1.0)):
        ways = []
        for seed in range(8):
            joints = perform(name, seed)
            step = np.diff(joints[:, HIPS, :2].mean(1), axis=0)
            ways.append(np.sum(sign * step * facing(joints)[1:], -1))
        way = np.concatenate(ways)
        fast = np.abs(way) * 100 > 0.3
        assert (way[fast] > 0).mean() > (0.9 if name == "walking_about" else 0.35)
        assert way.max() * 100 > 0.5


def test_side_steps_go_sideways() -> None:
    joints = perform("side_steps", 3)
    path = joints[:, HIPS, :2].mean(1)
    assert np.ptp(path[:, 0]) > 0.3
    assert np.ptp(path[:, 0]) > 1.5 * np.ptp(path[:, 1])


def test_who_turns_round_has_faced_everywhere() -> None:
    for seed in SEEDS:
        joints = perform("turning_round", seed, 30.0)
        yaw = np.unwrap(np.arctan2(*facing(joints).T))
        assert np.ptp(yaw) > 2 * np.pi
        assert np.ptp(joints[:, HIPS, :2].mean(1), axis=0).max() < 0.6


def test_hands_go_where_the_name_says() -> None:
    joints = perform("phone", 0)
    hands = joints[:, [joint_id("right_hand"), joint_id("left_hand")]]
    near = np.linalg.norm(hands - joints[:, :1], axis=-1).min()
    assert near < 0.2
    joints = perform("hands_on_hips", 0)
    for side in ("right", "left"):
        gap = joints[:, joint_id(f"{side}_hand")] - joints[:, joint_id(f"{side}_hip")]
        assert np.linalg.norm(gap, axis=-1).min() < 0.17
    joints = perform("crossed_arms", 0)
    right, left = joints[:, joint_id("right_hand")], joints[:, joint_id("left_hand")]
    assert (right - left)[:, 0].min() < -0.05


def test_mean_proportions_are_those_of_the_published_label() -> None:
    stands = [
        markers_of(make_motion("standing", np.random.default_rng(seed), 0.5).joints_m).mean(0)
        for seed in range(150)
    ]
    z = dict(zip(JOINTS, np.mean(stands, 0)[:, 2] * 1000, strict=True))
    expected = {"head": 1695, "right_shoulder": 1486, "right_hip": 1098, "right_knee": 623}
    for joint, height in expected.items():
        assert z[joint] == pytest.approx(height, abs=25)


def test_people_can_be_measured() -> None:
    lengths = Proportions.sample(np.random.default_rng(5))
    joints = make_motion("standing", np.random.default_rng(5), 1.0).joints_m
    found = Proportions.of(joints)
    assert found.thigh == pytest.approx(
        np.linalg.norm(joints[0, joint_id("right_hip")] - joints[0, joint_id("right_knee")])
    )
    assert 0.3 < lengths.thigh < 0.6


def test_there_are_children_among_the_people() -> None:
    rng = np.random.default_rng(0)
    thighs = np.array([Proportions.sample(rng).thigh for _ in range(2000)])
    assert 0.01 < (thighs < 0.284 * 1.4).mean() < 0.12
    assert thighs.mean() == pytest.approx(0.284 * 1.64, rel=0.02)
