# SPDX-License-Identifier: Apache-2.0
"""The topics of a graph, with their types and quality of service."""

from typing import Any, Final

from diagnostic_msgs.msg import DiagnosticArray
from sensor_msgs.msg import CameraInfo, Image, PointCloud2
from visualization_msgs.msg import MarkerArray

from hybrid_pose_ros.bags.bag import Topic
from hybrid_pose_ros.bags.layout import make_qos
from hybrid_pose_ros.interfaces.listener import DIAGNOSTICS_QOS, RawTopic
from hybrid_pose_ros.interfaces.messages import (
    CAMERA_INFO_QOS,
    EVENTS_PUBLISHER_QOS,
    EVENTS_QOS,
    POSE_QOS,
    STATE_INIT_QOS,
    VISUAL_QOS,
)
from hybrid_pose_ros.msg import EventPacket, PoseKeypoints, StateInit

DIAGNOSTICS: Final = "/diagnostics"


def graph_topics(namespace: str) -> list[RawTopic]:
    """Return what a graph publishes."""

    def topic(name: str, message_type: type, qos: Any, offered: Any) -> RawTopic:
        return RawTopic(f"{namespace}/{name}", message_type, qos, offered)

    return [
        topic("events", EventPacket, EVENTS_QOS, EVENTS_PUBLISHER_QOS),
        topic("camera_info", CameraInfo, CAMERA_INFO_QOS, CAMERA_INFO_QOS),
        topic("state_init", StateInit, STATE_INIT_QOS, STATE_INIT_QOS),
        topic("pose", PoseKeypoints, POSE_QOS, POSE_QOS),
        topic("overlay", Image, VISUAL_QOS, VISUAL_QOS),
        topic("markers", MarkerArray, VISUAL_QOS, VISUAL_QOS),
        topic("cloud", PointCloud2, VISUAL_QOS, VISUAL_QOS),
        RawTopic(DIAGNOSTICS, DiagnosticArray, DIAGNOSTICS_QOS, DIAGNOSTICS_QOS),
    ]


def bag_topic(topic: RawTopic) -> Topic:
    """Return how a topic is described in a bag."""
    offered = make_qos(
        depth=topic.offered.depth,
        reliable=topic.offered.reliability.name == "RELIABLE",
        latched=topic.offered.durability.name == "TRANSIENT_LOCAL",
    )
    return Topic(topic.name, topic.type_name, offered)
