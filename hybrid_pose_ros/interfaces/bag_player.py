# SPDX-License-Identifier: Apache-2.0
"""Node `bag_player`: publishes stored bytes and the bag's time, and hears what comes of it."""

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any, Final

import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.experimental.events_executor import EventsExecutor
from rclpy.node import Node
from rclpy.publisher import Publisher
from rclpy.serialization import deserialize_message
from rclpy.signals import SignalHandlerOptions
from rclpy.utilities import try_shutdown
from rosgraph_msgs.msg import Clock
from std_msgs.msg import UInt64
from std_srvs.srv import Trigger

from hybrid_pose_ros.interfaces.diagnostics import node_reports
from hybrid_pose_ros.interfaces.messages import stamp_from_ns
from hybrid_pose_ros.interfaces.qos import profile
from hybrid_pose_ros.interfaces.topics import CLOCK, DIAGNOSTICS, Topic
from hybrid_pose_ros.interfaces.transport import room_for_events
from hybrid_pose_ros.msg import PoseKeypoints

SPIN_S: Final = 0.1


def pose_time(data: bytes) -> int:
    """Return the sensor time (ns) up to which a serialised pose of a camera holds events."""
    message = deserialize_message(data, PoseKeypoints)
    return int(message.sensor_time - message.prediction)


def initialised_time(data: bytes) -> int:
    """Return the sensor time (ns) of the initialisation that a serialised message tells of."""
    return int(deserialize_message(data, UInt64).data)


class BagPlayerNode(Node):
    """Publishes what it is given, and passes on what it hears; it decides nothing.

    Publishes: topics of the bag, /clock (rosgraph_msgs/Clock). Services: ~/pause, ~/resume,
    ~/toggle_paused (std_srvs/Trigger).

    Args:
        played: topics to publish.
        heard: topics to listen to, besides /diagnostics.
        on_message: called with topic and content (CDR) of what was heard, in the thread of the
            executor.
        on_diagnostics: called likewise with a node's name and its figures.
        on_command: called with the name of a service; returns what it answers.
    """

    def __init__(
        self,
        played: Sequence[Topic],
        heard: Sequence[Topic],
        *,
        on_message: Callable[[str, bytes], None],
        on_diagnostics: Callable[[str, Mapping[str, str]], None],
        on_command: Callable[[str], str],
    ) -> None:
        super().__init__("bag_player")
        self._on_diagnostics = on_diagnostics
        self._outputs = {topic.name: _publisher(self, topic) for topic in played}
        self._clock_output = _publisher(self, CLOCK)
        for topic in heard:
            self.create_subscription(
                topic.message_class,
                topic.name,
                partial(self._hear, on_message, topic.name),
                profile(topic.wanted),
                raw=True,
            )
        self.create_subscription(
            DiagnosticArray, DIAGNOSTICS.name, self._on_array, profile(DIAGNOSTICS.wanted)
        )
        for name in ("pause", "resume", "toggle_paused"):
            self.create_service(Trigger, f"~/{name}", partial(self._serve, on_command, name))

    def publish(self, topic: str, data: bytes) -> None:
        """Publish stored bytes as they are."""
        self._outputs[topic].publish(data)

    def publish_clock(self, bag_ns: int) -> None:
        """Publish the time of the bag."""
        self._clock_output.publish(Clock(clock=stamp_from_ns(bag_ns)))

    def subscribers(self, topic: str) -> int:
        """Return how many are connected to a played topic."""
        return int(self._outputs[topic].get_subscription_count())

    def _hear(self, on_message: Callable[[str, bytes], None], topic: str, data: bytes) -> None:
        try:
            on_message(topic, data)
        except (RuntimeError, ValueError) as error:  # the middleware's errors, a text that is none
            self.get_logger().warning(f"{topic}: damaged message left out: {error}")

    def _on_array(self, array: DiagnosticArray) -> None:
        for name, status in node_reports(array):
            self._on_diagnostics(name, status.values)

    @staticmethod
    def _serve(on_command: Callable[[str], str], name: str, request: Any, response: Any) -> Any:
        response.success, response.message = True, on_command(name)
        return response


def _publisher(node: Node, topic: Topic) -> Publisher:
    return node.create_publisher(topic.message_class, topic.name, profile(topic.offered))


@contextmanager
def spinning(make: Callable[[], BagPlayerNode]) -> Iterator[BagPlayerNode]:
    """Make the node and serve it in a thread of its own; signals are left to the caller."""
    rclpy.init(args=[], signal_handler_options=SignalHandlerOptions.NO)
    try:
        with room_for_events():
            node = make()
        executor = EventsExecutor()
        executor.add_node(node)
        stop = threading.Event()

        def spin() -> None:
            while not stop.is_set():
                executor.spin_once(timeout_sec=SPIN_S)

        thread = threading.Thread(target=spin, name="bag_player")
        thread.start()
        try:
            yield node
        finally:
            stop.set()
            thread.join()
            executor.shutdown()
            node.destroy_node()
    finally:
        try_shutdown()
