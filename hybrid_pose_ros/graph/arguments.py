# SPDX-License-Identifier: Apache-2.0
"""Arguments of a graph, the same on every command line, where all values are text."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from hybrid_pose_ros.errors import UserError
from hybrid_pose_ros.interfaces.topics import absolute_namespace, camera_namespaces


class GraphError(UserError, ValueError):
    """An argument of a graph is wrong; the message says which and the remedy."""


@dataclass(frozen=True)
class Argument:
    """An argument: its name, its value where none is given, and the values allowed if not all."""

    name: str
    default: str
    description: str
    choices: tuple[str, ...] = ()


SOURCES = ("camera", "recording", "network", "simulator", "video", "webcam")

_RATE = "1 is real time, 0 unlimited"
_MODEL = Argument("model", "", "path of the checkpoint; empty for the shipped edge model")
_PARAMS = Argument("params", "", "path of a parameter file that overrides the package's own")
_CONTAINER = Argument(
    "container",
    "false",
    "run driver, ann, snn and triangulator in one process, where events pass without middleware",
    ("true", "false"),
)
_BAG = Argument(
    "bag",
    "",
    "path of a new bag (mcap) of events, camera_info, initialisations, poses and diagnostics; "
    "empty: none",
)
_RESPAWN = Argument(
    "respawn", "true", "start an ann, snn or visualizer that dies again", ("true", "false")
)

ARGUMENTS = (
    Argument("source", "simulator", "where the events come from", SOURCES),
    Argument(
        "recording",
        "",
        "path of the recording (*.aedat4, *.aedat, *.raw), for source recording; of the video "
        "(*.mp4 and others), for source video",
    ),
    Argument("device", "", "number of the webcam, for source webcam; 0 is the first"),
    Argument("rate", "", f"speed of recording, video or simulation; {_RATE}"),
    Argument("host", "", "address of the event server, for source network"),
    Argument("port", "", "port of the event server, for source network"),
    _MODEL,
    Argument("namespace", "", "namespace of all nodes, one per camera"),
    _PARAMS,
    _CONTAINER,
    Argument("rviz", "false", "open RViz", ("true", "false")),
    _BAG,
    _RESPAWN,
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
    Argument("rate", "", f"speed of recordings or simulation; {_RATE}"),
    Argument(
        "calibration",
        "",
        "folder of DHP19's P1 to P4 or YAML file; empty: each camera's topic camera_info",
    ),
    _MODEL,
    _PARAMS,
    _CONTAINER,
    Argument("visualizer", "false", "start a visualizer for each camera", ("true", "false")),
    Argument("publish_tf", "false", "publish the joints as frames on /tf", ("true", "false")),
    Argument(
        "human_model",
        "false",
        "publish the person as joint angles, a URDF, and frames of its links on /tf",
        ("true", "false"),
    ),
    Argument("rviz", "false", "open RViz, and start visualizers", ("true", "false")),
    _BAG,
    _RESPAWN,
)
"""Arguments of the graph of several cameras."""

REPLAY_ARGUMENTS = (
    Argument("bag", "", "path of the bag to play"),
    Argument("rate", "1.0", "bag seconds per second; 1 is real time"),
    Argument("start_offset", "0.0", "where to start (s after the bag's first message)"),
    Argument("loop", "false", "start over at the end", ("true", "false")),
    Argument("cameras", "", "namespaces of the cameras to play, with commas; empty: all"),
    _MODEL,
    _PARAMS,
    Argument("visualizer", "false", "start visualizers, too", ("true", "false")),
    Argument("report", "", "file (JSON) for the errors, where the bag has ground truth"),
)
"""Arguments of the graph that takes a bag's events."""


def complete(table: Sequence[Argument], arguments: Mapping[str, str]) -> dict[str, str]:
    """Return the values of all arguments, with defaults where none was given.

    Raises:
        GraphError: an argument is unknown, or its value is none of its choices.
    """
    values = {argument.name: argument.default for argument in table}
    if unknown := arguments.keys() - values.keys():
        raise GraphError(f"unknown argument {sorted(unknown)[0]}")
    values |= arguments
    for argument in table:
        if argument.choices and values[argument.name] not in argument.choices:
            raise GraphError(
                f"{argument.name} must be one of {', '.join(argument.choices)}, "
                f"not {values[argument.name]!r}"
            )
    return values


def number(kind: type[int] | type[float], name: str, text: str) -> int | float:
    """Return the number that an argument is; raises GraphError if it is none."""
    try:
        return kind(text)
    except ValueError as error:
        raise GraphError(f"{name} must be a number, not {text!r}") from error


def absolute_path(text: str) -> Path:
    """Return the path that the nodes, which may run elsewhere, find as well."""
    return Path(text).expanduser().absolute()


def existing_file(name: str, text: str) -> Path:
    """Return the absolute path of the file that an argument names; raises GraphError."""
    path = absolute_path(text)
    if not path.is_file():
        raise GraphError(f"{name}: there is no file {path}")
    return path


def namespaces_of(values: Mapping[str, str]) -> tuple[str, ...]:
    """Return the namespace of each camera of a graph."""
    if "cameras" in values:
        return camera_namespaces(values["cameras"])
    return (absolute_namespace(values.get("namespace", "")),)
