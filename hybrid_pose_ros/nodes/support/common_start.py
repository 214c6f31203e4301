# SPDX-License-Identifier: Apache-2.0
"""The wait of a publisher of events until all who are to hear them are there."""

import threading
import time
from collections.abc import Sequence

from rclpy.lifecycle import LifecyclePublisher

from hybrid_pose_ros.interfaces.topics import EVENTS
from hybrid_pose_ros.nodes.support.base import ManagedNode
from hybrid_pose_ros.nodes.support.parameters import ParameterSpec

SUBSCRIBER_TIMEOUT_S = 10.0
"""After so long the events start without the subscribers that were waited for."""

TOGETHER_TIMEOUT_S = 120.0
"""The same for cameras that start together, and for the first events of each."""

START_PARAMETERS = (
    ParameterSpec(
        "wait_for_subscribers",
        0,
        f"subscribers of events to wait for, at most {SUBSCRIBER_TIMEOUT_S:g} s",
        limits=(0, 100),
    ),
    ParameterSpec(
        "together_with",
        "",
        "namespaces of cameras, with commas: wait for the subscribers of their events, too, "
        f"at most {TOGETHER_TIMEOUT_S:g} s, so that all start at the same time",
    ),
    ParameterSpec(
        "start_delay_s", 0.0, "time (s) from then to the first packet", limits=(0.0, 3600.0)
    ),
)
"""Parameters that say who is waited for."""


def await_first_events(node: ManagedNode, ready: threading.Event) -> None:
    """Wait for the first events of a source whose camera starts together with others.

    The others take our publisher as the sign that we can start: nothing is compiled after it.

    Args:
        ready: is set once they are there.
    """
    if node.text("together_with"):
        ready.wait(TOGETHER_TIMEOUT_S)


def await_subscribers(
    node: ManagedNode, publisher: LifecyclePublisher, stopping: threading.Event
) -> None:
    """Wait for the subscribers that a node's parameters name, and then for its delay.

    Args:
        stopping: once set, the wait ends.
    """
    wanted = node.integer("wait_for_subscribers")
    names = (name.strip().strip("/") for name in node.text("together_with").split(","))
    others = [EVENTS.under(f"/{name}").name for name in names if name]
    timeout_s = TOGETHER_TIMEOUT_S if others else SUBSCRIBER_TIMEOUT_S
    deadline = time.monotonic() + timeout_s
    while (found := _subscribers(node, publisher, others)) < wanted:
        if time.monotonic() > deadline:
            node.get_logger().warning(
                f"only {found} of {wanted} subscribers of events came in "
                f"{timeout_s:g} s; starting without the rest"
            )
            break
        if stopping.wait(0.02):
            return
    stopping.wait(node.number("start_delay_s"))


def _subscribers(node: ManagedNode, publisher: LifecyclePublisher, others: Sequence[str]) -> int:
    """Count our subscribers, or those of another topic if that has less."""
    counts = [
        node.count_subscribers(topic) if node.count_publishers(topic) else 0 for topic in others
    ]
    return min([publisher.get_subscription_count(), *counts])
