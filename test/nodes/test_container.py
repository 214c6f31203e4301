# SPDX-License-Identifier: Apache-2.0
"""Several nodes in one process: the command line, what passes between them, the same poses."""

import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hybrid_pose_ros import PoseEstimator
from hybrid_pose_ros.graph.specs import ContainerSpec, NodeSpec, in_one_process
from hybrid_pose_ros.interfaces.qos import profile
from hybrid_pose_ros.interfaces.topics import EVENTS, POSE, STATE_INIT
from hybrid_pose_ros.msg import EventPacket, PoseKeypoints, StateInit
from hybrid_pose_ros.nodes.container import Part, PartsError, read_parts
from hybrid_pose_ros.nodes.snn import SnnNode
from hybrid_pose_ros.nodes.support.local_events import LocalEvents, sharing
from hybrid_pose_ros.simulation.source import SimulatorSource

SECONDS = 0.8
PERIOD_NS = 100_000_000
"""Between two runs of the ANN."""


def test_a_command_line_is_read_as_the_nodes_that_it_was_made_of() -> None:
    specs = [
        NodeSpec("snn", "snn", "/cam0", (Path("/a b.yaml"),), {"step_ms": 5.0}, True),
        NodeSpec("ann", "ann", "", (), {}, False),
        NodeSpec("visualizer", "visualizer", "", (), {}, False),
    ]
    visualizer, container = in_one_process(specs)
    assert visualizer is specs[2]
    assert isinstance(container, ContainerSpec) and container.required
    words = container.ros_arguments()
    assert read_parts([*words, "--ros-args", "--log-level", "debug"]) == [
        Part(
            spec.executable,
            spec.required,
            ("--ros-args", "--log-level", "debug", *spec.ros_arguments()),
        )
        for spec in specs[:2]
    ]


@pytest.mark.parametrize(
    ("words", "message"),
    [([], "no node is named"), (["visualizer"], "there is no node visualizer")],
)
def test_a_wrong_command_line_is_refused(words: list[str], message: str) -> None:
    with pytest.raises(PartsError, match=message):
        read_parts(words)


class Driver:
    """Publishes to the nodes of this process what a test hands over."""

    def __init__(self, local: LocalEvents) -> None:
        self._local = local
        local.offer("/events")

    def publish(self, bench: Any, first: int, count: int = 1) -> None:
        from rclpy.serialization import serialize_message

        self._local.publish("/events", serialize_message(bench.packet(first, count)))


@pytest.fixture
def driver() -> Driver:
    return Driver(LocalEvents())


def test_packets_reach_a_node_without_a_subscription_of_the_middleware(
    bench: Any, driver: Driver, asked_only: None
) -> None:
    node = bench.run(sharing(driver._local, SnnNode), max_delay_ms=60_000.0)  # none is merged
    poses = bench.collect(PoseKeypoints, "pose", profile(POSE.offered))
    assert bench.probe.count_subscribers("/events") == 0
    assert node.count_subscribers("/events") == 1
    for step in range(5):
        driver.publish(bench, step)
    bench.until(lambda: len(poses) == 4)  # the fifth step is open
    assert bench.report(node).values["packets received"] == "5"
    node.trigger_deactivate()
    assert node.count_subscribers("/events") == 0
    driver.publish(bench, 5)  # nobody listens


def test_a_node_keeps_the_last_packets_as_many_as_the_history_of_the_topic(
    bench: Any, driver: Driver, asked_only: None
) -> None:
    node = bench.run(sharing(driver._local, SnnNode))
    depth = EVENTS.wanted.depth
    for step in range(depth + 10):  # none is served meanwhile
        driver.publish(bench, step)
    bench.until(lambda: bench.report(node).values["packets received"] == str(depth))


def start(*words: str) -> subprocess.Popen[str]:
    code = "from hybrid_pose_ros.nodes.start import start_node; start_node('container')"
    return subprocess.Popen(
        [sys.executable, "-P", "-c", code, *words], stderr=subprocess.PIPE, text=True
    )


@pytest.fixture
def specs() -> list[NodeSpec]:
    """A driver of a simulated person, slower than life, and the two networks."""
    driver = {"source": "simulator", "seconds": SECONDS, "rate": 0.25, "packet_ms": 5.0}
    driver |= {"wait_for_subscribers": 3, "start_delay_s": 1.0}
    return [
        NodeSpec("event_driver", "event_driver", "", (), driver, True),
        NodeSpec("ann", "ann", "", (), {}, False),
        NodeSpec("snn", "snn", "", (), {"max_delay_ms": 60_000.0}, True),
    ]


def test_poses_are_those_of_the_pipeline_and_all_topics_are_published(
    bench: Any, specs: list[NodeSpec]
) -> None:
    (container,) = in_one_process(specs)
    received: dict[str, list[Any]] = {"events": [], "state_init": [], "pose": []}
    types = {"events": EventPacket, "state_init": StateInit, "pose": PoseKeypoints}
    for topic in (EVENTS, STATE_INIT, POSE):
        bench.probe.create_subscription(
            types[topic.name], topic.name, received[topic.name].append, profile(topic.offered)
        )
    process = start(*container.ros_arguments())
    try:
        bench.until(lambda: process.poll() is not None, 120.0)
    finally:
        process.kill()
    assert process.stderr is not None
    assert process.returncode == 0, process.stderr.read()

    events = SimulatorSource("walking", SECONDS, 0)
    reference = PoseEstimator(events.width, events.height)
    poses = {}
    while (batch := events.read()) is not None:
        poses |= {pose.sensor_time_ns: pose for pose in reference.push(batch)}
    compared = 0
    for message in received["pose"]:
        if not 0 <= message.init_age < PERIOD_NS:
            continue  # the answer of the ANN that is in the other's pose was still to come
        pose = poses[message.sensor_time]
        points = np.array([(point.x, point.y) for point in message.keypoints], np.float32)
        np.testing.assert_array_equal(points, pose.keypoints.astype(np.float32))
        compared += 1
    assert compared > 20
    assert len(received["pose"]) == len(poses)
    assert len(received["state_init"]) == len(poses) * 10 // 100
    assert len(received["events"]) >= SECONDS * 1000 / 5 - 1


@pytest.mark.parametrize(
    "number", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.slow)]
)
def test_a_signal_ends_all_nodes_in_order(
    number: signal.Signals, shared_memory: Callable[[subprocess.Popen[str]], list[Path]]
) -> None:
    words = ["--ros-args", "-p", "autostart:=false", "--log-level", "debug"]
    process = start("snn", *words, "--", "ann", *words)
    assert process.stderr is not None
    try:
        memory = shared_memory(process)
        process.send_signal(number)
        assert process.wait(60) == 0
        assert "Traceback" not in process.stderr.read()
        assert not [path for path in memory if path.exists()]
    finally:
        process.kill()


def test_a_required_node_that_cannot_start_ends_all_with_its_reason() -> None:
    process = start(
        *("ann", "--ros-args", "-p", "autostart:=false", "--", "snn", "--required"),
        *("--ros-args", "-p", "checkpoint:=/no/such/file"),
    )
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 1
    assert "/no/such/file: no such checkpoint" in errors
    assert "Traceback" not in errors
