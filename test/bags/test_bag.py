# SPDX-License-Identifier: Apache-2.0
from pathlib import Path

import pytest
from rclpy.serialization import serialize_message
from rosbags.highlevel import AnyReader
from rosbags.interfaces import QosDurability, QosHistory, QosReliability
from rosbags.rosbag2 import Reader

from hybrid_pose_ros.bags import writer as writer_module
from hybrid_pose_ros.bags.bag import BagError, RawMessage, make_typestore, read_bag
from hybrid_pose_ros.bags.writer import BagRecorder
from hybrid_pose_ros.interfaces.topics import (
    EVENTS,
    LATCHED_CAMERA_INFO,
    POSE,
    Topic,
    camera_topics,
)
from hybrid_pose_ros.msg import EventPacket, PoseKeypoints, StateInit, StateTensor

TOPICS = camera_topics("/cam0")


def pose() -> PoseKeypoints:
    message = PoseKeypoints(sensor_time=123_000_000, width=346, height=260, init_age=-1)
    message.source = PoseKeypoints.SNN
    message.keypoints[12].id = 12
    message.keypoints[12].x = 1.5
    return message


def init() -> StateInit:
    tensor = StateTensor(name="head", shape=[1, 2, 3], dtype="float16", data=bytes(range(12)))
    return StateInit(model_id="abc", tensors=[tensor], pose=pose())


def write(path: Path, share: Path) -> list[RawMessage]:
    packet = EventPacket(width=346, height=260, encoding="mono", events=bytes(range(256)))
    messages = [
        RawMessage("/cam0/events", 1_000, serialize_message(packet)),
        RawMessage("/cam0/pose", 2_000, serialize_message(pose())),
        RawMessage("/cam0/state_init", 3_000, serialize_message(init())),
        RawMessage("/cam0/pose", 4_000, serialize_message(PoseKeypoints())),
    ]
    with BagRecorder(path, TOPICS, make_typestore(share)) as writer:
        for message in messages:
            writer.put(message)
    assert writer.failure is None
    assert writer.dropped == 0
    return messages


def test_the_bytes_come_back_as_they_were_received(tmp_path: Path, share: Path) -> None:
    messages = write(tmp_path / "bag", share)
    with Reader(tmp_path / "bag") as reader:
        found = [
            RawMessage(link.topic, stamp, bytes(data)) for link, stamp, data in reader.messages()
        ]
    assert found == messages


def test_a_reader_that_does_not_know_our_types_can_read_them(tmp_path: Path, share: Path) -> None:
    write(tmp_path / "bag", share)
    with AnyReader([tmp_path / "bag"]) as reader:
        read = {
            link.topic: reader.deserialize(data, link.msgtype)
            for link, stamp, data in reader.messages()
            if stamp < 4_000
        }
    assert bytes(read["/cam0/events"].events) == bytes(range(256))
    assert read["/cam0/pose"].keypoints[12].x == 1.5
    assert read["/cam0/pose"].source == read["/cam0/pose"].SNN == PoseKeypoints.SNN
    (tensor,) = read["/cam0/state_init"].tensors
    assert (tensor.name, list(tensor.shape)) == ("head", [1, 2, 3])
    assert bytes(tensor.data) == bytes(range(12))
    assert read["/cam0/state_init"].pose.init_age == -1


def test_all_topics_are_listed_with_what_their_publishers_offer(
    tmp_path: Path, share: Path
) -> None:
    write(tmp_path / "bag", share)
    with Reader(tmp_path / "bag") as reader:
        links = {link.topic: link for link in reader.connections}
    assert links.keys() == {topic.name for topic in TOPICS}
    assert links["/cam0/overlay"].msgtype == "sensor_msgs/msg/Image"
    for topic in TOPICS:
        (offered,) = links[topic.name].ext.offered_qos_profiles
        assert offered.depth == topic.offered.depth
        assert offered.history == QosHistory.KEEP_LAST
        assert offered.reliability == QosReliability.RELIABLE


def test_what_a_publisher_offers_becomes_that_of_the_bag(tmp_path: Path, share: Path) -> None:
    expected = (
        (POSE.offered, QosReliability.RELIABLE, QosDurability.VOLATILE),
        (EVENTS.wanted, QosReliability.BEST_EFFORT, QosDurability.VOLATILE),
        (LATCHED_CAMERA_INFO.offered, QosReliability.RELIABLE, QosDurability.TRANSIENT_LOCAL),
    )
    topics = [Topic(f"/x{i}", POSE.type, quality) for i, (quality, *_) in enumerate(expected)]
    with BagRecorder(tmp_path / "bag", topics, make_typestore(share)):
        pass
    with Reader(tmp_path / "bag") as reader:
        links = sorted(reader.connections, key=lambda link: link.topic)
    for link, (quality, reliability, durability) in zip(links, expected, strict=True):
        (offered,) = link.ext.offered_qos_profiles
        assert (offered.reliability, offered.durability) == (reliability, durability)
        assert offered.depth == quality.depth


def test_reading_picks_topics_in_order_of_arrival(tmp_path: Path, share: Path) -> None:
    write(tmp_path / "bag", share)
    store = make_typestore(share)
    found = list(read_bag(tmp_path / "bag", store, ["/cam0/pose", "/not/there"]))
    assert [(topic, stamp) for topic, stamp, _ in found] == [
        ("/cam0/pose", 2_000),
        ("/cam0/pose", 4_000),
    ]
    assert found[0][2].sensor_time == 123_000_000
    assert list(read_bag(tmp_path / "bag", store, ["/not/there"])) == []


def test_written_messages_are_handed_on(tmp_path: Path, share: Path) -> None:
    seen: list[RawMessage] = []
    message = RawMessage("/cam0/pose", 7, serialize_message(pose()))
    with BagRecorder(tmp_path / "b", TOPICS, make_typestore(share), written=seen.extend) as writer:
        writer.put(message)
    assert seen == [message]


def test_what_cannot_wait_is_dropped_and_counted(
    tmp_path: Path, share: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer_module, "MAX_PENDING_BYTES", 100)
    with BagRecorder(tmp_path / "bag", TOPICS, make_typestore(share)) as writer:
        writer.put(RawMessage("/cam0/pose", 1, serialize_message(pose())))  # larger than 100 bytes
        writer.put(RawMessage("/diagnostics", 2, bytes(100)))
    assert writer.dropped == 1
    with Reader(tmp_path / "bag") as reader:
        assert [stamp for _, stamp, _ in reader.messages()] == [2]


def test_a_bag_that_exists_is_not_overwritten(tmp_path: Path, share: Path) -> None:
    before = write(tmp_path / "bag", share)
    with BagRecorder(tmp_path / "bag", TOPICS, make_typestore(share)) as writer:
        pass
    assert writer.failure is not None
    assert str(tmp_path / "bag") in writer.failure
    with Reader(tmp_path / "bag") as reader:
        assert reader.message_count == len(before)


def test_a_bag_that_is_missing_or_damaged_is_named(tmp_path: Path, share: Path) -> None:
    store = make_typestore(share)
    with pytest.raises(BagError, match="nothing"):
        list(read_bag(tmp_path / "nothing", store, ["/cam0/pose"]))
    write(tmp_path / "bag", share)
    (tmp_path / "bag" / "metadata.yaml").write_text("rubbish")
    with pytest.raises(BagError, match="cannot be read"):
        list(read_bag(tmp_path / "bag", store, ["/cam0/pose"]))
