# SPDX-License-Identifier: Apache-2.0
"""Node `human_model`: poses in space -> joint angles of a kinematic model, and its URDF."""

import math
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from rclpy.lifecycle import LifecyclePublisher
from std_msgs.msg import String

from hybrid_pose_ros.geometry.human_model import BodyLengths, inverse_kinematics, measure_lengths
from hybrid_pose_ros.installation import find_prefix, share_directory
from hybrid_pose_ros.interfaces.human_description import (
    BodyFrames,
    describe_human,
    joint_state_message,
)
from hybrid_pose_ros.interfaces.messages import joints_from_message
from hybrid_pose_ros.interfaces.topics import POSE_3D, TF, Quality, Topic
from hybrid_pose_ros.msg import PoseKeypoints3D
from hybrid_pose_ros.nodes.support.base import ManagedNode
from hybrid_pose_ros.nodes.support.bodies import BODIES, BODY_ID, MIN_CONFIDENCE, body_id_of
from hybrid_pose_ros.nodes.support.health import Meter, Report
from hybrid_pose_ros.nodes.support.parameters import ParameterSpec
from hybrid_pose_ros.nodes.support.running import run_node

NO_FRAMES, BODY_FRAME, LINK_FRAMES = "none", "body", "links"

_JOINT_STATES: Final = Topic("joint_states", "sensor_msgs/msg/JointState", Quality(32))
_DESCRIPTION: Final = Topic("robot_description", "std_msgs/msg/String", Quality(1, latched=True))


class HumanModelNode(ManagedNode):
    """Publishes the joint angles of a kinematic model of a person, and the model as a URDF.

    The model, its names and its axes are those of `config/human.urdf.template`. Its lengths are
    first those of an adult, then the medians of the person's first poses.

    Subscribes: pose_3d (PoseKeypoints3D). Publishes: /humans/bodies/BODY_ID/joint_states
    (sensor_msgs/JointState), stamped like the pose, with the joints that are known;
    /humans/bodies/BODY_ID/robot_description (std_msgs/String), latched, anew when the lengths are
    measured; and, if `frames` says so, /tf (tf2_msgs/TFMessage). Services: ~/measure (Trigger),
    for another person, and ~/statistics (Trigger).
    """

    PARAMETERS = (
        BODY_ID,
        MIN_CONFIDENCE,
        ParameterSpec(
            "straight_deg",
            20.0,
            "a limb that is bent less (number of degrees) counts as straight: its rotation about "
            "itself, which it does not show, is 0",
            limits=(0.0, 60.0),
            live=True,
        ),
        ParameterSpec(
            "measured_poses",
            100,
            "number of poses whose median lengths the URDF takes",
            limits=(1, 10_000),
        ),
        ParameterSpec(
            "frames",
            NO_FRAMES,
            "what is published on /tf: none; the body's frame, for robot_state_publisher to add "
            "the links; or these links, too",
            choices=(NO_FRAMES, BODY_FRAME, LINK_FRAMES),
        ),
    )

    def __init__(self, **kwargs: Any) -> None:
        super().__init__("human_model", **kwargs)
        self.offer("measure", self._measure)

    def configure(self) -> None:
        """Offer the topics."""
        self._share = share_directory(find_prefix())
        self._body_id = body_id_of(self)
        namespace = f"{BODIES}/{self._body_id}"
        self._states = self.publish_to(_JOINT_STATES.under(namespace))
        self._descriptions = self.publish_to(_DESCRIPTION.under(namespace))
        self._tf: LifecyclePublisher | None = None
        if self.text("frames") != NO_FRAMES:
            self._tf = self.publish_to(TF)

    def activate(self) -> None:
        """Listen, and begin with the lengths of an adult."""
        self._poses, self._bodies = Meter(), Meter()
        self._describe(BodyLengths())
        self._samples: list[NDArray[np.float64]] | None = []
        self.listen_to(POSE_3D, self._on_pose)

    def diagnose(self, report: Report) -> None:
        """Report on what was converted."""
        poses, _ = self._poses.take()
        _, rate = self._bodies.take()
        report.values |= {
            "joint states per second": f"{rate:.1f}",
            "lengths": "of an adult" if self._samples is not None else "measured",
        }
        if not poses:
            report.add_missing("no poses on `pose_3d`", ever=self._poses.total)

    def _measure(self) -> str:
        self.require_active()
        self._samples = []
        return f"the next {self.integer('measured_poses')} poses are measured"

    def _on_pose(self, message: PoseKeypoints3D) -> None:
        joints = joints_from_message(message)
        threshold = self.number("min_confidence")
        joints[[point.confidence < threshold for point in message.keypoints]] = np.nan
        self._poses.add()
        pose = inverse_kinematics(joints, math.radians(self.number("straight_deg")))
        if not pose.is_known:
            return
        self._bodies.add()
        self._add_sample(joints)
        self._states.publish(joint_state_message(pose, self._body_id, message.header))
        if self._tf is not None:
            self._tf.publish(self._frames.at(pose, message.header))

    def _add_sample(self, joints: NDArray[np.float64]) -> None:
        if self._samples is None:
            return
        self._samples.append(joints)
        if len(self._samples) >= self.integer("measured_poses"):
            self._describe(measure_lengths(np.stack(self._samples)))
            self._samples = None

    def _describe(self, lengths: BodyLengths) -> None:
        description = describe_human(self._share, self._body_id, lengths)
        self._descriptions.publish(String(data=description.urdf))
        self._frames = BodyFrames(description, links=self.text("frames") == LINK_FRAMES)


def main() -> int:
    """Run the node until it ends; return the exit code."""
    return run_node(HumanModelNode)
