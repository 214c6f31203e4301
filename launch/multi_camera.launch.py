# SPDX-License-Identifier: Apache-2.0
"""Events of several cameras in, poses in space out.

ros2 launch hybrid_pose_ros multi_camera.launch.py cameras:=cam0,cam1 source:=none
"""

from launch import LaunchDescription

from hybrid_pose_ros.graph.arguments import MULTI_CAMERA_ARGUMENTS
from hybrid_pose_ros.graph.launching import describe, start_graph


def generate_launch_description() -> LaunchDescription:
    """Return the graph of `hybrid-pose run --cameras` as launch actions."""
    return describe(MULTI_CAMERA_ARGUMENTS, start_graph)
