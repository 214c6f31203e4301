# SPDX-License-Identifier: Apache-2.0
"""The fusion of cameras as a node's parameters have it, and figures of who takes part."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from builtin_interfaces.msg import Time

from hybrid_pose_ros.geometry.calibration import read_calibration
from hybrid_pose_ros.geometry.cameras import Camera, CameraError
from hybrid_pose_ros.interfaces.topics import camera_namespaces
from hybrid_pose_ros.nodes.support.base import ManagedNode
from hybrid_pose_ros.nodes.support.boundary import StartError
from hybrid_pose_ros.nodes.support.health import Level, Meter, Report
from hybrid_pose_ros.nodes.support.parameters import ParameterSpec
from hybrid_pose_ros.pipeline.pose_fusion import FusionConfig, Pose3D
from hybrid_pose_ros.pipeline.triangulator import Triangulator

MAX_STAMPS: Final = 2000
"""Moments whose host time is remembered at most."""

CAMERA_PARAMETERS = (
    ParameterSpec("cameras", "cam0,cam1", "namespaces of the cameras, with commas"),
    ParameterSpec(
        "calibration",
        "",
        "folder with P1.npy to P4.npy of DHP19 (cameras cam0 to cam3, by channel) or YAML "
        "file; empty: from CAMERA/camera_info",
    ),
)
"""Parameters that say which cameras are joined."""

FUSION_PARAMETERS = (
    ParameterSpec(
        "tolerance_ms",
        0.0,
        "poses this far apart (ms of sensor time) belong together; 0 for synchronised clocks, "
        "otherwise less than half a step",
        limits=(0.0, 100.0),
    ),
    ParameterSpec(
        "max_wait_ms",
        500.0,
        "longest wait for a camera (ms of host time from the first pose of the moment)",
        limits=(1.0, 10_000.0),
    ),
    ParameterSpec(
        "max_error_px",
        15.0,
        "a camera with a joint farther than this (pixels) from the others' is not used for it",
        limits=(0.5, 1000.0),
    ),
    ParameterSpec(
        "min_confidence",
        0.1,
        "0 to 1; a camera's joints below have no part, and joints in space below no marker",
        limits=(0.0, 1.0),
    ),
)
"""Parameters that say how."""


def cameras_of(node: ManagedNode) -> tuple[tuple[str, ...], dict[str, Camera]]:
    """Return the names of the cameras, and the calibrations that are known from files.

    Raises:
        StartError: there are fewer than two, or the calibration cannot be read.
    """
    names = tuple(name.strip("/") for name in camera_namespaces(node.text("cameras")) if name)
    if len(set(names)) != len(names) or len(names) < 2:
        raise StartError(
            f"cameras: name two cameras or more, each once, not {node.text('cameras')!r}"
        )
    path = node.text("calibration")
    try:
        return names, read_calibration(Path(path).expanduser(), names) if path else {}
    except CameraError as error:
        raise StartError(f"calibration: {error}") from error


def fusion_config(node: ManagedNode) -> FusionConfig:
    """Return the settings of the fusion."""
    return FusionConfig(
        tolerance_ns=round(node.number("tolerance_ms") * 1e6),
        max_wait_ns=round(node.number("max_wait_ms") * 1e6),
        max_error_px=node.number("max_error_px"),
        min_confidence=node.number("min_confidence"),
    )


class StampMemory:
    """Remembers the host time of moments of sensor time while they wait."""

    def __init__(self) -> None:
        self._stamps: dict[int, Time] = {}

    def add(self, sensor_ns: int, stamp: Time) -> None:
        """Remember a moment; the first that came is forgotten when there are too many."""
        self._stamps[sensor_ns] = stamp
        if len(self._stamps) > MAX_STAMPS:
            del self._stamps[next(iter(self._stamps))]

    def take(self, sensor_ns: int) -> Time | None:
        """Return the stamp of a moment if it is known, and forget those up to it."""
        stamp = self._stamps.get(sensor_ns)
        self._stamps = {t: later for t, later in self._stamps.items() if t > sensor_ns}
        return stamp


class FusionFigures:
    """Counts poses of cameras and in space, and reports on them."""

    def __init__(self, names: Sequence[str]) -> None:
        self._poses = {name: Meter() for name in names}
        self._views = {name: Meter() for name in names}
        self._done = Meter()
        self._error_sum_px = self._error_count = 0.0

    def heard(self, name: str) -> None:
        """Count a pose of a camera."""
        self._poses[name].add()

    def count(self, pose: Pose3D) -> None:
        """Count a pose in space."""
        self._done.add()
        for name, used in pose.used.items():
            self._views[name].add(bool(used.any()))
        known = pose.confidence > 0
        self._error_sum_px += float(pose.reprojection_px[known].sum())
        self._error_count += float(known.sum())

    def report(self, report: Report, triangulator: Triangulator) -> None:
        """Add the figures since the last report, and the faults that they show."""
        done, rate = self._done.take()
        fusion = triangulator.fusion
        for name, poses in self._poses.items():
            _, pose_rate = poses.take()
            parts, _ = self._views[name].take()
            report.values[f"{name} poses per second"] = f"{pose_rate:.1f}"
            share = f"{parts / done:.2f}" if done else "-"
            report.values[f"{name} part of poses in space"] = share
            report.values[f"{name} poses too late"] = str(
                fusion.late.get(name, 0) if fusion else 0
            )
        error = f"{self._error_sum_px / self._error_count:.2f}" if self._error_count else "-"
        self._error_sum_px = self._error_count = 0.0
        report.values |= {
            "moments of one camera only": str(fusion.lonely if fusion else 0),
            "poses in space per second": f"{rate:.1f}",
            "poses in space": str(self._done.total),
            "mean reprojection error (px)": error,
        }
        if missing := triangulator.uncalibrated(list(self._poses)):
            level = Level.ERROR if fusion is None else Level.WARN
            report.add_missing(
                f"no calibration yet: {', '.join(missing)}", ever=self._done.total, level=level
            )
        if fusion is None:
            return
        if silent := triangulator.silent():
            report.add(Level.WARN, f"no poses, or too late: {', '.join(silent)}")
        if not done:
            report.add_missing(
                "no poses in space: two cameras must have poses in time", ever=self._done.total
            )
