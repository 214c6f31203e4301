# SPDX-License-Identifier: Apache-2.0
"""Events of several cameras in, poses in space out.

ros2 launch hybrid_pose_ros multi_camera.launch.py cameras:=cam0,cam1 source:=none
"""

from ament_index_python.packages import get_package_share_path
from launch import LaunchContext, LaunchDescription
from launch.actions import (
    DeclareLaunchArgument,
    ExecuteProcess,
    LogInfo,
    OpaqueFunction,
    Shutdown,
)
from launch.events.process import ProcessExited
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node

from hybrid_pose_ros import PACKAGE
from hybrid_pose_ros.nodes.graph import (
    MULTI_CAMERA_ARGUMENTS,
    NodeSpec,
    multi_camera_bag_command,
    multi_camera_graph,
    multi_camera_rviz_commands,
)


def generate_launch_description() -> LaunchDescription:
    """Declare the graph's arguments and defer the rest until their values are known."""
    declarations = [
        DeclareLaunchArgument(
            argument.name,
            default_value=argument.default,
            description=argument.description,
            choices=list(argument.choices) or None,
        )
        for argument in MULTI_CAMERA_ARGUMENTS
    ]
    return LaunchDescription([*declarations, OpaqueFunction(function=_start)])


def _start(context: LaunchContext) -> list[Node | ExecuteProcess]:
    arguments = {
        argument.name: LaunchConfiguration(argument.name).perform(context)
        for argument in MULTI_CAMERA_ARGUMENTS
    }
    share = get_package_share_path(PACKAGE)
    specs = multi_camera_graph(arguments, share)
    playing = {spec.namespace for spec in specs if spec.executable == "event_driver"}
    actions: list[Node | ExecuteProcess] = [_node(spec, playing) for spec in specs]
    if arguments["bag"]:
        actions.insert(0, ExecuteProcess(cmd=multi_camera_bag_command(arguments), output="screen"))
    if arguments["rviz"] == "true":
        actions += [
            ExecuteProcess(cmd=command, output="log")
            for command in multi_camera_rviz_commands(share)
        ]
    return actions


def _node(spec: NodeSpec, playing: set[str]) -> Node:
    """Return the node; the last event_driver of ``playing`` to end, ends all."""

    def report_end(event: ProcessExited, context: LaunchContext) -> list[LogInfo | Shutdown]:
        if context.is_shutdown:
            return []
        actions: list[LogInfo | Shutdown] = [
            LogInfo(msg=f"{event.process_name} has ended; the rest goes on")
        ]
        if spec.executable == "event_driver":
            playing.discard(spec.namespace)
            if not playing:
                actions.append(Shutdown(reason="the events of all cameras have ended"))
        return actions

    return Node(
        package=PACKAGE,
        executable=spec.executable,
        name=spec.name,
        namespace=spec.namespace,
        parameters=[*spec.parameter_files, dict(spec.parameters)],
        output="screen",
        emulate_tty=True,
        on_exit=Shutdown(reason=f"{spec.name} has ended") if spec.required else report_end,
    )
