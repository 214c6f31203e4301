# SPDX-License-Identifier: Apache-2.0
"""The source of events that a node's parameters name: its parameters, and how it is opened."""

import threading
from functools import partial
from pathlib import Path

from hybrid_pose_ros.events.filters import FilterChain, FilterConfig
from hybrid_pose_ros.events.sources import (
    CameraSource,
    EventSource,
    NetworkSource,
    SourceError,
    open_source,
)
from hybrid_pose_ros.geometry.cameras import DHP19_LIKE, VIEWS, Camera
from hybrid_pose_ros.graph.arguments import SOURCES
from hybrid_pose_ros.nodes.support.base import ManagedNode
from hybrid_pose_ros.nodes.support.parameters import ParameterSpec
from hybrid_pose_ros.nodes.support.read_ahead import ReadAhead

LIVE_SOURCES = ("camera", "network", "webcam")


NO_REGION = [0, 0, 0, 0]

UNKNOWN_SIZE = [0, 0]

VIDEO_SIZE = (346, 260)

SOURCE_PARAMETERS = (
    ParameterSpec("source", "simulator", "where the events come from", choices=SOURCES),
    ParameterSpec(
        "path",
        "",
        "recording to play, for source recording: AEDAT4, AEDAT 2.0 of one DAVIS, "
        "or Prophesee RAW; video to play, for source video",
    ),
    ParameterSpec(
        "device", 0, "number of the webcam, for source webcam; 0: the first", limits=(0, 255)
    ),
    ParameterSpec(
        "size",
        UNKNOWN_SIZE,
        "width, height (pixels) of the simulated sensor of video and webcam (0 0: 346 260), or of "
        "the camera of a recording that does not tell",
    ),
    ParameterSpec(
        "crop",
        False,
        "fill that sensor's view with the picture of video or webcam, and cut off what "
        "protrudes; else empty bars beside it",
    ),
    ParameterSpec(
        "camera",
        "",
        "name of the camera, for source camera; empty: the first; which of several in a "
        "recording, by name or number",
    ),
    ParameterSpec("host", "127.0.0.1", "address of the server, for source network"),
    ParameterSpec("port", 7777, "TCP port of the server, for source network", limits=(1, 65_535)),
    ParameterSpec("motion", "walking", "name of the motion, for source simulator"),
    ParameterSpec(
        "seconds", 30.0, "length of the simulation (s of sensor time)", limits=(0.1, 86_400.0)
    ),
    ParameterSpec(
        "seed",
        0,
        "number that, with motion and seconds, makes person, room and light",
        limits=(0, 2**31 - 1),
    ),
    ParameterSpec(
        "view",
        VIEWS[0],
        "which of the cameras around the simulated person this is; drivers with the same "
        "motion, seconds and seed show the same moment",
        choices=VIEWS,
    ),
)
"""Parameters that say where the events come from."""

FILTER_PARAMETERS = (
    ParameterSpec(
        "background_activity_us",
        0,
        "drop events without another one nearby within this time (us); 0: off",
        limits=(0, 10**7),
    ),
    ParameterSpec(
        "hot_pixel_hz",
        0.0,
        "silence pixels that fire faster than this (events per second); 0: off",
        limits=(0.0, 1e6),
    ),
    ParameterSpec(
        "hot_pixel_learn_s",
        1.0,
        "time in which hot pixels are looked for (s of sensor time)",
        limits=(0.1, 3600.0),
    ),
    ParameterSpec(
        "region",
        NO_REGION,
        "x, y, width, height (pixels): events outside are dropped; 0 0 0 0: off",
    ),
)
"""Parameters that say which of them are dropped."""


def simulated_camera(node: ManagedNode) -> Camera | None:
    """Return the camera that a node's parameters simulate, if they do."""
    is_simulated = node.text("source") == "simulator"
    return DHP19_LIKE[VIEWS.index(node.text("view"))] if is_simulated else None


def open_source_of(node: ManagedNode, stop: threading.Event) -> ReadAhead:
    """Open the source that a node's parameters name, with its filters.

    Args:
        stop: once set, reading ends as if the source had ended.

    Raises:
        SourceError: it cannot be opened, or a parameter does not fit it.
    """
    kind = node.text("source")
    try:
        if kind == "camera":
            source: EventSource = CameraSource(node.text("camera"))
        elif kind == "recording":
            path, size = _path_of(node), _size_of(node)
            source = open_source(path, size=size, camera=node.text("camera"))
        elif kind == "network":
            source = NetworkSource(node.text("host"), node.integer("port"))
        elif kind in ("video", "webcam"):
            source = _open_frames(node, kind)
        else:
            source = _simulator(
                node.text("motion"),
                node.number("seconds"),
                node.integer("seed"),
                node.text("view"),
            )
    except (SourceError, ValueError) as error:
        raise SourceError(str(error)) from error
    try:
        filters = FilterChain(_filter_config(node), source.width, source.height)
    except ValueError as error:
        source.close()
        raise SourceError(str(error)) from error
    return ReadAhead(source, filters, stop)


def _open_frames(node: ManagedNode, kind: str) -> EventSource:
    from hybrid_pose_ros.simulation.frame_sensor import FrameSensor  # compiles its kernels
    from hybrid_pose_ros.simulation.video import VideoSource
    from hybrid_pose_ros.simulation.webcam import WebcamSource

    sensor = FrameSensor(
        _size_of(node) or VIDEO_SIZE,
        crop=node.flag("crop"),
        on_cut=partial(_report_scene_cut, node),
    )
    if kind == "video":
        return VideoSource(_path_of(node), sensor)
    return WebcamSource(node.integer("device"), sensor)


def _path_of(node: ManagedNode) -> Path:
    """Return the file that the parameter names; raises SourceError."""
    if not node.text("path"):
        raise SourceError(f"path is not given; it names the {node.text('source')} to play")
    return Path(node.text("path"))


def _size_of(node: ManagedNode) -> tuple[int, int] | None:
    """Return the size that the parameter gives, None for 0 0; raises ValueError."""
    size = node.integers("size")
    if len(size) != 2:
        raise ValueError(f"size has {len(size)} numbers; it takes width, height")
    if list(size) == UNKNOWN_SIZE:
        return None
    if min(size) < 1:
        raise ValueError(f"size {size[0]} {size[1]} is that of no sensor (0 0: not given)")
    return size[0], size[1]


def _report_scene_cut(node: ManagedNode, time_us: int) -> None:
    node.get_logger().warning(
        f"scene cut at {time_us / 1e6:.2f} s of sensor time: the simulated sensor starts anew "
        "at the new picture; further cuts are not reported",
        once=True,
    )


def _filter_config(node: ManagedNode) -> FilterConfig:
    region = node.integers("region")
    if len(region) != 4:
        raise ValueError(f"region has {len(region)} numbers; it takes x, y, width, height")
    x, y, width, height = region
    return FilterConfig(
        background_activity_us=node.integer("background_activity_us"),
        hot_pixel_hz=node.number("hot_pixel_hz"),
        hot_pixel_learn_s=node.number("hot_pixel_learn_s"),
        region=(x, y, width, height) if any(region) else None,
    )


def _simulator(motion: str, seconds: float, seed: int, view: str) -> EventSource:
    from hybrid_pose_ros.simulation.source import SimulatorSource  # compiles its kernels: seconds

    return SimulatorSource(motion, seconds, seed, view)
