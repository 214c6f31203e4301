# SPDX-License-Identifier: Apache-2.0
import pytest

from hybrid_pose_ros.interfaces.topics import (
    CAMERA_INFO,
    EVENTS,
    POSE,
    POSE_3D,
    Quality,
    Topic,
)
from hybrid_pose_ros.view.shown_topics import camera_of, choose_topics

TOPICS = [
    EVENTS.under("/cam0"),
    CAMERA_INFO.under("/cam0"),
    EVENTS.under("/cam1").of_package("event_camera_msgs"),
    POSE.under("/cam1"),
    CAMERA_INFO.under("/other"),
    POSE_3D.under(""),
    Topic("/rosout", "rcl_interfaces/msg/Log", Quality(1)),
]


@pytest.mark.parametrize(
    ("namespaces", "names"),
    [
        ([], ["/cam0/camera_info", "/cam0/events", "/cam1/events", "/cam1/pose", "/pose_3d"]),
        (["/cam1"], ["/cam1/events", "/cam1/pose", "/pose_3d"]),
        (["cam0"], ["/cam0/camera_info", "/cam0/events", "/pose_3d"]),
    ],
)
def test_what_is_shown(namespaces: list[str], names: list[str]) -> None:
    """Cameras of the namespaces, the poses in space, and no camera without events or poses."""
    assert [topic.name for topic in choose_topics(TOPICS, namespaces)] == names


def test_owner_of_a_topic() -> None:
    topics = {topic.name: topic for topic in choose_topics([*TOPICS, POSE.under("")], [])}
    assert topics["/cam1/events"].type == EVENTS.type
    assert camera_of(topics["/cam1/events"]) == "cam1"
    assert camera_of(topics["/pose"]) == "camera"
    assert camera_of(topics["/pose_3d"]) is None
