# SPDX-License-Identifier: Apache-2.0
"""The parameter that chooses the message type of the topic `events`."""

from hybrid_pose_ros.messages import PACKET_TYPES, event_packet_type
from hybrid_pose_ros.nodes.base import ManagedNode, StartError
from hybrid_pose_ros.nodes.parameters import ParameterSpec

PACKET_TYPE = ParameterSpec(
    "packet_type",
    PACKET_TYPES[0],
    "package whose EventPacket message the topic events carries",
    choices=PACKET_TYPES,
)


def chosen_packet_type(node: ManagedNode) -> type:
    """Return the message class that a node's ``packet_type`` names; raises StartError."""
    package = node.text(PACKET_TYPE.name)
    try:
        return event_packet_type(package)
    except ModuleNotFoundError as error:
        raise StartError(
            f"packet_type {package}: this package is not installed; "
            f"install it, or use {PACKET_TYPES[0]}"
        ) from error
