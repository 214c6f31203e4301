# SPDX-License-Identifier: Apache-2.0
"""Node `triangulator`: poses of several cameras -> poses in space."""

import importlib
import time
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np
from builtin_interfaces.msg import Time
from geometry_msgs.msg import Transform, TransformStamped, Vector3
from rclpy.lifecycle import LifecyclePublisher
from sensor_msgs.msg import CameraInfo
from std_msgs.msg import Header
from visualization_msgs.msg import MarkerArray

from hybrid_pose_ros.geometry.calibration import read_calibration
from hybrid_pose_ros.geometry.cameras import Camera, CameraError
from hybrid_pose_ros.graph.description import WORLD_FRAME, camera_namespaces
from hybrid_pose_ros.interfaces.messages import (
    CAMERA_INFO_QOS,
    POSE_QOS,
    VISUAL_QOS,
    camera_from_info,
    pose_3d_message,
    pose_from_message,
)
from hybrid_pose_ros.interfaces.visuals import skeleton_markers_3d
from hybrid_pose_ros.msg import PoseKeypoints, PoseKeypoints3D
from hybrid_pose_ros.nodes.support.base import ManagedNode, StartError
from hybrid_pose_ros.nodes.support.health import Level, Meter, Report
from hybrid_pose_ros.nodes.support.parameters import ParameterSpec
from hybrid_pose_ros.nodes.support.running import run_node
from hybrid_pose_ros.pipeline.pose_fusion import FusionConfig, Pose3D, PoseFusion
from hybrid_pose_ros.skeleton import JOINTS

EXPIRY_S: Final = 0.01
"""Period at which moments that have waited long enough are looked for."""

SAME_PLACE_M: Final = 1e-3

MAX_STAMPS: Final = 2000
"""Moments whose host time is remembered while they wait."""


class TriangulatorNode(ManagedNode):
    """Joins the poses of two cameras or more into poses in space.

    Poses of the same moment of sensor time belong together. A camera that delivers nothing is
    waited for once, then left out until it is back; any two go on. A camera that contradicts the
    others about a joint has no part in it.

    The calibration comes from files or from camera_info, whose `p` has to map homogeneous metres
    in the common frame to homogeneous pixels.

    Subscribes: CAMERA/pose (PoseKeypoints) and, without `calibration`, CAMERA/camera_info
    (sensor_msgs/CameraInfo). Publishes: pose_3d (PoseKeypoints3D), markers_3d
    (visualization_msgs/MarkerArray) and, if `publish_tf` says so, /tf (tf2_msgs/TFMessage).
    Services: ~/statistics (Trigger).
    """

    PARAMETERS = (
        ParameterSpec("cameras", "cam0,cam1", "namespaces of the cameras, with commas"),
        ParameterSpec(
            "calibration",
            "",
            "folder with P1.npy to P4.npy of DHP19 (cameras cam0 to cam3, by channel) or YAML "
            "file; empty: from CAMERA/camera_info",
        ),
        ParameterSpec("frame_id", WORLD_FRAME, "frame in which the cameras are calibrated"),
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
        ParameterSpec(
            "marker_rate_hz", 30.0, "markers per second of host time", limits=(0.1, 1000.0)
        ),
        ParameterSpec("publish_tf", False, "publish the joints as frames, too"),
        ParameterSpec("tf_prefix", "person_", "beginning of the names of the joints' frames"),
    )

    def __init__(self, **kwargs: Any) -> None:
        super().__init__("triangulator", **kwargs)
        self._fusion: PoseFusion | None = None

    def configure(self) -> None:
        """Read the calibration, and offer the topics."""
        namespaces = camera_namespaces(self.text("cameras"))
        self._names = tuple(name.strip("/") for name in namespaces if name)
        if len(set(self._names)) != len(self._names) or len(self._names) < 2:
            raise StartError(
                f"cameras: name two cameras or more, each once, not {self.text('cameras')!r}"
            )
        self._known: dict[str, Camera] = {}
        if path := self.text("calibration"):
            try:
                self._known = read_calibration(Path(path).expanduser(), self._names)
            except CameraError as error:
                raise StartError(f"calibration: {error}") from error
        self._pose_3d = self.publish_to(PoseKeypoints3D, "pose_3d", POSE_QOS)
        self._markers = self.publish_to(MarkerArray, "markers_3d", VISUAL_QOS)
        self._tf: LifecyclePublisher | None = None
        if self.flag("publish_tf"):
            self._tf_message = _tf_message_type()
            self._tf = self.publish_to(self._tf_message, "/tf", POSE_QOS)

    def activate(self) -> None:
        """Listen."""
        self._poses = {name: Meter() for name in self._names}
        self._views = {name: Meter() for name in self._names}
        self._done, self._malformed = Meter(), 0
        self._error_sum_px = self._error_count = 0.0
        self._last: tuple[Pose3D, Header] | None = None
        self._stamps: dict[int, Time] = {}
        self._calibrate()
        for name in self._names:
            self.listen_to(PoseKeypoints, f"{name}/pose", partial(self._on_pose, name), POSE_QOS)
            if not self.text("calibration"):
                self.listen_to(
                    CameraInfo,
                    f"{name}/camera_info",
                    partial(self._on_info, name),
                    CAMERA_INFO_QOS,
                )
        self.repeat(EXPIRY_S, self._expire)
        self.repeat(1.0 / self.number("marker_rate_hz"), self._draw)

    def deactivate(self) -> None:
        """Forget what waits."""
        self._fusion = None

    def diagnose(self, report: Report) -> None:
        """Report who takes part, how fast and how well."""
        done, rate = self._done.take()
        for name in self._names:
            _, pose_rate = self._poses[name].take()
            parts, _ = self._views[name].take()
            report.values[f"{name} poses per second"] = f"{pose_rate:.1f}"
            share = f"{parts / done:.2f}" if done else "-"
            report.values[f"{name} part of poses in space"] = share
            late = self._fusion.late.get(name, 0) if self._fusion else 0
            report.values[f"{name} poses too late"] = str(late)
        lonely = self._fusion.lonely if self._fusion else 0
        report.values["moments of one camera only"] = str(lonely)
        error = f"{self._error_sum_px / self._error_count:.2f}" if self._error_count else "-"
        self._error_sum_px = self._error_count = 0.0
        report.values |= {
            "poses in space per second": f"{rate:.1f}",
            "poses in space": str(self._done.total),
            "mean reprojection error (px)": error,
            "messages refused": str(self._malformed),
        }
        self._find_faults(report, done)

    def _find_faults(self, report: Report, done: int) -> None:
        if missing := [name for name in self._names if name not in self._known]:
            level = Level.ERROR if self._fusion is None else Level.WARN
            report.add(level, f"no calibration yet: {', '.join(missing)}")
        if self._fusion is None:
            return
        if silent := [name for name in self._known if name not in self._fusion.awaited]:
            report.add(Level.WARN, f"no poses, or too late: {', '.join(silent)}")
        if not done:
            report.add(Level.WARN, "no poses in space: two cameras must have poses in time")

    def _calibrate(self) -> None:
        """Start anew with the cameras that are known."""
        self._fusion = None
        if len(self._known) < 2:
            return
        config = FusionConfig(
            tolerance_ns=round(self.number("tolerance_ms") * 1e6),
            max_wait_ns=round(self.number("max_wait_ms") * 1e6),
            max_error_px=self.number("max_error_px"),
            min_confidence=self.number("min_confidence"),
        )
        self._fusion = PoseFusion(self._known, config)

    def _on_info(self, name: str, message: CameraInfo) -> None:
        try:
            camera = camera_from_info(message)
        except CameraError as error:
            self.complain(f"{name}/camera_info refused: {error}", name)
            return
        if camera is None:
            self.complain(
                f"{name}/camera_info has no projection (p is 0): {name} is left out", name
            )
            return
        known = self._known.get(name)
        if known is not None and np.array_equal(known.matrix, camera.matrix):
            return
        if known is not None and np.allclose(known.matrix, camera.matrix, rtol=1e-12):
            return
        for other, theirs in self._known.items():
            if other != name and np.linalg.norm(theirs.centre - camera.centre) < SAME_PLACE_M:
                self.complain(
                    f"{name}/camera_info refused: {name} and {other} are in the same place, so p "
                    "does not map from a common frame; give their places in a calibration file",
                    name,
                )
                return
        self._known[name] = camera
        self._calibrate()

    def _on_pose(self, name: str, message: PoseKeypoints) -> None:
        try:
            pose = pose_from_message(message)
        except ValueError as error:
            self._malformed += 1
            self.complain(f"{name}/pose: malformed message dropped: {error}", name)
            return
        self._poses[name].add()
        camera = self._known.get(name)
        if self._fusion is None or camera is None:
            return
        if (message.width, message.height) != (camera.width, camera.height):
            self._malformed += 1
            self.complain(
                f"{name}/pose dropped: its image has {message.width}x{message.height} pixels, "
                f"the calibration {camera.width}x{camera.height}",
                name,
            )
            return
        if pose.init_age_ns < 0:  # before its first initialisation the SNN knows nothing
            return
        self._stamps[pose.sensor_time_ns] = message.header.stamp
        if len(self._stamps) > MAX_STAMPS:
            del self._stamps[next(iter(self._stamps))]  # the first that came
        self._publish(
            self._fusion.add(
                name, pose.sensor_time_ns, pose.keypoints, pose.confidence, time.monotonic_ns()
            )
        )

    def _expire(self) -> None:
        if self._fusion is not None:
            self._publish(self._fusion.expire(time.monotonic_ns()))

    def _publish(self, poses: list[Pose3D]) -> None:
        for pose in poses:
            header = Header(frame_id=self.text("frame_id"))
            header.stamp = self._stamps.get(pose.sensor_time_ns, self.get_clock().now().to_msg())
            self._pose_3d.publish(pose_3d_message(pose, header))
            if self._tf is not None:
                self._tf.publish(self._frames(pose, header))
            self._last = pose, header
            self._count(pose)
        if poses:
            newest = poses[-1].sensor_time_ns
            self._stamps = {t: stamp for t, stamp in self._stamps.items() if t > newest}

    def _count(self, pose: Pose3D) -> None:
        self._done.add()
        for name, used in pose.used.items():
            self._views[name].add(bool(used.any()))
        known = pose.confidence > 0
        self._error_sum_px += float(pose.reprojection_px[known].sum())
        self._error_count += float(known.sum())

    def _draw(self) -> None:
        last, self._last = self._last, None
        if last is not None and self._markers.get_subscription_count():
            pose, header = last
            self._markers.publish(
                skeleton_markers_3d(pose, header, min_confidence=self.number("min_confidence"))
            )

    def _frames(self, pose: Pose3D, header: Header) -> Any:
        prefix = self.text("tf_prefix")
        transforms = []
        for joint, ((x, y, z), confidence) in enumerate(
            zip(pose.joints.tolist(), pose.confidence.tolist(), strict=True)
        ):
            if confidence <= 0:  # TF keeps a frame's last place by itself
                continue
            transform = Transform(translation=Vector3(x=x, y=y, z=z))
            transform.rotation.w = 1.0
            transforms.append(
                TransformStamped(
                    header=header, child_frame_id=prefix + JOINTS[joint], transform=transform
                )
            )
        return self._tf_message(transforms=transforms)


def _tf_message_type() -> Any:
    try:
        return importlib.import_module("tf2_msgs.msg").TFMessage
    except ModuleNotFoundError as error:
        raise StartError(
            "publish_tf: tf2_msgs is not installed; it comes with a ROS 2 distribution"
        ) from error


def main() -> int:
    """Run the node until it ends; return the exit code."""
    return run_node(TriangulatorNode)
