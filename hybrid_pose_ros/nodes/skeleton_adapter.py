# SPDX-License-Identifier: Apache-2.0
"""Node `skeleton_adapter`: poses -> the 2D skeletons of ROS for human-robot interaction."""

import importlib
import re
import time
from typing import Any

from rclpy.duration import Duration

from hybrid_pose_ros.interfaces.messages import pose_from_message
from hybrid_pose_ros.interfaces.rep155 import rep155_skeleton
from hybrid_pose_ros.interfaces.topics import POSE, Quality, Topic
from hybrid_pose_ros.msg import PoseKeypoints
from hybrid_pose_ros.nodes.support.base import ManagedNode
from hybrid_pose_ros.nodes.support.boundary import StartError
from hybrid_pose_ros.nodes.support.health import Meter, Report
from hybrid_pose_ros.nodes.support.parameters import ParameterSpec
from hybrid_pose_ros.nodes.support.reporting import FINAL_S
from hybrid_pose_ros.nodes.support.running import run_node

TRACKED = Topic("/humans/bodies/tracked", "hri_msgs/msg/IdsList", Quality(32))


class SkeletonAdapterNode(ManagedNode):
    """Publishes what `snn` says as REP-155 has it, with messages of the package `hri_msgs`.

    The body is tracked while its joints are certain enough; there is one body per camera.

    Subscribes: pose (PoseKeypoints). Publishes: /humans/bodies/BODY_ID/skeleton2d (Skeleton2D),
    stamped like the pose, and /humans/bodies/tracked (IdsList), at a change and twice a second.
    Services: ~/statistics (Trigger).
    """

    PARAMETERS = (
        ParameterSpec(
            "body_id",
            "body",
            "identifier of the body in REP-155's topics: letters, digits and _, a letter first",
        ),
        ParameterSpec(
            "min_confidence",
            0.1,
            "joints below it (share, 0 to 1) count as not known",
            limits=(0.0, 1.0),
            live=True,
        ),
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
        try:
            self._messages = importlib.import_module("hri_msgs.msg")
        except ModuleNotFoundError as error:
            raise StartError(
                "the package hri_msgs, which has the messages of REP-155, is not installed; "
                "install it (apt install ros-$ROS_DISTRO-hri-msgs) or leave this node out"
            ) from error
        self._body_id = self.text("body_id")
        if not re.fullmatch("[A-Za-z][A-Za-z0-9_]*", self._body_id):
            raise StartError(
                f"body_id {self._body_id!r} cannot be part of a topic's name; "
                "use letters, digits and _, a letter first"
            )
        self._skeletons = self.publish_to(
            Topic(
                f"/humans/bodies/{self._body_id}/skeleton2d",
                "hri_msgs/msg/Skeleton2D",
                POSE.offered,
            )
        )
        self._list = self.publish_to(TRACKED)

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
        if self.state == "active":
            self._tracked &= time.monotonic() - self._seen_s < self.number("lost_after_s")
            self._publish_list()

    def diagnose(self, report: Report) -> None:
        """Report on what was converted."""
        poses, rate = self._poses.take()
        report.values |= {
            "skeletons per second": f"{rate:.1f}",
            "tracked": self._body_id if self._tracked else "",
        }
        if not poses:
            report.add_missing("no poses on `pose`", ever=self._poses.total)

    def _on_pose(self, message: PoseKeypoints) -> None:
        pose = pose_from_message(message)
        skeleton = rep155_skeleton(
            pose, message.width, message.height, self.number("min_confidence")
        )
        point = self._messages.NormalizedPointOfInterest2D
        points = [
            point(x=x, y=y, c=c)
            for (x, y), c in zip(
                skeleton.points.tolist(), skeleton.confidence.tolist(), strict=True
            )
        ]
        self._skeletons.publish(self._messages.Skeleton2D(header=message.header, skeleton=points))
        self._poses.add()
        if skeleton.confidence.any():
            self._seen_s = time.monotonic()
            if not self._tracked:
                self._tracked = True
                self._publish_list()

    def _publish_list(self) -> None:
        message = self._messages.IdsList(ids=[self._body_id] if self._tracked else [])
        message.header.stamp = self.get_clock().now().to_msg()
        self._list.publish(message)


def main() -> int:
    """Run the node until it ends; return the exit code."""
    return run_node(SkeletonAdapterNode)
