# SPDX-License-Identifier: Apache-2.0
"""The running node `human_model`."""

import sys
import xml.etree.ElementTree as ElementTree
from math import radians
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from sensor_msgs.msg import JointState
from std_msgs.msg import Header, String
from std_srvs.srv import Trigger

from hybrid_pose_ros.geometry.human_model import (
    ANGLES,
    BodyLengths,
    BodyPose,
    forward_kinematics,
)
from hybrid_pose_ros.interfaces.messages import ground_truth_message, stamp_from_ns
from hybrid_pose_ros.interfaces.qos import profile
from hybrid_pose_ros.interfaces.topics import POSE_3D, Quality
from hybrid_pose_ros.msg import PoseKeypoints3D
from hybrid_pose_ros.nodes.human_model import HumanModelNode
from hybrid_pose_ros.nodes.support.boundary import StartError
from hybrid_pose_ros.nodes.support.health import Level
from hybrid_pose_ros.skeleton import joint_id

pytestmark = pytest.mark.usefixtures("asked_only")

HEADER = Header(stamp=stamp_from_ns(7), frame_id="world")
LATCHED = profile(Quality(1, latched=True))
STATES, DESCRIPTION = "/humans/bodies/body/joint_states", "/humans/bodies/body/robot_description"
TALL = BodyLengths(0.26, 0.44, 0.41, 0.27, 0.34, 0.33, 0.52, 0.55)


def person(**angles: float) -> NDArray[np.float64]:
    """The joints (m) of a tall person at these angles (deg)."""
    values = np.zeros(len(ANGLES))
    for name, angle in angles.items():
        values[ANGLES.index(name)] = radians(angle)
    return forward_kinematics(BodyPose(np.array((1.0, 2.0, 1.0)), np.eye(3), values), TALL)


def positions(state: JointState) -> dict[str, float]:
    return dict(zip(state.name, np.degrees(state.position), strict=True))


def length_of(urdf: str, joint: str) -> float:
    """Return the distance of a joint from its parent's, in m."""
    origin = ElementTree.fromstring(urdf).find(f"joint[@name='{joint}']/origin")
    assert origin is not None
    return float(np.linalg.norm(np.array(origin.attrib["xyz"].split(), float)))


def test_joint_states_have_the_angles_of_the_joints_that_are_known(bench: Any) -> None:
    node = bench.run(HumanModelNode)
    poses = bench.publisher(PoseKeypoints3D, "pose_3d", profile(POSE_3D.offered))
    states = bench.collect(JointState, STATES, profile(POSE_3D.offered))
    message = ground_truth_message(person(l_elbow=70, r_r_hip=30, r_knee=-40), 7, HEADER)
    message.keypoints[joint_id("left_knee")].confidence = 0.05
    poses.publish(message)
    bench.until(lambda: states)
    assert states[0].header == HEADER
    found = positions(states[0])
    legs = {f"l_{name}_body" for name in ("y_hip", "p_hip", "r_hip", "knee")}
    assert found.keys() == {f"{name}_body" for name in ANGLES} - legs
    expected = {"l_elbow_body": 70, "r_r_hip_body": 30, "r_knee_body": -40}
    assert found == pytest.approx(dict.fromkeys(found, 0.0) | expected, abs=1e-4)
    hidden = person()
    hidden[joint_id("left_hip")] = np.nan
    poses.publish(ground_truth_message(hidden, 8, HEADER))  # nothing can be said about it
    straight = person(l_p_shoulder=60, l_r_shoulder=40, l_elbow=15)  # less than 20
    poses.publish(ground_truth_message(straight, 9, HEADER))
    bench.until(lambda: len(states) == 2)
    found = positions(states[1])
    assert found["l_p_shoulder_body"] == pytest.approx(60, abs=1e-4)
    assert found["l_r_shoulder_body"] == 0
    assert 0 < found["l_elbow_body"] < 15
    report = bench.report(node)
    assert report.level == Level.OK
    assert report.values["lengths"] == "of an adult"


def test_the_urdf_gets_the_lengths_of_the_person(bench: Any) -> None:
    node = bench.run(HumanModelNode, measured_poses=3, body_id="b1")
    poses = bench.publisher(PoseKeypoints3D, "pose_3d", profile(POSE_3D.offered))
    name = DESCRIPTION.replace("/body/", "/b1/")
    first = bench.collect(String, name, LATCHED)
    bench.until(lambda: first)  # for those who come later, too
    assert length_of(first[0].data, "l_knee_b1") == BodyLengths().thigh
    for angle in (10, 20, 30):
        poses.publish(ground_truth_message(person(l_elbow=angle), angle, HEADER))
    bench.until(lambda: len(first) == 2)
    for joint, length in (("l_knee", "thigh"), ("r_wrist", "forearm"), ("head", "neck")):
        assert length_of(first[1].data, f"{joint}_b1") == pytest.approx(getattr(TALL, length))
    assert bench.report(node).values["lengths"] == "measured"

    # another person
    client = bench.probe.create_client(Trigger, "human_model/measure")
    bench.until(client.service_is_ready)
    answer = client.call_async(Trigger.Request())
    bench.until(answer.done)
    assert answer.result().success
    for angle in (10, 20, 30):
        poses.publish(ground_truth_message(person(l_elbow=angle) / 2, angle, HEADER))
    bench.until(lambda: len(first) == 3)
    assert length_of(first[2].data, "l_knee_b1") == pytest.approx(TALL.thigh / 2)


@pytest.mark.parametrize(("wanted", "count"), [("body", 1), ("links", 27)])
def test_frames_on_request(bench: Any, frames: list[Any], wanted: str, count: int) -> None:
    bench.run(HumanModelNode, frames=wanted)
    poses = bench.publisher(PoseKeypoints3D, "pose_3d", profile(POSE_3D.offered))
    poses.publish(ground_truth_message(person(), 7, HEADER))
    bench.until(lambda: frames)
    body, *links = frames[0].transforms
    assert body.header == HEADER
    assert body.child_frame_id == "body_body"
    move = body.transform.translation
    assert (move.x, move.y, move.z) == pytest.approx((1, 2, 1))
    assert 1 + len(links) == count


def test_an_identifier_must_fit_into_a_name(bench: Any) -> None:
    node = bench.run(HumanModelNode, start=False, body_id="2nd")
    with pytest.raises(StartError, match="body_id"):
        node.start()


def test_without_tf2_msgs_frames_are_refused(bench: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tf2_msgs", None)
    node = bench.run(HumanModelNode, start=False, frames="links")
    with pytest.raises(StartError, match="tf2_msgs is not installed"):
        node.start()
