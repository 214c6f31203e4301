# SPDX-License-Identifier: Apache-2.0
"""A description of a graph as launch actions: what the files in ``launch/`` share.

The one module that imports launch, which only a ROS distribution brings.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from ament_index_python.packages import get_package_share_path
from launch import Action, LaunchContext, LaunchDescription
from launch.actions import (
    DeclareLaunchArgument,
    ExecuteProcess,
    LogInfo,
    OpaqueFunction,
    Shutdown,
    TimerAction,
)
from launch.events.process import ProcessExited
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node

from hybrid_pose_ros import PACKAGE
from hybrid_pose_ros.graph.description import (
    Argument,
    NodeSpec,
    bag_command,
    pose_graph,
    rviz_commands,
)
from hybrid_pose_ros.graph.respawn import BackOff, death_notice

EVENT_DRIVER = "event_driver"

Start = Callable[[Mapping[str, str], Path], Sequence[Action]]


def describe(arguments: Sequence[Argument], start: Start) -> LaunchDescription:
    """Declare a graph's arguments and defer the rest until their values are known.

    Args:
        start: returns the actions for the arguments' values and the package's share directory.
    """

    def begin(context: LaunchContext) -> list[Action]:
        values = {
            argument.name: LaunchConfiguration(argument.name).perform(context)
            for argument in arguments
        }
        return list(start(values, get_package_share_path(PACKAGE)))

    declarations = [
        DeclareLaunchArgument(
            argument.name,
            default_value=argument.default,
            description=argument.description,
            choices=list(argument.choices) or None,
        )
        for argument in arguments
    ]
    return LaunchDescription([*declarations, OpaqueFunction(function=begin)])


def start_graph(values: Mapping[str, str], share: Path) -> list[Action]:
    """Return the nodes of one camera or several, and the tools that the arguments ask for."""
    actions: list[Action] = node_actions(pose_graph(values, share))
    if values["bag"]:  # first, so that it misses nothing
        actions.insert(0, ExecuteProcess(cmd=bag_command(values), output="screen"))
    if values["rviz"] == "true":
        commands = rviz_commands(values, share)
        actions += [ExecuteProcess(cmd=command, output="log") for command in commands]
    return actions


def node_actions(specs: Sequence[NodeSpec]) -> list[Node]:
    """Return the nodes of a graph.

    The end of a required node ends all, and so does that of the last one that events come from;
    the end of another node is only told. Those that are respawned are started again when they die.
    """
    playing = {spec.namespace for spec in specs if spec.executable == EVENT_DRIVER}
    return [_node(spec, playing, BackOff()) for spec in specs]


def _node(spec: NodeSpec, playing: set[str], back_off: BackOff, delay_s: float = 0.0) -> Node:
    """Return a node; the end of its process takes its namespace out of those that play.

    Args:
        delay_s: time until it is started.
    """
    started_s = time.monotonic() + delay_s

    def on_exit(event: ProcessExited, context: LaunchContext) -> list[Action]:
        if context.is_shutdown:
            return []
        if spec.respawn:
            lived_s = time.monotonic() - started_s
            again_in_s = back_off.delay_s(event.returncode, lived_s)
            if again_in_s is not None:
                notice = death_notice(event.process_name, event.returncode, again_in_s)
                again = _node(spec, playing, back_off, again_in_s)
                return [LogInfo(msg=notice), TimerAction(period=again_in_s, actions=[again])]
        if spec.required:
            return [Shutdown(reason=f"{spec.name} has ended")]
        if spec.executable == EVENT_DRIVER:
            playing.discard(spec.namespace)
            if not playing:
                return [Shutdown(reason="all events have ended")]
        return [LogInfo(msg=f"{event.process_name} has ended; the rest goes on")]

    return Node(
        package=PACKAGE,
        executable=spec.executable,
        name=spec.name,
        namespace=spec.namespace,
        parameters=[*spec.parameter_files, dict(spec.parameters)],
        ros_arguments=["--enclave", spec.enclave],
        output="screen",
        emulate_tty=True,
        on_exit=on_exit,
    )
