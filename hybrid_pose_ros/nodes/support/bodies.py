# SPDX-License-Identifier: Apache-2.0
"""The identifier of a body in the topics of ROS for human-robot interaction (REP-155)."""

import re
from typing import Final

from hybrid_pose_ros.nodes.support.base import ManagedNode
from hybrid_pose_ros.nodes.support.boundary import StartError
from hybrid_pose_ros.nodes.support.parameters import ParameterSpec

BODIES: Final = "/humans/bodies"
"""Namespace of the topics."""

BODY_ID: Final = ParameterSpec(
    "body_id",
    "body",
    "identifier of the body in REP-155's topics: letters, digits and _, a letter first",
)


def body_id_of(node: ManagedNode) -> str:
    """Return the identifier; raises StartError if it cannot be part of a topic's name."""
    body_id = node.text(BODY_ID.name)
    if not re.fullmatch("[A-Za-z][A-Za-z0-9_]*", body_id):
        raise StartError(
            f"body_id {body_id!r} cannot be part of a topic's name; "
            "use letters, digits and _, a letter first"
        )
    return body_id
