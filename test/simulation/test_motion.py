# SPDX-License-Identifier: Apache-2.0
"""Procedural and captured motion: anatomy, directions, the floor and interpolation."""

import numpy as np
import pytest
from numpy.typing import NDArray

from hybrid_pose_ros.geometry.cameras import Camera
from hybrid_pose_ros.simulation.markers import unit
from hybrid_pose_ros.simulation.motion import Motion, rotate_about_vertical
from hybrid_pose_ros.simulation.movements import MOVEMENTS, PLACE_M, SESSIONS, make_motion
from hybrid_pose_ros.skeleton import LIMBS, NUM_JOINTS, joint_id

JUMPS = [name for name in MOVEMENTS if "jump" in name or "hop" in name] + ["slow_jogging"]
FEET = [joint_id("right_foot"), joint_id("left_foot")]
ON_TRUNK = {
    joint_id(name) for name in ("head", "right_shoulder", "left_shoulder", "right_hip", "left_hip")
}
RIGID = [limb for limb in LIMBS if not ON_TRUNK.issuperset(limb)]
"""Bones of arms and legs; the trunk is bent and twisted."""


def perform(name: str, yaw: float = 0.0, seed: int = 3, seconds: float = 6.0) -> Motion:
    return make_motion(name, np.random.default_rng(seed), seconds, yaw)


def travel(motion: Motion, joint: str) -> float:
    """Greatest distance in metres of a joint from where it was at any other time."""
    path = motion.joints_m[::5, joint_id(joint)]
    return float(np.linalg.norm(path[:, None] - path, axis=-1).max())


def to_the_right(joints: NDArray[np.float64]) -> NDArray[np.float64]:
    """From left to right hip, [F, 3]."""
    return np.asarray(joints[:, joint_id("right_hip")] - joints[:, joint_id("left_hip")])


def test_the_table_holds_the_movements_of_dhp19() -> None:
    assert [len(session) for session in SESSIONS] == [8, 6, 6, 6, 7]
    assert set(MOVEMENTS) == {name for session in SESSIONS for name in session} | {
        "standing",
        "turning",
    }


@pytest.mark.parametrize("name", MOVEMENTS)
def test_bones_keep_their_length_and_feet_the_floor(name: str) -> None:
    joints = perform(name).joints_m
    assert joints.shape == (601, NUM_JOINTS, 3)
    assert np.all(np.isfinite(joints))
    for start, end in RIGID:
        length = np.linalg.norm(joints[:, start] - joints[:, end], axis=-1)
        assert length.min() > 0.2
        assert np.ptp(length) < 1e-3
    joints = joints - PLACE_M
    lowest = joints[:, FEET, 2].min(1)
    # a foot comes down between two samples
    assert lowest.min() == pytest.approx(0.11, abs=1e-3)
    if name not in JUMPS:
        assert lowest.max() == pytest.approx(0.11, abs=1e-6)
    # a person in place: hips above feet, head above all, around the origin
    assert np.all(np.abs(joints[:, :, :2]) < 1.6)
    assert np.all(joints[:, 0, 2] > joints[:, joint_id("right_hip"), 2])


@pytest.mark.parametrize("name", MOVEMENTS)
def test_no_joint_leaps(name: str) -> None:
    for seed in range(6):
        step_m = np.diff(perform(name, seed=seed).joints_m, axis=0)
        # m/s; a kick or a jogger's foot comes to 10
        assert np.linalg.norm(step_m, axis=-1).max() * 100 < 12


@pytest.mark.parametrize("name", [name for name in JUMPS if name != "slow_jogging"])
def test_jumps_leave_the_floor(name: str) -> None:
    assert (perform(name).joints_m[:, FEET, 2].min(1) - PLACE_M[2]).max() > 0.14


@pytest.mark.parametrize("side", ["right", "left"])
@pytest.mark.parametrize(
    ("movement", "joint", "least"),
    [
        ("arm_abduction", "hand", 0.5),
        ("leg_abduction", "foot", 0.3),
        ("bicep_curl", "hand", 0.25),
        ("knee_lift", "knee", 0.3),
        ("punch_straight", "hand", 0.3),
        ("punch_up", "hand", 0.3),
        ("punch_down", "hand", 0.3),
        ("kick", "foot", 0.4),
        ("side_kick", "foot", 0.3),
        ("wave_hello", "hand", 0.1),
        ("circle_hand", "hand", 0.2),
        ("figure_8", "hand", 0.2),
    ],
)
def test_the_named_limb_moves_more_than_the_other(
    movement: str, side: str, joint: str, least: float
) -> None:
    other = {"right": "left", "left": "right"}[side]
    motion = perform(f"{movement}_{side}")
    assert travel(motion, f"{side}_{joint}") > least
    assert travel(motion, f"{side}_{joint}") > 1.3 * travel(motion, f"{other}_{joint}")


def test_the_other_arm_rests_in_an_abduction() -> None:
    motion = perform("arm_abduction_left")
    assert travel(motion, "left_hand") > 0.5
    assert travel(motion, "right_hand") < 0.2


@pytest.mark.parametrize("name", ["walking", "slow_jogging"])
def test_feet_take_turns_in_walking(name: str) -> None:
    right, left = perform(name).joints_m[:, FEET, 1].T
    assert np.corrcoef(right, left)[0, 1] < -0.5
    assert np.ptp(right) > 0.25


@pytest.mark.parametrize("name", ["walking", "slow_jogging"])
def test_steps_are_narrow_and_shoulders_turn_against_the_feet(name: str) -> None:
    for seed in range(4):
        joints = perform(name, seed=seed).joints_m
        apart, ahead = np.moveaxis(joints[:, FEET[0], :2] - joints[:, FEET[1], :2], -1, 0)
        assert 0.0 < np.median(apart) < 0.28
        shoulders = (
            joints[:, joint_id("right_shoulder"), 1] - joints[:, joint_id("left_shoulder"), 1]
        )
        assert np.corrcoef(ahead, shoulders)[0, 1] < -0.3


@pytest.mark.parametrize("side", ["right", "left"])
def test_who_hops_stands_above_one_foot_and_bends_it_a_little(side: str) -> None:
    for seed in range(4):
        joints = perform(f"hop_{side}", seed=seed).joints_m
        hips = joints[:, [joint_id("right_hip"), joint_id("left_hip")], 0].mean(1)
        assert np.abs(np.median(joints[:, joint_id(f"{side}_foot"), 0] - hips)) < 0.12
        hip, knee, foot = (joints[:, joint_id(f"{side}_{j}")] for j in ("hip", "knee", "foot"))
        thigh, shank = unit(hip - knee), unit(foot - knee)
        flexion = np.pi - np.arccos(np.sum(thigh * shank, -1))
        assert 0.3 < flexion.max() < 1.3


def test_a_hop_keeps_the_other_foot_up() -> None:
    joints = perform("hop_left").joints_m
    assert np.all(joints[:, joint_id("right_foot"), 2] > joints[:, joint_id("left_foot"), 2])


def test_right_is_right() -> None:
    for yaw, direction in ((0.0, (1, 0)), (np.pi / 2, (0, 1)), (np.pi, (-1, 0))):
        right = to_the_right(perform("standing", yaw).joints_m)[:, :2].mean(0)
        assert right / np.linalg.norm(right) == pytest.approx(direction, abs=0.25)
    # arms reach, knees lift and elbows bend forwards
    motion = perform("punch_straight_right")
    body = motion.joints_m[:, joint_id("right_shoulder"), 1]
    assert (motion.joints_m[:, joint_id("right_hand"), 1] - body).max() > 0.4


def test_a_camera_in_front_sees_the_right_hand_on_the_left() -> None:
    camera = Camera.look_at((0, 3.5, 1.2), (0, 0, 1.0), 300.0)
    pixels = camera.project(perform("star_jumps").joints_m)
    assert np.all(pixels[:, joint_id("right_hand"), 0] < pixels[:, joint_id("left_hand"), 0])


def test_dhp19s_direction_is_the_default() -> None:
    facing = make_motion("clap", np.random.default_rng(5), 2.0)
    assert np.array_equal(facing.joints_m, perform("clap", np.pi, seed=5, seconds=2.0).joints_m)


def test_a_motion_is_a_function_of_its_seed() -> None:
    assert np.array_equal(perform("kick_left").joints_m, perform("kick_left").joints_m)
    assert not np.allclose(perform("kick_left").joints_m, perform("kick_left", seed=4).joints_m)


def test_an_unknown_movement_is_refused() -> None:
    with pytest.raises(KeyError):
        perform("moonwalk")


def test_interpolation_is_cubic_and_stands_still_outside() -> None:
    times = np.linspace(0, 2, 41, dtype=np.float64)
    joints = np.zeros((41, NUM_JOINTS, 3))
    joints[..., 2] = (times**3 - times)[:, None]
    motion = Motion(times, joints, "cubic")
    assert motion.duration_s == 2.0
    at = np.array((0.333, 1.017))
    assert motion.at(at)[:, 4, 2] == pytest.approx(at**3 - at, abs=1e-9)
    assert np.allclose(motion.at(np.array((-1.0, 9.0))), joints[[0, -1]])


def test_rotation_is_counter_clockwise_seen_from_above() -> None:
    turned = rotate_about_vertical(np.array((1.0, 0.0, 2.0)), np.pi / 2)
    assert turned == pytest.approx((0, 1, 2))
