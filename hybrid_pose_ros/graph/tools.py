# SPDX-License-Identifier: Apache-2.0
"""Programs beside the nodes: recorders and players of bags, and RViz."""

import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from hybrid_pose_ros.graph.arguments import GraphError, namespaces_of, number
from hybrid_pose_ros.graph.specs import ToolSpec
from hybrid_pose_ros.interfaces.topics import (
    DIAGNOSTICS,
    FRAME_ID,
    POSE_3D,
    RECORDED,
    WORLD_FRAME,
    Topic,
    absolute_namespace,
)

CLOCK_HZ = 40
"""Rate of /clock, that of `ros2 bag play`."""

DISCOVERY_S = 1.0
"""From the publishers of `ros2 bag play` to its first message."""


def recorded_topics(arguments: Mapping[str, str]) -> list[Topic]:
    """Return the topics of a graph that a bag of it holds."""
    topics = [topic.under(camera) for camera in namespaces_of(arguments) for topic in RECORDED]
    topics += [POSE_3D.under("")] if "cameras" in arguments else []
    return [*topics, DIAGNOSTICS]


def bag_command(arguments: Mapping[str, str]) -> list[str]:
    """Return the command that records the graph's topics with the tools of a ROS distribution."""
    command = ["ros2", "bag", "record", "-s", "mcap", "-o", arguments["bag"], "--topics"]
    return [*command, *(topic.name for topic in recorded_topics(arguments))]


def play_command(arguments: Mapping[str, str], topics: Sequence[str]) -> list[str]:
    """Return the command that plays a bag with the tools of a ROS distribution.

    Raises:
        GraphError: rate or start offset are no numbers that `ros2 bag play` takes.
    """
    if number(float, "rate", arguments["rate"]) <= 0:
        raise GraphError("rate must be larger than 0")
    command = ["ros2", "bag", "play", arguments["bag"], "--clock", str(CLOCK_HZ)]
    # Its publishers are there before the delay, so that the nodes have found them after it.
    command += ["--rate", arguments["rate"], "--delay", str(DISCOVERY_S)]
    if number(float, "start_offset", arguments["start_offset"]) > 0:
        command += ["--start-offset", arguments["start_offset"]]
    command.append("--disable-keyboard-controls")  # launch has no terminal to give
    if arguments["loop"] == "true":
        command.append("--loop")
    return [*command, "--topics", *topics]


def rviz_tools(arguments: Mapping[str, str], share: Path) -> list[ToolSpec]:
    """Return RViz on the graph's topics, and what it needs.

    RViz draws only in frames that TF knows. The second tool makes the camera's frame, or the
    world's, known by hanging a child on it, which leaves its own place in a robot's tree to the
    robot.
    """
    several = "cameras" in arguments
    config = share / "config" / ("multi_camera.rviz" if several else "pose.rviz")
    namespace = "" if several else absolute_namespace(arguments.get("namespace", ""))
    parent, child = (
        (WORLD_FRAME, f"{WORLD_FRAME}_origin") if several else (FRAME_ID, f"{FRAME_ID}_plane")
    )
    frames = ("--frame-id", parent, "--child-frame-id", child)
    return [
        ToolSpec("rviz2", "rviz2", ("-d", str(config)), namespace),
        ToolSpec("tf2_ros", "static_transform_publisher", frames),
    ]


def own_bag_command(arguments: Mapping[str, str]) -> list[str]:
    """Return the command that records the graph's topics without a ROS distribution."""
    command = [str(Path(sys.executable).with_name("hybrid-pose")), "record", arguments["bag"]]
    if "cameras" in arguments:
        return [*command, "--cameras", arguments["cameras"]]
    return [*command, "--namespace", arguments.get("namespace", "")]


def tool_commands(arguments: Mapping[str, str], share: Path) -> list[list[str]]:
    """Return the commands of the tools that the arguments ask for beside the nodes."""
    recorder = []
    if arguments.get("bag"):
        record = bag_command if shutil.which("ros2") else own_bag_command
        recorder.append(record(arguments))
    viewer = rviz_tools(arguments, share) if arguments.get("rviz") == "true" else []
    return [*recorder, *(tool.command() for tool in viewer)]
