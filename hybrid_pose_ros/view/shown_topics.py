# SPDX-License-Identifier: Apache-2.0
"""Which topics are shown, and whose they are."""

from collections.abc import Iterable
from dataclasses import replace
from typing import Final

from hybrid_pose_ros.interfaces.topics import (
    CAMERA_INFO_TYPE,
    EVENTS_TYPE,
    PACKET_PACKAGES,
    POSE_3D_TYPE,
    POSE_TYPE,
    STATE_INIT_TYPE,
    Topic,
)

SHOWN_AS: Final = {
    **{kind: kind for kind in (POSE_TYPE, POSE_3D_TYPE, STATE_INIT_TYPE, CAMERA_INFO_TYPE)},
    **{f"{package}/msg/EventPacket": EVENTS_TYPE for package in PACKET_PACKAGES},
}
"""Type of a topic -> type as which its messages are read; the two event packets are equal."""

ONLY_CAMERA: Final = "camera"
"""Name of the camera whose topics have no namespace."""


def camera_of(topic: Topic) -> str | None:
    """Return the name of a topic's camera; None for what belongs to no camera."""
    return None if topic.type == POSE_3D_TYPE else owner_of(topic) or ONLY_CAMERA


def choose_topics(topics: Iterable[Topic], namespaces: Iterable[str]) -> list[Topic]:
    """Return those of the topics that can be shown, in order of their names.

    Their types are those as which the messages are read, values of :data:`SHOWN_AS`.

    Args:
        namespaces: show only cameras of these namespaces and what belongs to no camera; all
            cameras if there are none.

    A calibration is shown only for a camera of which there is more. Nothing is shown where one of
    the namespaces has no camera: a mistyped one would leave an empty picture.
    """
    wanted = {namespace.strip("/") for namespace in namespaces}
    shown = [
        replace(topic, type=SHOWN_AS[topic.type]) for topic in topics if topic.type in SHOWN_AS
    ]
    shown = [
        topic for topic in shown if not wanted or not camera_of(topic) or owner_of(topic) in wanted
    ]
    used = {camera_of(topic) for topic in shown if topic.type != CAMERA_INFO_TYPE}
    # None stands for what belongs to no camera.
    shown = [topic for topic in shown if camera_of(topic) in used]
    owners = {owner_of(topic) for topic in shown if camera_of(topic)}
    return sorted(shown, key=lambda topic: topic.name) if wanted <= owners else []


def owner_of(topic: Topic) -> str:
    """Return a topic's namespace without slashes at its ends; "" at the root."""
    return topic.namespace.strip("/")
