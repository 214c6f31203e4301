# SPDX-License-Identifier: Apache-2.0
"""Quality of service in the terms of rclpy."""

from rclpy.qos import DurabilityPolicy, HistoryPolicy, QoSProfile, ReliabilityPolicy

from hybrid_pose_ros.interfaces.topics import Quality


def profile(quality: Quality) -> QoSProfile:
    """Return the profile for a publisher or a subscription."""
    return QoSProfile(
        reliability=ReliabilityPolicy.RELIABLE
        if quality.reliable
        else ReliabilityPolicy.BEST_EFFORT,
        durability=DurabilityPolicy.TRANSIENT_LOCAL
        if quality.latched
        else DurabilityPolicy.VOLATILE,
        history=HistoryPolicy.KEEP_LAST,
        depth=quality.depth,
    )
