# SPDX-License-Identifier: Apache-2.0
"""The graph of nodes that makes poses of events: the one description of it.

`launch/pose.launch.py` turns it into launch actions, `hybrid-pose run` into processes. Neither
rclpy nor launch is imported here.
"""

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

PACKAGE = "hybrid_pose_ros"

SOURCES = ("camera", "recording", "network", "simulator")

FRAME_ID = "event_camera"
"""Frame of the camera unless a parameter says otherwise."""

Value = bool | int | float | str


@dataclass(frozen=True)
class Argument:
    """An argument of the graph, the same on every command line; values are text there."""

    name: str
    default: str
    description: str
    choices: tuple[str, ...] = ()


ARGUMENTS = (
    Argument("source", "simulator", "where the events come from", SOURCES),
    Argument(
        "recording", "", "path of the recording (*.aedat4, *.aedat, *.raw), for source recording"
    ),
    Argument("rate", "", "speed of a recording or simulation; 1 is real time, 0 unlimited"),
    Argument("host", "", "address of the event server, for source network"),
    Argument("port", "", "port of the event server, for source network"),
    Argument("model", "", "path of the checkpoint; empty for the shipped edge model"),
    Argument("namespace", "", "namespace of all nodes, one per camera"),
    Argument("params", "", "path of a parameter file that overrides the package's own"),
    Argument("rviz", "false", "open RViz", ("true", "false")),
    Argument("bag", "", "path of a new bag (mcap) to record all topics to; empty: none"),
)

TOPICS = ("events", "state_init", "pose")
"""What a bag records, besides /diagnostics: everything else can be made from it again."""


class GraphError(ValueError):
    """An argument of the graph is wrong; the message says which and the remedy."""


@dataclass(frozen=True)
class NodeSpec:
    """One node.

    Attributes:
        executable: its name in lib/hybrid_pose_ros.
        namespace: absolute or empty.
        parameter_files: read in order; the last one wins.
        parameters: win over all files.
        required: nothing goes on without it; the others may fail and the rest lives on.
    """

    executable: str
    name: str
    namespace: str
    parameter_files: tuple[Path, ...]
    parameters: Mapping[str, Value]
    required: bool

    def ros_arguments(self) -> list[str]:
        """Return the command line after the executable."""
        arguments = ["--ros-args", "-r", f"__node:={self.name}"]
        if self.namespace:
            arguments += ["-r", f"__ns:={self.namespace}"]
        for path in self.parameter_files:
            arguments += ["--params-file", str(path)]
        for name, value in self.parameters.items():
            arguments += ["-p", f"{name}:={_yaml(value)}"]
        return arguments


def pose_graph(arguments: Mapping[str, str], share: Path) -> list[NodeSpec]:
    """Return the nodes of one camera.

    Args:
        arguments: values for :data:`ARGUMENTS`; what is missing has its default.
        share: the package's share directory.

    Raises:
        GraphError: an argument is unknown, not among its choices, missing or not a number.
    """
    values = {argument.name: argument.default for argument in ARGUMENTS}
    if unknown := arguments.keys() - values.keys():
        raise GraphError(f"unknown argument {sorted(unknown)[0]}")
    values |= arguments
    for argument in ARGUMENTS:
        if argument.choices and values[argument.name] not in argument.choices:
            raise GraphError(
                f"{argument.name} must be one of {', '.join(argument.choices)}, "
                f"not {values[argument.name]!r}"
            )
    source = values["source"]
    if source == "recording" and not values["recording"]:
        raise GraphError("source recording needs the path of a file: recording")
    files = [share / "config" / "nodes.yaml", share / "config" / f"{source}.yaml"]
    if values["params"]:
        files.append(_existing("params", values["params"]))
    model: dict[str, Value] = {"checkpoint": _path(values["model"])} if values["model"] else {}

    def node(name: str, parameters: Mapping[str, Value], *, required: bool) -> NodeSpec:
        namespace = _absolute(values["namespace"])
        return NodeSpec(name, name, namespace, tuple(files), parameters, required)

    return [
        node("snn", model, required=True),
        node("ann", model, required=False),
        node("visualizer", {}, required=False),
        node("event_driver", _driver_parameters(values), required=True),
    ]


def bag_command(arguments: Mapping[str, str]) -> list[str]:
    """Return the command that records the graph's topics with the tools of a ROS distribution."""
    namespace = _absolute(arguments.get("namespace", ""))
    topics = [f"{namespace}/{topic}" for topic in TOPICS]
    return ["ros2", "bag", "record", "-s", "mcap", "-o", arguments["bag"], *topics, "/diagnostics"]


def rviz_commands(arguments: Mapping[str, str], share: Path) -> list[list[str]]:
    """Return the commands that open RViz on the graph's topics.

    RViz draws only in frames that TF knows. The second command makes the camera's frame known by
    hanging a child on it, which leaves its own place in a robot's tree to the robot.
    """
    namespace = _absolute(arguments.get("namespace", ""))
    rviz = ["rviz2", "-d", str(share / "config" / "pose.rviz")]
    if namespace:
        rviz += ["--ros-args", "-r", f"__ns:={namespace}"]
    frame = ["ros2", "run", "tf2_ros", "static_transform_publisher"]
    frame += ["--frame-id", FRAME_ID, "--child-frame-id", f"{FRAME_ID}_plane"]
    return [rviz, frame]


def find_prefix() -> Path:
    """Return the prefix that the package is installed under.

    Raises:
        GraphError: the package is not installed in this environment.
    """
    prefixes = [*os.environ.get("AMENT_PREFIX_PATH", "").split(os.pathsep), sys.prefix]
    for prefix in map(Path, filter(None, prefixes)):
        if (prefix / "share" / PACKAGE / "package.xml").is_file():
            return prefix
    raise GraphError(
        f"{PACKAGE} is not installed under AMENT_PREFIX_PATH or {sys.prefix}; "
        "build it with colcon and source the workspace, or `pip install` it"
    )


def share_directory(prefix: Path) -> Path:
    """Return where configuration and launch files lie."""
    return prefix / "share" / PACKAGE


def _driver_parameters(values: Mapping[str, str]) -> dict[str, Value]:
    parameters: dict[str, Value] = {"source": values["source"]}
    if values["recording"]:
        parameters["path"] = str(_existing("recording", values["recording"]))
    if values["rate"]:
        parameters["rate"] = _number(float, "rate", values["rate"])
    if values["host"]:
        parameters["host"] = values["host"]
    if values["port"]:
        parameters["port"] = _number(int, "port", values["port"])
    return parameters


def _absolute(namespace: str) -> str:
    stripped = namespace.strip("/")
    return f"/{stripped}" if stripped else ""


def _number(kind: type[int] | type[float], name: str, text: str) -> int | float:
    try:
        return kind(text)
    except ValueError as error:
        raise GraphError(f"{name} must be a number, not {text!r}") from error


def _path(text: str) -> str:
    return str(Path(text).expanduser().absolute())


def _existing(name: str, text: str) -> Path:
    path = Path(_path(text))
    if not path.is_file():
        raise GraphError(f"{name}: there is no file {path}")
    return path


def _yaml(value: Value) -> str:
    """Return a parameter value as rcl reads it; quoted text stays text even if it looks like 1."""
    if isinstance(value, bool):
        return str(value).lower()
    return "'" + value.replace("'", "''") + "'" if isinstance(value, str) else repr(value)
