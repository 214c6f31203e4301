# SPDX-License-Identifier: Apache-2.0
"""Receives topics as the bytes that came over the wire, for recording and measuring."""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import rclpy
from rclpy.node import Node
from rclpy.serialization import deserialize_message

from hybrid_pose_ros.interfaces.byte_node import executing, subscribe_raw
from hybrid_pose_ros.interfaces.diagnostics import NodeReport, node_reports
from hybrid_pose_ros.interfaces.topics import DIAGNOSTICS, Topic
from hybrid_pose_ros.pipeline.scheduling import use_default_slice, use_short_slice

POLL_S = 0.1

Receive = Callable[[str, int, bytes], None]


def listen(
    name: str,
    topics: Sequence[Topic],
    receive: Receive,
    *,
    ready: Callable[[Node], None] | None = None,
    until: Callable[[], bool],
) -> None:
    """Run a node that only listens, in this process; signals are left to the caller.

    Args:
        name: of the node.
        receive: called with topic, host time of arrival (ns since 1970) and bytes (CDR).
        ready: called once with the node when all subscriptions exist.
        until: asked at least every POLL_S seconds and after each message; True ends it.
    """
    use_short_slice()
    try:
        with executing(lambda: rclpy.create_node(name)) as (node, executor):
            for topic in topics:
                subscribe_raw(node, topic, _receiver(topic.name, receive))
            if ready is not None:
                ready(node)
            while not until():
                executor.spin_once(timeout_sec=POLL_S)
    finally:
        use_default_slice()


def hear_reports(
    name: str, take: Callable[[Mapping[str, NodeReport]], None], *, until: Callable[[], bool]
) -> None:
    """Listen to the reports of all nodes, as :func:`listen` does.

    Args:
        take: called with full name of a node -> its report, of each message.
    """

    def receive(topic: str, stamp_ns: int, data: bytes) -> None:
        take(dict(node_reports(deserialize_message(data, DIAGNOSTICS.message_class))))

    listen(name, [DIAGNOSTICS], receive, until=until)


def _receiver(topic: str, receive: Receive) -> Callable[[Any], None]:
    def callback(data: bytes) -> None:
        receive(topic, time.time_ns(), data)

    return callback
