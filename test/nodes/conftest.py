# SPDX-License-Identifier: Apache-2.0
"""A running node, and a probe that talks to it, in one thread and one process."""

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import rclpy
from rclpy.experimental.events_executor import EventsExecutor
from rclpy.parameter import Parameter
from rclpy.publisher import Publisher
from rclpy.qos import QoSProfile
from std_msgs.msg import Header

from hybrid_pose_ros.events.array import EventArray, make_events
from hybrid_pose_ros.events.encodings import encode
from hybrid_pose_ros.interfaces.messages import stamp_from_ns
from hybrid_pose_ros.interfaces.topics import TF, Topic
from hybrid_pose_ros.msg import EventPacket
from hybrid_pose_ros.networks.config import EDGE
from hybrid_pose_ros.nodes.support import base
from hybrid_pose_ros.nodes.support.base import ManagedNode
from hybrid_pose_ros.nodes.support.health import Report

from ..conftest import packet_message

WIDTH, HEIGHT = 346, 260
STEP_NS = EDGE.step_ns


class Bench:
    """A probe node and the nodes under test on one executor, spun by the test itself."""

    def __init__(self) -> None:
        self.probe = rclpy.create_node("probe")
        self.executor = EventsExecutor()
        self.executor.add_node(self.probe)
        self.nodes: list[ManagedNode] = []
        self.seq = 0
        self._begin_ns = time.time_ns()

    def stamp_ns(self, seq: int) -> int:
        """Return the host time (ns) of the packet with this sequence number, 1 ms after another.

        It is of the clock of the nodes: they take a stamp far from it for one of another clock.
        """
        return self._begin_ns + seq * 10**6

    def run(self, node_type: type[ManagedNode], *, start: bool = True, **parameters: Any) -> Any:
        """Create a node with parameters, and start it."""
        overrides = [Parameter(name, value=value) for name, value in parameters.items()]
        node = node_type(parameter_overrides=overrides)
        self.nodes.append(node)
        self.executor.add_node(node)
        if start:
            node.start()
        return node

    @staticmethod
    def events(first: int, count: int, *, per_step: int = 20) -> EventArray:
        """Return events of whole steps of the edge model, on a patch of 5x4 pixels."""
        n = count * per_step
        index = np.arange(n)
        t = first * STEP_NS + index * (STEP_NS // per_step)
        # so dense that the noise filter lets them through
        return make_events(t, 150 + index % 5, 100 + index // 5 % 4, index % 2 == 0)

    def packet(self, first: int, count: int = 1, **changes: Any) -> EventPacket:
        """Return the next packet in sequence, with the events of some steps.

        It is stamped with :meth:`stamp_ns`. ``changes`` replace fields.
        """
        message = packet_message(
            encode("mono", self.events(first, count)),
            encoding="mono",
            width=WIDTH,
            height=HEIGHT,
            seq=self.seq,
            header=Header(stamp=stamp_from_ns(self.stamp_ns(self.seq)), frame_id="cam"),
        )
        self.seq += 1
        for name, value in changes.items():
            setattr(message, name, value)
        return message

    @staticmethod
    def report(node: ManagedNode) -> Report:
        """Return what the node would publish as diagnostics now."""
        return node.report()

    def collect(self, message_type: type, topic: str, qos: QoSProfile) -> list[Any]:
        """Return a list that grows with what comes on a topic that a node publishes already."""
        messages: list[Any] = []
        subscription = self.probe.create_subscription(message_type, topic, messages.append, qos)
        self.until(lambda: subscription.get_publisher_count() > 0)
        return messages

    def publisher(self, message_type: type, topic: str, qos: QoSProfile) -> Publisher:
        """Return a publisher that a node listens to."""
        publisher = self.probe.create_publisher(message_type, topic, qos)
        self.until(lambda: publisher.get_subscription_count() > 0)
        return publisher

    def until(self, condition: Callable[[], object], seconds: float = 60.0) -> None:
        """Spin until a condition holds; fail after a while."""
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, "nothing came in time"
            self.executor.spin_once(timeout_sec=0.02)

    def close(self) -> None:
        """End all nodes."""
        for node in self.nodes:
            node.stop()
        self.executor.shutdown()
        for node in (*self.nodes, self.probe):
            node.destroy_node()


@pytest.fixture
def asked_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let nodes report only when the test asks: each report starts the counts for the next."""
    monkeypatch.setattr(base, "HOUSEKEEPING_S", 3600.0)


@pytest.fixture
def bench() -> Iterator[Bench]:
    """ROS, for one test."""
    rclpy.init()
    bench = Bench()
    try:
        yield bench
    finally:
        bench.close()
        rclpy.try_shutdown()


@pytest.fixture
def frames(tf2_msgs: None, monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Messages that nodes publish on /tf, made with a stand-in for tf2_msgs."""
    messages: list[Any] = []
    offer = ManagedNode.publish_to

    def publish_to(node: ManagedNode, topic: Topic) -> Any:
        if topic is not TF:
            return offer(node, topic)
        publisher = offer(node, replace(topic, type="std_msgs/msg/Header"))

        def publish(message: Any) -> None:
            if publisher.is_activated:
                messages.append(message)

        return SimpleNamespace(publish=publish)

    monkeypatch.setattr(ManagedNode, "publish_to", publish_to)
    return messages
