# SPDX-License-Identifier: Apache-2.0
"""Recordings in bags: every event, in order, at the right time; or no bag at all."""

import itertools
import struct
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rclpy.serialization import deserialize_message
from rosbags.highlevel import AnyReader
from rosbags.interfaces import QosDurability
from rosbags.rosbag2 import Reader
from rosbags.rosbag2.writer import Writer
from rosbags.typesys import Stores, get_types_from_msg, get_typestore
from rosbags.typesys.store import Typestore
from scipy.spatial.transform import Rotation
from sensor_msgs.msg import CameraInfo

from hybrid_pose_ros.bags.bag import BagError, make_typestore
from hybrid_pose_ros.bags.convert import (
    CameraSetup,
    GroundTruth,
    Options,
    PacketCutter,
    host_base_ns,
    write_bag,
)
from hybrid_pose_ros.bags.event_topic import EventDigest, EventTopic
from hybrid_pose_ros.events.array import (
    EventArray,
    MalformedEventsError,
    empty_events,
    make_events,
)
from hybrid_pose_ros.events.encodings import ENCODINGS, encode
from hybrid_pose_ros.geometry.cameras import DHP19_LIKE, Camera, decompose
from hybrid_pose_ros.interfaces.messages import camera_from_info, header_at, joints_from_message
from hybrid_pose_ros.msg import EventPacket, PoseKeypoints3D

START_NS = 7_000_000_000
BASE_NS = 10**18
CAMERAS = [CameraSetup(346, 260, DHP19_LIKE[0]), CameraSetup(346, 260)]


class ListRecording:
    """Events of some cameras, in given batches."""

    trouble = ""

    def __init__(self, batches: Sequence[list[EventArray]]) -> None:
        self._batches = batches
        self.progress = 0.0

    def batches(self) -> Iterator[list[EventArray]]:
        for done, batch in enumerate(self._batches, 1):
            self.progress = done / len(self._batches)
            yield batch


def events_between(rng: np.random.Generator, count: int, start_ns: int, end_ns: int) -> EventArray:
    return make_events(
        np.sort(rng.integers(start_ns // 1000, end_ns // 1000, count)) * 1000,
        rng.integers(0, 346, count),
        rng.integers(0, 260, count),
        rng.random(count) < 0.5,
    )


@pytest.fixture
def batches() -> list[list[EventArray]]:
    """2.5 s of two cameras; the second one has a gap."""
    rng = np.random.default_rng(0)
    return [
        [
            events_between(rng, 4000, at, at + 100_000_000),
            events_between(rng, 0 if 5 <= k < 9 else 3000, at, at + 100_000_000),
        ]
        for k, at in enumerate(range(START_NS, START_NS + 2_500_000_000, 100_000_000))
    ]


@pytest.fixture
def truth() -> GroundTruth:
    joints = np.random.default_rng(1).normal(size=(250, 13, 3))
    joints[3, 7] = np.nan
    return GroundTruth(START_NS + np.arange(250) * 10_000_000, joints)


def read_all(path: Path) -> list[tuple[str, int, Any]]:
    with AnyReader([path]) as reader:
        return [
            (link.topic, stamp, reader.deserialize(data, link.msgtype))
            for link, stamp, data in reader.messages()
        ]


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("storage", ["mcap", "sqlite3"])
def test_every_event_is_in_the_bag_in_order(
    tmp_path: Path, store: Typestore, batches: list[list[EventArray]], encoding: str, storage: str
) -> None:
    options = Options(encoding=encoding, storage=storage, compress=storage == "mcap")
    shares: list[float] = []
    result = write_bag(
        tmp_path / "bag",
        ListRecording(batches),
        CAMERAS,
        store,
        options=options,
        progress=shares.append,
    )
    assert shares[-1] == 1.0
    for camera, (own, digest) in enumerate(
        zip(zip(*batches, strict=True), result.digests, strict=True)
    ):
        expected = np.concatenate(own)
        topic = EventTopic(tmp_path / "bag", f"/cam{camera}/events", store)
        assert (topic.width, topic.height) == (346, 260)
        found = list(topic.events())
        assert np.array_equal(np.concatenate(found), expected)
        assert (topic.damaged, topic.progress) == (0, 1.0)
        again = EventDigest()
        for events in found:
            again.update(events)
        assert (again.count, again.crc32) == (digest.count, digest.crc32)
        assert digest.count == len(expected)
    assert list((tmp_path).iterdir()) == [tmp_path / "bag"]


def test_the_digest_depends_on_order_and_every_field_but_not_on_pieces() -> None:
    events = events_between(np.random.default_rng(2), 100, 0, 10**9)

    def crc(*parts: EventArray) -> int:
        digest = EventDigest()
        for part in parts:
            digest.update(part)
        return digest.crc32

    whole = crc(events)
    assert whole == crc(events[:1], events[1:1], events[1:60], events[60:])
    assert whole != crc(events[60:], events[:60])
    padded = events.copy()
    padded.view(np.uint8).reshape(-1, 16)[:, 13:] = 255
    assert crc(padded) == whole
    for field in ("t", "x", "y", "polarity"):
        other = events.copy()
        other[field][50] ^= True
        assert crc(other) != whole
    # the number is a plain crc32 of 16 bytes per event, for others to check
    one = make_events([1], [2], [3], [True])
    assert crc(one) == zlib.crc32(struct.pack("<qHHB3x", 1, 2, 3, 1))


def test_messages_are_timed_as_a_camera_would_send_them(
    tmp_path: Path, store: Typestore, batches: list[list[EventArray]], truth: GroundTruth
) -> None:
    result = write_bag(tmp_path / "bag", ListRecording(batches), CAMERAS, store, truth=truth)
    messages = read_all(tmp_path / "bag")
    packets = [(topic, stamp, m) for topic, stamp, m in messages if topic.endswith("/events")]
    assert len(packets) == result.packets
    for topic, stamp, message in packets:
        assert stamp == message.header.stamp.sec * 10**9 + message.header.stamp.nanosec
        assert stamp - BASE_NS <= START_NS + 2_500_000_000
        assert (stamp - BASE_NS) % 5_000_000 == 0
        assert stamp - 5_000_000 <= message.time_base + BASE_NS < stamp
        assert message.header.frame_id == f"{topic.split('/')[1]}_optical"
    for camera in (0, 1):
        seqs = [m.seq for topic, _, m in packets if topic == f"/cam{camera}/events"]
        assert seqs == list(range(len(seqs)))
    assert [stamp for _, stamp, _ in packets] == sorted(stamp for _, stamp, _ in packets)
    infos = [stamp for topic, stamp, _ in messages if topic == "/cam1/camera_info"]
    assert infos == [BASE_NS + START_NS + second * 10**9 for second in (0, 1, 2)]
    assert messages[0][0] == "/cam0/camera_info"
    labels = [
        (stamp, m.sensor_time, joints_from_message(m))
        for topic, stamp, m in messages
        if "ground_truth" in topic
    ]
    assert [stamp for stamp, _, _ in labels] == (BASE_NS + truth.sensor_ns).tolist()
    assert [sensor_ns for _, sensor_ns, _ in labels] == truth.sensor_ns.tolist()
    assert np.array_equal([joints for *_, joints in labels], truth.joints_m, equal_nan=True)
    assert result.labels == 250
    unknown = [m for topic, _, m in messages if "ground_truth" in topic][3]
    assert [point.confidence for point in unknown.keypoints] == [1.0] * 7 + [0.0] + [1.0] * 5


def test_labels_outside_of_the_events_time_are_left_out(
    tmp_path: Path, store: Typestore, batches: list[list[EventArray]], truth: GroundTruth
) -> None:
    result = write_bag(tmp_path / "bag", ListRecording(batches[2:5]), CAMERAS, store, truth=truth)
    found = [m.sensor_time for topic, _, m in read_all(tmp_path / "bag") if "truth" in topic]
    assert found == [START_NS + k * 10_000_000 for k in range(20, 51)]
    assert result.labels == 31


def test_ros_reads_the_messages(
    tmp_path: Path, store: Typestore, batches: list[list[EventArray]], truth: GroundTruth
) -> None:
    write_bag(tmp_path / "bag", ListRecording(batches[:1]), CAMERAS, store, truth=truth)
    found: dict[str, Any] = {}
    types = {
        "hybrid_pose_ros/msg/EventPacket": EventPacket,
        "hybrid_pose_ros/msg/PoseKeypoints3D": PoseKeypoints3D,
        "sensor_msgs/msg/CameraInfo": CameraInfo,
    }
    with Reader(tmp_path / "bag") as reader:
        qos = {link.topic: link.ext.offered_qos_profiles[0] for link in reader.connections}
        for link, _, data in reader.messages():
            found.setdefault(link.topic, deserialize_message(bytes(data), types[link.msgtype]))
    assert found["/cam0/events"].encoding == "mono"
    calibrated = camera_from_info(found["/cam0/camera_info"])
    assert calibrated is not None
    assert np.array_equal(calibrated.matrix, DHP19_LIKE[0].matrix)
    assert (calibrated.width, calibrated.height) == (346, 260)
    assert camera_from_info(found["/cam1/camera_info"]) is None
    message = found["/ground_truth/pose_3d"]
    sensor_ns, joints = message.sensor_time, joints_from_message(message)
    assert sensor_ns == START_NS
    assert np.array_equal(joints, truth.joints_m[0])
    assert qos["/cam0/camera_info"].durability == QosDurability.TRANSIENT_LOCAL
    assert qos["/cam0/events"].durability == QosDurability.VOLATILE


def test_a_projection_is_camera_matrix_times_rotation_and_shift() -> None:
    rng = np.random.default_rng(4)
    skewed = np.array(((300.0, 2.0, 170.0), (0.0, 310.0, 120.0), (0.0, 0.0, 1.0)))
    turned = Rotation.random(20, random_state=0).as_matrix()
    for rotation in turned:
        matrix = skewed @ np.column_stack((rotation, rng.normal(size=3)))
        k, r = decompose(matrix)
        assert np.allclose(k @ r, matrix[:, :3])
        assert np.allclose(r @ r.T, np.eye(3))
        assert np.linalg.det(r) == pytest.approx(1.0)
        assert np.allclose(np.tril(k, -1), 0.0, atol=1e-9)
        assert (np.diag(k) > 0).all()
        assert k[2, 2] == pytest.approx(1.0)
        # the third row of r is the optical axis
        camera = Camera(346, 260, matrix)
        points = rng.normal(size=(5, 3))
        assert np.allclose((points - camera.centre) @ r[2], camera.depth(points))
        assert np.allclose(k, skewed)
        assert np.allclose(r, rotation)


def test_sensor_clocks_of_the_unix_epoch_are_host_time() -> None:
    assert host_base_ns(1_700_000_000 * 10**9) == 0
    assert host_base_ns(5) == BASE_NS


def test_packets_end_at_multiples_of_their_length_however_events_come() -> None:
    rng = np.random.default_rng(3)
    own = [events_between(rng, 500, 0, 10**8), events_between(rng, 20, 0, 10**8)]

    def cut(borders_ns: list[int]) -> list[tuple[int, int, list[Any]]]:
        cutter = PacketCutter(2, 7_000_000)
        packets = []
        for start, end in itertools.pairwise(borders_ns):
            packets += cutter.cut([e[(e["t"] >= start) & (e["t"] < end)] for e in own])
        return [(p.slot, p.camera, p.events.tolist()) for p in packets + cutter.rest()]

    whole = cut([0, 10**8])
    assert whole == cut([0, 1_000, 6_999_999, 7_000_000, 50_000_000, 10**8])
    assert [(slot, camera) for slot, camera, _ in whole] == sorted(
        {(int(t) // 7_000_000, camera) for camera, e in enumerate(own) for t in e["t"]}
    )


def test_a_full_packet_is_split() -> None:
    events = make_events(np.zeros(90_000), 1, 1, True)
    packets = PacketCutter(1, 10**6).cut([events]) + (cutter := PacketCutter(1, 10**6)).rest()
    assert not packets
    cutter.cut([events])
    assert [len(packet.events) for packet in cutter.rest()] == [40_000, 40_000, 10_000]


def test_time_that_jumps_back_is_refused(
    tmp_path: Path, store: Typestore, batches: list[list[EventArray]]
) -> None:
    with pytest.raises(MalformedEventsError, match="camera 0: time jumps back"):
        write_bag(tmp_path / "bag", ListRecording([batches[3], batches[1]]), CAMERAS, store)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("storage", ["mcap", "sqlite3"])
@pytest.mark.parametrize("when", ["write", "close"])
def test_of_a_bag_that_does_not_fit_on_the_disk_nothing_is_left(
    tmp_path: Path,
    store: Typestore,
    batches: list[list[EventArray]],
    monkeypatch: pytest.MonkeyPatch,
    storage: str,
    when: str,
) -> None:
    calls = 0
    real = getattr(Writer, when)

    def full(self: Writer, *args: Any) -> None:
        nonlocal calls
        calls += 1
        if when == "close" or calls > 50:
            raise OSError(28, "No space left on device")
        real(self, *args)

    monkeypatch.setattr(Writer, when, full)
    with pytest.raises(BagError, match=r"bag: .*No space left on device.*nothing is left of it"):
        write_bag(
            tmp_path / "bag",
            ListRecording(batches),
            CAMERAS,
            store,
            options=Options(storage=storage),
        )
    assert not list(tmp_path.iterdir())


def test_what_was_left_of_a_killed_conversion_is_replaced(
    tmp_path: Path, store: Typestore, batches: list[list[EventArray]]
) -> None:
    (tmp_path / "bag.partial" / "bag").mkdir(parents=True)
    (tmp_path / "bag.partial" / "bag" / "bag.mcap").write_bytes(b"half")
    result = write_bag(tmp_path / "bag", ListRecording(batches[:1]), CAMERAS, store)
    assert result.digests[0].count == 4000
    assert list(tmp_path.iterdir()) == [tmp_path / "bag"]
    with pytest.raises(BagError, match="exists already"):
        write_bag(tmp_path / "bag", ListRecording(batches), CAMERAS, store)
    assert len(read_all(tmp_path / "bag")) > 0


def test_a_recording_without_events_gives_an_empty_bag(tmp_path: Path, store: Typestore) -> None:
    result = write_bag(tmp_path / "bag", ListRecording([[empty_events()] * 2]), CAMERAS, store)
    assert [digest.count for digest in result.digests] == [0, 0]
    with pytest.raises(BagError, match="no packet in /cam0/events"):
        EventTopic(tmp_path / "bag", "/cam0/events", store)


def test_bags_of_other_people_s_drivers_are_read(tmp_path: Path, share: Path) -> None:
    """Their message type is taken from the bag; packets that are damaged are counted."""
    text = (share / "msg" / "EventPacket.msg").read_text()
    kind = "event_camera_msgs/msg/EventPacket"
    theirs = get_typestore(Stores.ROS2_JAZZY)
    theirs.register(get_types_from_msg(text, kind))
    events = events_between(np.random.default_rng(6), 500, 0, 10**9)
    with Writer(tmp_path / "bag", version=9) as writer:
        link = writer.add_connection("/event_camera/events", kind, typestore=theirs)
        for number, part in enumerate(np.array_split(events, 5)):
            packet = encode("libcaer_cmp", part)
            data = packet.data + b"x" * (number == 2)  # no whole number of words
            message = theirs.types[kind](
                header=header_at(number, "camera"),
                height=260,
                width=346,
                seq=number,
                time_base=packet.time_base,
                encoding="libcaer_cmp",
                is_bigendian=False,
                events=np.frombuffer(data, np.uint8),
            )
            writer.write(link, number, theirs.serialize_cdr(message, kind))
    topic = EventTopic(tmp_path / "bag", "/event_camera/events", make_typestore(share))
    assert np.array_equal(np.concatenate(list(topic.events())), np.delete(events, slice(200, 300)))
    assert topic.damaged == 1


def test_a_topic_without_events_is_refused(
    tmp_path: Path, store: Typestore, batches: list[list[EventArray]]
) -> None:
    write_bag(tmp_path / "bag", ListRecording(batches[:1]), CAMERAS, store)
    for topic in ("/nothing", "/cam0/camera_info"):
        with pytest.raises(BagError, match="there are /cam0/events, /cam1/events"):
            EventTopic(tmp_path / "bag", topic, store)
    with pytest.raises(BagError, match="cannot be read"):
        EventTopic(tmp_path / "missing", "/cam0/events", store)
