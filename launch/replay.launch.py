# SPDX-License-Identifier: Apache-2.0
"""A bag through the pipeline: snn and ann of each of its cameras, and what judges the poses.

ros2 launch hybrid_pose_ros replay.launch.py bag:=walk_bag rate:=0.5
"""

from collections.abc import Mapping
from pathlib import Path

from launch import Action, LaunchDescription
from launch.actions import ExecuteProcess, RegisterEventHandler, Shutdown, TimerAction
from launch.event_handlers import OnProcessExit
from launch_ros.actions import LifecycleNode

from hybrid_pose_ros.bags.contents import inspect_bag, played_topics
from hybrid_pose_ros.graph.arguments import REPLAY_ARGUMENTS
from hybrid_pose_ros.graph.description import Played, replay_graph
from hybrid_pose_ros.graph.launching import (
    RECORDER_PACKAGES,
    describe,
    node_actions,
    require_packages,
    when_active,
)
from hybrid_pose_ros.graph.tools import play_command

SETTLE_S = 2.0
"""From the end of the bag to the end of the nodes: the last poses' time."""


def generate_launch_description() -> LaunchDescription:
    """Return the graph of `hybrid-pose replay`, with `ros2 bag play`, as launch actions."""
    return describe(REPLAY_ARGUMENTS, _start)


def _start(values: Mapping[str, str], share: Path) -> list[Action]:
    contents = inspect_bag(Path(values["bag"]))
    cameras = contents.choose([name for name in values["cameras"].split(",") if name])
    played = Played(
        cameras,
        contents.has_truth,
        calibrated=set(cameras) <= set(contents.calibrated),
        packet_type=contents.packet_type,
    )
    names = [topic.name for topic in played_topics(contents, cameras)]
    require_packages("bag", RECORDER_PACKAGES)
    player = ExecuteProcess(cmd=play_command(values, names), output="screen")
    end = TimerAction(period=SETTLE_S, actions=[Shutdown(reason="the bag has been played")])
    nodes = node_actions(replay_graph(values, played, share), LifecycleNode)
    return [
        *when_active(nodes, [player]),  # first: a node may become active at once
        *nodes,
        RegisterEventHandler(OnProcessExit(target_action=player, on_exit=[end])),
    ]
