# SPDX-License-Identifier: Apache-2.0
import pytest

from hybrid_pose_ros.view.topics import CAMERA_INFO, EVENTS, POSE, POSE_3D, choose_topics

TYPES = [
    ("/cam0/events", EVENTS),
    ("/cam0/camera_info", CAMERA_INFO),
    ("/cam1/events", "event_camera_msgs/msg/EventPacket"),
    ("/cam1/pose", POSE),
    ("/other/camera_info", CAMERA_INFO),
    ("/pose_3d", POSE_3D),
    ("/rosout", "rcl_interfaces/msg/Log"),
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
    assert [topic.name for topic in choose_topics(TYPES, namespaces)] == names


def test_owner_of_a_topic() -> None:
    topics = {topic.name: topic for topic in choose_topics([*TYPES, ("/pose", POSE)], [])}
    assert topics["/cam1/events"].kind == EVENTS
    assert topics["/cam1/events"].camera == "cam1"
    assert topics["/pose"].camera == "camera"
    assert topics["/pose_3d"].camera is None
