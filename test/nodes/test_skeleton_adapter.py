# SPDX-License-Identifier: Apache-2.0
"""Poses as 2D skeletons of REP-155, and as detections."""

import sys
import types
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose
from std_msgs.msg import Header

from hybrid_pose_ros.interfaces.messages import Sensor, pose_message, stamp_from_ns
from hybrid_pose_ros.interfaces.qos import profile
from hybrid_pose_ros.interfaces.rep155 import POINTS, rep155_skeleton
from hybrid_pose_ros.interfaces.topics import POSE, Topic
from hybrid_pose_ros.msg import PoseKeypoints
from hybrid_pose_ros.nodes.skeleton_adapter import SkeletonAdapterNode
from hybrid_pose_ros.nodes.support.boundary import StartError
from hybrid_pose_ros.pipeline.state import Pose
from hybrid_pose_ros.skeleton import JOINTS, NUM_JOINTS

# Constants of hri_msgs/msg/Skeleton2D (docs.ros.org, hri_msgs).
CONSTANTS = {
    "NOSE": 0,
    "NECK": 1,
    "RIGHT_SHOULDER": 2,
    "RIGHT_ELBOW": 3,
    "RIGHT_WRIST": 4,
    "LEFT_SHOULDER": 5,
    "LEFT_ELBOW": 6,
    "LEFT_WRIST": 7,
    "RIGHT_HIP": 8,
    "RIGHT_KNEE": 9,
    "RIGHT_ANKLE": 10,
    "LEFT_HIP": 11,
    "LEFT_KNEE": 12,
    "LEFT_ANKLE": 13,
    "LEFT_EYE": 14,
    "RIGHT_EYE": 15,
    "LEFT_EAR": 16,
    "RIGHT_EAR": 17,
}
WIDTH, HEIGHT = 200, 100


def pose(**changes: Any) -> Pose:
    """Joint j at pixel (10 j, 5 j) with confidence 0.5 + 0.03 j."""
    joints = np.arange(NUM_JOINTS)
    values = {
        "sensor_time_ns": 10_000_000,
        "keypoints": np.stack((10 * joints, 5 * joints), -1).astype(np.float32),
        "confidence": (0.5 + 0.03 * joints).astype(np.float32),
        "source": "snn",
        "steps_since_init": 1,
        "init_age_ns": 10_000_000,
    }
    return Pose(**(values | changes))


def test_points_are_those_of_the_message() -> None:
    assert {name: index for index, name in enumerate(POINTS)} == CONSTANTS


def test_every_joint_is_where_rep155_has_it() -> None:
    skeleton = rep155_skeleton(pose(), WIDTH, HEIGHT)
    names = {"hand": "wrist", "foot": "ankle", "head": "nose"}
    for joint, name in enumerate(JOINTS):
        side, _, part = name.rpartition("_")
        point = CONSTANTS[f"{side}_{names.get(part, part)}".strip("_").upper()]
        # the centre of pixel 0 lies half a pixel inside the image
        assert_allclose(
            skeleton.points[point], ((10 * joint + 0.5) / 200, (5 * joint + 0.5) / 100), rtol=1e-6
        )
        assert_allclose(skeleton.confidence[point], 0.5 + 0.03 * joint, rtol=1e-6)
    neck = CONSTANTS["NECK"]  # between joints 1 and 2
    assert_allclose(skeleton.points[neck], (15.5 / 200, 8.0 / 100), rtol=1e-6)
    assert_allclose(skeleton.confidence[neck], 0.53, rtol=1e-6)
    for name in ("LEFT_EYE", "RIGHT_EYE", "LEFT_EAR", "RIGHT_EAR"):
        assert skeleton.confidence[CONSTANTS[name]] == 0.0


def test_what_is_not_known_has_confidence_0() -> None:
    keypoints = pose().keypoints.copy()
    keypoints[0] = (-1.0, 5.0)  # the head has left the image
    skeleton = rep155_skeleton(pose(keypoints=keypoints), WIDTH, HEIGHT, min_confidence=0.55)
    assert skeleton.points.min() >= 0.0 and skeleton.points.max() <= 1.0
    # joint 1 (the right shoulder, 0.53) is too uncertain, and the neck with it
    for name in ("NOSE", "RIGHT_SHOULDER", "NECK"):
        assert skeleton.confidence[CONSTANTS[name]] == 0.0
        assert not skeleton.points[CONSTANTS[name]].any()
    assert skeleton.confidence[CONSTANTS["LEFT_SHOULDER"]] > 0.55


def test_corners_of_the_image_are_0_and_1() -> None:
    keypoints = np.full((NUM_JOINTS, 2), -0.5, np.float32)
    keypoints[1:] = (WIDTH - 0.5, HEIGHT - 0.5)
    skeleton = rep155_skeleton(pose(keypoints=keypoints), WIDTH, HEIGHT)
    assert skeleton.points[CONSTANTS["NOSE"]].tolist() == [0.0, 0.0]
    assert skeleton.points[CONSTANTS["LEFT_ANKLE"]].tolist() == [1.0, 1.0]
    assert skeleton.confidence[CONSTANTS["NOSE"]] == 0.5


@dataclass
class Point:
    """Fields of NormalizedPointOfInterest2D."""

    x: float
    y: float
    c: float


@dataclass
class Skeleton2D:
    """Fields of Skeleton2D."""

    header: Header
    skeleton: list[Point]


@dataclass
class IdsList:
    """Fields of IdsList."""

    ids: list[str]
    header: Header = field(default_factory=Header)


class Record:
    """A message of vision_msgs with the fields that are given, of those that it has."""

    fields: tuple[str, ...] = ()

    def __init__(self, **values: Any) -> None:
        assert values.keys() <= set(self.fields), f"{type(self).__name__} has no {values.keys()}"
        vars(self).update(values)


# Fields of vision_msgs 4 (Humble and later).
VISION = {
    "Point2D": ("x", "y"),
    "Pose2D": ("position", "theta"),
    "BoundingBox2D": ("center", "size_x", "size_y"),
    "ObjectHypothesis": ("class_id", "score"),
    "ObjectHypothesisWithPose": ("hypothesis", "pose"),
    "Detection2D": ("header", "results", "bbox", "id"),
    "Detection2DArray": ("header", "detections"),
}


@pytest.fixture
def published(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[Any]]:
    """Messages that a node publishes, by topic, made with stand-ins for those of others."""
    package = types.ModuleType("hri_msgs.msg")
    vars(package).update(Skeleton2D=Skeleton2D, IdsList=IdsList, NormalizedPointOfInterest2D=Point)
    monkeypatch.setitem(sys.modules, "hri_msgs", types.ModuleType("hri_msgs"))
    monkeypatch.setitem(sys.modules, "hri_msgs.msg", package)
    vision = types.ModuleType("vision_msgs.msg")
    vars(vision).update({name: type(name, (Record,), {"fields": VISION[name]}) for name in VISION})
    monkeypatch.setitem(sys.modules, "vision_msgs", types.ModuleType("vision_msgs"))
    monkeypatch.setitem(sys.modules, "vision_msgs.msg", vision)
    topics: dict[str, list[Any]] = {}
    offer = SkeletonAdapterNode.publish_to

    def publish_to(node: Any, topic: Topic) -> Any:
        messages = topics.setdefault(topic.name, [])
        publisher = offer(node, replace(topic, type="std_msgs/msg/Header"))

        def publish(message: Any) -> None:
            if publisher.is_activated:
                messages.append(message)

        return types.SimpleNamespace(
            publish=publish, wait_for_all_acked=publisher.wait_for_all_acked
        )

    monkeypatch.setattr(SkeletonAdapterNode, "publish_to", publish_to)
    return topics


def test_the_node_publishes_skeletons_and_who_is_tracked(
    bench: Any, published: dict[str, list[Any]]
) -> None:
    bench.run(SkeletonAdapterNode, body_id="b1", lost_after_s=0.3)
    poses = bench.publisher(PoseKeypoints, "pose", profile(POSE.offered))
    header = Header(stamp=stamp_from_ns(7), frame_id="cam")
    poses.publish(pose_message(pose(), header, Sensor(WIDTH, HEIGHT)))
    skeletons, lists = (
        published["/humans/bodies/b1/skeleton2d"],
        published["/humans/bodies/tracked"],
    )
    bench.until(lambda: skeletons)
    assert skeletons[0].header == header
    assert len(skeletons[0].skeleton) == 18
    wanted = rep155_skeleton(pose(), WIDTH, HEIGHT, 0.1)
    assert [(p.x, p.y) for p in skeletons[0].skeleton] == [*map(tuple, wanted.points.tolist())]
    assert [p.c for p in skeletons[0].skeleton] == wanted.confidence.tolist()
    assert lists[-1].ids == ["b1"]
    bench.until(lambda: lists[-1].ids == [])  # nobody comes any more


@pytest.mark.parametrize("end", ["trigger_deactivate", "trigger_shutdown", "stop"])
def test_nobody_is_tracked_by_a_node_that_has_ended(
    bench: Any, published: dict[str, list[Any]], end: str
) -> None:
    node = bench.run(SkeletonAdapterNode)
    poses = bench.publisher(PoseKeypoints, "pose", profile(POSE.offered))
    lists = published["/humans/bodies/tracked"]
    poses.publish(pose_message(pose(), Header(), Sensor(WIDTH, HEIGHT)))
    bench.until(lambda: lists and lists[-1].ids == ["body"])
    getattr(node, end)()
    assert lists[-1].ids == []
    count = len(lists)
    node.stop()
    assert len(lists) == count  # said once


@pytest.mark.parametrize("body_id", ["", "2nd", "a/b", "_x", "a-b", "körper"])
def test_an_identifier_must_fit_into_a_topic(
    bench: Any, published: dict[str, list[Any]], body_id: str
) -> None:
    node = bench.run(SkeletonAdapterNode, start=False, body_id=body_id)
    with pytest.raises(StartError, match="body_id"):
        node.start()


def test_a_person_is_a_box_around_the_joints_that_are_certain(
    bench: Any, published: dict[str, list[Any]]
) -> None:
    bench.run(SkeletonAdapterNode, packages="vision_msgs", min_confidence=0.6)
    assert list(published) == ["detections"]
    poses = bench.publisher(PoseKeypoints, "pose", profile(POSE.offered))
    header = Header(stamp=stamp_from_ns(7), frame_id="cam")
    found = published["detections"]
    poses.publish(pose_message(replace(pose(), id=3), header, Sensor(WIDTH, HEIGHT)))
    bench.until(lambda: found)
    [person] = found[0].detections
    assert found[0].header == person.header == header
    assert person.id == "3"
    [result] = person.results
    assert result.hypothesis.class_id == "person"
    # joints 4 (0.62) to 12 (0.86), at (10 j, 5 j)
    assert result.hypothesis.score == pytest.approx(0.74)
    assert (person.bbox.size_x, person.bbox.size_y) == (80, 40)
    centre = person.bbox.center
    assert (centre.position.x, centre.position.y, centre.theta) == (80, 40, 0)
    faint = pose(confidence=np.full(NUM_JOINTS, 0.59, np.float32))
    poses.publish(pose_message(faint, header, Sensor(WIDTH, HEIGHT)))
    bench.until(lambda: len(found) == 2)
    assert found[1].detections == []


def test_both_packages_at_once(bench: Any, published: dict[str, list[Any]]) -> None:
    bench.run(SkeletonAdapterNode, packages="both")
    poses = bench.publisher(PoseKeypoints, "pose", profile(POSE.offered))
    poses.publish(pose_message(pose(), Header(), Sensor(WIDTH, HEIGHT)))
    bench.until(lambda: all(published.values()))
    assert set(published) == {
        "detections",
        "/humans/bodies/body/skeleton2d",
        "/humans/bodies/tracked",
    }


@pytest.mark.parametrize("package", ["hri_msgs", "vision_msgs"])
def test_without_the_package_it_says_so(
    bench: Any, monkeypatch: pytest.MonkeyPatch, package: str
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    node = bench.run(SkeletonAdapterNode, start=False, packages=package)
    with pytest.raises(StartError, match=rf"{package} is not installed; install it"):
        node.start()


def test_the_real_messages_take_skeletons(bench: Any) -> None:
    messages = pytest.importorskip("hri_msgs.msg")
    assert {name: getattr(messages.Skeleton2D, name) for name in CONSTANTS} == CONSTANTS
    bench.run(SkeletonAdapterNode)
    poses = bench.publisher(PoseKeypoints, "pose", profile(POSE.offered))
    skeletons = bench.collect(
        messages.Skeleton2D, "/humans/bodies/body/skeleton2d", profile(POSE.offered)
    )
    poses.publish(pose_message(pose(), Header(), Sensor(WIDTH, HEIGHT)))
    bench.until(lambda: skeletons)
    assert len(skeletons[0].skeleton) == 18


def test_the_real_messages_take_detections(bench: Any) -> None:
    messages = pytest.importorskip("vision_msgs.msg")
    bench.run(SkeletonAdapterNode, packages="vision_msgs")
    poses = bench.publisher(PoseKeypoints, "pose", profile(POSE.offered))
    found = bench.collect(messages.Detection2DArray, "/detections", profile(POSE.offered))
    poses.publish(pose_message(pose(), Header(), Sensor(WIDTH, HEIGHT)))
    bench.until(lambda: found)
    assert found[0].detections[0].results[0].hypothesis.class_id == "person"
