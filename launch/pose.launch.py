# SPDX-License-Identifier: Apache-2.0
"""Events in, poses out: the nodes of one camera, and on request RViz and a bag.

ros2 launch hybrid_pose_ros pose.launch.py source:=recording recording:=walk.aedat4 rviz:=true
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
    ARGUMENTS,
    NodeSpec,
    bag_command,
    pose_graph,
    rviz_commands,
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
        for argument in ARGUMENTS
    ]
    return LaunchDescription([*declarations, OpaqueFunction(function=_start)])


def _start(context: LaunchContext) -> list[Node | ExecuteProcess]:
    arguments = {
        argument.name: LaunchConfiguration(argument.name).perform(context)
        for argument in ARGUMENTS
    }
    share = get_package_share_path(PACKAGE)
    actions: list[Node | ExecuteProcess] = [_node(spec) for spec in pose_graph(arguments, share)]
    if arguments["bag"]:
        actions.insert(0, ExecuteProcess(cmd=bag_command(arguments), output="screen"))
    if arguments["rviz"] == "true":
        actions += [
            ExecuteProcess(cmd=command, output="log")
            for command in rviz_commands(arguments, share)
        ]
    return actions


def _node(spec: NodeSpec) -> Node:
    return Node(
        package=PACKAGE,
        executable=spec.executable,
        name=spec.name,
        namespace=spec.namespace,
        parameters=[*spec.parameter_files, dict(spec.parameters)],
        output="screen",
        emulate_tty=True,
        on_exit=Shutdown(reason=f"{spec.name} has ended") if spec.required else _report_end,
    )


def _report_end(event: ProcessExited, context: LaunchContext) -> list[LogInfo]:
    if context.is_shutdown:
        return []
    return [LogInfo(msg=f"{event.process_name} has ended; the rest goes on")]
