# SPDX-License-Identifier: Apache-2.0
"""Joint angles of the kinematic model: there and back, of poses known by hand, and undefined."""

from math import pi, radians
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from hybrid_pose_ros.geometry.human_model import (
    ANGLES,
    BodyLengths,
    BodyPose,
    forward_kinematics,
    inverse_kinematics,
    measure_lengths,
)
from hybrid_pose_ros.skeleton import JOINTS, LIMBS, joint_id

HALF_TURN = {"r_waist", "r_torso", "p_head", "l_p_hip", "r_p_hip"}
"""Angles from -pi/2 to pi/2."""


def limits(name: str) -> tuple[float, float]:
    """The range in which an angle is unique."""
    if name in HALF_TURN:
        return -pi / 2, pi / 2
    if name.endswith(("p_shoulder", "elbow")):
        return 0.0, pi
    return (-pi, 0.0) if name.endswith("knee") else (-pi, pi)


@st.composite
def body_poses(draw: st.DrawFn, margin: float = 0.02) -> BodyPose:
    """Any pose of the model, ``margin`` (rad) away from those that are not unique."""
    angles = [draw(st.floats(low + margin, high - margin)) for low, high in map(limits, ANGLES)]
    turn = [draw(st.floats(-pi, pi)) for _ in range(3)]
    origin = [draw(st.floats(-5, 5)) for _ in range(3)]
    axes = Rotation.from_rotvec(turn).as_matrix()
    return BodyPose(np.array(origin), axes, np.array(angles))


lengths = st.builds(BodyLengths, *[st.floats(0.1, 0.6)] * len(BodyLengths._fields))


@given(body_poses(), lengths)
def test_there_and_back(pose: BodyPose, body: BodyLengths) -> None:
    joints = forward_kinematics(pose, body)
    found = inverse_kinematics(joints)
    assert found.is_known
    assert found.origin == pytest.approx(pose.origin, abs=1e-9)
    assert found.axes == pytest.approx(pose.axes, abs=1e-9)
    assert found.angles == pytest.approx(pose.angles, abs=1e-7)
    assert measure_lengths(joints[None]) == pytest.approx(body)


coordinates = st.integers(-2000, 2000).map(lambda mm: mm / 1000)


@given(arrays(np.float64, (13, 3), elements=coordinates))
def test_any_13_joints_are_reached(joints: NDArray[np.float64]) -> None:
    """The model has the freedom of all directions: nothing is fitted, nothing is lost."""
    at = dict(zip(JOINTS, joints, strict=True))
    hips, breast = (at["left_hip"] + at["right_hip"]) / 2, trunk_top(at)
    across, spine = at["left_hip"] - at["right_hip"], breast - hips
    assume(np.linalg.norm(np.cross(across, spine)) > 1e-3)
    assume(all(np.linalg.norm(end - start) > 1e-3 for start, end in segments(at)))
    again = forward_kinematics(inverse_kinematics(joints), BodyLengths())
    for (start, end), (was_start, was_end) in zip(
        segments(dict(zip(JOINTS, again, strict=True))), segments(at), strict=True
    ):
        assert unit(end - start) == pytest.approx(unit(was_end - was_start), abs=1e-6)


def trunk_top(at: dict[str, NDArray[np.float64]]) -> NDArray[np.float64]:
    return (at["left_shoulder"] + at["right_shoulder"]) / 2


def unit(vector: NDArray[np.float64]) -> NDArray[np.float64]:
    return vector / np.linalg.norm(vector)


def segments(at: dict[str, NDArray[np.float64]]) -> list[tuple[Any, Any]]:
    hips = (at["left_hip"] + at["right_hip"]) / 2
    found = [(hips, trunk_top(at)), (trunk_top(at), at["head"])]
    for a, b in LIMBS:
        first, second = JOINTS[a], JOINTS[b]
        if "head" not in first and ("shoulder" in first) == ("hip" not in second):
            found.append((at[first], at[second]))
    return found


# x forwards, y left, z up, in metres
STANDING = {
    "head": (0, 0, 1.7),
    "left_shoulder": (0, 0.2, 1.4),
    "right_shoulder": (0, -0.2, 1.4),
    "left_elbow": (0, 0.2, 1.1),
    "right_elbow": (0, -0.2, 1.1),
    "left_hand": (0, 0.2, 0.8),
    "right_hand": (0, -0.2, 0.8),
    "left_hip": (0, 0.1, 0.9),
    "right_hip": (0, -0.1, 0.9),
    "left_knee": (0, 0.1, 0.5),
    "right_knee": (0, -0.1, 0.5),
    "left_foot": (0, 0.1, 0.0),
    "right_foot": (0, -0.1, 0.0),
}
D = 0.3 * 2**-0.5  # 45 degrees of an upper arm


@pytest.mark.parametrize(
    ("moved", "expected"),
    [
        ({}, {}),
        # arms: raised to the side, and forwards; an elbow bends forwards
        ({"left_elbow": (0, 0.5, 1.4), "left_hand": (0, 0.8, 1.4)}, {"l_p_shoulder": 90}),
        ({"right_elbow": (0, -0.5, 1.4), "right_hand": (0, -0.8, 1.4)}, {"r_p_shoulder": 90}),
        (
            {"right_elbow": (0.3, -0.2, 1.4), "right_hand": (0.6, -0.2, 1.4)},
            {"r_p_shoulder": 90, "r_y_shoulder": 90},
        ),
        ({"left_hand": (0.3, 0.2, 1.1)}, {"l_elbow": 90}),
        ({"right_hand": (0.3, -0.2, 1.1)}, {"r_elbow": 90}),
        # raised to the side, forearm up: turned about itself, outwards
        (
            {"left_elbow": (0, 0.5, 1.4), "left_hand": (0, 0.5, 1.7)},
            {"l_p_shoulder": 90, "l_elbow": 90, "l_r_shoulder": 90},
        ),
        (
            {"right_elbow": (0, -0.5, 1.4), "right_hand": (0, -0.5, 1.7)},
            {"r_p_shoulder": 90, "r_elbow": 90, "r_r_shoulder": 90},
        ),
        ({"left_elbow": (0, 0.2 + D, 1.4 - D), "left_hand": (0, 0.2 + 2 * D, 1.4 - 2 * D)},
         {"l_p_shoulder": 45}),
        # legs: raised forwards, and to the side; a knee bends backwards; sitting
        ({"left_knee": (0.4, 0.1, 0.9), "left_foot": (0.9, 0.1, 0.9)}, {"l_r_hip": 90}),
        ({"right_knee": (0, -0.5, 0.9), "right_foot": (0, -1.0, 0.9)}, {"r_p_hip": 90}),
        ({"right_foot": (-0.5, -0.1, 0.5)}, {"r_knee": -90}),
        (
            {"left_knee": (0.4, 0.1, 0.9), "left_foot": (0.4, 0.1, 0.4)},
            {"l_r_hip": 90, "l_knee": -90},
        ),
        # kicks higher than the hip
        ({"right_knee": (0, -0.4, 1.3), "right_foot": (0, -0.7, 1.7)}, {"r_p_hip": 143.13}),
        ({"left_knee": (0.3, 0.1, 1.3), "left_foot": (0.6, 0.1, 1.7)}, {"l_r_hip": 143.13}),
        # the shank points outwards: the thigh is turned inwards
        ({"left_foot": (0, 0.6, 0.5)}, {"l_y_hip": 90, "l_knee": -90}),
        # head: looks up, and leans to the right
        ({"head": (-0.3, 0, 1.4)}, {"p_head": 90}),
        ({"head": (0, -0.3, 1.4)}, {"r_head": 90}),
    ],
)  # fmt: skip
def test_poses_known_by_hand(
    moved: dict[str, tuple[float, ...]], expected: dict[str, float]
) -> None:
    found = inverse_kinematics(np.array([(STANDING | moved)[name] for name in JOINTS], float))
    assert found.origin == pytest.approx((0, 0, 0.9))
    assert found.axes == pytest.approx(np.eye(3))
    angles = dict(zip(ANGLES, np.degrees(found.angles), strict=True))
    assert angles == pytest.approx(dict.fromkeys(ANGLES, 0.0) | expected, abs=0.01)


def standing(**angles: float) -> NDArray[np.float64]:
    """The joints of the model at these angles (deg), upright otherwise."""
    values = np.zeros(len(ANGLES))
    for name, angle in angles.items():
        values[ANGLES.index(name)] = radians(angle)
    return forward_kinematics(BodyPose(np.zeros(3), np.eye(3), values), BodyLengths())


def angles_of(joints: NDArray[np.float64], straight_deg: float = 0.0) -> dict[str, float]:
    found = inverse_kinematics(joints, radians(straight_deg))
    return dict(zip(ANGLES, np.degrees(found.angles).tolist(), strict=True))


def test_the_trunk_bends_and_twists() -> None:
    joints = standing(r_waist=20)
    assert joints[joint_id("head"), 1] < -0.1  # to the right
    joints = standing(y_waist=30)
    assert joints[joint_id("left_shoulder"), 0] < 0 < joints[joint_id("right_shoulder"), 0]
    joints = standing(r_torso=10)
    assert joints[joint_id("left_shoulder"), 2] > joints[joint_id("right_shoulder"), 2]


def test_a_bow_leans_the_body() -> None:
    joints = standing()
    upper = [index for index, name in enumerate(JOINTS) if name.startswith(("head",)) or
             name.split("_")[1] in ("shoulder", "elbow", "hand")]  # fmt: skip
    joints[upper] = joints[upper] @ Rotation.from_euler("y", 30, degrees=True).as_matrix().T
    found = inverse_kinematics(joints)
    assert found.axes[:, 2] == pytest.approx((0.5, 0, 3**0.5 / 2))
    angles = angles_of(joints)
    assert (angles["r_waist"], angles["y_waist"]) == pytest.approx((0, 0))
    assert (angles["l_r_hip"], angles["l_knee"]) == pytest.approx((30, 0), abs=1e-6)


def test_a_limb_that_is_nearly_straight_keeps_its_rotation_at_0() -> None:
    joints = standing(l_p_shoulder=60, l_r_shoulder=50, l_elbow=8, l_y_hip=-70, l_knee=-8)
    exact = angles_of(joints)
    assert (exact["l_r_shoulder"], exact["l_elbow"]) == pytest.approx((50, 8))
    assert (exact["l_y_hip"], exact["l_knee"]) == pytest.approx((-70, -8))
    steady = angles_of(joints, straight_deg=10)
    assert steady["l_r_shoulder"] == steady["l_y_hip"] == 0
    assert steady["l_p_shoulder"] == pytest.approx(60)
    # what is left of the bend in the plane of the hinge
    assert 0 < steady["l_elbow"] < 8
    assert -8 < steady["l_knee"] < 0
    again = forward_kinematics(inverse_kinematics(joints, radians(10)), BodyLengths())
    moved = np.linalg.norm(again - joints, axis=-1)
    assert moved.max() < 0.51 * np.sin(radians(8))  # a shank, turned by no more than the bend
    assert (
        not moved[[joint_id(name) for name in ("left_elbow", "left_knee", "head")]].round(9).any()
    )


@pytest.mark.parametrize("bend", [0.0, 180.0])
def test_a_straight_or_folded_limb_has_no_rotation(bend: float) -> None:
    angles = angles_of(standing(r_p_shoulder=40, r_r_shoulder=30, r_elbow=bend, l_knee=-bend))
    assert angles["r_r_shoulder"] == angles["l_y_hip"] == 0
    assert angles["r_p_shoulder"] == pytest.approx(40)
    assert abs(angles["r_elbow"]) == abs(angles["l_knee"]) == pytest.approx(bend)


def test_a_hanging_arm_turns_about_one_axis_only() -> None:
    joints = standing(l_y_shoulder=25, l_r_shoulder=60, l_elbow=90)
    joints = joints @ Rotation.from_rotvec((0.3, 0.5, 0.7)).as_matrix().T  # with rounding errors
    angles = angles_of(joints)
    assert angles["l_y_shoulder"] == 0
    assert angles["l_r_shoulder"] == pytest.approx(60 - 25)
    assert angles["l_elbow"] == pytest.approx(90)


UNKNOWN_WITHOUT = {
    "head": {"r_head", "p_head"},
    "left_hand": {"l_elbow"},
    "right_foot": {"r_knee"},
    "right_elbow": {"r_y_shoulder", "r_p_shoulder", "r_r_shoulder", "r_elbow"},
    "left_knee": {"l_y_hip", "l_p_hip", "l_r_hip", "l_knee"},
    "left_shoulder": set(ANGLES),
    "right_hip": set(ANGLES),
}


@pytest.mark.parametrize(("joint", "unknown"), UNKNOWN_WITHOUT.items())
def test_what_is_not_seen_is_not_known(joint: str, unknown: set[str]) -> None:
    joints = standing(r_p_shoulder=30, r_elbow=50, l_r_hip=20, l_knee=-40)
    whole = angles_of(joints)
    joints[joint_id(joint)] = np.nan
    angles = angles_of(joints)
    assert {name for name, angle in angles.items() if np.isnan(angle)} == unknown
    for name in set(ANGLES) - unknown:
        assert angles[name] == pytest.approx(whole[name], abs=1e-9)
    assert inverse_kinematics(joints).is_known == (unknown != set(ANGLES))


@pytest.mark.parametrize("joint", ["left_hip", "left_elbow", "head"])
def test_joints_in_one_place_have_no_direction(joint: str) -> None:
    joints = standing()
    other = {"left_hip": "right_hip", "left_elbow": "left_shoulder", "head": "head"}[joint]
    joints[joint_id(joint)] = joints[joint_id(other)]
    if joint == "head":
        joints[0] = (joints[1] + joints[2]) / 2
    angles = angles_of(joints)
    part = {"left_hip": "", "left_elbow": "l_", "head": "head"}[joint]
    lost = {"left_elbow": "l_p_shoulder", "head": "p_head", "left_hip": "r_elbow"}[joint]
    assert part in lost and np.isnan(angles[lost])


def test_lengths_are_medians_of_both_sides() -> None:
    poses = np.stack([standing(l_elbow=angle, r_knee=-angle) for angle in range(0, 90, 10)])
    poses[0] *= 3.0  # one that went wrong
    poses[1, joint_id("left_hand")] = np.nan
    found = measure_lengths(poses)
    assert found == pytest.approx(BodyLengths())
    poses[:, joint_id("head")] = np.nan
    poses[:, joint_id("left_foot")] = np.nan
    assert measure_lengths(0.9 * poses) == pytest.approx(
        BodyLengths(*0.9 * np.array(BodyLengths()))._replace(neck=BodyLengths().neck)
    )
