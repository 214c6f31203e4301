# SPDX-License-Identifier: Apache-2.0
"""Arrays, poses and network states <-> ROS messages, and the quality of service of each topic.

Byte fields are assigned ``bytes`` and read through the buffer protocol: a NumPy array assigned to
a ``uint8[]`` field would be converted element by element, a thousand times slower.
"""

import importlib
import struct
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from builtin_interfaces.msg import Time
from numpy.typing import NDArray
from rclpy.qos import DurabilityPolicy, HistoryPolicy, QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CameraInfo
from std_msgs.msg import Header

from hybrid_pose_ros.events.encodings import EncodedPacket
from hybrid_pose_ros.geometry.cameras import Camera, decompose
from hybrid_pose_ros.msg import EventPacket as EventPacketMessage
from hybrid_pose_ros.msg import Keypoint as KeypointMessage
from hybrid_pose_ros.msg import Keypoint3D as Keypoint3DMessage
from hybrid_pose_ros.msg import PoseKeypoints as PoseMessage
from hybrid_pose_ros.msg import PoseKeypoints3D as Pose3DMessage
from hybrid_pose_ros.msg import StateInit as StateInitMessage
from hybrid_pose_ros.msg import StateTensor as StateTensorMessage
from hybrid_pose_ros.pipeline.pose_fusion import Pose3D
from hybrid_pose_ros.pipeline.state import EncodedTensor, Pose, StateInit
from hybrid_pose_ros.skeleton import NUM_JOINTS


def _qos(reliability: ReliabilityPolicy, depth: int) -> QoSProfile:
    return QoSProfile(
        reliability=reliability,
        durability=DurabilityPolicy.VOLATILE,
        history=HistoryPolicy.KEEP_LAST,
        depth=depth,
    )


EVENTS_QOS = _qos(ReliabilityPolicy.BEST_EFFORT, 512)
"""For subscribers of events: a lost packet is worth less than a late one. Half a second of packets
at 1 kHz fit into the queue."""

EVENTS_PUBLISHER_QOS = _qos(ReliabilityPolicy.RELIABLE, 512)
"""For the publisher of events: matches subscribers of either kind. A best-effort subscriber is
served as by a best-effort publisher; tools that ask for reliable delivery get it."""

STATE_INIT_QOS = _qos(ReliabilityPolicy.RELIABLE, 2)
"""An older initialisation than the last two is of no use."""

POSE_QOS = _qos(ReliabilityPolicy.RELIABLE, 32)

CAMERA_INFO_QOS = _qos(ReliabilityPolicy.RELIABLE, 1)
"""Volatile: matches publishers of either kind, which send it again and again."""

VISUAL_QOS = _qos(ReliabilityPolicy.RELIABLE, 2)
"""For images, markers and clouds that a person looks at."""

PACKET_TYPES = ("hybrid_pose_ros", "event_camera_msgs")
"""Packages whose `EventPacket` is understood; the two are equal field by field."""


def event_packet_type(package: str) -> type:
    """Return the message class `EventPacket` of ``package``, one of :data:`PACKET_TYPES`.

    Raises:
        ModuleNotFoundError: the package is not installed.
    """
    message_type: type = importlib.import_module(f"{package}.msg").EventPacket
    return message_type


def stamp_from_ns(nanoseconds: int) -> Time:
    """Return host time in ns since 1970 as a stamp."""
    return Time(sec=nanoseconds // 10**9, nanosec=nanoseconds % 10**9)


def stamp_to_ns(stamp: Time) -> int:
    """Return a stamp as host time in ns since 1970."""
    return int(stamp.sec) * 10**9 + int(stamp.nanosec)


def event_packet_message(
    packet: EncodedPacket,
    *,
    encoding: str,
    width: int,
    height: int,
    seq: int,
    header: Header,
    message_type: type = EventPacketMessage,
) -> Any:
    """Return an `EventPacket` that carries an encoded packet of a sensor of this size in px."""
    return message_type(
        header=header,
        width=width,
        height=height,
        seq=seq,
        time_base=packet.time_base,
        encoding=encoding,
        is_bigendian=False,
        events=packet.data,
    )


@dataclass(frozen=True)
class Sensor:
    """What a pose message says about the image its pixels refer to."""

    width: int
    height: int


_SOURCES = {"ann": PoseMessage.ANN, "snn": PoseMessage.SNN}
_SOURCE_NAMES = {code: name for name, code in _SOURCES.items()}


def pose_message(pose: Pose, header: Header, sensor: Sensor) -> PoseMessage:
    """Return a `PoseKeypoints` with a pose in pixels of ``sensor``."""
    return PoseMessage(
        header=header,
        sensor_time=pose.sensor_time_ns,
        width=sensor.width,
        height=sensor.height,
        source=_SOURCES[pose.source],
        steps_since_init=pose.steps_since_init,
        init_age=pose.init_age_ns,
        keypoints=[
            KeypointMessage(id=joint, x=x, y=y, confidence=confidence)
            for joint, ((x, y), confidence) in enumerate(
                zip(pose.keypoints.tolist(), pose.confidence.tolist(), strict=True)
            )
        ],
    )


_STAMP: Final = struct.Struct("<iII")
_POSE: Final = struct.Struct("<QIIB3xi")
_AGE: Final = struct.Struct("<q")
_KEYPOINTS: Final = np.zeros(
    NUM_JOINTS,
    [("id", "u1"), ("padding", "u1", 3), ("point", "<f4", 2), ("confidence", "<f4")],
)
_KEYPOINTS["id"] = range(NUM_JOINTS)


def serialised_pose(pose: Pose, header: Any, sensor: Sensor) -> bytes:
    """Return :func:`pose_message` as `publish` would serialise it (CDR), in a tenth of the time.

    Args:
        header: a `Header`, or what has the same fields.
    """
    frame = header.frame_id.encode() + b"\0"
    stamp = header.stamp
    begin = _STAMP.pack(stamp.sec, stamp.nanosec, len(frame)) + frame
    head = begin + bytes(-len(begin) % 8)
    body = head + _POSE.pack(
        pose.sensor_time_ns,
        sensor.width,
        sensor.height,
        _SOURCES[pose.source],
        pose.steps_since_init,
    )
    keypoints = _KEYPOINTS.copy()
    keypoints["point"], keypoints["confidence"] = pose.keypoints, pose.confidence
    return b"".join((b"\0\1\0\0", body, _AGE.pack(pose.init_age_ns), keypoints.tobytes()))


def pose_from_message(message: PoseMessage) -> Pose:
    """Return the pose of a `PoseKeypoints`, in pixels.

    Raises:
        ValueError: unknown source, ids that are not 0 to 12 in order, or a confidence that is not
            finite.
    """
    if message.source not in _SOURCE_NAMES:
        raise ValueError(f"unknown pose source {message.source}")
    if [point.id for point in message.keypoints] != list(range(NUM_JOINTS)):
        raise ValueError(f"keypoint ids are not 0 to {NUM_JOINTS - 1} in order")
    keypoints, confidence = _keypoint_arrays(message)
    if not np.isfinite(confidence).all():
        raise ValueError("a confidence is not finite")
    return Pose(
        sensor_time_ns=message.sensor_time,
        keypoints=keypoints,
        confidence=confidence,
        source=_SOURCE_NAMES[message.source],
        steps_since_init=message.steps_since_init,
        init_age_ns=message.init_age,
    )


def state_init_message(init: StateInit, header: Header, sensor: Sensor) -> StateInitMessage:
    """Return a `StateInit` with a network state and the ANN's own pose."""
    pose = Pose(
        sensor_time_ns=init.sensor_time_ns,
        keypoints=init.keypoints,
        confidence=init.confidence,
        source="ann",
        steps_since_init=0,
        init_age_ns=0,
    )
    return StateInitMessage(
        header=header,
        sensor_time=init.sensor_time_ns,
        seq=init.seq,
        model_id=init.model_id,
        tensors=[
            StateTensorMessage(
                name=tensor.name,
                shape=list(tensor.shape),
                dtype=tensor.dtype,
                scale=tensor.scale,
                offset=tensor.offset,
                data=tensor.data,
            )
            for tensor in init.tensors
        ],
        pose=pose_message(pose, header, sensor),
        inference_time=init.inference_ns,
    )


def state_init_from_message(message: StateInitMessage) -> StateInit:
    """Return the network state of a `StateInit`, unchecked: the estimator judges it."""
    keypoints, confidence = _keypoint_arrays(message.pose)
    return StateInit(
        sensor_time_ns=message.sensor_time,
        seq=message.seq,
        model_id=message.model_id,
        tensors=tuple(
            EncodedTensor(
                name=tensor.name,
                shape=tuple(tensor.shape),
                dtype=tensor.dtype,
                scale=tensor.scale,
                offset=tensor.offset,
                data=bytes(tensor.data),
            )
            for tensor in message.tensors
        ),
        keypoints=keypoints,
        confidence=confidence,
        inference_ns=message.inference_time,
    )


def pose_3d_message(pose: Pose3D, header: Header) -> Pose3DMessage:
    """Return a `PoseKeypoints3D` with a pose in metres in the frame of ``header``."""
    rows = zip(
        pose.joints.tolist(),
        pose.confidence.tolist(),
        pose.reprojection_px.tolist(),
        strict=True,
    )
    return Pose3DMessage(
        header=header,
        sensor_time=pose.sensor_time_ns,
        views=pose.views,
        keypoints=[
            Keypoint3DMessage(
                id=joint, x=x, y=y, z=z, confidence=confidence, reprojection_error=error
            )
            for joint, ((x, y, z), confidence, error) in enumerate(rows)
        ],
    )


def joints_from_message(message: Any) -> NDArray[np.float64]:
    """Return the joints of a `PoseKeypoints3D`, [13, 3] in metres; NaN where the confidence is 0.

    Raises:
        ValueError: the ids are not 0 to 12 in order.
    """
    if [point.id for point in message.keypoints] != list(range(NUM_JOINTS)):
        raise ValueError(f"keypoint ids are not 0 to {NUM_JOINTS - 1} in order")
    joints = np.array([(point.x, point.y, point.z) for point in message.keypoints], np.float64)
    joints[[point.confidence <= 0 for point in message.keypoints]] = np.nan
    return joints


def camera_info_message(camera: Camera, header: Header) -> CameraInfo:
    """Return a `CameraInfo` that :func:`camera_from_info` reads; it goes with p = k (r | t)."""
    k, r = decompose(camera.matrix)
    return CameraInfo(
        header=header,
        width=camera.width,
        height=camera.height,
        distortion_model="plumb_bob",
        d=[0.0] * 5,
        k=k.ravel(),
        r=r.ravel(),
        p=camera.matrix.ravel(),
    )


def camera_from_info(message: Any) -> Camera | None:
    """Return the camera of a `CameraInfo` whose `p` maps metres in the world to pixels.

    None if it is not calibrated, that is, if `p` is 0.
    """
    matrix = np.array(message.p, np.float64).reshape(3, 4)
    if not matrix.any():
        return None
    return Camera(message.width, message.height, matrix, message.header.frame_id)


def _keypoint_arrays(message: PoseMessage) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    points = message.keypoints
    return (
        np.array([(point.x, point.y) for point in points], dtype=np.float32),
        np.array([point.confidence for point in points], dtype=np.float32),
    )
