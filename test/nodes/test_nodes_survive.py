# SPDX-License-Identifier: Apache-2.0
"""Nodes live through every transition, request and damaged message, while packets come.

CYCLES=1000 in the environment makes it a long run.
"""

import itertools
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from builtin_interfaces.msg import Time
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState
from rcl_interfaces.msg import Parameter as ParameterMessage
from rcl_interfaces.msg import ParameterValue
from rcl_interfaces.srv import SetParameters
from rclpy.parameter import Parameter
from rclpy.publisher import Publisher
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import CameraInfo
from std_msgs.msg import Header
from std_srvs.srv import SetBool, Trigger

from hybrid_pose_ros.interfaces.messages import (
    Sensor,
    pose_message,
    serialised,
    state_init_message,
)
from hybrid_pose_ros.interfaces.qos import profile
from hybrid_pose_ros.interfaces.topics import (
    CAMERA_INFO,
    CLOCK,
    EVENTS,
    GROUND_TRUTH,
    OVERLAY,
    POSE,
    POSE_3D,
    STATE_INIT,
    Topic,
)
from hybrid_pose_ros.msg import PoseKeypoints
from hybrid_pose_ros.nodes.ann import AnnNode
from hybrid_pose_ros.nodes.evaluator import EvaluatorNode
from hybrid_pose_ros.nodes.snn import SnnNode
from hybrid_pose_ros.nodes.support.health import Level
from hybrid_pose_ros.nodes.triangulator import TriangulatorNode
from hybrid_pose_ros.nodes.visualizer import VisualizerNode
from hybrid_pose_ros.pipeline.state import Pose, StateInit

CYCLES = int(os.environ.get("CYCLES", "6"))
PERIOD_S = 0.005

ACTIVATE, DEACTIVATE = Transition.TRANSITION_ACTIVATE, Transition.TRANSITION_DEACTIVATE
CONFIGURE, CLEANUP = Transition.TRANSITION_CONFIGURE, Transition.TRANSITION_CLEANUP


class Peer:
    """Asks a node for things, as other programs do."""

    def __init__(self, bench: Any, name: str) -> None:
        self.bench, self.name = bench, name
        self._clients: dict[str, Any] = {}

    def call(self, service: str, kind: Any, request: Any) -> Any:
        name = f"{self.name}/{service}"
        if name not in self._clients:
            self._clients[name] = self.bench.probe.create_client(kind, name)
        client = self._clients[name]
        self.bench.until(client.service_is_ready)
        future = client.call_async(request)
        self.bench.until(future.done)
        return future.result()

    def change(self, transition: int) -> bool:
        request = ChangeState.Request(transition=Transition(id=transition))
        return bool(self.call("change_state", ChangeState, request).success)

    def trigger(self, service: str) -> bool:
        return bool(self.call(service, Trigger, Trigger.Request()).success)

    def set(self, *parameters: ParameterMessage) -> Any:
        request = SetParameters.Request(parameters=list(parameters))
        return self.call("set_parameters", SetParameters, request)


@contextmanager
def traffic(*outputs: tuple[Publisher, Iterator[Any]]) -> Iterator[None]:
    """Publish a message of each kind 200 times per second, from another thread."""
    stop = threading.Event()

    def publish() -> None:
        while not stop.wait(PERIOD_S):
            for publisher, messages in outputs:
                publisher.publish(next(messages))

    thread = threading.Thread(target=publish)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def pose(sensor_time_ns: int) -> PoseKeypoints:
    keypoints, confidence = np.full((13, 2), 50.0, np.float32), np.ones(13, np.float32)
    found = Pose(sensor_time_ns, keypoints, confidence, "snn", 1, 1)
    return pose_message(found, Header(), Sensor(346, 260))


def open_topic(bench: Any, topic: Topic) -> Publisher:
    return bench.probe.create_publisher(topic.message_class, topic.name, profile(topic.offered))


def assert_unharmed(node: Any) -> None:
    values = node.report().values
    assert values["unexpected errors"] == "0", node.report().message
    assert node.exit_code is None


@pytest.mark.parametrize("node_type", [SnnNode, AnnNode])
def test_step_nodes_live_through_transitions_under_traffic(
    bench: Any, checkpoint: Path, state_init: StateInit, node_type: type
) -> None:
    node = bench.run(node_type, checkpoint=str(checkpoint))
    peer = Peer(bench, node.get_name())
    packets = (bench.packet(step, 1) for step in itertools.count(100))
    init = state_init_message(state_init, Header(), Sensor(346, 260))
    with traffic(
        (open_topic(bench, EVENTS), packets),
        (open_topic(bench, STATE_INIT), itertools.repeat(init)),
    ):
        bench.until(lambda: int(node.report().values["packets received"]) > 5)
        for cycle in range(CYCLES):
            threshold = Parameter("warn_age_ms" if node_type is SnnNode else "rate_hz", value=20.0)
            assert peer.set(threshold.to_parameter_msg()).results[0].successful
            for wanted in (True, False):
                answer = peer.call("pause", SetBool, SetBool.Request(data=wanted))
                assert answer.success
            assert peer.trigger("reset")
            assert peer.change(DEACTIVATE)
            assert not peer.change(DEACTIVATE)
            if cycle % 3 == 0:  # these load the model
                assert peer.change(CLEANUP)
                assert peer.change(CONFIGURE)
            assert peer.change(ACTIVATE)
            if cycle % 3 == 1:
                assert peer.trigger("reload")
            bench.until(lambda: int(node.report().values["packets received"]) > 1)
            assert_unharmed(node)
        assert peer.change(Transition.TRANSITION_ACTIVE_SHUTDOWN)
        assert node.exit_code == 0


@pytest.mark.parametrize("node_type", [TriangulatorNode, VisualizerNode, EvaluatorNode])
def test_listening_nodes_live_through_transitions_under_traffic(
    bench: Any, node_type: type
) -> None:
    node = bench.run(
        node_type, **({} if node_type is VisualizerNode else {"cameras": "cam0,cam1"})
    )
    peer = Peer(bench, node.get_name())
    times = itertools.count(10**9, 10**7)
    topic = POSE if node_type is VisualizerNode else POSE.under("/cam0")
    packets = (bench.packet(step, 1) for step in itertools.count(100))
    with traffic(
        (open_topic(bench, EVENTS), packets),
        (open_topic(bench, topic), (pose(time) for time in times)),
    ):
        for _ in range(CYCLES * 3):
            assert peer.change(DEACTIVATE)
            assert peer.change(CLEANUP)
            assert not peer.change(ACTIVATE)
            assert peer.change(CONFIGURE)
            assert peer.change(ACTIVATE)
            assert_unharmed(node)
        assert peer.change(Transition.TRANSITION_ACTIVE_SHUTDOWN)
        assert node.exit_code == 0


def test_requests_that_make_no_sense_are_refused(bench: Any) -> None:
    node = bench.run(VisualizerNode)
    peer = Peer(bench, "visualizer")
    for transition in (ACTIVATE, CONFIGURE, CLEANUP, 0, 255):
        assert not peer.change(transition)
        assert node.state == "active"
    peer.set(ParameterMessage(name="rate_hz", value=ParameterValue(type=99)))
    report = node.report()
    assert report.values["messages refused"] == "6"
    assert report.level == Level.WARN
    assert "set_parameters" in report.message
    assert_unharmed(node)


LISTENERS = {
    "visualizer": (VisualizerNode, (EVENTS, POSE)),
    "triangulator": (TriangulatorNode, (POSE.under("/cam0"), CAMERA_INFO.under("/cam1"))),
    "evaluator": (EvaluatorNode, (POSE.under("/cam1"), POSE_3D, GROUND_TRUTH)),
}


@pytest.mark.usefixtures("asked_only")
@pytest.mark.parametrize("name", LISTENERS)
def test_damaged_messages_are_refused_and_counted(bench: Any, name: str) -> None:
    node_type, topics = LISTENERS[name]
    node = bench.run(node_type, **({} if name == "visualizer" else {"cameras": "cam0,cam1"}))
    rng = np.random.default_rng(1)
    if name == "visualizer":  # it reads events that somebody wants to see
        bench.collect(OVERLAY.message_class, "overlay", profile(OVERLAY.offered))
        bench.until(lambda: node._events_wanted)
    sent = 0
    for topic in topics:
        publisher = bench.publisher(topic.message_class, topic.name, profile(topic.offered))
        good = serialised(topic.message_class())
        for data in (b"", good[:-3], good[:9], b"\0\1\0\0" + rng.bytes(40), rng.bytes(200)):
            publisher.publish(data)
            sent += 1
            bench.until(lambda n=sent: node.boundary.incidents.refused == n)
    report = node.report()
    assert report.values["messages refused"] == str(5 * len(topics))
    assert report.level >= Level.WARN
    assert topics[-1].name.strip("/") in report.message
    assert_unharmed(node)


@pytest.mark.usefixtures("asked_only")
def test_damaged_initialisations_are_refused(
    bench: Any, checkpoint: Path, state_init: StateInit
) -> None:
    node = bench.run(SnnNode, checkpoint=str(checkpoint))
    events = bench.publisher(EVENTS.message_class, "events", profile(EVENTS.offered))
    inits = bench.publisher(STATE_INIT.message_class, "state_init", profile(STATE_INIT.offered))
    for step in (100, 101):
        events.publish(bench.packet(step))
    bench.until(lambda: node.figures.poses.total)
    good = serialised(state_init_message(state_init, Header(), Sensor(346, 260)))
    rng = np.random.default_rng(2)
    flipped = bytearray(good)
    for place in rng.integers(4, 200, 20):
        flipped[place] ^= 0xFF
    cases = (b"", good[: len(good) // 2], good[:100], rng.bytes(500), bytes(flipped))
    for number, data in enumerate(cases, 1):
        inits.publish(data)
        bench.until(lambda n=number: node.figures.refused.total == n)
    assert not node.worker.has_failed
    assert_unharmed(node)


@pytest.mark.usefixtures("asked_only")
def test_damaged_packets_are_malformed_also_in_the_other_byte_order(
    bench: Any, checkpoint: Path
) -> None:
    node = bench.run(SnnNode, checkpoint=str(checkpoint))
    events = bench.publisher(EVENTS.message_class, "events", profile(EVENTS.offered))
    good = serialised(bench.packet(100))
    rng = np.random.default_rng(3)
    cases = (b"", b"\0", good[:20], b"\0\0" + good[2:], b"\0\0\0\0" + rng.bytes(80), rng.bytes(99))
    for data in cases:
        events.publish(data)

    def malformed() -> int:
        return int(node.report().values["packets malformed"])

    bench.until(lambda: malformed() == len(cases))
    events.publish(bench.packet(101))
    bench.until(lambda: node.report().values["packets received"] == "1")
    assert_unharmed(node)


def test_an_error_of_the_node_itself_is_survived_and_told(
    bench: Any, checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hybrid_pose_ros.nodes.support.base.HOUSEKEEPING_S", 3600.0)
    node = bench.run(SnnNode, checkpoint=str(checkpoint))
    process = node.process
    fails = [True]

    def fail_once(*arguments: Any) -> None:
        if fails:
            raise KeyError(fails.pop())
        process(*arguments)

    monkeypatch.setattr(node, "process", fail_once)
    events = bench.publisher(EVENTS.message_class, "events", profile(EVENTS.offered))
    for step in range(100, 104):
        events.publish(bench.packet(step))
        bench.until(lambda n=step - 99: node._stream_figures.packets == n)
    report = node.report()
    assert report.values["unexpected errors"] == "1"
    assert report.level == Level.ERROR
    assert "KeyError: True" in report.message
    assert node.figures.poses.total == 2  # with what came after


def test_a_camera_info_that_is_none_of_a_camera_is_refused(bench: Any) -> None:
    node = bench.run(TriangulatorNode, cameras="cam0,cam1")
    topic = CAMERA_INFO.under("/cam0")
    publisher = bench.publisher(topic.message_class, topic.name, profile(topic.offered))
    publisher.publish(CameraInfo(width=346, height=260, p=[1e200] * 12))
    bench.until(lambda: node.boundary.incidents.refused == 1)
    assert_unharmed(node)


def test_a_clock_before_1970_is_refused(bench: Any) -> None:
    node = bench.run(VisualizerNode, use_sim_time=True)
    clock = bench.publisher(CLOCK.message_class, CLOCK.name, profile(CLOCK.offered))
    clock.publish(Clock(clock=Time(sec=-5)))
    bench.until(lambda: node.boundary.incidents.refused == 1)
    clock.publish(Clock(clock=Time(sec=5)))
    bench.until(lambda: node.now_ns() == 5 * 10**9)
    assert_unharmed(node)
