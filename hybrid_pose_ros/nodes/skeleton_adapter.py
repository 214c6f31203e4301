# SPDX-License-Identifier: Apache-2.0
"""Node `skeleton_adapter`: poses -> the messages of other packages for people in images."""

import importlib
import time
from typing import Any

from rclpy.duration import Duration
from rclpy.lifecycle import LifecyclePublisher

from hybrid_pose_ros.interfaces.detections import DETECTIONS, detections_message
from hybrid_pose_ros.interfaces.messages import pose_from_message
from hybrid_pose_ros.interfaces.rep155 import rep155_skeleton, skeleton_message
from hybrid_pose_ros.interfaces.topics import POSE, Quality, Topic
from hybrid_pose_ros.msg import PoseKeypoints
from hybrid_pose_ros.nodes.support.base import ManagedNode
from hybrid_pose_ros.nodes.support.bodies import BODIES, BODY_ID, MIN_CONFIDENCE, body_id_of
from hybrid_pose_ros.nodes.support.boundary import StartError
from hybrid_pose_ros.nodes.support.health import Meter, Report
from hybrid_pose_ros.nodes.support.parameters import ParameterSpec
from hybrid_pose_ros.nodes.support.reporting import FINAL_S
from hybrid_pose_ros.nodes.support.running import run_node

HRI, VISION, BOTH = "hri_msgs", "vision_msgs", "both"

TRACKED = Topic(f"{BODIES}/tracked", "hri_msgs/msg/IdsList", Quality(32))


class SkeletonAdapterNode(ManagedNode):
    """Publishes what `snn` says with messages of `hri_msgs`, as REP-155 has it, or `vision_msgs`.

    The body is tracked while its joints are certain enough; there is one body per camera.

    Subscribes: pose (PoseKeypoints). Publishes: of hri_msgs, /humans/bodies/BODY_ID/skeleton2d
    (Skeleton2D), stamped like the pose, and /humans/bodies/tracked (IdsList), at a change and
    twice a second; of vision_msgs, detections (Detection2DArray), stamped like the pose: the box
    around the joints. Services: ~/statistics (Trigger).
    """

    PARAMETERS = (
        ParameterSpec(
            "packages",
            HRI,
            "packages whose messages are published; they must be installed",
            choices=(HRI, VISION, BOTH),
        ),
        BODY_ID,
        MIN_CONFIDENCE,
        ParameterSpec(
            "lost_after_s",
            1.0,
            "time (s of host time) without a certain joint after which the body is lost",
            limits=(0.05, 60.0),
            live=True,
        ),
    )

    def __init__(self, **kwargs: Any) -> None:
        super().__init__("skeleton_adapter", **kwargs)
        self._tracked = False

    def configure(self) -> None:
        """Find the messages and offer the topics."""
        packages = self.text("packages")
        self._skeletons: LifecyclePublisher | None = None
        self._detections: LifecyclePublisher | None = None
        self._body_id = body_id_of(self)
        if packages != VISION:
            self._hri = _messages(HRI)
            name = f"{BODIES}/{self._body_id}/skeleton2d"
            self._skeletons = self.publish_to(Topic(name, "hri_msgs/msg/Skeleton2D", POSE.offered))
            self._list = self.publish_to(TRACKED)
        if packages != HRI:
            self._vision = _messages(VISION)
            self._detections = self.publish_to(DETECTIONS)

    def activate(self) -> None:
        """Listen; nobody is tracked yet."""
        self._poses = Meter()
        self._tracked, self._seen_s = False, 0.0
        self.listen_to(POSE, self._on_pose)

    def deactivate(self) -> None:
        """Say that nobody is tracked any more."""
        if self._tracked:
            self._tracked = False
            self._publish_list()
            self._list.wait_for_all_acked(Duration(seconds=FINAL_S))

    def check(self) -> None:
        """Say who is tracked, to those that have come since, too."""
        if self.state == "active" and self._skeletons is not None:
            self._tracked &= time.monotonic() - self._seen_s < self.number("lost_after_s")
            self._publish_list()

    def diagnose(self, report: Report) -> None:
        """Report on what was converted."""
        poses, rate = self._poses.take()
        report.values |= {
            "poses per second": f"{rate:.1f}",
            "tracked": self._body_id if self._tracked else "",
        }
        if not poses:
            report.add_missing("no poses on `pose`", ever=self._poses.total)

    def _on_pose(self, message: PoseKeypoints) -> None:
        pose, threshold = pose_from_message(message), self.number("min_confidence")
        self._poses.add()
        if self._detections is not None:
            found = detections_message(self._vision, pose, message.header, threshold)
            self._detections.publish(found)
        if self._skeletons is None:
            return
        skeleton = rep155_skeleton(pose, message.width, message.height, threshold)
        self._skeletons.publish(skeleton_message(self._hri, skeleton, message.header))
        if skeleton.confidence.any():
            self._seen_s = time.monotonic()
            if not self._tracked:
                self._tracked = True
                self._publish_list()

    def _publish_list(self) -> None:
        message = self._hri.IdsList(ids=[self._body_id] if self._tracked else [])
        message.header.stamp = self.get_clock().now().to_msg()
        self._list.publish(message)


def _messages(package: str) -> Any:
    try:
        return importlib.import_module(f"{package}.msg")
    except ModuleNotFoundError as error:
        raise StartError(
            f"the package {package} is not installed; install it (apt install "
            f"ros-$ROS_DISTRO-{package.replace('_', '-')}) or leave it out of `packages`"
        ) from error


def main() -> int:
    """Run the node until it ends; return the exit code."""
    return run_node(SkeletonAdapterNode)
