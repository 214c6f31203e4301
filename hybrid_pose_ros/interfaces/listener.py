# SPDX-License-Identifier: Apache-2.0
"""Receives topics as the bytes that came over the wire, for recording and measuring."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import rclpy
from rclpy.experimental.events_executor import EventsExecutor
from rclpy.qos import QoSProfile
from rclpy.signals import SignalHandlerOptions
from rclpy.utilities import try_shutdown

from hybrid_pose_ros.pipeline.scheduling import use_default_slice, use_short_slice

POLL_S = 0.1

DIAGNOSTICS_QOS = QoSProfile(depth=10)
"""What rclpy makes of a plain depth, as the nodes give it for /diagnostics."""

Receive = Callable[[str, int, bytes], None]


@dataclass(frozen=True)
class RawTopic:
    """A topic to be received in serialised form.

    Attributes:
        qos: of the subscription.
        offered: of the topic's publishers.
    """

    name: str
    message_type: type
    qos: QoSProfile
    offered: QoSProfile

    @property
    def type_name(self) -> str:
        """As in ``std_msgs/msg/Header``."""
        package = self.message_type.__module__.partition(".")[0]
        return f"{package}/msg/{self.message_type.__name__}"


def listen(
    name: str,
    topics: Sequence[RawTopic],
    receive: Receive,
    *,
    ready: Callable[[], None],
    until: Callable[[], bool],
) -> None:
    """Run a node that only listens, in this process; signals are left to the caller.

    Args:
        name: of the node.
        receive: called with topic, host time of arrival (ns since 1970) and bytes (CDR).
        ready: called once when all subscriptions exist.
        until: asked at least every POLL_S seconds and after each message; True ends it.
    """
    use_short_slice()
    rclpy.init(args=[], signal_handler_options=SignalHandlerOptions.NO)
    try:
        node = rclpy.create_node(name)
        for topic in topics:
            node.create_subscription(
                topic.message_type, topic.name, _receiver(topic.name, receive), topic.qos, raw=True
            )
        executor = EventsExecutor()
        executor.add_node(node)
        ready()
        while not until():
            executor.spin_once(timeout_sec=POLL_S)
        executor.shutdown()
        node.destroy_node()
    finally:
        try_shutdown()
        use_default_slice()


def _receiver(topic: str, receive: Receive) -> Callable[[Any], None]:
    def callback(data: bytes) -> None:
        receive(topic, time.time_ns(), data)

    return callback
