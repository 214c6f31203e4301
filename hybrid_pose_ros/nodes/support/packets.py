# SPDX-License-Identifier: Apache-2.0
"""The parameter that says which package's `EventPacket` the topic `events` carries."""

from hybrid_pose_ros.interfaces.topics import EVENTS, PACKET_PACKAGES, Topic
from hybrid_pose_ros.nodes.support.base import ManagedNode
from hybrid_pose_ros.nodes.support.boundary import StartError
from hybrid_pose_ros.nodes.support.parameters import ParameterSpec

PACKET_TYPE = ParameterSpec(
    "packet_type",
    PACKET_PACKAGES[0],
    "package whose EventPacket message the topic events carries",
    choices=PACKET_PACKAGES,
)


def events_topic(node: ManagedNode) -> Topic:
    """Return the topic of events as a node's ``packet_type`` has it; raises StartError."""
    package = node.text(PACKET_TYPE.name)
    topic = EVENTS.of_package(package)
    try:
        _ = topic.message_class
    except ModuleNotFoundError as error:
        raise StartError(
            f"packet_type {package}: this package is not installed; "
            f"install it, or use {PACKET_PACKAGES[0]}"
        ) from error
    return topic
