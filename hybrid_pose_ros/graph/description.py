# SPDX-License-Identifier: Apache-2.0
"""The graph of nodes that makes poses of events: the one description of it.

`launch/pose.launch.py` turns it into launch actions, `hybrid-pose run` into processes. Neither
rclpy nor launch is imported here.
"""

import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from hybrid_pose_ros import PACKAGE
from hybrid_pose_ros.graph.arguments import (
    Argument,
    GraphError,
    absolute_path,
    complete,
    existing_file,
    number,
)

SOURCES = ("camera", "recording", "network", "simulator", "video", "webcam")

FRAME_ID = "event_camera"
"""Frame of the camera unless a parameter says otherwise."""

Value = bool | int | float | str


ARGUMENTS = (
    Argument("source", "simulator", "where the events come from", SOURCES),
    Argument(
        "recording",
        "",
        "path of the recording (*.aedat4, *.aedat, *.raw), for source recording; of the video "
        "(*.mp4 and others), for source video",
    ),
    Argument("device", "", "number of the webcam, for source webcam; 0 is the first"),
    Argument("rate", "", "speed of recording, video or simulation; 1 is real time, 0 unlimited"),
    Argument("host", "", "address of the event server, for source network"),
    Argument("port", "", "port of the event server, for source network"),
    Argument("model", "", "path of the checkpoint; empty for the shipped edge model"),
    Argument("namespace", "", "namespace of all nodes, one per camera"),
    Argument("params", "", "path of a parameter file that overrides the package's own"),
    Argument("rviz", "false", "open RViz", ("true", "false")),
    Argument(
        "bag",
        "",
        "path of a new bag (mcap) of events, camera_info, initialisations, poses and "
        "diagnostics; empty: none",
    ),
)

MULTI_CAMERA_ARGUMENTS = (
    Argument("cameras", "cam0,cam1,cam2,cam3", "namespaces of the cameras, with commas"),
    Argument(
        "source",
        "simulator",
        "where the events come from; none: from elsewhere, such as a bag or drivers",
        ("simulator", "recording", "none"),
    ),
    Argument("recording", "", "paths of the cameras' recordings, with commas, in their order"),
    Argument("rate", "", "speed of recordings or simulation; 1 is real time, 0 unlimited"),
    Argument(
        "calibration",
        "",
        "folder of DHP19's P1 to P4 or YAML file; empty: each camera's topic camera_info",
    ),
    Argument("model", "", "path of the checkpoint; empty for the shipped edge model"),
    Argument("params", "", "path of a parameter file that overrides the package's own"),
    Argument("visualizer", "false", "start a visualizer for each camera", ("true", "false")),
    Argument("rviz", "false", "open RViz, and start visualizers", ("true", "false")),
    Argument(
        "bag",
        "",
        "path of a new bag (mcap) of events, camera_info, initialisations, poses and "
        "diagnostics; empty: none",
    ),
)
"""Arguments of the graph of several cameras."""

TOPICS = ("events", "camera_info", "state_init", "pose")
"""What a bag records of each camera: everything else of it can be made from this again."""

ROOT_TOPICS = ("/pose_3d", "/diagnostics")

GROUND_TRUTH_TOPIC = "/ground_truth/pose_3d"
"""Where a replayed recording says where the joints are."""

WORLD_FRAME = "world"
"""Frame of poses in space unless a parameter says otherwise."""


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
    values = complete(ARGUMENTS, arguments)
    source = values["source"]
    if source in ("recording", "video") and not values["recording"]:
        raise GraphError(f"source {source} needs the path of a file: recording")
    files = [share / "config" / "nodes.yaml", share / "config" / f"{source}.yaml"]
    if values["params"]:
        files.append(existing_file("params", values["params"]))
    model = _model(values)
    camera = partial(_node, _absolute(values["namespace"]), tuple(files))
    return [
        camera("snn", model, required=True),
        camera("ann", model),
        camera("visualizer", {}),
        camera("event_driver", _driver_parameters(values), required=True),
    ]


def multi_camera_graph(arguments: Mapping[str, str], share: Path) -> list[NodeSpec]:
    """Return the nodes of several cameras and the triangulator that joins their poses.

    Only the triangulator is required: any two cameras go on without the others.

    Args:
        arguments: values for :data:`MULTI_CAMERA_ARGUMENTS`; what is missing has its default.
        share: the package's share directory.

    Raises:
        GraphError: as :func:`pose_graph`; or there are fewer than two cameras, more than the
            simulator has, or not as many recordings.
    """
    values = complete(MULTI_CAMERA_ARGUMENTS, arguments)
    cameras = camera_namespaces(values["cameras"])
    if len(cameras) < 2 or len(set(cameras)) < len(cameras) or "" in cameras:
        raise GraphError(
            f"cameras: name two namespaces or more, each once, not {values['cameras']!r}"
        )
    source = values["source"]
    files = [share / "config" / "nodes.yaml"]
    if source != "none":
        files.append(share / "config" / f"{source}.yaml")
    if values["params"]:
        files.append(existing_file("params", values["params"]))
    drivers = _drivers(values, cameras)
    model = _model(values)
    has_visualizers = "true" in (values["visualizer"], values["rviz"])
    names = ",".join(cameras)
    specs = []
    for index, namespace in enumerate(cameras):
        camera = partial(_node, namespace, tuple(files))
        specs += [camera("snn", model), camera("ann", model)]
        if has_visualizers:
            specs.append(camera("visualizer", {}))
        if drivers:
            together: dict[str, Value] = {
                "wait_for_subscribers": 2 + has_visualizers,
                "together_with": names,
                "frame_id": f"{namespace.strip('/')}_optical",
            }
            specs.append(camera("event_driver", {**drivers[index], **together}))
    fusion: dict[str, Value] = {"cameras": names}
    if values["calibration"]:
        path = absolute_path(values["calibration"])
        if not path.exists():
            raise GraphError(f"calibration: there is no folder or file {path}")
        fusion["calibration"] = str(path)
    return [*specs, _node("", tuple(files), "triangulator", fusion, required=True)]


def camera_namespaces(text: str) -> tuple[str, ...]:
    """Return absolute namespaces of names with commas between them; the root is empty."""
    names = [name.strip() for name in text.split(",")]
    return tuple(_absolute(name) for name in names if name)


def driver_names(specs: Mapping[str, NodeSpec]) -> list[str]:
    """Return the names of those nodes that events come from: when all have ended, all is done."""
    return [name for name, spec in specs.items() if spec.executable == "event_driver"]


def multi_camera_bag_command(arguments: Mapping[str, str]) -> list[str]:
    """Return the command of :func:`bag_command` for several cameras."""
    namespaces = camera_namespaces(arguments["cameras"])
    topics = [f"{name}/{topic}" for name in namespaces for topic in TOPICS]
    return ["ros2", "bag", "record", "-s", "mcap", "-o", arguments["bag"], *topics, *ROOT_TOPICS]


def multi_camera_rviz_commands(share: Path) -> list[list[str]]:
    """Return the commands of :func:`rviz_commands` for several cameras."""
    frame = ["ros2", "run", "tf2_ros", "static_transform_publisher"]
    frame += ["--frame-id", WORLD_FRAME, "--child-frame-id", f"{WORLD_FRAME}_origin"]
    return [["rviz2", "-d", str(share / "config" / "multi_camera.rviz")], frame]


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


def _node(
    namespace: str,
    files: tuple[Path, ...],
    name: str,
    parameters: Mapping[str, Value],
    *,
    required: bool = False,
) -> NodeSpec:
    return NodeSpec(name, name, namespace, files, parameters, required)


def _model(values: Mapping[str, str]) -> dict[str, Value]:
    return {"checkpoint": str(existing_file("model", values["model"]))} if values["model"] else {}


def _drivers(values: Mapping[str, str], cameras: Sequence[str]) -> list[dict[str, Value]]:
    """Return parameters of each camera's event_driver; none where events come from elsewhere."""
    if values["source"] == "none":
        return []
    common: dict[str, Value] = {"source": values["source"]}
    if values["rate"]:
        common["rate"] = number(float, "rate", values["rate"])
    if values["source"] == "simulator":
        from hybrid_pose_ros.geometry.cameras import DHP19_LIKE  # scipy: not for every command

        if len(cameras) > len(DHP19_LIKE):
            raise GraphError(f"the simulator has {len(DHP19_LIKE)} cameras, not {len(cameras)}")
        return [{**common, "view": camera.name} for camera in DHP19_LIKE[: len(cameras)]]
    paths = [path.strip() for path in values["recording"].split(",") if path.strip()]
    if len(paths) != len(cameras):
        raise GraphError(
            f"recording: {len(cameras)} cameras need as many paths, with commas between them, "
            f"not {len(paths)}"
        )
    return [{**common, "path": str(existing_file("recording", path))} for path in paths]


def _driver_parameters(values: Mapping[str, str]) -> dict[str, Value]:
    parameters: dict[str, Value] = {"source": values["source"]}
    if values["recording"]:
        parameters["path"] = str(existing_file("recording", values["recording"]))
    if values["rate"]:
        parameters["rate"] = number(float, "rate", values["rate"])
    if values["device"]:
        parameters["device"] = number(int, "device", values["device"])
    if values["host"]:
        parameters["host"] = values["host"]
    if values["port"]:
        parameters["port"] = number(int, "port", values["port"])
    return parameters


def _absolute(namespace: str) -> str:
    stripped = namespace.strip("/")
    return f"/{stripped}" if stripped else ""


def _yaml(value: Value) -> str:
    """Return a parameter value as rcl reads it; quoted text stays text even if it looks like 1."""
    if isinstance(value, bool):
        return str(value).lower()
    return "'" + value.replace("'", "''") + "'" if isinstance(value, str) else repr(value)
