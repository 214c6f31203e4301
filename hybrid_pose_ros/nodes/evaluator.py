# SPDX-License-Identifier: Apache-2.0
"""Node `evaluator`: poses and ground truth -> running errors, and a table at the end."""

from functools import partial
from typing import Any, Final

from rclpy.lifecycle import LifecyclePublisher
from sensor_msgs.msg import CameraInfo
from std_msgs.msg import Float64

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
from hybrid_pose_ros.metrics.running import RunningEvaluation, format_report
from hybrid_pose_ros.msg import PoseKeypoints, PoseKeypoints3D
from hybrid_pose_ros.nodes.support.base import ManagedNode
from hybrid_pose_ros.nodes.support.boundary import StartError
from hybrid_pose_ros.nodes.support.error_figures import named_sums, report_errors, write_errors
from hybrid_pose_ros.nodes.support.health import Report
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
        errors = evaluation.report()
        self.get_logger().info("errors:\n" + format_report(errors))
        if trouble := write_errors(self.text("report"), errors):
            self.get_logger().error(trouble)

    def diagnose(self, report: Report) -> None:
        """Report the errors so far."""
        assert self._evaluation is not None
        report_errors(report, self._evaluation, self._cameras)

    def _publish_errors(self) -> None:
        assert self._evaluation is not None
        for name, sums in named_sums(self._evaluation, self._cameras):
            for figure, value in (("error", sums.recent), ("mpjpe", sums.mpjpe)):
                if value is not None:
                    self._errors[name, figure].publish(Float64(data=value))

    def _on_pose(self, camera: str, message: PoseKeypoints) -> None:
        assert self._evaluation is not None
        pose = pose_from_message(message)
        self._evaluation.add_pose(
            camera, pose.sensor_time_ns, pose.keypoints, has_state=pose.init_age_ns >= 0
        )

    def _on_pose_3d(self, message: PoseKeypoints3D) -> None:
        assert self._evaluation is not None
        self._evaluation.add_pose_3d(message.sensor_time, joints_from_message(message))

    def _on_truth(self, message: PoseKeypoints3D) -> None:
        assert self._evaluation is not None
        self._evaluation.add_truth(message.sensor_time, joints_from_message(message))

    def _on_info(self, camera: str, message: CameraInfo) -> None:
        assert self._evaluation is not None
        calibration = camera_from_info(message)
        if calibration is not None:
            self._evaluation.set_camera(camera, calibration)
        else:
            self.warn_throttled(f"{camera}/camera_info has no projection: no errors of it", camera)


def main() -> int:
    """Run the node until it ends; return the exit code."""
    return run_node(EvaluatorNode)
