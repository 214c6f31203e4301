# SPDX-License-Identifier: Apache-2.0
"""The URDF of a person: turned by the joint states, its links lie where the joints are."""

import xml.etree.ElementTree as ElementTree
from typing import Any

import numpy as np
import pytest
from geometry_msgs.msg import TransformStamped
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation
from std_msgs.msg import Header

from hybrid_pose_ros.geometry.human_model import (
    ANGLES,
    BodyLengths,
    BodyPose,
    forward_kinematics,
    inverse_kinematics,
)
from hybrid_pose_ros.interfaces.human_description import (
    BodyFrames,
    HumanDescription,
    describe_human,
    joint_state_message,
)
from hybrid_pose_ros.interfaces.messages import stamp_from_ns
from hybrid_pose_ros.skeleton import JOINTS, joint_id

BODY = BodyLengths(0.25, 0.45, 0.37, 0.26, 0.29, 0.27, 0.44, 0.47)
HEADER = Header(stamp=stamp_from_ns(7), frame_id="world")


def link_of(joint: str) -> str:
    """The link whose origin a joint is, but for the hips and shoulders of the whole body."""
    side, _, part = joint.rpartition("_")
    part = {"hand": "wrist", "foot": "ankle"}.get(part, part)
    return f"{side[0]}_{part}_b1" if side else "head_b1"


@pytest.fixture
def description(share: Any) -> HumanDescription:
    return describe_human(share, "b1", BODY)


def some_pose(seed: int) -> BodyPose:
    rng = np.random.default_rng(seed)
    joints = rng.normal(size=(13, 3))
    found = inverse_kinematics(joints)
    assert found.is_known
    return found


def test_the_urdf_is_a_tree_with_the_model_s_angles(description: HumanDescription) -> None:
    robot = ElementTree.fromstring(description.urdf)
    links = [link.attrib["name"] for link in robot.iter("link")]
    assert len(set(links)) == len(links)
    children = [joint.child for joint in description.joints]
    assert set(children) == set(links) - {description.root}
    assert len(set(children)) == len(children)
    known = {description.root}
    for joint in description.joints:  # parents stand before children
        assert joint.parent in known
        known.add(joint.child)
    turning = {joint.attrib["name"] for joint in robot.findall("joint[@type='revolute']")}
    assert turning == {f"{name}_b1" for name in ANGLES}
    fixed = {joint.attrib["name"] for joint in robot.findall("joint[@type='fixed']")}
    assert turning | fixed == {joint.name for joint in description.joints}
    assert {joint.name for joint in description.joints if joint.axis is None} == fixed
    # URDF wants a limit for every joint that turns, and colours that exist
    assert all(
        joint.find("limit") is not None for joint in robot.findall("joint[@type='revolute']")
    )
    colours = {material.attrib["name"] for material in robot.findall("material")}
    assert colours == {material.attrib["name"] for material in robot.findall(".//visual/material")}
    assert "$" not in description.urdf


@pytest.mark.parametrize("seed", range(5))
def test_links_lie_where_the_joints_are(description: HumanDescription, seed: int) -> None:
    """As robot_state_publisher goes through a URDF."""
    pose = some_pose(seed)
    state = joint_state_message(pose, "b1", HEADER)
    angles = dict(zip(state.name, state.position, strict=True))
    assert len(angles) == len(ANGLES)
    place = {description.root: (pose.origin, Rotation.from_matrix(pose.axes))}
    for element in ElementTree.fromstring(description.urdf).findall("joint"):
        parent, child = element.find("parent"), element.find("child")
        origin, axis = element.find("origin"), element.find("axis")
        assert parent is not None and child is not None
        xyz = origin.attrib["xyz"].split() if origin is not None else (0, 0, 0)
        at, turn = place[parent.attrib["link"]]
        at = at + turn.apply(np.array(xyz, float))
        if axis is not None:
            vector = np.array(axis.attrib["xyz"].split(), float)
            turn = turn * Rotation.from_rotvec(angles[element.attrib["name"]] * vector)
        place[child.attrib["link"]] = at, turn
    joints = forward_kinematics(pose, BODY)
    for joint, name in enumerate(JOINTS):
        assert place[link_of(name)][0] == pytest.approx(joints[joint], abs=1e-6), name


def places(transforms: list[TransformStamped]) -> dict[str, NDArray[np.float64]]:
    """Return the places of frames of TF in the world."""
    found = {"world": np.eye(4)}
    for frame in transforms:
        move, turn = frame.transform.translation, frame.transform.rotation
        matrix = np.eye(4)
        matrix[:3, :3] = Rotation.from_quat((turn.x, turn.y, turn.z, turn.w)).as_matrix()
        matrix[:3, 3] = move.x, move.y, move.z
        found[frame.child_frame_id] = found[frame.header.frame_id] @ matrix
    return {name: matrix[:3, 3] for name, matrix in found.items()}


@pytest.mark.usefixtures("tf2_msgs")
def test_frames_are_those_of_the_joint_states(description: HumanDescription) -> None:
    pose = some_pose(7)
    transforms = BodyFrames(description, links=True).at(pose, HEADER).transforms
    assert {frame.header.stamp.nanosec for frame in transforms} == {7}
    found = places(transforms)
    for joint, name in enumerate(JOINTS):
        expected = forward_kinematics(pose, BODY)[joint]
        assert found[link_of(name)] == pytest.approx(expected, abs=1e-6), name
    [root] = BodyFrames(description, links=False).at(pose, HEADER).transforms
    assert (root.header.frame_id, root.child_frame_id) == ("world", "body_b1")
    assert root == transforms[0]


@pytest.mark.usefixtures("tf2_msgs")
def test_frames_are_those_of_the_newest_pose(description: HumanDescription) -> None:
    frames = BodyFrames(description, links=True)
    frames.at(some_pose(1), HEADER)
    later = Header(stamp=stamp_from_ns(8), frame_id="world")
    newest = frames.at(some_pose(2), later).transforms
    assert newest == BodyFrames(description, links=True).at(some_pose(2), later).transforms


@pytest.mark.usefixtures("tf2_msgs")
def test_what_is_not_known_is_left_out(description: HumanDescription) -> None:
    joints = np.random.default_rng(0).normal(size=(13, 3))
    joints[joint_id("left_hand")] = joints[joint_id("right_knee")] = np.nan
    pose = inverse_kinematics(joints)
    state = joint_state_message(pose, "b1", HEADER)
    missing = {"l_elbow", "r_y_hip", "r_p_hip", "r_r_hip", "r_knee"}
    assert state.name == [f"{name}_b1" for name in ANGLES if name not in missing]
    assert np.isfinite(state.position).all() and state.header == HEADER
    frames = BodyFrames(description, links=True).at(pose, HEADER).transforms
    children = {frame.child_frame_id for frame in frames}
    assert children.isdisjoint({"l_elbow_b1", "r_y_hip_b1", "r_knee_b1"})
    assert {"l_shoulder_b1", "r_elbow_b1", "l_knee_b1"} <= children
