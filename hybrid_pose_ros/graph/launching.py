# SPDX-License-Identifier: Apache-2.0
"""A description of a graph as launch actions: what the files in ``launch/`` share.

The one module that imports launch, which only a ROS distribution brings.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from ament_index_python.packages import (
    PackageNotFoundError,
    get_package_prefix,
    get_package_share_path,
)
from launch import Action, LaunchContext, LaunchDescription
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
from launch_ros.actions import LifecycleNode, Node
from launch_ros.event_handlers import OnStateTransition

from hybrid_pose_ros import PACKAGE
from hybrid_pose_ros.graph.arguments import Argument, GraphError
from hybrid_pose_ros.graph.description import pose_graph
from hybrid_pose_ros.graph.respawn import BackOff, death_notice
from hybrid_pose_ros.graph.specs import DRIVER, ContainerSpec, NodeSpec, ToolSpec
from hybrid_pose_ros.graph.tools import bag_command, rviz_tools

RECORDER_PACKAGES = ("ros2bag", "rosbag2_storage_mcap", "rosbag2_transport")
"""Packages that `ros2 bag` needs to record and play mcap."""

START_TIMEOUT_S = 60.0
"""After so long :func:`when_active` waits no more: the news of a transition can be lost."""

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
        require_packages("bag", RECORDER_PACKAGES)
        actions.insert(0, ExecuteProcess(cmd=bag_command(values), output="screen"))
    if values["rviz"] == "true":
        tools = rviz_tools(values, share)
        require_packages("rviz", [tool.package for tool in tools])
        actions += [_tool(tool) for tool in tools]
    return actions


def require_packages(argument: str, names: Sequence[str]) -> None:
    """Raise GraphError if a ROS package that an argument needs is not installed."""
    for name in names:
        try:
            get_package_prefix(name)
        except PackageNotFoundError as error:
            raise GraphError(
                f"{argument}: the ROS package {name} is not installed; install it with "
                f"sudo apt install ros-$ROS_DISTRO-{name.replace('_', '-')}"
            ) from error


def when_active(nodes: Sequence[LifecycleNode], start: Sequence[Action]) -> list[Action]:
    """Return what starts actions once, when each of the nodes is active or has ended."""
    waiting = list(nodes)
    is_started = False

    def begin(context: LaunchContext) -> list[Action]:
        nonlocal is_started
        if is_started or context.is_shutdown:
            return []
        is_started = True
        return list(start)

    def settle(node: LifecycleNode) -> OpaqueFunction:
        def note(context: LaunchContext) -> list[Action]:
            if node in waiting:
                waiting.remove(node)
            return [] if waiting else begin(context)

        return OpaqueFunction(function=note)

    handlers: list[Action] = []
    for node in nodes:
        active = OnStateTransition(
            target_lifecycle_node=node, goal_state="active", entities=[settle(node)]
        )
        ended = OnProcessExit(target_action=node, on_exit=[settle(node)])
        handlers += [RegisterEventHandler(active), RegisterEventHandler(ended)]
    return [
        *handlers,
        TimerAction(period=START_TIMEOUT_S, actions=[OpaqueFunction(function=begin)]),
    ]


def node_actions(specs: Sequence[NodeSpec], action: type[Node] = Node) -> list[Node]:
    """Return the nodes of a graph.

    The end of a required node ends all, and so does that of the last one that events come from;
    the end of another node is only told. Those that are respawned are started again when they die.

    Args:
        action: Node, or LifecycleNode for :func:`when_active`.
    """

    def make(spec: NodeSpec, lives: _Lives) -> Node:
        return action(
            package=PACKAGE,
            executable=spec.executable,
            output="screen",
            emulate_tty=True,
            on_exit=partial(ends.after, spec, lives),
            **_options(spec),
        )

    ends = _Ends(specs, make)
    return [make(spec, _Lives()) for spec in specs]


@dataclass
class _Lives:
    """The lives of a node; ``since_s``: when the present one began (monotonic time)."""

    back_off: BackOff = field(default_factory=BackOff)
    since_s: float = field(default_factory=time.monotonic)


def _options(spec: NodeSpec) -> dict[str, Any]:
    """Return what makes the node, or the container, the one that the graph describes."""
    if isinstance(spec, ContainerSpec):
        return {"arguments": spec.ros_arguments()}
    parameters = [*spec.parameter_files, dict(spec.parameters)]
    return {
        "name": spec.name,
        "namespace": spec.namespace,
        "parameters": parameters,
        "ros_arguments": ["--enclave", spec.enclave],
    }


class _Ends:
    """Decides after the end of each node whether the others go on."""

    def __init__(
        self, specs: Sequence[NodeSpec], make: Callable[[NodeSpec, _Lives], Node]
    ) -> None:
        self._make = make
        self._playing = {spec.namespace for spec in specs if spec.executable == DRIVER}
        self._is_over = False

    def after(
        self, spec: NodeSpec, lives: _Lives, event: ProcessExited, context: LaunchContext
    ) -> list[Action]:
        """Return what follows from the end of a node."""
        if self._is_over or context.is_shutdown:  # launch's own ROS node cannot end twice
            return []
        if spec.respawn:
            lived_s = time.monotonic() - lives.since_s
            delay_s = lives.back_off.delay_s(event.returncode, lived_s)
            if delay_s is not None:
                lives.since_s = time.monotonic() + delay_s
                notice = death_notice(event.process_name, event.returncode, delay_s)
                again = self._make(spec, lives)
                return [LogInfo(msg=notice), TimerAction(period=delay_s, actions=[again])]
        if spec.executable == DRIVER:
            self._playing.discard(spec.namespace)
        if spec.required:
            return self._shut_down(f"{spec.name} has ended")
        if spec.executable == DRIVER and not self._playing:
            return self._shut_down("all events have ended")
        return [LogInfo(msg=f"{event.process_name} has ended; the rest goes on")]

    def _shut_down(self, reason: str) -> list[Action]:
        self._is_over = True
        return [Shutdown(reason=reason)]


def _tool(tool: ToolSpec) -> Node:
    return Node(
        package=tool.package,
        executable=tool.executable,
        namespace=tool.namespace or None,
        arguments=list(tool.arguments),
        output="log",
    )
