# SPDX-License-Identifier: Apache-2.0
"""The graph of nodes that makes poses of events: the one description of it.

The files in `launch/` turn it into launch actions, `hybrid-pose run` and `hybrid-pose replay`
into processes. One camera is the case N = 1 of several; a replay is a graph whose events come
from a bag. Neither rclpy nor launch is imported here, and no bag is read.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from hybrid_pose_ros import PACKAGE
from hybrid_pose_ros.graph.arguments import (
    ARGUMENTS,
    MULTI_CAMERA_ARGUMENTS,
    REPLAY_ARGUMENTS,
    GraphError,
    absolute_path,
    complete,
    existing_file,
    namespaces_of,
    number,
)
from hybrid_pose_ros.graph.respawn import RESPAWNED
from hybrid_pose_ros.graph.specs import DRIVER, NodeSpec, Parameters, Value, in_one_process

_PLAYED = ("recording", "video", "simulator")
"""Sources that wait for those who listen, so that these miss nothing."""

LOCKSTEP_ANN_HZ = 10.0
"""Rate of the ANN in lockstep, whatever the parameter files say: the player has to know it."""

LOCKSTEP_WAIT_MS = 10_000.0
"""In lockstep the triangulator waits for a camera as long as it can."""


@dataclass(frozen=True)
class Played:
    """The part of a bag that is played.

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


def pose_graph(arguments: Mapping[str, str], share: Path) -> list[NodeSpec]:
    """Return the nodes of one camera, or of several and the triangulator that joins their poses.

    Of one camera, driver and SNN are required. Of several only the triangulator is: any two
    cameras go on without the others.

    Args:
        arguments: values for :data:`MULTI_CAMERA_ARGUMENTS` if ``cameras`` is among them, else
            for :data:`ARGUMENTS`; what is missing has its default.
        share: the package's share directory.

    Raises:
        GraphError: an argument is unknown, not among its choices, missing or not a number; or
            there are too few or too many cameras, or not as many recordings.
    """
    several = "cameras" in arguments
    values = complete(MULTI_CAMERA_ARGUMENTS if several else ARGUMENTS, arguments)
    source, cameras = values["source"], namespaces_of(values)
    if several and (len(cameras) < 2 or len(set(cameras)) < len(cameras) or "" in cameras):
        raise GraphError(
            f"cameras: name two namespaces or more, each once, not {values['cameras']!r}"
        )
    if source in ("recording", "video") and not values["recording"] and not several:
        raise GraphError(f"source {source} needs the path of a file: recording")
    files = [] if source == "none" else [share / "config" / f"{source}.yaml"]
    model: Parameters = _model(values)
    nodes: dict[str, Parameters] = {"snn": model, "ann": model}
    if not several or "true" in (values["visualizer"], values["rviz"]):
        nodes["visualizer"] = {}
    drivers = _drivers(values, cameras, len(nodes) + bool(values["bag"]))
    joint: dict[str, Parameters] = {}
    if several:
        fusion: dict[str, Value] = {"cameras": ",".join(cameras)}
        if values["calibration"]:
            path = absolute_path(values["calibration"])
            if not path.exists():
                raise GraphError(f"calibration: there is no folder or file {path}")
            fusion["calibration"] = str(path)
        if values["publish_tf"] == "true":
            fusion["publish_tf"] = True
        joint["triangulator"] = fusion
        if values["human_model"] == "true":
            joint["human_model"] = {"frames": "links"}
    per_camera = [
        (camera, nodes | ({DRIVER: drivers[index]} if drivers else {}))
        for index, camera in enumerate(cameras)
    ]
    required = ("triangulator",) if several else ("snn", DRIVER)
    groups = [*per_camera, ("", joint)]
    respawned = RESPAWNED if values["respawn"] == "true" else ()
    specs = _assemble(share, files, values["params"], groups, required, respawned)
    return in_one_process(specs) if values["container"] == "true" else specs


def replay_graph(arguments: Mapping[str, str], played: Played, share: Path) -> list[NodeSpec]:
    """Return the nodes that take what is played of a bag.

    Args:
        arguments: values for :data:`REPLAY_ARGUMENTS`; what is missing has its default.
        share: the package's share directory.

    Raises:
        GraphError: an argument is unknown, not among its choices, or names a file that is
            missing.
    """
    values = complete(REPLAY_ARGUMENTS, arguments)
    clocked: dict[str, Value] = {"use_sim_time": True}
    packets: dict[str, Value] = {**clocked, "packet_type": played.packet_type}
    ann, snn = packets | _model(values), packets | _model(values)
    join: dict[str, Value] = {**clocked, "cameras": ",".join(c.strip("/") for c in played.cameras)}
    if played.lockstep:
        ann |= {"rate_hz": LOCKSTEP_ANN_HZ, "step_ms": 0.0}
        # the model's own steps, and none merged however long a packet waits for us
        snn |= {"max_delay_ms": 60_000.0, "step_ms": 0.0}
        join["max_wait_ms"] = LOCKSTEP_WAIT_MS
    nodes: dict[str, Parameters] = {"snn": snn, "ann": ann}
    if values["visualizer"] == "true":
        nodes["visualizer"] = packets
    joint: dict[str, Parameters] = {}
    if len(played.cameras) > 1 and played.calibrated and all(played.cameras):
        joint["triangulator"] = join
    if played.has_truth:
        names = ",".join(camera or "/" for camera in played.cameras)
        judge: dict[str, Value] = {**clocked, "cameras": names}
        if values["report"]:
            judge["report"] = str(absolute_path(values["report"]))
        joint["evaluator"] = judge
    required = ("snn", "ann", *joint) if played.lockstep else ("snn",)
    groups = [*((camera, nodes) for camera in played.cameras), ("", joint)]
    return _assemble(share, [], values["params"], groups, required)


def _assemble(
    share: Path,
    files: Sequence[Path],
    params: str,
    groups: Sequence[tuple[str, Mapping[str, Parameters]]],
    required: Collection[str],
    respawned: Collection[str] = (),
) -> list[NodeSpec]:
    """Return the nodes of (namespace, executable -> parameters) in their order.

    Args:
        files: parameter files besides `nodes.yaml`.
        params: path of the user's own, or "".
        required: executables without which nothing goes on.
        respawned: executables that are started again when they die.
    """
    paths = [share / "config" / "nodes.yaml", *files]
    if params:
        paths.append(existing_file("params", params))
    return [
        NodeSpec(
            name, name, namespace, tuple(paths), parameters, name in required, name in respawned
        )
        for namespace, nodes in groups
        for name, parameters in nodes.items()
    ]


def _model(values: Mapping[str, str]) -> dict[str, Value]:
    return {"checkpoint": str(existing_file("model", values["model"]))} if values["model"] else {}


def _drivers(
    values: Mapping[str, str], cameras: Sequence[str], subscribers: int
) -> list[dict[str, Value]]:
    """Return parameters of each camera's event_driver; none where events come from elsewhere.

    Args:
        subscribers: that listen to each camera, and are waited for by several cameras and where a
            bag is recorded; otherwise the source's own parameters say.
    """
    source, several = values["source"], "cameras" in values
    if source == "none":
        return []
    common: dict[str, Value] = {"source": source}
    if values["rate"]:
        common["rate"] = number(float, "rate", values["rate"])
    if values.get("device"):
        common["device"] = number(int, "device", values["device"])
    if values.get("host"):
        common["host"] = values["host"]
    if values.get("port"):
        common["port"] = number(int, "port", values["port"])
    if values["bag"] and source in _PLAYED:
        common["wait_for_subscribers"] = subscribers
    drivers = [dict(common) for _ in cameras]
    if several and source == "simulator":
        from hybrid_pose_ros.geometry.cameras import DHP19_LIKE  # scipy: not for every command

        if len(cameras) > len(DHP19_LIKE):
            raise GraphError(f"the simulator has {len(DHP19_LIKE)} cameras, not {len(cameras)}")
        for driver, view in zip(drivers, DHP19_LIKE, strict=False):
            driver["view"] = view.name
    elif values["recording"] or several:
        text = values["recording"]
        paths = [path.strip() for path in text.split(",") if path.strip()] if several else [text]
        if len(paths) != len(cameras):
            raise GraphError(
                f"recording: {len(cameras)} cameras need as many paths, with commas between "
                f"them, not {len(paths)}"
            )
        for driver, path in zip(drivers, paths, strict=True):
            driver["path"] = str(existing_file("recording", path))
    if several:
        for driver, namespace in zip(drivers, cameras, strict=True):
            driver["wait_for_subscribers"] = subscribers
            driver["together_with"] = ",".join(cameras)
            driver["frame_id"] = f"{namespace.strip('/')}_optical"
    return drivers
