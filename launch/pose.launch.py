# SPDX-License-Identifier: Apache-2.0
"""Events in, poses out: the nodes of one camera, and on request RViz and a bag.

ros2 launch hybrid_pose_ros pose.launch.py source:=recording recording:=walk.aedat4 rviz:=true
"""

from launch import LaunchDescription

from hybrid_pose_ros.graph.arguments import ARGUMENTS
from hybrid_pose_ros.graph.launching import describe, start_graph


def generate_launch_description() -> LaunchDescription:
    """Return the graph of `hybrid-pose run` as launch actions."""
    return describe(ARGUMENTS, start_graph)
