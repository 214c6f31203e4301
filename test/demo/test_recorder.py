# SPDX-License-Identifier: Apache-2.0
"""The recording process against a real publisher."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import rclpy
from rclpy.node import Node
from rclpy.serialization import deserialize_message
from rosbags.rosbag2 import Reader

from hybrid_pose_ros.bags.bag import RawMessage
from hybrid_pose_ros.demo.domain import free_domain_id
from hybrid_pose_ros.demo.recorder import Recorder, RecorderError
from hybrid_pose_ros.interfaces.qos import profile
from hybrid_pose_ros.interfaces.topics import EVENTS, POSE
from hybrid_pose_ros.msg import EventPacket, PoseKeypoints


@pytest.fixture
def node(monkeypatch: pytest.MonkeyPatch) -> Iterator[Node]:
    monkeypatch.setenv("ROS_DOMAIN_ID", str(free_domain_id()))
    monkeypatch.setenv("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
    rclpy.init()
    try:
        yield rclpy.create_node("publisher")
    finally:
        rclpy.try_shutdown()


def until(condition: Callable[[], bool], seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "nothing came in time"
        time.sleep(0.02)


def read(item: RawMessage) -> PoseKeypoints:
    # Not compared as bytes: the padding in what serialize_message returns is arbitrary.
    return deserialize_message(item.data, PoseKeypoints)


def test_arrivals_are_handed_on_and_written_byte_for_byte(
    node: Node, tmp_path: Path, share: Path
) -> None:
    events = node.create_publisher(EventPacket, "/cam0/events", profile(EVENTS.offered))
    poses = node.create_publisher(PoseKeypoints, "/cam0/pose", profile(POSE.offered))
    sent = [PoseKeypoints(sensor_time=step) for step in range(1, 21)]
    arrived: list[RawMessage] = []

    def both_came() -> bool:
        # A publisher knows of a subscriber before the subscriber knows of it.
        events.publish(EventPacket(events=bytes(1000)))
        poses.publish(PoseKeypoints())
        arrived.extend(recorder.take())
        return {item.topic for item in arrived} == {"/cam0/events", "/cam0/pose"}

    before = time.time_ns()
    with Recorder("/cam0", tmp_path / "bag", share, ["/cam0/pose"]) as recorder:
        until(both_came)
        for pose in sent:
            poses.publish(pose)

        def last_came() -> bool:
            arrived.extend(recorder.take())
            return any(read(item) == sent[-1] for item in arrived if item.data)

        until(last_came)
    after = time.time_ns()
    assert recorder.end is not None
    assert (recorder.end.dropped, recorder.end.failure) == (0, None)
    # The content of events is not handed on, only that they came.
    assert {item.data for item in arrived if item.topic == "/cam0/events"} == {b""}
    handed_on = [item.data for item in arrived if item.topic == "/cam0/pose"]
    assert [read(item) for item in arrived if item.data][-20:] == sent
    assert all(before < item.stamp_ns < after for item in arrived)
    with Reader(tmp_path / "bag") as reader:
        written = [(link.topic, stamp, bytes(data)) for link, stamp, data in reader.messages()]
    poses_written = [data for topic, _, data in written if topic == "/cam0/pose"]
    assert poses_written == handed_on
    packets = [data for topic, _, data in written if topic == "/cam0/events"]
    assert all(
        deserialize_message(d, EventPacket).events.tobytes() == bytes(1000) for d in packets
    )
    assert sorted((t, s) for t, s, _ in written) == sorted((i.topic, i.stamp_ns) for i in arrived)


def test_a_recording_that_cannot_be_written_is_reported(
    node: Node, tmp_path: Path, share: Path
) -> None:
    (tmp_path / "bag").mkdir()
    try:
        with Recorder("/cam0", tmp_path / "bag", share, []) as recorder:
            until(lambda: recorder.end is not None)
        failure = recorder.end.failure if recorder.end else None
    except RecorderError as error:  # It may be known before the recorder is ready.
        failure = str(error)
    assert failure is not None
    assert str(tmp_path / "bag") in failure


def test_a_recorder_that_is_killed_is_noticed(node: Node, tmp_path: Path, share: Path) -> None:
    with Recorder("/cam0", tmp_path / "bag", share, []) as recorder:
        recorder.process.kill()
        until(lambda: recorder.end is not None)
    assert recorder.end is not None
    assert recorder.end.failure == "the recorder ended with code -9"
