# SPDX-License-Identifier: Apache-2.0
"""Parameters and names that the nodes for human-robot interaction (REP-155) share."""

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

MIN_CONFIDENCE: Final = ParameterSpec(
    "min_confidence",
    0.1,
    "joints below it (share, 0 to 1) count as not known",
    limits=(0.0, 1.0),
    live=True,
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
