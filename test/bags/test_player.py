# SPDX-License-Identifier: Apache-2.0
"""What of a bag is played, and when it is due."""

from pathlib import Path

import pytest
from rosbags.typesys.store import Typestore

from hybrid_pose_ros.bags.bag import BagError, read_raw
from hybrid_pose_ros.bags.contents import inspect_bag, played_topics
from hybrid_pose_ros.graph.play_clock import PlayClock
from hybrid_pose_ros.interfaces.messages import header_at

from ..conftest import written_bag

BASE_NS = 10**18
FIRST_NS = 270_000_000
"""Sensor time of the small bag's beginning."""


def test_contents_of_a_bag(small_bag: Path) -> None:
    contents = inspect_bag(small_bag)
    assert contents.cameras == contents.calibrated == ("/cam0", "/cam1")
    assert contents.has_truth
    assert contents.poses == ()
    assert contents.packet_type == "hybrid_pose_ros"
    assert contents.start_ns == BASE_NS + FIRST_NS
    assert contents.seconds == pytest.approx(0.28)
    assert contents.choose([]) == ("/cam0", "/cam1")
    assert contents.choose(["cam1"]) == contents.choose(["/cam1/"]) == ("/cam1",)
    with pytest.raises(BagError, match=r"no events of camera /cam7; .* /cam0, /cam1"):
        contents.choose(["cam7"])
    with pytest.raises(BagError, match="no poses of camera /cam0"):
        contents.choose(["cam0"], recorded=True)


def test_sensors_and_labels_are_played_and_nothing_else(small_bag: Path) -> None:
    contents = inspect_bag(small_bag)
    assert [topic.name for topic in played_topics(contents, ["/cam1"])] == [
        "/cam1/events",
        "/cam1/camera_info",
        "/ground_truth/pose_3d",
    ]


def test_messages_come_in_order_and_from_a_moment_on(small_bag: Path) -> None:
    topics = ["/cam0/events", "/cam0/camera_info", "/ground_truth/pose_3d"]
    whole = list(read_raw(small_bag, topics))
    stamps = [stored.stamp_ns for stored in whole]
    assert stamps == sorted(stamps)
    assert len(whole) == 56 + 1 + 29
    start_ns = BASE_NS + FIRST_NS + 100_000_000
    latched, *rest = read_raw(small_bag, topics, start_ns=start_ns)
    assert (latched.topic, latched.stamp_ns) == ("/cam0/camera_info", start_ns)
    assert latched.data == next(m.data for m in whole if m.topic == latched.topic)
    assert rest == [stored for stored in whole if stored.stamp_ns >= start_ns]


def test_a_bag_in_the_root_namespace_with_results(tmp_path: Path, store: Typestore) -> None:
    path = tmp_path / "bag"
    kinds = {
        "/events": "hybrid_pose_ros/msg/EventPacket",
        "/pose": "hybrid_pose_ros/msg/PoseKeypoints",
        "/a/events": "std_msgs/msg/Header",
    }
    with written_bag(path, store, kinds) as write:
        for topic in kinds:
            write(topic, 5, header_at(5, ""))
    contents = inspect_bag(path)
    assert (contents.cameras, contents.poses) == (("",), ("",))
    (topic,) = played_topics(contents, contents.choose(["/"]))
    assert topic.name == "/events"


def test_a_missing_bag_is_named(tmp_path: Path) -> None:
    for read in (inspect_bag, lambda path: list(read_raw(path, ["/x"]))):
        with pytest.raises(BagError, match="nowhere"):
            read(tmp_path / "nowhere")


class HostClock:
    """Host time that goes on when told."""

    def __init__(self) -> None:
        self.now = 0

    def __call__(self) -> int:
        return self.now


def test_time_of_the_bag_runs_at_its_rate_and_stands_still_in_a_pause() -> None:
    host = HostClock()
    clock = PlayClock(2.0, host)
    clock.jump(1000)
    host.now += 50
    assert clock.bag_ns() == 1100
    assert clock.due_in_s(1300) == pytest.approx(100e-9)
    clock.toggle()
    host.now += 10**9
    assert clock.paused
    assert clock.bag_ns() == 1100
    assert clock.due_in_s(0) == float("inf")
    clock.pause()  # no second one
    clock.resume()
    host.now += 100
    assert clock.bag_ns() == 1300
    assert clock.due_in_s(1300) == 0.0
    assert clock.due_in_s(1100) < 0.0
    clock.jump(7)  # the bag starts over
    assert clock.bag_ns() == 7


def test_time_of_the_bag_can_be_held_at_the_start() -> None:
    host = HostClock()
    clock = PlayClock(2.0, host)
    clock.hold(1000)
    host.now += 50
    assert clock.bag_ns() == 1000
    clock.toggle()
    clock.toggle()
    host.now += 50
    assert clock.bag_ns() == 1000
    clock.jump(1000)
    host.now += 50
    assert clock.bag_ns() == 1100


def test_without_limit_everything_is_due_but_not_in_a_pause() -> None:
    host = HostClock()
    clock = PlayClock(0.0, host)
    clock.jump(5)
    assert clock.due_in_s(10**9) == 0.0
    assert clock.bag_ns() == 10**9
    clock.pause()
    assert clock.due_in_s(2 * 10**9) == float("inf")
    assert clock.bag_ns() == 10**9
    clock.resume()
    assert clock.due_in_s(2 * 10**9) == 0.0
