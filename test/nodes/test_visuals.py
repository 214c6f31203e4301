# SPDX-License-Identifier: Apache-2.0
"""What RViz is given."""

from typing import Any

import numpy as np
import pytest
from sensor_msgs.msg import Image, PointCloud2
from std_msgs.msg import Header
from visualization_msgs.msg import Marker, MarkerArray

from hybrid_pose_ros.events.array import empty_events, make_events
from hybrid_pose_ros.interfaces.messages import Sensor, pose_message
from hybrid_pose_ros.interfaces.qos import profile
from hybrid_pose_ros.interfaces.topics import EVENTS, MARKERS, POSE
from hybrid_pose_ros.interfaces.visuals import (
    CLOUD_FIELDS,
    cloud_message,
    image_message,
    skeleton_markers,
)
from hybrid_pose_ros.msg import EventPacket, PoseKeypoints
from hybrid_pose_ros.nodes.visualizer import VisualizerNode
from hybrid_pose_ros.pipeline.state import Pose
from hybrid_pose_ros.skeleton import LIMBS, NUM_JOINTS, joint_id

HEADER = Header(frame_id="cam")
SENSOR = Sensor(347, 261)


def pose(confidence: float = 1.0) -> Pose:
    keypoints = np.full((NUM_JOINTS, 2), (173, 130), np.float32)
    keypoints[joint_id("head")] = (173, 30)
    return Pose(0, keypoints, np.full(NUM_JOINTS, confidence, np.float32), "snn", 1, 1)


def markers(pose: Pose) -> list[Marker]:
    array = skeleton_markers(pose, HEADER, SENSOR, metres_per_px=0.01, min_confidence=0.3)
    return list(array.markers)


def test_skeleton_lies_upright_around_the_origin() -> None:
    limbs, joints = markers(pose())
    assert (limbs.type, joints.type) == (Marker.LINE_LIST, Marker.SPHERE_LIST)
    assert (len(limbs.points), len(joints.points)) == (2 * len(LIMBS), NUM_JOINTS)
    head = joints.points[joint_id("head")]
    assert (head.x, head.y, head.z) == pytest.approx((0, 1, 0))
    for marker in (limbs, joints):
        assert marker.header == HEADER
        assert 0 < marker.lifetime.nanosec < 10**9
        assert len(marker.colors) == len(marker.points)
        assert marker.action == Marker.ADD
    assert limbs.id != joints.id


def test_unsure_joints_and_their_limbs_are_left_out() -> None:
    estimate = pose()
    estimate.confidence[joint_id("head")] = 0.1
    estimate.keypoints[joint_id("left_foot")] = np.nan
    limbs, joints = markers(estimate)
    assert len(joints.points) == NUM_JOINTS - 2
    assert len(limbs.points) == 2 * (len(LIMBS) - 3)
    assert all(marker.action == Marker.DELETE for marker in markers(pose(confidence=0.0)))


def test_cloud_layout() -> None:
    events = make_events([10**9, 1_050_000_000], [173, 273], [130, 30], [True, False])
    cloud = cloud_message(events, HEADER, SENSOR, metres_per_px=0.01, metres_per_s=2.0)
    assert tuple(field.name for field in cloud.fields) == CLOUD_FIELDS
    assert (cloud.point_step, cloud.row_step, cloud.width, cloud.height) == (20, 40, 2, 1)
    points = np.frombuffer(cloud.data, "<f4").reshape(2, 5)
    np.testing.assert_allclose(points, [[0, 0, -0.1, -0.05, 1], [1, 1, 0, 0, 0]], atol=1e-6)
    empty = cloud_message(empty_events(), HEADER, SENSOR, metres_per_px=1.0, metres_per_s=1.0)
    assert (empty.width, len(empty.data)) == (0, 0)


def test_cloud_is_what_sensor_msgs_py_reads_and_makes() -> None:
    point_cloud2 = pytest.importorskip("sensor_msgs_py.point_cloud2")
    events = make_events([5, 10], [1, 2], [3, 4], [True, False])
    cloud = cloud_message(events, HEADER, SENSOR, metres_per_px=0.01, metres_per_s=2.0)
    points = point_cloud2.read_points_numpy(cloud)
    made = point_cloud2.create_cloud(HEADER, cloud.fields, points)
    made.is_dense = True
    assert made == cloud


def test_image_layout() -> None:
    image = np.arange(24, dtype=np.uint8).reshape(2, 4, 3)
    message = image_message(image, HEADER)
    assert (message.height, message.width, message.step) == (2, 4, 12)
    assert message.encoding == "rgb8"
    assert bytes(message.data) == bytes(range(24))


def test_the_node_draws_what_is_looked_at(bench: Any) -> None:
    node = bench.run(VisualizerNode, scale=1)
    events = bench.publisher(EventPacket, "events", profile(EVENTS.offered))
    poses = bench.publisher(PoseKeypoints, "pose", profile(POSE.offered))
    images = bench.collect(Image, "overlay", profile(MARKERS.offered))
    clouds = bench.collect(PointCloud2, "cloud", profile(MARKERS.offered))
    arrays = bench.collect(MarkerArray, "markers", profile(MARKERS.offered))
    bench.until(lambda: node._events_wanted)
    events.publish(bench.packet(0, 4))
    bench.until(lambda: images and clouds)
    assert arrays == []
    assert (images[0].width, images[0].height) == (346, 260)
    assert images[0].header.frame_id == "cam"
    assert clouds[0].width == 80
    plain = bytes(images[-1].data)

    def skeleton_is_shown() -> bool:
        poses.publish(pose_message(pose(), HEADER, Sensor(346, 260)))
        return bool(arrays) and bytes(images[-1].data) != plain

    bench.until(skeleton_is_shown)
    assert len(arrays[0].markers) == 2
    # without new poses the skeleton is not shown for ever
    bench.until(lambda: bytes(images[-1].data) == plain)
    # and events of another sensor are refused
    events.publish(bench.packet(4, width=640))
    bench.until(lambda: bench.report(node).values["messages refused"] == "1")


def test_the_node_draws_while_the_time_of_a_bag_stands_still(bench: Any) -> None:
    bench.run(VisualizerNode, use_sim_time=True)  # and nobody publishes /clock
    poses = bench.publisher(PoseKeypoints, "pose", profile(POSE.offered))
    arrays = bench.collect(MarkerArray, "markers", profile(MARKERS.offered))

    def markers_come() -> bool:
        poses.publish(pose_message(pose(), HEADER, Sensor(346, 260)))
        return bool(arrays)

    bench.until(markers_come, seconds=20)
