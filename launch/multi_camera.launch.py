# SPDX-License-Identifier: Apache-2.0
"""Events of several cameras in, poses in space out.

ros2 launch hybrid_pose_ros multi_camera.launch.py cameras:=cam0,cam1 source:=none
"""

from collections.abc import Mapping
from pathlib import Path

from launch import Action, LaunchDescription
from launch.actions import ExecuteProcess

from hybrid_pose_ros.graph.description import (
    MULTI_CAMERA_ARGUMENTS,
    multi_camera_bag_command,
    multi_camera_graph,
    multi_camera_rviz_commands,
)
from hybrid_pose_ros.graph.launching import describe, node_actions


def generate_launch_description() -> LaunchDescription:
    """Return the graph of `hybrid-pose run --cameras` as launch actions."""
    return describe(MULTI_CAMERA_ARGUMENTS, _start)


def _start(values: Mapping[str, str], share: Path) -> list[Action]:
    actions: list[Action] = node_actions(multi_camera_graph(values, share))
    if values["bag"]:
        actions.insert(0, ExecuteProcess(cmd=multi_camera_bag_command(values), output="screen"))
    if values["rviz"] == "true":
        commands = multi_camera_rviz_commands(share)
        actions += [ExecuteProcess(cmd=command, output="log") for command in commands]
    return actions
