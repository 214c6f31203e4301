# SPDX-License-Identifier: Apache-2.0
"""The topics of a graph: names, types and quality of service, for nodes and for bags (no ROS)."""

import importlib
from dataclasses import dataclass, replace
from typing import Any, Final

from hybrid_pose_ros import PACKAGE

EVENTS_TYPE: Final = f"{PACKAGE}/msg/EventPacket"
POSE_TYPE: Final = f"{PACKAGE}/msg/PoseKeypoints"
POSE_3D_TYPE: Final = f"{PACKAGE}/msg/PoseKeypoints3D"
STATE_INIT_TYPE: Final = f"{PACKAGE}/msg/StateInit"
INIT_REQUEST_TYPE: Final = f"{PACKAGE}/msg/InitRequest"
CAMERA_INFO_TYPE: Final = "sensor_msgs/msg/CameraInfo"

PACKET_PACKAGES: Final = (PACKAGE, "event_camera_msgs")
"""Packages whose `EventPacket` is understood; the two are equal field by field."""

FRAME_ID: Final = "event_camera"
"""Frame of the camera unless a parameter says otherwise."""

WORLD_FRAME: Final = "world"
"""Frame of poses in space unless a parameter says otherwise."""


@dataclass(frozen=True)
class Quality:
    """Quality of service that keeps the last ``depth`` messages.

    Attributes:
        reliable: a lost message is sent again; else best effort.
        latched: subscribers that come later get the messages kept (transient local).
    """

    depth: int
    reliable: bool = True
    latched: bool = False


@dataclass(frozen=True)
class Topic:
    """A topic.

    Attributes:
        name: relative to the namespace of the node or camera, unless it begins with a slash.
        type: as in ``std_msgs/msg/Header``.
        offered: quality that publishers offer.
        asked: quality that subscribers ask for; None: the same.
    """

    name: str
    type: str
    offered: Quality
    asked: Quality | None = None

    @property
    def wanted(self) -> Quality:
        """Quality that subscribers ask for."""
        return self.asked or self.offered

    @property
    def namespace(self) -> str:
        """The part of the name before the last slash: the camera's; "" at the root."""
        return self.name.rpartition("/")[0]

    @property
    def message_class(self) -> Any:
        """The class of its messages.

        Raises:
            ModuleNotFoundError: their package is not installed.
        """
        package, _, name = self.type.partition("/msg/")
        return getattr(importlib.import_module(f"{package}.msg"), name)

    def under(self, namespace: str) -> "Topic":
        """Return the topic in a namespace: ``/cam0``, "" for the root, or a relative ``cam0``."""
        return replace(self, name=f"{namespace}/{self.name}")

    def of_package(self, package: str) -> "Topic":
        """Return the topic with the messages of this name of another package."""
        return replace(self, type=f"{package}/msg/{self.type.partition('/msg/')[2]}")

    def keeping(self, depth: int) -> "Topic":
        """Return the topic with queues of this length, for those who must not miss a message."""
        return replace(
            self,
            offered=replace(self.offered, depth=depth),
            asked=replace(self.wanted, depth=depth),
        )


_VISUAL: Final = Quality(2)
"""For images, markers and clouds that a person looks at."""

EVENTS: Final = Topic("events", EVENTS_TYPE, Quality(512), Quality(512, reliable=False))
"""A lost packet is worth less to the nodes than a late one, so they ask for best effort; tools
that ask for reliable delivery get it. Half a second of packets at 1 kHz fit into the queue."""

CAMERA_INFO: Final = Topic("camera_info", CAMERA_INFO_TYPE, Quality(1))
"""Volatile: matches publishers of either kind, which send it again and again."""

STATE_INIT: Final = Topic("state_init", STATE_INIT_TYPE, Quality(2))
"""An older initialisation than the last two is of no use."""

INIT_REQUEST: Final = Topic("init_request", INIT_REQUEST_TYPE, Quality(8))
POSE: Final = Topic("pose", POSE_TYPE, Quality(32))
INITIALISED: Final = Topic("~/initialised", "std_msgs/msg/UInt64", Quality(32))
OVERLAY: Final = Topic("overlay", "sensor_msgs/msg/Image", _VISUAL)
MARKERS: Final = Topic("markers", "visualization_msgs/msg/MarkerArray", _VISUAL)
CLOUD: Final = Topic("cloud", "sensor_msgs/msg/PointCloud2", _VISUAL)
POSE_3D: Final = Topic("pose_3d", POSE_3D_TYPE, Quality(32))
MARKERS_3D: Final = Topic("markers_3d", "visualization_msgs/msg/MarkerArray", _VISUAL)
TF: Final = Topic("/tf", "tf2_msgs/msg/TFMessage", Quality(32))
GROUND_TRUTH: Final = Topic("/ground_truth/pose_3d", POSE_3D_TYPE, Quality(32))
CLOCK: Final = Topic("/clock", "rosgraph_msgs/msg/Clock", Quality(1))
DIAGNOSTICS: Final = Topic("/diagnostics", "diagnostic_msgs/msg/DiagnosticArray", Quality(10))

RECORDED: Final = (EVENTS, CAMERA_INFO, STATE_INIT, POSE)
"""Topics of a camera that a bag records: everything else can be made from these again."""

LATCHED_CAMERA_INFO: Final = replace(CAMERA_INFO, offered=Quality(1, latched=True))
"""The calibration in a bag and as a bag is played: who comes later gets it, too."""


def camera_topics(namespace: str) -> list[Topic]:
    """Return all that the nodes of a camera publish, and the diagnostics."""
    topics = (*RECORDED, OVERLAY, MARKERS, CLOUD)
    return [*(topic.under(namespace) for topic in topics), DIAGNOSTICS]


def camera_namespaces(text: str) -> tuple[str, ...]:
    """Return absolute namespaces of names with commas between them; the root is empty."""
    names = [name.strip() for name in text.split(",")]
    return tuple(absolute_namespace(name) for name in names if name)


def absolute_namespace(name: str) -> str:
    """Return a namespace with one slash at its beginning; the root is empty."""
    stripped = name.strip("/")
    return f"/{stripped}" if stripped else ""


def is_packet_type(message_type: str) -> bool:
    """Return whether a type is an `EventPacket` that is understood."""
    package, _, name = message_type.partition("/msg/")
    return package in PACKET_PACKAGES and name == "EventPacket"
