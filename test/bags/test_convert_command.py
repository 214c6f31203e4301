# SPDX-License-Identifier: Apache-2.0
"""`hybrid-pose convert`: from every kind of file to a bag and back, and what it says."""

import os
import re
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from rosbags.highlevel import AnyReader
from rosbags.typesys.store import Typestore

from hybrid_pose_ros.bags.event_topic import EventDigest, EventTopic
from hybrid_pose_ros.cli.main import main
from hybrid_pose_ros.events.aedat4 import write_aedat4
from hybrid_pose_ros.events.array import EventArray, make_events
from hybrid_pose_ros.events.dhp19.cleaning import Cleaning
from hybrid_pose_ros.events.dhp19.labels import load_labels
from hybrid_pose_ros.events.dhp19.recording import Dhp19Recording
from hybrid_pose_ros.events.encodings import encode
from hybrid_pose_ros.events.sources import Aedat4Source
from hybrid_pose_ros.geometry.cameras import load_dhp19_cameras
from hybrid_pose_ros.interfaces.messages import camera_from_info, joints_from_message
from hybrid_pose_ros.simulation.recording import truth_path

SECONDS = 0.3


def events_of(bag: Path, topic: str, store: Typestore) -> EventArray:
    return np.concatenate(list(EventTopic(bag, topic, store).events()))


def messages_of(bag: Path, topic: str) -> list[Any]:
    with AnyReader([bag]) as reader:
        links = [link for link in reader.connections if link.topic == topic]
        return [
            reader.deserialize(data, link.msgtype)
            for link, _, data in (reader.messages(links) if links else ())
        ]


def digest_of(events: EventArray) -> str:
    digest = EventDigest()
    digest.update(events)
    return str(digest)


@pytest.fixture(scope="module")
def dhp19(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A simulated recording in DHP19's layout."""
    folder = tmp_path_factory.mktemp("dhp19")
    options = ["--motion", "walking", "--seconds", str(SECONDS), "--seed", "1"]
    assert main(["simulate", "--dhp19", str(folder), *options]) == 0
    return folder


@pytest.fixture
def random_events() -> EventArray:
    rng = np.random.default_rng(0)
    count = 20_000
    return make_events(
        np.sort(rng.integers(0, 10**6, count)) * 1000,
        rng.integers(0, 346, count),
        rng.integers(0, 260, count),
        rng.random(count) < 0.5,
    )


def convert(*words: object) -> int:
    return main(["convert", *map(str, words)])


def test_a_recording_of_dhp19_becomes_a_bag(
    dhp19: Path, tmp_path: Path, store: Typestore, capsys: pytest.CaptureFixture[str]
) -> None:
    recording, labels = dhp19 / "walking.aedat", dhp19 / "walking.mat"
    bag = tmp_path / "deep" / "bag"
    code = convert(
        "dhp19", recording, "--labels", labels, "--calibration", dhp19, "--out", bag, "--verify"
    )
    said, warned = capsys.readouterr()
    assert code == 0
    assert warned == ""
    source = Dhp19Recording(recording, Cleaning(), round(SECONDS * 100))
    batches = list(source.batches())
    for camera, parts in enumerate(zip(*batches, strict=True)):
        expected = np.concatenate(parts)
        assert len(expected) > 10_000
        assert np.array_equal(events_of(bag, f"/cam{camera}/events", store), expected)
        assert f"/cam{camera}/events: {digest_of(expected)}\n" in said
        (info, *_) = messages_of(bag, f"/cam{camera}/camera_info")
        model = camera_from_info(info)
        assert model is not None
        assert np.allclose(model.matrix, load_dhp19_cameras(dhp19)[camera].matrix)
    assert "read back, all events are there" in said
    truth = [
        (m.sensor_time, joints_from_message(m)) for m in messages_of(bag, "/ground_truth/pose_3d")
    ]
    start_ns = source.span.start_us * 1000
    assert [sensor_ns for sensor_ns, _ in truth] == [
        start_ns + k * 10_000_000 for k in range(round(SECONDS * 100))
    ]
    assert np.allclose([joints for _, joints in truth], load_labels(labels))


def test_without_cleaning_every_event_of_the_file_is_in_the_bag(
    dhp19: Path, tmp_path: Path, store: Typestore, capsys: pytest.CaptureFixture[str]
) -> None:
    steps = ("trim", "mirror", "hot-pixels", "background", "masks")
    bag = tmp_path / "bag"
    code = convert(
        *("dhp19", dhp19 / "walking.aedat", "--out", bag, "--storage", "sqlite3", "--verify"),
        *(f"--no-{step}" for step in steps),
    )
    said = capsys.readouterr().out
    assert code == 0
    raw = (dhp19 / "walking.aedat").read_bytes()
    offset = raw.index(b"#End Of ASCII Header\r\n") + len(b"#End Of ASCII Header\r\n")
    address, us = np.frombuffer(raw[offset:], ">u4").reshape(-1, 2).T
    address, us = address[address & 0x400 == 0], us[address & 0x400 == 0]
    total = 0
    for camera in range(4):
        own = address & 0xF == camera
        expected = make_events(
            us[own].astype(np.int64) * 1000,
            address[own] >> 12 & 0x3FF,
            address[own] >> 22 & 0x1FF,
            address[own] >> 11 & 1,
        )
        assert np.array_equal(events_of(bag, f"/cam{camera}/events", store), expected)
        assert f"/cam{camera}/events: {digest_of(expected)}\n" in said
        total += len(expected)
    assert said.count("left out: none") == 4
    assert total == len(us)
    assert not messages_of(bag, "/ground_truth/pose_3d")
    (info, *_) = messages_of(bag, "/cam0/camera_info")
    assert camera_from_info(info) is None


def test_a_cut_off_recording_is_converted_as_far_as_it_goes(
    dhp19: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = (dhp19 / "walking.aedat").read_bytes()
    cut = tmp_path / "cut.aedat"
    cut.write_bytes(whole[: len(whole) // 2 + 5])
    labels = dhp19 / "walking.mat"
    assert convert("dhp19", cut, "--labels", labels, "--out", tmp_path / "bag", "--verify") == 0
    said, warned = capsys.readouterr()
    assert "no whole word: the file is cut off" in warned
    found = re.search(r"(\d+) of 30 labels", said)
    assert found is not None
    source = Dhp19Recording(cut, Cleaning(), 30)
    packets_end_us = (source.last_us // 5000 + 1) * 5000
    assert int(found[1]) == (packets_end_us - source.span.start_us) // 10_000 + 1 < 30
    assert f"{30 - int(found[1])} labels lie outside of the events' time" in warned


def test_hdf5_becomes_a_bag(tmp_path: Path, store: Typestore, random_events: EventArray) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        for camera in range(4):
            group = file.create_group(f"cam{camera}_events")
            own = random_events[camera::4]
            group["t"], group["p"] = own["t"] // 1000, own["polarity"].astype(np.uint8)
            group["x"], group["y"] = own["x"] + 1, own["y"] + 1
    with h5py.File(tmp_path / "label.h5", "w") as file:
        file["XYZ/3d_poses"] = np.arange(100 * 39.0).reshape(100, 3, 13)
        file["XYZ/timestamps"] = np.arange(100) * 10_000
    bag = tmp_path / "bag"
    assert convert("h5", tmp_path / "a.h5", "--labels", tmp_path / "label.h5", "--out", bag) == 0
    for camera in range(4):
        found = events_of(bag, f"/cam{camera}/events", store)
        assert np.array_equal(found, random_events[camera::4])
    truth = messages_of(bag, "/ground_truth/pose_3d")
    assert len(truth) == 100
    assert truth[1].sensor_time == 10_000_000
    first = truth[1].keypoints[2]
    assert (first.x, first.y, first.z) == pytest.approx((0.041, 0.054, 0.067))


def test_aedat4_becomes_a_bag_and_a_bag_aedat4(
    tmp_path: Path,
    store: Typestore,
    random_events: EventArray,
    capsys: pytest.CaptureFixture[str],
) -> None:
    write_aedat4(tmp_path / "a.aedat4", [random_events], 346, 260)
    bag, again = tmp_path / "bag", tmp_path / "deep" / "again.aedat4"
    code = convert(
        "aedat4", tmp_path / "a.aedat4", "--out", bag, "--encoding", "libcaer_cmp", "--compress"
    )
    assert code == 0
    assert np.array_equal(events_of(bag, "/cam0/events", store), random_events)
    assert convert("bag", bag, "--out", again) == 0
    assert capsys.readouterr().out.count(f"/cam0/events: {digest_of(random_events)}\n") == 2
    source, parts = Aedat4Source(again), []
    while (part := source.read()) is not None:
        parts.append(part)
    assert np.array_equal(np.concatenate(parts), random_events)
    assert source.progress == 1.0
    assert [path.name for path in again.parent.iterdir()] == ["again.aedat4"]


def test_labels_of_the_simulator_come_along(tmp_path: Path, random_events: EventArray) -> None:
    path = tmp_path / "a.aedat4"
    write_aedat4(path, [random_events], 346, 260)
    matrix = np.eye(3, 4) + 1.0
    joints = np.random.default_rng(0).normal(size=(50, 13, 3)).astype(np.float32)
    np.savez(
        truth_path(path),
        label_ns=np.arange(50) * 10_000_000,
        keypoints_px=np.zeros((50, 13, 2)),
        joints_m=joints,
        visible=np.ones((50, 13), bool),
        camera_matrix=matrix,
        name="walking",
    )
    assert convert("aedat4", path, "--out", tmp_path / "bag") == 0
    truth = [
        (m.sensor_time, joints_from_message(m))
        for m in messages_of(tmp_path / "bag", "/ground_truth/pose_3d")
    ]
    assert np.array_equal([found for _, found in truth], joints)
    model = camera_from_info(messages_of(tmp_path / "bag", "/cam0/camera_info")[0])
    assert model is not None
    # a projection has no scale of its own
    assert np.allclose(model.matrix / model.matrix[2, 3], matrix / matrix[2, 3], rtol=1e-12)


def test_raw_becomes_a_bag(tmp_path: Path, store: Typestore, random_events: EventArray) -> None:
    raw = tmp_path / "a.raw"
    raw.write_bytes(b"% evt 3.0\n% end\n" + encode("evt3", random_events).data)
    assert convert("raw", raw, "--size", "346x260", "--out", tmp_path / "bag") == 0
    assert np.array_equal(events_of(tmp_path / "bag", "/cam0/events", store), random_events)


@pytest.mark.skipif("HYBRID_POSE_DATA" not in os.environ, reason="needs the development data")
@pytest.mark.parametrize(
    ("kind", "name", "count"),
    [
        ("aedat2", "davis240_translBoxes_aedat2.aedat", 162_771),
        ("raw", "evt3_1280x720.raw", 219_596),
        ("aedat4", "person_dvxplorerlite_320x240.aedat4", 111_954),
    ],
)
def test_real_files_become_bags(
    tmp_path: Path, kind: str, name: str, count: int, capsys: pytest.CaptureFixture[str]
) -> None:
    path = Path(os.environ["HYBRID_POSE_DATA"]) / "events" / name
    options = ("--encoding", "evt3", "--verify")
    assert convert(kind, path, "--out", tmp_path / "bag", *options) == 0
    said = capsys.readouterr().out
    assert f"/cam0/events: {count:,} events" in said
    assert "read back, all events are there" in said


def test_damage_in_a_raw_file_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    raw = tmp_path / "a.raw"
    for number, words, said in (
        (1, 1, "1 words that make no sense are left out"),
        (2, 10, "bytes 35 to 75 are damaged and left out"),
    ):
        raw.write_bytes(
            b"% evt 2.0\n% geometry 640x480\n% end\n" + words * struct.pack("<I", 5 << 28)
        )
        assert convert("raw", raw, "--out", tmp_path / f"bag{number}") == 1
        warned = capsys.readouterr().err
        assert said in warned
        assert "no events in it" in warned
        assert not (tmp_path / f"bag{number}").exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("dhp19", "missing.aedat"), "missing.aedat: no such file"),
        (("dhp19", "missing.aedat", "--labels", "l.mat"), "l.mat: no such file"),
        (("h5", "missing.h5"), "missing.h5: no such file"),
        (("aedat4", "missing.aedat4"), "missing.aedat4: no such file"),
        (("aedat2", "missing.aedat"), "missing.aedat: no such file"),
        (("raw", "missing.raw"), "missing.raw: no such file"),
        (("raw", "missing.raw", "--size", "12"), "--size 12: not WIDTHxHEIGHT"),
        (("bag", "missing"), "out: the file's name must end in .aedat4"),
    ],
)
def test_what_cannot_be_done_is_said_in_one_line(
    tmp_path: Path, words: tuple[str, ...], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert convert(*words, "--out", tmp_path / "out") == 1
    message = capsys.readouterr().err
    assert said in message
    assert message.count("\n") == 1
    assert not list(tmp_path.iterdir())


def write_npz(path: Path, **changed: object) -> Path:
    index = np.arange(100)
    columns = {"t_us": index * 1000, "x": index, "y": index, "p": index % 2}
    np.savez(path, **columns | {"width": 346, "height": 260} | changed)
    return path


def test_a_damaged_time_that_is_far_ahead_is_named_and_not_filled(
    tmp_path: Path, store: Typestore, capsys: pytest.CaptureFixture[str]
) -> None:
    times = np.arange(100) * 1000
    times[99] += 365 * 86400 * 10**6
    path = write_npz(tmp_path / "a.npz", t_us=times)
    assert convert("npz", path, "--out", tmp_path / "bag") == 0
    assert "31,536,000 s without an event: a damaged time stamp" in capsys.readouterr().err
    assert events_of(tmp_path / "bag", "/cam0/events", store)["t"].tolist() == list(times * 1000)
    assert len(messages_of(tmp_path / "bag", "/cam0/camera_info")) == 2


def test_a_time_after_the_last_stamp_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    times = np.arange(100) * 1000
    times[99] = 2 * 10**15
    path = write_npz(tmp_path / "a.npz", t_us=times)
    assert convert("npz", path, "--out", tmp_path / "bag") == 1
    assert "a.npz: camera 0: an event at 2000000000000000000 ns" in capsys.readouterr().err
    assert os.listdir(tmp_path) == ["a.npz"]


@pytest.mark.parametrize("value", ["nan", "inf", "1e-9", "1e300", "-1"])
def test_a_length_that_no_packet_has_is_refused(
    tmp_path: Path, value: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write_npz(tmp_path / "a.npz")
    assert convert("npz", path, "--out", tmp_path / "bag", f"--packet-ms={value}") == 1
    assert "--packet-ms must be from 0.01 to 1000" in capsys.readouterr().err


@pytest.mark.parametrize("out", ["/", ""])
def test_a_bag_without_a_name_is_refused(
    tmp_path: Path, out: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write_npz(tmp_path / "a.npz")
    assert convert("npz", path, "--out", out) == 1
    assert "exists already" in capsys.readouterr().err


def test_verifying_finds_what_is_missing(
    tmp_path: Path,
    random_events: EventArray,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    real = EventTopic.events

    def without_the_last(self: EventTopic) -> Iterator[EventArray]:
        yield from list(real(self))[:-1]

    monkeypatch.setattr(EventTopic, "events", without_the_last)
    write_aedat4(tmp_path / "a.aedat4", [random_events], 346, 260)
    assert convert("aedat4", tmp_path / "a.aedat4", "--out", tmp_path / "bag", "--verify") == 1
    assert "not 20,000 events" in capsys.readouterr().err


def test_nothing_is_overwritten(
    tmp_path: Path, random_events: EventArray, capsys: pytest.CaptureFixture[str]
) -> None:
    write_aedat4(tmp_path / "a.aedat4", [random_events], 346, 260)
    assert convert("aedat4", tmp_path / "a.aedat4", "--out", tmp_path / "bag") == 0
    assert convert("aedat4", tmp_path / "a.aedat4", "--out", tmp_path / "bag") == 1
    assert convert("bag", tmp_path / "bag", "--out", tmp_path / "a.aedat4") == 1
    assert capsys.readouterr().err.count("exists already") == 2
    options = ("--storage", "sqlite3", "--compress")
    assert convert("aedat4", tmp_path / "a.aedat4", "--out", tmp_path / "b", *options) == 1
    assert convert("aedat4", tmp_path / "a.aedat4", "--out", tmp_path / "b", "--packet-ms", 0) == 1
