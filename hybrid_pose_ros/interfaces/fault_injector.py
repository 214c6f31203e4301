# SPDX-License-Identifier: Apache-2.0
"""Node `fault_injector`: publishes any bytes on any topic, and hears whether poses go on."""

import threading
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray
from rclpy.node import Node

from hybrid_pose_ros.interfaces.diagnostics import node_reports
from hybrid_pose_ros.interfaces.lifecycle import StateClient
from hybrid_pose_ros.interfaces.qos import profile
from hybrid_pose_ros.interfaces.topics import DIAGNOSTICS, Topic


class FaultInjectorNode(Node):
    """Publishes what it is given, valid or not, and passes on what it hears as bytes.

    Args:
        sent: topics to publish.
        heard: topics to listen to, besides /diagnostics.
        managed: full names of the nodes whose state can be changed.
        on_message: called with topic and bytes, in the thread of the executor.
        on_diagnostics: called likewise with a node's name and its figures.
    """

    def __init__(
        self,
        sent: Sequence[Topic],
        heard: Sequence[Topic],
        managed: Sequence[str],
        *,
        on_message: Callable[[str, bytes], None],
        on_diagnostics: Callable[[str, Mapping[str, str]], None],
    ) -> None:
        super().__init__("fault_injector")
        self._on_diagnostics = on_diagnostics
        self._outputs = {
            topic.name: self.create_publisher(
                topic.message_class, topic.name, profile(topic.offered)
            )
            for topic in sent
        }
        for topic in heard:
            self.create_subscription(
                topic.message_class,
                topic.name,
                partial(on_message, topic.name),
                profile(topic.wanted),
                raw=True,
            )
        self.create_subscription(
            DiagnosticArray, DIAGNOSTICS.name, self._on_array, profile(DIAGNOSTICS.wanted)
        )
        self._states = {name: StateClient(self, name) for name in managed}

    def publish(self, topic: str, data: bytes) -> None:
        """Publish bytes as they are; any thread may call it."""
        self._outputs[topic].publish(data)

    def subscribers(self, topic: str) -> int:
        """Return how many are connected to a topic that is sent."""
        return int(self._outputs[topic].get_subscription_count())

    def change_state(self, name: str, transition: str, timeout_s: float) -> bool:
        """Ask a node for a transition; return whether it was made in time.

        Args:
            transition: see :meth:`~hybrid_pose_ros.interfaces.lifecycle.StateClient.ask`.
        """
        answered = threading.Event()
        future = self._states[name].ask(transition)
        future.add_done_callback(lambda _: answered.set())
        if not answered.wait(timeout_s):
            return False
        answer: Any = future.result()
        return bool(answer.success)

    def _on_array(self, array: DiagnosticArray) -> None:
        for name, report in node_reports(array):
            self._on_diagnostics(name, report.values)
