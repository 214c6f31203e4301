# SPDX-License-Identifier: Apache-2.0
"""The kinematic human model as ROS has it: a URDF, joint states and frames.

Names end in the body's identifier, as those of ROS4HRI's `human_description` do. What is not known
is left out: robot_state_publisher and TF keep the last place of a frame by themselves.
"""

import math
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from string import Template
from typing import Any, Final

from geometry_msgs.msg import TransformStamped
from scipy.spatial.transform import Rotation
from sensor_msgs.msg import JointState
from std_msgs.msg import Header

from hybrid_pose_ros.geometry.human_model import ANGLES, BodyLengths, BodyPose
from hybrid_pose_ros.interfaces.topics import TF

TEMPLATE: Final = Path("config", "human.urdf.template")
"""Path of the model in the package's share directory."""

_Numbers = tuple[float, float, float]


@dataclass(frozen=True)
class UrdfJoint:
    """A joint of a URDF: a fixed one, without an axis, or one that turns about its axis."""

    name: str
    parent: str
    child: str
    origin: _Numbers
    axis: _Numbers | None


@dataclass(frozen=True)
class HumanDescription:
    """A person's URDF, and its joints in the order in which they stand there."""

    body_id: str
    urdf: str
    joints: tuple[UrdfJoint, ...]

    @property
    def root(self) -> str:
        """The frame that all others hang on."""
        return f"body_{self.body_id}"


def describe_human(share: Path, body_id: str, lengths: BodyLengths) -> HumanDescription:
    """Return the model of a person with these lengths; its joints have the places of the 13.

    Args:
        share: the package's share directory.
        body_id: end of all names.
    """
    values = {name: f"{length:.4f}" for name, length in lengths._asdict().items()}
    halves = {f"half_{name}": f"{length / 2:.4f}" for name, length in lengths._asdict().items()}
    template = Template((share / TEMPLATE).read_text("utf-8"))
    urdf = template.substitute(values, id=body_id, **halves)
    return HumanDescription(body_id, urdf, tuple(_joints(ElementTree.fromstring(urdf))))


def _joints(robot: ElementTree.Element) -> Iterator[UrdfJoint]:
    for joint in robot.iter("joint"):
        (parent, child), axis = (joint.find(name) for name in ("parent", "child")), None
        assert parent is not None and child is not None
        if (element := joint.find("axis")) is not None:
            axis = _numbers(element)
        origin = _numbers(joint.find("origin"))
        yield UrdfJoint(
            joint.attrib["name"], parent.attrib["link"], child.attrib["link"], origin, axis
        )


def _numbers(element: ElementTree.Element | None) -> _Numbers:
    """The coordinates of an element; 0 where it is missing, as URDF has it."""
    text = "0 0 0" if element is None else element.attrib["xyz"]
    x, y, z = map(float, text.split())
    return x, y, z


def joint_state_message(pose: BodyPose, body_id: str, header: Header) -> JointState:
    """Return the angles that are known (sensor_msgs/JointState, radians)."""
    known = [
        (f"{name}_{body_id}", angle)
        for name, angle in zip(ANGLES, pose.angles.tolist(), strict=True)
        if not math.isnan(angle)
    ]
    return JointState(
        header=header, name=[name for name, _ in known], position=[angle for _, angle in known]
    )


class BodyFrames:
    """The frames of a person: made once and filled anew, for to make them takes a millisecond.

    Args:
        links: the frames of all links as well as the body's, as robot_state_publisher makes them.
    """

    def __init__(self, description: HumanDescription, *, links: bool) -> None:
        self._root = TransformStamped(child_frame_id=description.root)
        self._angles = tuple(f"{name}_{description.body_id}" for name in ANGLES)
        self._links = [(joint, _frame_of(joint)) for joint in description.joints] if links else []

    def at(self, pose: BodyPose, header: Header) -> Any:
        """Return the frames of a pose (tf2_msgs/TFMessage), which hold until the next call.

        Args:
            pose: one with a body's frame, in that of ``header``.
        """
        move, self._root.header = self._root.transform.translation, header
        move.x, move.y, move.z = pose.origin.tolist()
        _turn(self._root, Rotation.from_matrix(pose.axes).as_quat().tolist())
        frames = [self._root]
        angles = dict(zip(self._angles, pose.angles.tolist(), strict=True))
        for joint, frame in self._links:
            if joint.axis is not None:
                half = angles[joint.name] / 2
                if math.isnan(half):
                    continue
                sine, (x, y, z) = math.sin(half), joint.axis
                _turn(frame, (sine * x, sine * y, sine * z, math.cos(half)))
            frame.header.stamp = header.stamp
            frames.append(frame)
        return TF.message_class(transforms=frames)


def _frame_of(joint: UrdfJoint) -> TransformStamped:
    frame = TransformStamped(child_frame_id=joint.child)
    frame.header.frame_id = joint.parent
    move = frame.transform.translation
    move.x, move.y, move.z = joint.origin
    return frame


def _turn(frame: TransformStamped, quaternion: Sequence[float]) -> None:
    turn = frame.transform.rotation
    turn.x, turn.y, turn.z, turn.w = quaternion
