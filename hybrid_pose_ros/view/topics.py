# SPDX-License-Identifier: Apache-2.0
"""Which topics are shown, whose they are, and the messages of a bag."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from rosbags.typesys.store import Typestore

from hybrid_pose_ros import PACKAGE
from hybrid_pose_ros.bags.bag import open_bag

EVENTS: Final = f"{PACKAGE}/msg/EventPacket"
POSE: Final = f"{PACKAGE}/msg/PoseKeypoints"
POSE_3D: Final = f"{PACKAGE}/msg/PoseKeypoints3D"
STATE_INIT: Final = f"{PACKAGE}/msg/StateInit"
CAMERA_INFO: Final = "sensor_msgs/msg/CameraInfo"

SHOWN_AS: Final = {
    **{kind: kind for kind in (EVENTS, POSE, POSE_3D, STATE_INIT, CAMERA_INFO)},
    "event_camera_msgs/msg/EventPacket": EVENTS,
}
"""Type of a topic -> type as which its messages are read; the two event packets are equal."""

ONLY_CAMERA: Final = "camera"
"""Name of the camera whose topics have no namespace."""


@dataclass(frozen=True, order=True)
class ShownTopic:
    """A topic that is shown.

    Attributes:
        kind: type as which its messages are read, one of the values of :data:`SHOWN_AS`.
    """

    name: str
    kind: str

    @property
    def owner(self) -> str:
        """The namespace without slashes at its ends; "" at the root."""
        return self.name.rpartition("/")[0].strip("/")

    @property
    def camera(self) -> str | None:
        """Name of the camera; None for what belongs to no camera."""
        return None if self.kind == POSE_3D else self.owner or ONLY_CAMERA


def choose_topics(types: Iterable[tuple[str, str]], namespaces: Iterable[str]) -> list[ShownTopic]:
    """Return those of the topics (name, type) that can be shown, in order of their names.

    Args:
        namespaces: show only cameras of these namespaces and what belongs to no camera; all
            cameras if there are none.

    A calibration is shown only for a camera of which there is more. Nothing is shown where one of
    the namespaces has no camera: a mistyped one would leave an empty picture.
    """
    wanted = {namespace.strip("/") for namespace in namespaces}
    topics = sorted(ShownTopic(name, SHOWN_AS[kind]) for name, kind in types if kind in SHOWN_AS)
    topics = [topic for topic in topics if not wanted or not topic.camera or topic.owner in wanted]
    used = {topic.camera for topic in topics if topic.kind != CAMERA_INFO}
    # None stands for what belongs to no camera.
    topics = [topic for topic in topics if topic.camera in used]
    owners = {topic.owner for topic in topics if topic.camera}
    return topics if wanted <= owners else []


def topics_of_bag(path: Path) -> list[tuple[str, str]]:
    """Return the topics (name, type) of a bag; raises BagError."""
    with open_bag(path) as reader:
        return [(link.topic, link.msgtype) for link in reader.connections]


def messages_of_bag(
    path: Path, store: Typestore, topics: Iterable[ShownTopic]
) -> Iterator[tuple[ShownTopic, int, Any]]:
    """Yield (topic, arrival in ns since 1970, message) in order of arrival.

    Raises:
        BagError: the bag is missing or damaged.
    """
    chosen = {topic.name: topic for topic in topics}
    with open_bag(path) as reader:
        links = [link for link in reader.connections if link.topic in chosen]
        for link, stamp_ns, data in reader.messages(links):
            topic = chosen[link.topic]
            yield topic, stamp_ns, store.deserialize_cdr(data, topic.kind)
