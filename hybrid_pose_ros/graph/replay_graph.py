# SPDX-License-Identifier: Apache-2.0
"""The nodes that make poses of a bag's events: the one description of them.

`launch/replay.launch.py` turns it into launch actions, `hybrid-pose replay` into processes.
Neither rclpy nor launch is imported here, and no bag is read.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from hybrid_pose_ros import PACKAGE
from hybrid_pose_ros.graph.arguments import (
    Argument,
    GraphError,
    absolute_path,
    complete,
    existing_file,
    number,
)
from hybrid_pose_ros.graph.description import NodeSpec, Value

CLOCK_HZ: Final = 40
"""Rate of /clock, that of `ros2 bag play`."""

LOCKSTEP_ANN_HZ: Final = 10.0
"""Rate of the ANN in lockstep, whatever the parameter files say: the player has to know it."""

LOCKSTEP_WAIT_MS: Final = 10_000.0
"""In lockstep the triangulator waits for a camera as long as it can."""

ARGUMENTS: Final = (
    Argument("bag", "", "path of the bag to play"),
    Argument("rate", "1.0", "bag seconds per second; 1 is real time"),
    Argument("start_offset", "0.0", "where to start (s after the bag's first message)"),
    Argument("loop", "false", "start over at the end", ("true", "false")),
    Argument("cameras", "", "namespaces of the cameras to play, with commas; empty: all"),
    Argument("model", "", "path of the checkpoint; empty for the shipped edge model"),
    Argument("params", "", "path of a parameter file that overrides the package's own"),
    Argument("visualizer", "false", "start visualizers, too", ("true", "false")),
    Argument("report", "", "file (JSON) for the errors, where the bag has ground truth"),
)


@dataclass(frozen=True)
class Played:
    """What is played.

    Attributes:
        cameras: absolute namespaces; the root is empty.
        has_truth: whether ground truth is played, too.
        packet_type: package of the type of the packets, as they will be published.
        calibrated: whether every camera comes with its calibration.
        lockstep: whether the player waits for the answers.
    """

    cameras: Sequence[str]
    has_truth: bool
    calibrated: bool
    packet_type: str = PACKAGE
    lockstep: bool = False


def replay_graph(arguments: Mapping[str, str], played: Played, share: Path) -> list[NodeSpec]:
    """Return the nodes that take what is played.

    Args:
        arguments: values for :data:`ARGUMENTS`; what is missing has its default.
        share: the package's share directory.

    Raises:
        GraphError: an argument is unknown, not among its choices, or names a file that is
            missing.
    """
    values = complete(ARGUMENTS, arguments)
    files = [share / "config" / "nodes.yaml"]
    if values["params"]:
        files.append(existing_file("params", values["params"]))
    steps: dict[str, Value] = {"packet_type": played.packet_type}
    if values["model"]:
        steps["checkpoint"] = str(existing_file("model", values["model"]))
    ann, snn = dict(steps), dict(steps)
    if played.lockstep:
        ann |= {"rate_hz": LOCKSTEP_ANN_HZ, "step_ms": 0.0}
        # the model's own steps, and none merged however long a packet waits for us
        snn |= {"max_delay_ms": 60_000.0, "step_ms": 0.0}

    def node(
        name: str, namespace: str, parameters: Mapping[str, Value], required: bool
    ) -> NodeSpec:
        stamped = {"use_sim_time": True, **parameters}
        return NodeSpec(name, name, namespace, tuple(files), stamped, required)

    specs = []
    for camera in played.cameras:
        specs += [node("snn", camera, snn, True), node("ann", camera, ann, played.lockstep)]
        if values["visualizer"] == "true":
            picture: dict[str, Value] = {"packet_type": played.packet_type}
            specs.append(node("visualizer", camera, picture, False))
    if len(played.cameras) > 1 and played.calibrated and all(played.cameras):
        join: dict[str, Value] = {"cameras": ",".join(name.strip("/") for name in played.cameras)}
        if played.lockstep:
            join["max_wait_ms"] = LOCKSTEP_WAIT_MS
        specs.append(node("triangulator", "", join, played.lockstep))
    names = ",".join(camera or "/" for camera in played.cameras)
    if played.has_truth:
        report: dict[str, Value] = {"cameras": names}
        if values["report"]:
            report["report"] = str(absolute_path(values["report"]))
        specs.append(node("evaluator", "", report, played.lockstep))
    return specs


def play_command(arguments: Mapping[str, str], topics: Sequence[str]) -> list[str]:
    """Return the command that plays the bag with the tools of a ROS distribution.

    Raises:
        GraphError: rate or start offset are no numbers that `ros2 bag play` takes.
    """
    if number(float, "rate", arguments["rate"]) <= 0:
        raise GraphError("rate must be larger than 0")
    command = ["ros2", "bag", "play", arguments["bag"], "--clock", str(CLOCK_HZ)]
    command += ["--rate", arguments["rate"]]
    if number(float, "start_offset", arguments["start_offset"]) > 0:
        command += ["--start-offset", arguments["start_offset"]]
    command.append("--disable-keyboard-controls")  # launch has no terminal to give
    if arguments["loop"] == "true":
        command.append("--loop")
    return [*command, "--topics", *topics]
