# SPDX-License-Identifier: Apache-2.0
"""A bag is published as it was stored, at its pace, and can be paused."""

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import rclpy
from rclpy.experimental.events_executor import EventsExecutor
from rclpy.qos import QoSProfile
from rosbags.typesys.store import Typestore
from rosgraph_msgs.msg import Clock
from std_srvs.srv import Trigger

from hybrid_pose_ros.bags.bag import read_raw
from hybrid_pose_ros.bags.contents import inspect_bag
from hybrid_pose_ros.bags.writer import BagWriter
from hybrid_pose_ros.graph import replay as replay_module
from hybrid_pose_ros.graph.lockstep import Lockstep
from hybrid_pose_ros.graph.replay import Replay, ReplayError, ReplayPlan
from hybrid_pose_ros.interfaces.messages import stamp_to_ns
from hybrid_pose_ros.interfaces.qos import profile
from hybrid_pose_ros.interfaces.topics import EVENTS, GROUND_TRUTH
from hybrid_pose_ros.msg import EventPacket, PoseKeypoints3D
from hybrid_pose_ros.networks.config import EDGE

EVENT_TOPICS = ("/cam0/events", "/cam1/events")


class Listener:
    """Hears what is played, as bytes; spun by the one who waits."""

    def __init__(self) -> None:
        self.node = rclpy.create_node("listener")
        self.executor = EventsExecutor()
        self.executor.add_node(self.node)
        self.heard: dict[str, list[bytes]] = {topic: [] for topic in EVENT_TOPICS}
        self.clock_ns: list[int] = []
        for topic in EVENT_TOPICS:
            self.node.create_subscription(
                EventPacket, topic, self.heard[topic].append, profile(EVENTS.wanted), raw=True
            )
        truth = self.heard.setdefault(GROUND_TRUTH.name, [])
        self.node.create_subscription(
            PoseKeypoints3D, GROUND_TRUTH.name, truth.append, QoSProfile(depth=100), raw=True
        )
        self.node.create_subscription(
            Clock, "/clock", lambda message: self.clock_ns.append(stamp_to_ns(message.clock)), 100
        )

    def spin(self) -> None:
        self.executor.spin_once(timeout_sec=0.005)

    def until(self, condition: Callable[[], object]) -> None:
        deadline = time.monotonic() + 60
        while not condition():
            assert time.monotonic() < deadline, "nothing happened in time"
            self.spin()

    def close(self) -> None:
        self.executor.shutdown()
        self.node.destroy_node()


class Played:
    """A replay and its listener."""

    def __init__(self, plan: ReplayPlan, store: Typestore) -> None:
        self.replay = Replay(plan, store)
        self.store = store

    def __enter__(self) -> "Played":
        self.replay.__enter__()
        self.listener = Listener()
        self.replay.await_subscribers(1, {"pose_3d": 1}, self.listener.spin)
        return self

    def __exit__(self, *error: object) -> None:
        self.listener.close()
        self.replay.__exit__(None, None, None)


@pytest.fixture
def plan(small_bag: Path) -> ReplayPlan:
    contents = inspect_bag(small_bag)
    return ReplayPlan(contents, contents.cameras)


def stored(plan: ReplayPlan, topic: str) -> list[bytes]:
    return [message.data for message in read_raw(plan.contents.path, [topic])]


def test_the_bytes_are_those_of_the_bag(plan: ReplayPlan, store: Typestore) -> None:
    with Played(plan, store) as played:
        assert played.replay.clock.bag_ns() == plan.start_ns  # while subscribers were waited for
        begin = time.monotonic()
        played.replay.play(played.listener.spin)
        took_s = time.monotonic() - begin
        heard = played.listener.heard
        played.listener.until(lambda: len(heard["/cam0/events"]) == 56)
        played.listener.until(lambda: len(heard[GROUND_TRUTH.name]) == 29)
        assert took_s >= 0.28
        for topic in (*EVENT_TOPICS, GROUND_TRUTH.name):
            # CDR ends where the last field ends; the middleware may fill up to a multiple of 4.
            for data, expected in zip(heard[topic], stored(plan, topic), strict=True):
                assert data[: len(expected)] == expected
                assert len(data) - len(expected) < 4
        clock_ns = played.listener.clock_ns
        assert clock_ns == sorted(clock_ns)
        assert plan.start_ns <= clock_ns[0]
        assert clock_ns[-1] - plan.start_ns <= took_s * 1e9  # later than the end if we are late
        assert played.replay.published == {"/cam0": 56, "/cam1": 42}


def test_rate_and_start_offset(plan: ReplayPlan, store: Typestore) -> None:
    later = ReplayPlan(plan.contents, ("/cam1",), rate=0.5, start_offset_s=0.18)
    with Played(later, store) as played:
        begin = time.monotonic()
        played.replay.play(played.listener.spin)
        assert time.monotonic() - begin >= 0.2
        played.listener.until(lambda: len(played.listener.heard["/cam1/events"]) == 21)
        assert played.listener.heard["/cam0/events"] == []


def test_a_pause_by_service_stops_packets_and_time(plan: ReplayPlan, store: Typestore) -> None:
    with Played(ReplayPlan(plan.contents, plan.cameras, rate=0.2), store) as played:
        listener, replay = played.listener, played.replay
        clients = {
            name: listener.node.create_client(Trigger, f"/bag_player/{name}")
            for name in ("pause", "resume", "toggle_paused")
        }
        listener.until(lambda: all(c.service_is_ready() for c in clients.values()))
        answers: list[str] = []
        seen: list[tuple[int, int]] = []

        def call(name: str) -> None:
            future = clients[name].call_async(Trigger.Request())
            future.add_done_callback(lambda done: answers.append(done.result().message))

        def tick() -> None:
            listener.spin()
            if replay.published["/cam0"] >= 10 and not seen and not answers:
                seen.append((0, 0))
                call("pause")
            if answers == ["paused"] and len(listener.clock_ns) > 0:
                seen.append((replay.published["/cam0"], listener.clock_ns[-1]))
                if len(seen) == 20:
                    call("toggle_paused")

        replay.play(tick)
        listener.until(lambda: len(answers) == 2)
        assert answers == ["paused", "playing"]
        assert len({count for count, _ in seen[2:20]}) == 1
        assert len({now_ns for _, now_ns in seen[12:20]}) == 1
        assert replay.published["/cam0"] == 56


def test_loop_starts_over_until_told_to_end(plan: ReplayPlan, store: Typestore) -> None:
    class EnoughError(Exception):
        pass

    endless = ReplayPlan(plan.contents, plan.cameras, rate=0.0, loop=True)
    with Played(endless, store) as played:

        def tick() -> None:
            played.listener.spin()
            if played.replay.published["/cam0"] > 56:
                raise EnoughError

        with pytest.raises(EnoughError):
            played.replay.play(tick)


def test_without_subscribers_it_does_not_begin(
    plan: ReplayPlan, store: Typestore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replay_module, "MATCH_S", 0.1)
    with (
        Replay(plan, store) as replay,
        pytest.raises(ReplayError, match="/cam0/events: 0 of 1 subscribers"),
    ):
        replay.await_subscribers(1, {}, lambda: None)
    with (
        Replay(plan, store) as replay,
        pytest.raises(ReplayError, match="/cam0/snn was not ready"),
    ):
        replay.await_nodes({"/cam0/snn": 1}, 0.1, lambda: None)


def test_an_answer_at_the_last_moment_is_none_too_late(
    plan: ReplayPlan, store: Typestore, monkeypatch: pytest.MonkeyPatch
) -> None:
    class LateLockstep(Lockstep):
        """Nothing is owed any more, but it was when that was waited for."""

        waits = 0

        def wait(self, camera: str, seconds: float) -> bool:
            self.waits += 1
            return self.waits > 1

    monkeypatch.setattr(replay_module, "PATIENCE_S", 0.0)
    lockstep = LateLockstep(EDGE, 10.0, plan.cameras)
    once = ReplayPlan(plan.contents, ("/cam0",), rate=0.0)
    with Replay(once, store, lockstep) as replay:
        replay.play(lambda: None)
    assert replay.published["/cam0"] == 56


def test_a_gap_that_no_camera_makes_is_not_waited_for(
    tmp_path: Path, small_bag: Path, store: Typestore
) -> None:
    messages = list(read_raw(small_bag, ["/cam0/events"]))[:3]
    with BagWriter(tmp_path / "bag", [EVENTS.under("/cam0")], store) as writer:
        for message, stamp_ns in zip(messages, (0, 10**18, 10**18 + 10**8), strict=True):
            writer.write(replace(message, stamp_ns=stamp_ns))
    contents = inspect_bag(tmp_path / "bag")
    with Replay(ReplayPlan(contents, contents.cameras), store) as replay:
        begin = time.monotonic()
        replay.play(lambda: None)
        assert 0.1 <= time.monotonic() - begin < 60
        assert replay.skipped_s == pytest.approx(10**9)
        assert replay.published["/cam0"] == 3
