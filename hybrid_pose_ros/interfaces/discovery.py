# SPDX-License-Identifier: Apache-2.0
"""Finds the topics that are being published, with a quality of service that suits them."""

import time
from collections.abc import Callable, Sequence

import rclpy
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy
from rclpy.signals import SignalHandlerOptions
from rclpy.utilities import try_shutdown

from hybrid_pose_ros.interfaces.topics import Quality, Topic

POLL_S = 0.1

QUIET_S = 1.0
"""No new topic for this long: all are there."""

DEPTH = 512


def discover(
    types: Sequence[str], timeout_s: float, *, until: Callable[[], bool] = lambda: False
) -> list[Topic]:
    """Return the published topics of these types, with a quality to subscribe with.

    Waits until no new one has come for :data:`QUIET_S`, or none at all for ``timeout_s``.

    Args:
        until: asked at least every POLL_S seconds; True ends the search.
    """
    rclpy.init(args=[], signal_handler_options=SignalHandlerOptions.NO)
    try:
        node = rclpy.create_node("topic_discovery")
        found: set[tuple[str, str]] = set()
        begun = changed = time.monotonic()
        while not until():
            now = time.monotonic()
            new = _published(node, types) - found
            if new:
                found |= new
                changed = now
            if now - changed >= QUIET_S if found else now - begun >= timeout_s:
                break
            time.sleep(POLL_S)
        topics = [Topic(name, kind, _quality(node, name)) for name, kind in sorted(found)]
        node.destroy_node()
        return topics
    finally:
        try_shutdown()


def _published(node: Node, types: Sequence[str]) -> set[tuple[str, str]]:
    return {
        (name, kind)
        for name, kinds in node.get_topic_names_and_types()
        for kind in kinds
        if kind in types and node.count_publishers(name)
    }


def _quality(node: Node, topic: str) -> Quality:
    """Ask for what every publisher offers: one that offers less would not be heard."""
    offers = [info.qos_profile for info in node.get_publishers_info_by_topic(topic)]
    latched = bool(offers) and all(
        offer.durability == DurabilityPolicy.TRANSIENT_LOCAL for offer in offers
    )
    # A viewer must never make a publisher wait for it.
    return Quality(DEPTH, reliable=latched, latched=latched)
