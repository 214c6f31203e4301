# SPDX-License-Identifier: Apache-2.0
"""A node that publishes and hears messages as the bytes that they are on the wire."""

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any, Final, TypeVar

import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.executors import Executor
from rclpy.experimental.events_executor import EventsExecutor
from rclpy.node import Node
from rclpy.publisher import Publisher
from rclpy.signals import SignalHandlerOptions
from rclpy.utilities import try_shutdown

from hybrid_pose_ros.interfaces.diagnostics import node_reports
from hybrid_pose_ros.interfaces.qos import profile
from hybrid_pose_ros.interfaces.topics import DIAGNOSTICS, Topic
from hybrid_pose_ros.interfaces.transport import room_for_events

SPIN_S: Final = 0.1

AnyNode = TypeVar("AnyNode", bound=Node)


class ByteNode(Node):
    """Publishes what it is given, and passes on what it hears; it decides nothing.

    Args:
        name: of the node.
        sent: topics to publish.
        heard: topics to listen to, besides /diagnostics.
        on_message: called with topic and content (CDR) of what was heard, in the thread of the
            executor.
        on_diagnostics: called likewise with a node's name and its figures.
    """

    def __init__(
        self,
        name: str,
        sent: Sequence[Topic],
        heard: Sequence[Topic],
        *,
        on_message: Callable[[str, bytes], None],
        on_diagnostics: Callable[[str, Mapping[str, str]], None],
    ) -> None:
        super().__init__(name)
        self._on_diagnostics = on_diagnostics
        self._outputs = {topic.name: self.publisher(topic) for topic in sent}
        for topic in heard:
            subscribe_raw(self, topic, partial(on_message, topic.name))
        self.create_subscription(
            DiagnosticArray, DIAGNOSTICS.name, self._on_array, profile(DIAGNOSTICS.wanted)
        )

    def publisher(self, topic: Topic) -> Publisher:
        """Return a new publisher of a topic."""
        return self.create_publisher(topic.message_class, topic.name, profile(topic.offered))

    def publish(self, topic: str, data: bytes) -> None:
        """Publish bytes as they are; any thread may call it."""
        self._outputs[topic].publish(data)

    def subscribers(self, topic: str) -> int:
        """Return how many are connected to a topic that is sent."""
        return int(self._outputs[topic].get_subscription_count())

    def _on_array(self, array: DiagnosticArray) -> None:
        for name, report in node_reports(array):
            self._on_diagnostics(name, report.values)


def subscribe_raw(node: Node, topic: Topic, callback: Callable[[Any], None]) -> None:
    """Let a node hear a topic as bytes."""
    quality = profile(topic.wanted)
    node.create_subscription(topic.message_class, topic.name, callback, quality, raw=True)


@contextmanager
def executing(make: Callable[[], AnyNode]) -> Iterator[tuple[AnyNode, Executor]]:
    """Make a node and an executor, which the caller spins; signals are left to the caller, too."""
    rclpy.init(args=[], signal_handler_options=SignalHandlerOptions.NO)
    try:
        node = make()
        executor = EventsExecutor()
        executor.add_node(node)
        try:
            yield node, executor
        finally:
            executor.shutdown()
            node.destroy_node()
    finally:
        try_shutdown()


@contextmanager
def spinning(make: Callable[[], AnyNode]) -> Iterator[AnyNode]:
    """Make a node and serve it in a thread of its own; signals are left to the caller."""

    def make_with_room() -> AnyNode:
        with room_for_events():
            return make()

    with executing(make_with_room) as (node, executor):
        stop = threading.Event()

        def spin() -> None:
            while not stop.is_set():
                executor.spin_once(timeout_sec=SPIN_S)

        thread = threading.Thread(target=spin, name=node.get_name())
        thread.start()
        try:
            yield node
        finally:
            stop.set()
            thread.join()
