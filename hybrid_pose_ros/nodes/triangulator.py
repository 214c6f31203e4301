# SPDX-License-Identifier: Apache-2.0
"""Node `triangulator`: poses of several cameras -> poses in space."""

import time
from functools import partial
from typing import Any, Final

from rclpy.lifecycle import LifecyclePublisher
from sensor_msgs.msg import CameraInfo
from std_msgs.msg import Header

from hybrid_pose_ros.geometry.cameras import CameraError
from hybrid_pose_ros.interfaces.messages import (
    camera_from_info,
    pose_3d_message,
    pose_from_message,
)
from hybrid_pose_ros.interfaces.topics import (
    CAMERA_INFO,
    MARKERS_3D,
    POSE,
    POSE_3D,
    TF,
    WORLD_FRAME,
)
from hybrid_pose_ros.interfaces.visuals import joint_frames, skeleton_markers_3d
from hybrid_pose_ros.msg import PoseKeypoints
from hybrid_pose_ros.nodes.support.base import ManagedNode
from hybrid_pose_ros.nodes.support.fusion import (
    CAMERA_PARAMETERS,
    FUSION_PARAMETERS,
    FusionFigures,
    StampMemory,
    cameras_of,
    fusion_config,
)
from hybrid_pose_ros.nodes.support.health import Report
from hybrid_pose_ros.nodes.support.parameters import ParameterSpec
from hybrid_pose_ros.nodes.support.running import run_node
from hybrid_pose_ros.pipeline.pose_fusion import Pose3D
from hybrid_pose_ros.pipeline.triangulator import Triangulator

EXPIRY_S: Final = 0.01
"""Period at which moments that have waited long enough are looked for."""


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
        *CAMERA_PARAMETERS,
        ParameterSpec("frame_id", WORLD_FRAME, "frame in which the cameras are calibrated"),
        *FUSION_PARAMETERS,
        ParameterSpec(
            "marker_rate_hz", 30.0, "markers per second of host time", limits=(0.1, 1000.0)
        ),
        ParameterSpec("publish_tf", False, "publish the joints as frames, too"),
        ParameterSpec("tf_prefix", "person_", "beginning of the names of the joints' frames"),
    )

    def __init__(self, **kwargs: Any) -> None:
        super().__init__("triangulator", **kwargs)

    def configure(self) -> None:
        """Read the calibration, and offer the topics."""
        self._names, self._known = cameras_of(self)
        self._pose_3d = self.publish_to(POSE_3D)
        self._markers = self.publish_to(MARKERS_3D)
        self._tf: LifecyclePublisher | None = None
        if self.flag("publish_tf"):
            self._tf = self.publish_to(TF)

    def activate(self) -> None:
        """Listen."""
        self._triangulator = Triangulator(fusion_config(self), self._known)
        self._known = self._triangulator.cameras  # with those that will come
        self._figures = FusionFigures(self._names)
        self._last: tuple[Pose3D, Header] | None = None
        self._stamps = StampMemory()
        for name in self._names:
            self.listen_to(POSE.under(name), partial(self._on_pose, name))
            if not self.text("calibration"):
                self.listen_to(CAMERA_INFO.under(name), partial(self._on_info, name))
        self.repeat(EXPIRY_S, self._expire)
        self.repeat(1.0 / self.number("marker_rate_hz"), self._draw)

    def diagnose(self, report: Report) -> None:
        """Report who takes part, how fast and how well."""
        self._figures.report(report, self._triangulator)

    def _on_info(self, name: str, message: CameraInfo) -> None:
        camera = camera_from_info(message)
        if camera is None:
            raise CameraError(f"it has no projection (p is 0): {name} is left out")
        if trouble := self._triangulator.calibrate(name, camera):
            raise CameraError(trouble)

    def _on_pose(self, name: str, message: PoseKeypoints) -> None:
        pose = pose_from_message(message)
        self._figures.heard(name)
        camera = self._triangulator.cameras.get(name)
        if camera and (message.width, message.height) != (camera.width, camera.height):
            raise CameraError(
                f"its image has {message.width}x{message.height} pixels, "
                f"the calibration {camera.width}x{camera.height}"
            )
        self._stamps.add(pose.sensor_time_ns, message.header.stamp)
        self._publish(self._triangulator.add(name, pose, time.monotonic_ns()))

    def _expire(self) -> None:
        self._publish(self._triangulator.expire(time.monotonic_ns()))

    def _publish(self, poses: list[Pose3D]) -> None:
        for pose in poses:
            stamp = self._stamps.take(pose.sensor_time_ns) or self.get_clock().now().to_msg()
            header = Header(frame_id=self.text("frame_id"), stamp=stamp)
            self._pose_3d.publish(pose_3d_message(pose, header))
            if self._tf is not None:
                self._tf.publish(joint_frames(pose, header, self.text("tf_prefix")))
            self._last = pose, header
            self._figures.count(pose)

    def _draw(self) -> None:
        last, self._last = self._last, None
        if last is not None and self._markers.get_subscription_count():
            threshold = self.number("min_confidence")
            self._markers.publish(skeleton_markers_3d(*last, min_confidence=threshold))


def main() -> int:
    """Run the node until it ends; return the exit code."""
    return run_node(TriangulatorNode)
