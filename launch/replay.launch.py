# SPDX-License-Identifier: Apache-2.0
"""A bag through the pipeline: snn and ann of each of its cameras, and what judges the poses.

ros2 launch hybrid_pose_ros replay.launch.py bag:=walk_bag rate:=0.5
"""

from pathlib import Path

from ament_index_python.packages import get_package_share_path
from launch import LaunchContext, LaunchDescription
from launch.actions import (
    DeclareLaunchArgument,
    ExecuteProcess,
    LogInfo,
    OpaqueFunction,
    RegisterEventHandler,
    Shutdown,
    TimerAction,
)
from launch.event_handlers import OnProcessExit
from launch.events.process import ProcessExited
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node

from hybrid_pose_ros import PACKAGE
from hybrid_pose_ros.bags.player import inspect_bag, played_topics
from hybrid_pose_ros.nodes.graph import NodeSpec
from hybrid_pose_ros.nodes.replay_graph import ARGUMENTS, Played, play_command, replay_graph

START_DELAY_S = 5.0
"""`ros2 bag play` waits for no subscriber: the nodes' time to load the model."""

SETTLE_S = 2.0
"""From the end of the bag to the end of the nodes: the last poses' time."""

LaunchActions = list[Node | TimerAction | RegisterEventHandler]


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


def _start(context: LaunchContext) -> LaunchActions:
    arguments = {
        argument.name: LaunchConfiguration(argument.name).perform(context)
        for argument in ARGUMENTS
    }
    contents = inspect_bag(Path(arguments["bag"]))
    cameras = contents.choose([name for name in arguments["cameras"].split(",") if name])
    played = Played(
        cameras,
        contents.has_truth,
        calibrated=set(cameras) <= set(contents.calibrated),
        packet_type=contents.packet_type,
    )
    specs = replay_graph(arguments, played, get_package_share_path(PACKAGE))
    player = ExecuteProcess(
        cmd=play_command(arguments, played_topics(contents, cameras)), output="screen"
    )
    end = TimerAction(period=SETTLE_S, actions=[Shutdown(reason="the bag has been played")])
    return [
        *(_node(spec) for spec in specs),
        TimerAction(period=START_DELAY_S, actions=[player]),
        RegisterEventHandler(OnProcessExit(target_action=player, on_exit=[end])),
    ]


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
