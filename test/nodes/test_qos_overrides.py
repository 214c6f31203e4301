# SPDX-License-Identifier: Apache-2.0
"""The quality of service of every topic is a parameter, as ROS 2 calls it."""

from typing import Any

import pytest
from rclpy.qos import DurabilityPolicy, ReliabilityPolicy

from hybrid_pose_ros.nodes.support.boundary import StartError
from hybrid_pose_ros.nodes.visualizer import VisualizerNode


def test_topics_take_their_quality_of_service_from_parameters(bench: Any) -> None:
    node = bench.run(
        VisualizerNode,
        **{
            "qos_overrides./markers.publisher.durability": "transient_local",
            "qos_overrides./pose.subscription.reliability": "best_effort",
        },
    )
    (markers,) = node.get_publishers_info_by_topic("/markers")
    assert markers.qos_profile.durability == DurabilityPolicy.TRANSIENT_LOCAL
    (pose,) = node.get_subscriptions_info_by_topic("/pose")
    assert pose.qos_profile.reliability == ReliabilityPolicy.BEST_EFFORT
    assert node.get_parameter("qos_overrides./pose.subscription.depth").value > 0
    node.trigger_deactivate()
    node.trigger_cleanup()
    node.start()
    (markers,) = node.get_publishers_info_by_topic("/markers")
    assert markers.qos_profile.durability == DurabilityPolicy.TRANSIENT_LOCAL


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("qos_overrides./markers.publisher.reliability", "perfect"),
        ("qos_overrides./markers.publisher.depth", "many"),
        ("qos_overrides./pose.subscription.history", "long"),
    ],
)
def test_a_wrong_quality_of_service_is_one_sentence(bench: Any, name: str, value: str) -> None:
    topic = name.split(".")[1].lstrip("/")
    with pytest.raises(StartError, match=f"qos_overrides of {topic}: "):
        bench.run(VisualizerNode, **{name: value})
