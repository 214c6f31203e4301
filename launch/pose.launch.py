# SPDX-License-Identifier: Apache-2.0
"""Events in, poses out: the nodes of one camera, and on request RViz and a bag.

ros2 launch hybrid_pose_ros pose.launch.py source:=recording recording:=walk.aedat4 rviz:=true
"""

from collections.abc import Mapping
from pathlib import Path

from launch import Action, LaunchDescription
from launch.actions import ExecuteProcess

from hybrid_pose_ros.graph.description import ARGUMENTS, bag_command, pose_graph, rviz_commands
from hybrid_pose_ros.graph.launching import describe, node_actions


def generate_launch_description() -> LaunchDescription:
    """Return the graph of `hybrid-pose run` as launch actions."""
    return describe(ARGUMENTS, _start)


def _start(values: Mapping[str, str], share: Path) -> list[Action]:
    actions: list[Action] = node_actions(pose_graph(values, share))
    if values["bag"]:
        actions.insert(0, ExecuteProcess(cmd=bag_command(values), output="screen"))
    if values["rviz"] == "true":
        commands = rviz_commands(values, share)
        actions += [ExecuteProcess(cmd=command, output="log") for command in commands]
    return actions
