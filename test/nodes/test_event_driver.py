# SPDX-License-Identifier: Apache-2.0
"""The running event_driver: nothing is lost between a source and its subscribers."""

import queue
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from rclpy.exceptions import ParameterException

from hybrid_pose_ros.events.array import EventArray, empty_events
from hybrid_pose_ros.events.encodings import make_decoder
from hybrid_pose_ros.events.sources import SourceError
from hybrid_pose_ros.interfaces.messages import stamp_to_ns
from hybrid_pose_ros.interfaces.qos import profile
from hybrid_pose_ros.interfaces.topics import EVENTS
from hybrid_pose_ros.msg import EventPacket
from hybrid_pose_ros.nodes.event_driver import EventDriverNode
from hybrid_pose_ros.nodes.support import event_source, source_player
from hybrid_pose_ros.nodes.support.boundary import StartError
from hybrid_pose_ros.nodes.support.health import Level
from hybrid_pose_ros.simulation.frame_sensor import FrameSensor
from hybrid_pose_ros.simulation.video import VideoSource

MS = 1_000_000


class ListSource:
    """Hands out prepared batches; a batch may be an error."""

    width, height, name = 346, 260, "list"

    def __init__(self, batches: list[Any], *, live: bool = False) -> None:
        self.live = live
        self.batches = list(batches)
        self.closed = False

    def read(self) -> EventArray | None:
        item = self.batches.pop(0) if self.batches else None
        if isinstance(item, Exception):
            raise item
        return item

    def close(self) -> None:
        self.closed = True


@pytest.fixture
def play(bench: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return a function that runs a driver on some batches; it gives the node and the packets."""

    def play(batches: list[Any], **parameters: Any) -> tuple[EventDriverNode, list[EventPacket]]:
        monkeypatch.setattr(event_source, "open_source", lambda path, **_: ListSource(batches))
        values = {"source": "recording", "path": "list", "rate": 0.0, "wait_for_subscribers": 1}
        values |= parameters
        node = bench.run(EventDriverNode, **values)
        return node, bench.collect(EventPacket, "events", profile(EVENTS.wanted))

    return play


def decode(packets: list[EventPacket]) -> EventArray:
    decoder = make_decoder(packets[0].encoding, packets[0].width, packets[0].height)
    parts = [decoder.decode(packet.time_base, packet.events) for packet in packets]
    return np.concatenate([empty_events(), *parts])


@pytest.mark.parametrize("encoding", ["mono", "libcaer", "libcaer_cmp", "evt3"])
def test_every_event_arrives(bench: Any, play: Any, encoding: str) -> None:
    events = bench.events(0, 30)
    batches = [events[:7], empty_events(), events[7:300], events[300:]]
    node, packets = play(batches, encoding=encoding, packet_ms=4.0)
    bench.until(lambda: node.exit_code is not None)
    assert node.exit_code == 0
    bench.until(lambda: sum(len(decode([packet])) for packet in packets) == len(events))
    np.testing.assert_array_equal(decode(packets), events)
    assert [packet.seq for packet in packets] == list(range(len(packets)))
    for packet in packets:  # cut at multiples of 4 ms of sensor time
        times = decode([packet])["t"] // (4 * MS)
        assert times[0] == times[-1]
    report = bench.report(node)
    assert report.values["events published"] == str(len(events))
    assert report.values["packets published"] == str(len(packets))
    assert (report.values["finished"], report.level) == ("true", Level.OK)


def test_a_recording_is_played_at_its_rate(bench: Any, play: Any) -> None:
    node, packets = play([bench.events(0, 30)], rate=2.0, packet_ms=10.0)
    bench.until(lambda: node.exit_code is not None and len(packets) == 30)
    stamps = [stamp_to_ns(packet.header.stamp) for packet in packets]
    # 29 packets of 10 ms of sensor time after the first, at twice the speed
    assert stamps[-1] - stamps[0] >= 140 * MS


def test_large_packets_are_split(bench: Any, play: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(source_player, "MAX_EVENTS_PER_PACKET", 50)
    node, packets = play([bench.events(0, 10)], packet_ms=100.0)
    bench.until(lambda: node.exit_code is not None and len(packets) == 4)
    assert len(decode(packets)) == 200


def test_a_loop_starts_over(bench: Any, play: Any) -> None:
    node, packets = play([bench.events(0, 3)], loop=True, rate=10.0, packet_ms=10.0)
    bench.until(lambda: len(packets) >= 7)
    assert [decode([packet])["t"][0] for packet in packets[:7]] == [
        step * 10 * MS for step in (0, 1, 2, 0, 1, 2, 0)
    ]
    assert node.exit_code is None
    node.trigger_deactivate()  # ends the endless thread


def test_it_may_stay_after_the_end(bench: Any, play: Any) -> None:
    node, _ = play([bench.events(0, 3)], exit_at_end=False)
    bench.until(lambda: bench.report(node).values["finished"] == "true")
    node.check()
    assert node.exit_code is None
    assert "finished" in bench.report(node).message
    node.trigger_deactivate()
    node.trigger_activate()  # there is still nothing more to come
    bench.until(lambda: bench.report(node).values["finished"] == "true")


def test_a_source_that_breaks_down_fails_the_node(bench: Any, play: Any) -> None:
    node, _ = play([bench.events(0, 3), SourceError("the cable is out; plug it in")])
    bench.until(lambda: node.exit_code is not None)
    assert node.exit_code == 1
    report = bench.report(node)
    assert (report.level, report.message) == (Level.ERROR, "the cable is out; plug it in")


@pytest.mark.parametrize("source", ["recording", "video"])
def test_a_file_that_is_not_named_is_asked_for(bench: Any, source: str) -> None:
    with pytest.raises(StartError, match=f"path is not given; it names the {source} to play"):
        bench.run(EventDriverNode, source=source)


def test_a_parameter_without_a_value_is_refused_in_a_sentence(bench: Any) -> None:
    with pytest.raises(ParameterException, match=r"instead of one such as 1\.0: rate"):
        bench.run(EventDriverNode, rate=None)  # as `-p rate:=[]` gives it


@pytest.mark.parametrize("loop", [False, True])
@pytest.mark.parametrize("exit_at_end", [False, True])
def test_a_source_without_events_fails_the_node(
    bench: Any, play: Any, loop: bool, exit_at_end: bool
) -> None:
    node, _ = play([empty_events()], loop=loop, exit_at_end=exit_at_end)
    bench.until(lambda: node.exit_code is not None)
    assert node.exit_code == 1
    report = bench.report(node)
    assert report.level == Level.ERROR
    assert report.message == "list: it ended without an event; record it again"


def test_what_the_source_lost_is_said_at_its_end(
    bench: Any, play: Any, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    sentence = "3 words that make no sense are left out"
    monkeypatch.setattr(ListSource, "trouble", sentence, raising=False)
    node, _ = play([bench.events(0, 4)])
    bench.until(lambda: node.exit_code == 0)
    assert f"the source has losses: {sentence}" in capfd.readouterr().err
    report = bench.report(node)
    assert report.level == Level.WARN
    assert report.message == f"the source has losses: {sentence}"
    assert report.values["source lost"] == sentence


@pytest.mark.usefixtures("asked_only")
@pytest.mark.parametrize(
    ("first", "words"),
    [(10**6, "the last of 10000.000 s"), (-100, "at the last time went back by 1.000 s")],
)
def test_a_gap_that_no_camera_makes_is_skipped_and_told(
    bench: Any, play: Any, first: int, words: str
) -> None:
    node, packets = play([bench.events(101, 1), bench.events(101 + first, 1)], packet_ms=10.0)
    bench.until(lambda: len(packets) == 2, seconds=30)
    report = bench.report(node)
    assert report.values["gaps skipped"] == "1"
    assert report.level == Level.WARN
    assert f"1 gaps skipped, {words} of sensor time" in report.message


def test_an_unexpected_error_of_a_source_is_a_sentence(bench: Any, play: Any) -> None:
    node, _ = play([bench.events(0, 2), KeyError("field")])
    bench.until(lambda: node.exit_code == 1)
    assert "list: reading broke off by an unexpected error: KeyError: 'field'" in (
        bench.report(node).message
    )


def test_size_and_camera_go_to_the_recording(
    bench: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    asked: list[Any] = []

    def open_source(path: Path, **options: Any) -> ListSource:
        asked.append((path.name, options))
        return ListSource([])

    monkeypatch.setattr(event_source, "open_source", open_source)
    values = {"source": "recording", "path": "a.raw"}
    bench.run(EventDriverNode, **values)
    bench.run(EventDriverNode, **values, size=[640, 480], camera="left")
    assert asked == [
        ("a.raw", {"size": None, "camera": ""}),
        ("a.raw", {"size": (640, 480), "camera": "left"}),
    ]
    with pytest.raises(StartError, match="size 640 0 is that of no sensor"):
        bench.run(EventDriverNode, **values, size=[640, 0])


def test_events_are_filtered(bench: Any, play: Any) -> None:
    events = bench.events(0, 10)
    inside = (events["x"] >= 100) & (events["x"] < 200) & (events["y"] < 150)
    node, packets = play([events], region=[100, 0, 100, 150])
    bench.until(lambda: node.exit_code is not None)
    bench.until(lambda: len(decode(packets)) == inside.sum())
    assert (decode(packets)["x"] == events["x"][inside]).all()


@pytest.mark.parametrize(
    ("region", "message"), [([0, 0, 10], "3 numbers"), ([300, 0, 100, 9], "346x260")]
)
def test_a_wrong_region_is_named(
    bench: Any, monkeypatch: pytest.MonkeyPatch, region: list[int], message: str
) -> None:
    source = ListSource([])
    monkeypatch.setattr(event_source, "CameraSource", lambda name: source)
    node = bench.run(EventDriverNode, start=False, source="camera", region=region)
    with pytest.raises(StartError, match=message):
        node.start()
    assert source.closed


class FrugalCamera:
    """A camera that keeps what nobody fetches, as the library of a real one does."""

    width, height, name, live = 346, 260, "frugal", True

    def __init__(self) -> None:
        self.kept: queue.SimpleQueue[EventArray] = queue.SimpleQueue()
        self.asked_in_vain = 0

    def read(self) -> EventArray:
        try:
            return self.kept.get_nowait()
        except queue.Empty:
            self.asked_in_vain += 1
            return empty_events()

    def close(self) -> None:
        pass


def test_what_a_camera_saw_while_nobody_listened_is_past(
    bench: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    camera = FrugalCamera()
    monkeypatch.setattr(event_source, "CameraSource", lambda name: camera)
    node = bench.run(EventDriverNode, source="camera", packet_ms=10.0, autostart=False)
    node.trigger_configure()
    packets = bench.collect(EventPacket, "events", profile(EVENTS.wanted))
    bench.until(node._publisher.get_subscription_count)

    def give(steps: range) -> None:
        for step in steps:
            camera.kept.put(bench.events(step, 1))
        bench.until(camera.kept.empty)  # all is fetched at once, far more than waits in a queue
        before = camera.asked_in_vain
        bench.until(lambda: camera.asked_in_vain > before)

    give(range(50))
    node.trigger_activate()
    bench.until(lambda: node.player.source.is_delivering)
    give(range(50, 60))
    bench.until(lambda: len(packets) == 10)
    node.trigger_deactivate()
    give(range(60, 100))
    node.trigger_activate()
    bench.until(lambda: node.player.source.is_delivering)
    give(range(100, 110))
    bench.until(lambda: len(packets) == 20)
    assert [packet.time_base // (10 * MS) for packet in packets] == [
        *range(50, 60),
        *range(100, 110),
    ]
    node.trigger_deactivate()


def test_a_camera_does_not_end(bench: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    source = ListSource([empty_events()] * 10**6, live=True)
    monkeypatch.setattr(event_source, "CameraSource", lambda name: source)
    node = bench.run(EventDriverNode, source="camera")
    packets = bench.collect(EventPacket, "events", profile(EVENTS.wanted))
    bench.until(
        lambda: node.player.source.is_delivering and node._publisher.get_subscription_count()
    )
    source.batches = [bench.events(0, 1), empty_events(), bench.events(1, 1)]
    bench.until(lambda: node.exit_code is not None and len(decode(packets)) == 40)
    assert node.exit_code == 1
    assert "list: no more events; is the camera" in bench.report(node).message


def test_no_camera_is_said(bench: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(name: str) -> ListSource:
        raise SourceError("no event camera found; plug one in")

    monkeypatch.setattr(event_source, "CameraSource", absent)
    node = bench.run(EventDriverNode, start=False, source="camera")
    with pytest.raises(StartError, match="plug one in"):
        node.start()


def test_a_missing_recording_is_named(bench: Any, tmp_path: Path) -> None:
    path = tmp_path / "none.aedat4"
    node = bench.run(EventDriverNode, start=False, source="recording", path=str(path))
    with pytest.raises(StartError, match=r"none\.aedat4"):
        node.start()


def test_an_unknown_motion_is_named(bench: Any) -> None:
    node = bench.run(EventDriverNode, start=False, motion="flying")
    with pytest.raises(StartError, match="flying"):
        node.start()


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    """Two scenes of four frames each, at 25 frames per second."""
    path = tmp_path / "clip.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 25.0, (64, 48))
    for k in range(8):
        picture = np.full((48, 64, 3), 50 if k < 4 else 200, np.uint8)
        picture[16:32, 4 * k : 4 * k + 16] = 120
        writer.write(picture)
    writer.release()
    return path


def test_a_video_is_played_on_a_simulated_sensor(bench: Any, clip: Path) -> None:
    node = bench.run(
        EventDriverNode,
        **{"source": "video", "path": str(clip), "size": [64, 48], "rate": 0.0},
        **{"wait_for_subscribers": 1, "packet_ms": 40.0},
    )
    packets = bench.collect(EventPacket, "events", profile(EVENTS.wanted))
    source = VideoSource(clip, FrameSensor((64, 48)))
    expected = []
    while (events := source.read()) is not None:
        expected.append(events)
    total = sum(map(len, expected))
    bench.until(lambda: node.exit_code is not None)
    assert node.exit_code == 0
    bench.until(lambda: sum(len(decode([packet])) for packet in packets) == total)
    assert (packets[0].width, packets[0].height) == (64, 48)
    np.testing.assert_array_equal(decode(packets), np.concatenate(expected))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"path": "/no/clip.mp4"}, "/no/clip.mp4: no such file"),
        ({"size": [64]}, "size has 1 numbers; it takes width, height"),
        ({"size": [64, 4]}, "size 64x4: width and height must be"),
        ({"source": "webcam", "device": 250}, "webcam 250: cannot be opened; plug one in"),
    ],
)
def test_a_video_or_webcam_that_cannot_be_shown_is_named(
    bench: Any, clip: Path, changes: dict[str, Any], message: str
) -> None:
    values = {"source": "video", "path": str(clip)} | changes
    node = bench.run(EventDriverNode, start=False, **values)
    with pytest.raises(StartError, match=message):
        node.start()
