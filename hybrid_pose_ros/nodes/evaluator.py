# SPDX-License-Identifier: Apache-2.0
"""Node `evaluator`: poses and ground truth -> running errors, and a table at the end."""

import json
from functools import partial
from pathlib import Path
from typing import Any, Final

from rclpy.lifecycle import LifecyclePublisher
from sensor_msgs.msg import CameraInfo
from std_msgs.msg import Float64

from hybrid_pose_ros.geometry.cameras import CameraError
from hybrid_pose_ros.interfaces.messages import (
    camera_from_info,
    joints_from_message,
    pose_from_message,
)
from hybrid_pose_ros.interfaces.topics import (
    CAMERA_INFO,
    GROUND_TRUTH,
    POSE,
    POSE_3D,
    Quality,
    Topic,
    camera_namespaces,
)
from hybrid_pose_ros.metrics.running_errors import RunningEvaluation, format_report
from hybrid_pose_ros.msg import PoseKeypoints, PoseKeypoints3D
from hybrid_pose_ros.nodes.support.base import ManagedNode, StartError
from hybrid_pose_ros.nodes.support.health import Level, Report
from hybrid_pose_ros.nodes.support.parameters import ParameterSpec
from hybrid_pose_ros.nodes.support.running import run_node

LOSSLESS_DEPTH: Final = 4000
"""A pose that is lost would be missing in the errors: ten seconds of 400 Hz may wait."""


class EvaluatorNode(ManagedNode):
    """Compares poses with ground truth while they come.

    The figures are those of `hybrid-pose evaluate-bag`, which counts with the same code. At the
    end they go to the log as a table and, if `report` says so, to a file.

    Subscribes: CAMERA/pose (PoseKeypoints), CAMERA/camera_info (sensor_msgs/CameraInfo), pose_3d
    and /ground_truth/pose_3d (PoseKeypoints3D). Publishes: ~/CAMERA/error_px, ~/pose_3d/error_mm
    (std_msgs/Float64; mean of the newest 100 poses), ~/CAMERA/mpjpe_px, ~/pose_3d/mpjpe_mm
    (std_msgs/Float64; mean since the start). Services: ~/statistics (Trigger).
    """

    PARAMETERS = (
        ParameterSpec(
            "cameras",
            "cam0",
            "namespaces of the cameras, with commas between them; `/` is the root",
        ),
        ParameterSpec(
            "rate_hz",
            5.0,
            "how often the errors are published (per second of host time)",
            limits=(0.1, 100.0),
        ),
        ParameterSpec("report", "", "file (JSON) that gets the figures at the end; empty: none"),
    )

    def __init__(self, **kwargs: Any) -> None:
        super().__init__("evaluator", **kwargs)
        self._evaluation: RunningEvaluation | None = None
        self._malformed = 0

    def configure(self) -> None:
        """Offer the errors."""
        self._cameras = camera_namespaces(self.text("cameras"))
        if not self._cameras:
            raise StartError("cameras: name at least one namespace, such as cam0")
        self._errors: dict[tuple[str, str], LifecyclePublisher] = {}
        for name in (*self._cameras, "pose_3d"):
            unit = "mm" if name == "pose_3d" else "px"
            for figure in ("error", "mpjpe"):
                topic = "/".join(filter(None, ("~", name.strip("/"), f"{figure}_{unit}")))
                errors = Topic(topic, "std_msgs/msg/Float64", Quality(10))
                self._errors[name, figure] = self.publish_to(errors)

    def activate(self) -> None:
        """Listen, from the beginning."""
        self._evaluation = RunningEvaluation()
        self._malformed = 0
        for name in self._cameras:
            self.listen_to(POSE.under(name).keeping(LOSSLESS_DEPTH), partial(self._on_pose, name))
            self.listen_to(CAMERA_INFO.under(name), partial(self._on_info, name))
        self.listen_to(POSE_3D.keeping(LOSSLESS_DEPTH), self._on_pose_3d)
        self.listen_to(GROUND_TRUTH.keeping(LOSSLESS_DEPTH), self._on_truth)
        self.repeat(1.0 / self.number("rate_hz"), self._publish_errors)

    def deactivate(self) -> None:
        """Write the figures."""
        evaluation, self._evaluation = self._evaluation, None
        if evaluation is None:
            return
        evaluation.finish()
        report = evaluation.report()
        self.get_logger().info("errors:\n" + format_report(report))
        if path := self.text("report"):
            try:
                Path(path).write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
            except OSError as error:
                self.get_logger().error(f"report: {path} cannot be written ({error.strerror})")

    def diagnose(self, report: Report) -> None:
        """Report the errors so far."""
        assert self._evaluation is not None
        scored = 0
        for name, sums in self._all_sums():
            scored += sums.scored
            report.values |= {
                f"{name} poses": str(sums.poses),
                f"{name} mpjpe {sums.unit}": _text(sums.mpjpe),
                f"{name} recent error {sums.unit}": _text(sums.recent),
            }
        report.values["poses waiting for truth"] = str(self._evaluation.waiting)
        report.values["messages malformed"] = str(self._malformed)
        if not scored:
            report.add(Level.WARN, f"nothing to compare: it takes poses and {GROUND_TRUTH.name}")

    def _all_sums(self) -> list[tuple[str, Any]]:
        assert self._evaluation is not None
        sums = self._evaluation.sums
        found = [(name, sums[name]) for name in self._cameras if name in sums]
        return [*found, ("pose_3d", self._evaluation.sums_3d)]

    def _publish_errors(self) -> None:
        for name, sums in self._all_sums():
            for figure, value in (("error", sums.recent), ("mpjpe", sums.mpjpe)):
                if value is not None:
                    self._errors[name, figure].publish(Float64(data=value))

    def _on_pose(self, camera: str, message: PoseKeypoints) -> None:
        assert self._evaluation is not None
        try:
            pose = pose_from_message(message)
        except ValueError as error:
            self._refuse(f"{camera}/pose", error)
            return
        self._evaluation.add_pose(
            camera, pose.sensor_time_ns, pose.keypoints, has_state=pose.init_age_ns >= 0
        )

    def _on_pose_3d(self, message: PoseKeypoints3D) -> None:
        assert self._evaluation is not None
        try:
            joints = joints_from_message(message)
        except ValueError as error:
            self._refuse("pose_3d", error)
            return
        self._evaluation.add_pose_3d(message.sensor_time, joints)

    def _on_truth(self, message: PoseKeypoints3D) -> None:
        assert self._evaluation is not None
        try:
            joints = joints_from_message(message)
        except ValueError as error:
            self._refuse(GROUND_TRUTH.name, error)
            return
        self._evaluation.add_truth(message.sensor_time, joints)

    def _on_info(self, camera: str, message: CameraInfo) -> None:
        assert self._evaluation is not None
        try:
            calibration = camera_from_info(message)
        except CameraError as error:
            self._refuse(f"{camera}/camera_info", error)
            return
        if calibration is None:
            self.complain(
                f"{camera}/camera_info has no projection: its errors are unknown", camera
            )
        else:
            self._evaluation.set_camera(camera, calibration)

    def _refuse(self, topic: str, error: ValueError) -> None:
        self._malformed += 1
        self.complain(f"{topic}: malformed message dropped: {error}", topic)


def _text(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def main() -> int:
    """Run the node until it ends; return the exit code."""
    return run_node(EvaluatorNode)
