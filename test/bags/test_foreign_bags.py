# SPDX-License-Identifier: Apache-2.0
"""Bags that others write: older formats, other messages, without index, packed one by one."""

import sqlite3
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin, Writer
from rosbags.typesys import get_types_from_msg
from rosbags.typesys.store import Typestore

from hybrid_pose_ros.bags.bag import BagError, read_raw, topic_types
from hybrid_pose_ros.bags.contents import inspect_bag
from hybrid_pose_ros.bags.dvs import packet_of_event_array
from hybrid_pose_ros.bags.event_topic import EventTopic
from hybrid_pose_ros.events.array import EventArray, make_events
from hybrid_pose_ros.events.encodings import MalformedPacketError, encode
from hybrid_pose_ros.events.stream import PacketReader
from hybrid_pose_ros.interfaces.cdr import read_packet, serialised_packet
from hybrid_pose_ros.interfaces.topics import EVENTS_TYPE
from hybrid_pose_ros.msg import EventPacket

TOPICS = ("/cam0/events", "/cam1/events")
COUNT = 6
START_NS = 10**18


def events_of(camera: int, seq: int) -> EventArray:
    index = np.arange(40)
    t = (seq * 10 + camera) * 1_000_000 + index * 1000
    return make_events(t, (index + seq) % 346, index, index % 2 == 0)


def packet(camera: int, seq: int) -> bytes:
    encoded = encode("mono", events_of(camera, seq))
    return serialised_packet(
        encoded,
        stamp_ns=START_NS + seq,
        frame_id=f"cam{camera}",
        width=346,
        height=260,
        seq=seq,
        encoding="mono",
    )


def all_events(camera: int) -> EventArray:
    return np.concatenate([events_of(camera, seq) for seq in range(COUNT)])


def check_events(path: Path, store: Typestore) -> None:
    for camera, topic in enumerate(TOPICS):
        found = np.concatenate(list(EventTopic(path, topic, store).events()))
        np.testing.assert_array_equal(found, all_events(camera))


def write_packed(path: Path, store: Typestore) -> None:
    """Write a sqlite3 bag whose messages are compressed one by one."""
    writer = Writer(path, version=8, storage_plugin=StoragePlugin.SQLITE3)
    writer.set_compression(CompressionMode.MESSAGE, CompressionFormat.ZSTD)
    with writer:
        links = [writer.add_connection(name, EVENTS_TYPE, typestore=store) for name in TOPICS]
        for seq in range(COUNT):
            for camera, link in enumerate(links):
                writer.write(link, START_NS + seq, packet(camera, seq))


@pytest.mark.parametrize("opened", ["folder", "file"])
def test_messages_that_are_compressed_one_by_one_are_read(
    tmp_path: Path, store: Typestore, opened: str
) -> None:
    bag = tmp_path / "packed"
    write_packed(bag, store)
    check_events(bag if opened == "folder" else bag / "packed.db3", store)


def write_humble(path: Path, *, told: int = COUNT) -> None:
    """Write a bag as Humble does: version 5, a database of the second schema, no definitions."""
    path.mkdir()
    database = sqlite3.connect(path / "humble_0.db3")
    database.executescript(
        "CREATE TABLE schema(schema_version INTEGER PRIMARY KEY, ros_distro TEXT NOT NULL);"
        "CREATE TABLE metadata(id INTEGER PRIMARY KEY, metadata_version INTEGER NOT NULL,"
        " metadata TEXT NOT NULL);"
        "CREATE TABLE topics(id INTEGER PRIMARY KEY, name TEXT NOT NULL, type TEXT NOT NULL,"
        " serialization_format TEXT NOT NULL, offered_qos_profiles TEXT NOT NULL);"
        "CREATE TABLE messages(id INTEGER PRIMARY KEY, topic_id INTEGER NOT NULL,"
        " timestamp INTEGER NOT NULL, data BLOB NOT NULL);"
        "INSERT INTO schema VALUES (3, 'humble');"
    )
    for camera, name in enumerate(TOPICS):
        database.execute(
            "INSERT INTO topics VALUES (?, ?, 'event_camera_msgs/msg/EventPacket', 'cdr', '')",
            (camera + 1, name),
        )
        for seq in range(COUNT):
            row = (camera + 1, START_NS + seq, packet(camera, seq))
            database.execute(
                "INSERT INTO messages (topic_id, timestamp, data) VALUES (?, ?, ?)", row
            )
    database.commit()
    database.close()
    topics = "".join(
        f"""
    - topic_metadata: {{name: {name}, type: event_camera_msgs/msg/EventPacket,
        serialization_format: cdr, offered_qos_profiles: ""}}
      message_count: {told}"""
        for name in TOPICS
    )
    (path / "metadata.yaml").write_text(
        f"""rosbag2_bagfile_information:
  version: 5
  storage_identifier: sqlite3
  duration: {{nanoseconds: {COUNT - 1}}}
  starting_time: {{nanoseconds_since_epoch: {START_NS}}}
  message_count: {2 * told}
  topics_with_message_count:{topics}
  compression_format: ""
  compression_mode: ""
  relative_file_paths: [humble_0.db3]
"""
    )


def test_bags_of_humble_need_no_definitions(tmp_path: Path, store: Typestore) -> None:
    write_humble(tmp_path / "humble")
    check_events(tmp_path / "humble", store)
    assert inspect_bag(tmp_path / "humble").cameras == ("/cam0", "/cam1")


def test_less_than_the_bag_says_is_an_error_that_names_both(tmp_path: Path) -> None:
    bag = tmp_path / "humble"
    write_humble(bag, told=COUNT + 3)
    reason = f"{COUNT} messages in /cam0/events were read, but .* holds {COUNT + 3}; .*recover"
    with pytest.raises(BagError, match=reason):
        list(read_raw(bag, TOPICS))


def record(kind: int, content: bytes) -> bytes:
    return struct.pack("<BQ", kind, len(content)) + content


def text(words: str) -> bytes:
    return struct.pack("<I", len(words)) + words.encode()


def write_unindexed(path: Path, order: list[tuple[int, int]], step_ns: int = 1) -> None:
    """Write an mcap file of bare messages, (camera, seq) in this order."""
    parts = [b"\x89MCAP0\r\n", record(1, text("ros2") + text("by hand"))]
    schema = struct.pack("<H", 1) + text(EVENTS_TYPE) + text("") + text("")
    parts.append(record(3, schema))
    for camera, name in enumerate(TOPICS):
        channel = struct.pack("<HH", camera, 1) + text(name) + text("cdr") + text("")
        parts.append(record(4, channel))
    for camera, seq in order:
        stamp = START_NS + seq * step_ns
        head = struct.pack("<HIQQ", camera, seq, stamp, stamp)
        parts.append(record(5, head + packet(camera, seq)))
    parts += [record(15, bytes(4)), record(2, bytes(20)), b"\x89MCAP0\r\n"]
    path.write_bytes(b"".join(parts))


def test_two_topics_without_index_are_put_in_order(tmp_path: Path, store: Typestore) -> None:
    path = tmp_path / "unindexed.mcap"
    write_unindexed(path, [(camera, seq) for camera in (0, 1) for seq in range(COUNT)])
    stamps = [message.stamp_ns for message in read_raw(path, TOPICS)]
    assert stamps == sorted(stamps) and len(stamps) == 2 * COUNT
    check_events(path, store)


def test_far_out_of_order_without_index_says_what_to_do(tmp_path: Path) -> None:
    path = tmp_path / "unindexed.mcap"
    order = [(camera, seq) for camera in (0, 1) for seq in range(COUNT)]
    write_unindexed(path, order, step_ns=10**10)
    with pytest.raises(BagError, match=r"out of order by more than 10 s; .*convert recover"):
        list(read_raw(path, TOPICS))


DVS_EVENT = "uint16 x\nuint16 y\nbuiltin_interfaces/Time ts\nbool polarity\n"
DVS_ARRAY = "std_msgs/Header header\nuint32 height\nuint32 width\ndvs_msgs/Event[] events\n"


@pytest.fixture
def dvs_store() -> Typestore:
    """A store of its own that knows dvs_msgs, too."""
    from rosbags.typesys import Stores, get_typestore

    store = get_typestore(Stores.ROS2_JAZZY)
    store.register(get_types_from_msg(DVS_EVENT, "dvs_msgs/msg/Event"))
    store.register(get_types_from_msg(DVS_ARRAY, "dvs_msgs/msg/EventArray"))
    return store


def event_array(store: Typestore, events: EventArray, frame_id: str = "dvs") -> bytes:
    time, event = store.types["builtin_interfaces/msg/Time"], store.types["dvs_msgs/msg/Event"]
    rows = [
        event(
            x=int(row["x"]),
            y=int(row["y"]),
            ts=time(sec=int(row["t"]) // 10**9, nanosec=int(row["t"]) % 10**9),
            polarity=bool(row["polarity"]),
        )
        for row in events
    ]
    header = store.types["std_msgs/msg/Header"](stamp=time(sec=7, nanosec=8), frame_id=frame_id)
    array: Any = store.types["dvs_msgs/msg/EventArray"](
        header=header, height=260, width=346, events=rows
    )
    return bytes(store.serialize_cdr(array, "dvs_msgs/msg/EventArray"))


@pytest.mark.parametrize("frame_id", ["", "d", "dv", "dvs", "dvs0"])
@pytest.mark.parametrize("count", [0, 1, 2, 40])
def test_an_event_array_is_a_packet_of_the_same_events(
    dvs_store: Typestore, store: Typestore, count: int, frame_id: str
) -> None:
    events = events_of(0, 3)[:count]
    data = packet_of_event_array(event_array(dvs_store, events, frame_id), 5)
    message: Any = store.deserialize_cdr(data, EVENTS_TYPE)
    assert (message.width, message.height, message.seq) == (346, 260, 5)
    assert message.header.frame_id == frame_id
    assert (message.header.stamp.sec, message.header.stamp.nanosec) == (7, 8)
    expected = encode("mono", events)
    assert (message.time_base, bytes(message.events)) == (expected.time_base, expected.data)


@pytest.mark.parametrize("size", [0, 3, 20, 60])
def test_what_is_no_event_array_is_a_packet_that_is_refused(
    dvs_store: Typestore, size: int
) -> None:
    whole = event_array(dvs_store, events_of(0, 0))
    with pytest.raises(MalformedPacketError, match="impossible sensor size 0x0"):
        PacketReader().read(read_packet(packet_of_event_array(whole[:size], 0), EventPacket))


def test_one_time_out_of_order_in_an_event_array_is_held(dvs_store: Typestore) -> None:
    events = events_of(0, 1)
    expected = events.copy()
    events["t"][7], expected["t"][7] = 10**15, expected["t"][6]
    packet = packet_of_event_array(event_array(dvs_store, events), 0)
    found = PacketReader().read(read_packet(packet, EventPacket))
    np.testing.assert_array_equal(found, expected)


def test_bags_of_dvs_msgs_are_read_as_packets(
    tmp_path: Path, dvs_store: Typestore, store: Typestore
) -> None:
    bag = tmp_path / "dvs"
    with Writer(bag, version=9, storage_plugin=StoragePlugin.MCAP) as writer:
        for camera, name in enumerate(TOPICS):
            link = writer.add_connection(name, "dvs_msgs/msg/EventArray", typestore=dvs_store)
            for seq in range(COUNT):
                writer.write(link, START_NS + seq, event_array(dvs_store, events_of(camera, seq)))
    assert topic_types(bag) == dict.fromkeys(TOPICS, (EVENTS_TYPE, COUNT))
    assert inspect_bag(bag).cameras == ("/cam0", "/cam1")
    check_events(bag, store)


def test_a_bag_without_metadata_says_how_to_recover(tmp_path: Path, store: Typestore) -> None:
    bag = tmp_path / "packed"
    write_packed(bag, store)
    (bag / "metadata.yaml").unlink()
    with pytest.raises(BagError, match=r"no metadata.yaml\); `hybrid-pose convert recover`"):
        inspect_bag(bag)
    with pytest.raises(BagError) as caught:
        inspect_bag(tmp_path / "none")
    assert "recover" not in str(caught.value)
