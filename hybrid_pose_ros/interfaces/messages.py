# SPDX-License-Identifier: Apache-2.0
"""Arrays, poses and network states <-> ROS messages, of rclpy and, for reading, of `rosbags`.

Byte fields are assigned ``bytes`` and read through the buffer protocol: a NumPy array assigned to
a ``uint8[]`` field would be converted element by element, a thousand times slower.
"""

from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
from builtin_interfaces.msg import Time
from numpy.typing import NDArray
from rclpy.serialization import serialize_message
from sensor_msgs.msg import CameraInfo
from std_msgs.msg import Header

from hybrid_pose_ros.events.encodings.packet import MAX_TIME_BASE_NS
from hybrid_pose_ros.geometry.calibration import make_camera
from hybrid_pose_ros.geometry.cameras import Camera, CameraError, decompose
from hybrid_pose_ros.geometry.distortion import make_distortion
from hybrid_pose_ros.geometry.ranges import (
    FOCAL_PX,
    MATRIX,
    MAX_METRES,
    MAX_PIXEL,
    MAX_PX_PER_S,
    check_range,
)
from hybrid_pose_ros.msg import InitRequest as InitRequestMessage
from hybrid_pose_ros.msg import Keypoint as KeypointMessage
from hybrid_pose_ros.msg import Keypoint3D as Keypoint3DMessage
from hybrid_pose_ros.msg import PoseKeypoints as PoseMessage
from hybrid_pose_ros.msg import PoseKeypoints3D as Pose3DMessage
from hybrid_pose_ros.msg import StateInit as StateInitMessage
from hybrid_pose_ros.msg import StateTensor as StateTensorMessage
from hybrid_pose_ros.pipeline.ann_demand import Request
from hybrid_pose_ros.pipeline.pose_fusion import Pose3D
from hybrid_pose_ros.pipeline.state import EncodedTensor, Pose, StateInit
from hybrid_pose_ros.skeleton import NUM_JOINTS


def stamp_from_ns(nanoseconds: int) -> Time:
    """Return host time in ns since 1970 as a stamp."""
    return Time(sec=nanoseconds // 10**9, nanosec=nanoseconds % 10**9)


def serialised(message: Any) -> bytes:
    """Return a message as the bytes of the wire (CDR)."""
    return bytes(serialize_message(message))


def header_at(host_ns: int, frame_id: str) -> Header:
    """Return a header with a stamp of host time in ns since 1970."""
    return Header(stamp=stamp_from_ns(host_ns), frame_id=frame_id)


def stamp_to_ns(stamp: Time) -> int:
    """Return a stamp as host time in ns since 1970."""
    return int(stamp.sec) * 10**9 + int(stamp.nanosec)


@dataclass(frozen=True)
class Sensor:
    """The image that the pixels of a pose message refer to."""

    width: int
    height: int


MAX_STEPS: Final = 2**31 - 1
MAX_AGE_NS: Final = 2**63 - 1
"""Steps (248 days at 100 Hz) and sensor time since the last initialisation say no more than this:
their fields of the message end there."""

POSE_SOURCES = {"ann": PoseMessage.ANN, "snn": PoseMessage.SNN}
_SOURCE_NAMES = {code: name for name, code in POSE_SOURCES.items()}

KEYPOINT_FIELDS: Final = (
    "x",
    "y",
    "confidence",
    "variance",
    "velocity_x",
    "velocity_y",
    "velocity_variance",
)
"""The numbers of a `Keypoint`, in the order of its fields."""


def pose_message(pose: Pose, header: Header, sensor: Sensor) -> PoseMessage:
    """Return a `PoseKeypoints` with a pose in pixels of ``sensor``.

    Args:
        header: of the packet that completed the step. The stamp of the message lies as far after
            it as the pose is predicted ahead.
    """
    if pose.prediction_ns:
        header = header_at(stamp_to_ns(header.stamp) + pose.prediction_ns, header.frame_id)
    return PoseMessage(
        header=header,
        sensor_time=pose.sensor_time_ns,
        prediction=pose.prediction_ns,
        id=pose.id,
        width=sensor.width,
        height=sensor.height,
        source=POSE_SOURCES[pose.source],
        steps_since_init=min(pose.steps_since_init, MAX_STEPS),
        init_age=min(pose.init_age_ns, MAX_AGE_NS),
        keypoints=[
            KeypointMessage(id=joint, **dict(zip(KEYPOINT_FIELDS, row, strict=True)))
            for joint, row in enumerate(_keypoint_table(pose))
        ],
    )


def pose_from_message(message: PoseMessage) -> Pose:
    """Return the pose of a `PoseKeypoints`, in pixels.

    What the definition of an older version lacks, read from a bag, is not known.

    Raises:
        ValueError: unknown source, ids that are not 0 to 12 in order, a confidence that is not
            from 0 to 1, or pixels, velocities or variances that no camera has.
    """
    if message.source not in _SOURCE_NAMES:
        raise ValueError(f"unknown pose source {message.source}")
    if [point.id for point in message.keypoints] != list(range(NUM_JOINTS)):
        raise ValueError(f"keypoint ids are not 0 to {NUM_JOINTS - 1} in order")
    pose = _unchecked_pose(message, _SOURCE_NAMES[message.source])
    check_range("sensor_time (ns)", pose.sensor_time_ns, 0, MAX_TIME_BASE_NS)
    check_range("prediction (ns)", pose.prediction_ns, 0, MAX_TIME_BASE_NS)
    check_range("confidence", pose.confidence, 0.0, 1.0)
    check_range("pixel of a joint", pose.keypoints, -MAX_PIXEL, MAX_PIXEL, nan=True)
    check_range("velocity of a joint", pose.velocity, -MAX_PX_PER_S, MAX_PX_PER_S, nan=True)
    check_range("variance of a joint", pose.variance, 0, MAX_PIXEL**2, nan=True)
    check_range("variance of a velocity", pose.velocity_variance, 0, MAX_PX_PER_S**2, nan=True)
    return pose


def state_init_message(init: StateInit, header: Header, sensor: Sensor) -> StateInitMessage:
    """Return a `StateInit` with a network state and the ANN's own pose."""
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
        pose=pose_message(init.pose, header, sensor),
        inference_time=init.inference_ns,
    )


def state_init_from_message(message: StateInitMessage) -> StateInit:
    """Return the network state of a `StateInit`, unchecked: the estimator judges it."""
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
        pose=_unchecked_pose(message.pose, "ann"),
        inference_ns=message.inference_time,
    )


def init_request_message(request: Request, header: Any) -> InitRequestMessage:
    """Return an `InitRequest`; ``header`` has the fields of a `Header`."""
    stamp = Time(sec=header.stamp.sec, nanosec=header.stamp.nanosec)
    return InitRequestMessage(
        header=Header(stamp=stamp, frame_id=header.frame_id),
        sensor_time=request.sensor_time_ns,
        reason=int(request.reason),
        drift=request.drift_px,
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


def ground_truth_message(
    joints_m: NDArray[np.floating], sensor_ns: int, header: Header
) -> Pose3DMessage:
    """Return a `PoseKeypoints3D` with true places of the joints, [13, 3] in metres.

    A joint that is not known (NaN) has NaN for its place and a confidence of 0; the others have 1.
    """
    known = ~np.isnan(joints_m).any(1)
    return Pose3DMessage(
        header=header,
        sensor_time=sensor_ns,
        keypoints=[
            Keypoint3DMessage(id=joint, x=x, y=y, z=z, confidence=float(known[joint]))
            for joint, (x, y, z) in enumerate(np.asarray(joints_m, np.float64).tolist())
        ],
    )


def joints_from_message(message: Any) -> NDArray[np.float64]:
    """Return the joints of a `PoseKeypoints3D`, [13, 3] in metres; NaN where the confidence is 0.

    Raises:
        ValueError: the ids are not 0 to 12 in order, or a place is none of a person.
    """
    if [point.id for point in message.keypoints] != list(range(NUM_JOINTS)):
        raise ValueError(f"keypoint ids are not 0 to {NUM_JOINTS - 1} in order")
    joints = np.array([(point.x, point.y, point.z) for point in message.keypoints], np.float64)
    joints[[not point.confidence > 0 for point in message.keypoints]] = np.nan
    check_range("place of a joint (m)", joints, -MAX_METRES, MAX_METRES, nan=True)
    return joints


def camera_info_message(
    camera: Camera | None, header: Header, size: tuple[int, int] | None = None
) -> CameraInfo:
    """Return a `CameraInfo` that :func:`camera_from_info` reads; it goes with p = k (r | t).

    Args:
        camera: None: it is not calibrated, and all matrices are 0.
        size: width and height in px, where they are not those of ``camera``.
    """
    k: NDArray[np.float64] = np.zeros((3, 3))
    r: NDArray[np.float64] = np.zeros((3, 3))
    p: NDArray[np.float64] = np.zeros((3, 4))
    if camera is not None:
        (k, r), p = decompose(camera.matrix), camera.matrix
        size = size or (camera.width, camera.height)
    assert size is not None, "an unknown camera has a size all the same"
    return CameraInfo(
        header=header,
        width=size[0],
        height=size[1],
        distortion_model="plumb_bob",
        d=[0.0] * 5,
        k=k.ravel(),
        r=r.ravel(),
        p=p.ravel(),
    )


def camera_from_info(message: Any) -> Camera | None:
    """Return the camera of a `CameraInfo` whose `p` maps metres in the world to pixels.

    `d` distorts the image whose camera matrix is `k`, or that of `p` where `k` is 0.

    Returns:
        None if it is not calibrated, that is, if `p` is 0.

    Raises:
        CameraError: `p` is none of a camera, or the model of distortion is not known.
    """
    matrix = np.array(message.p, np.float64).reshape(3, 4)
    if not matrix.any():
        return None
    name = message.header.frame_id
    camera = make_camera(message.width, message.height, matrix, name)
    k = np.array(message.k, np.float64).reshape(3, 3)
    try:
        check_range("k", k, -MATRIX, MATRIX)
        if k.any():
            check_range("focal length in k (px)", k.diagonal()[:2], *FOCAL_PX)
        intrinsic = k if k.any() else decompose(camera.matrix)[0]
        distortion = make_distortion(message.distortion_model, message.d, intrinsic)
    except ValueError as error:
        raise CameraError(f"{name}: {error}") from error
    return replace(camera, distortion=distortion)


def _keypoint_table(pose: Pose) -> list[list[float]]:
    columns = (
        pose.keypoints,
        pose.confidence,
        pose.variance,
        pose.velocity,
        pose.velocity_variance,
    )
    table: list[list[float]] = np.column_stack(columns).tolist()
    return table


def _unchecked_pose(message: PoseMessage, source: str) -> Pose:
    table = np.array(
        [
            [getattr(point, field, np.nan) for field in KEYPOINT_FIELDS]
            for point in message.keypoints
        ],
        np.float32,
    )
    return Pose(
        sensor_time_ns=message.sensor_time,
        keypoints=table[:, 0:2],
        confidence=table[:, 2],
        source=source,
        steps_since_init=message.steps_since_init,
        init_age_ns=message.init_age,
        variance=table[:, 3],
        velocity=table[:, 4:6],
        velocity_variance=table[:, 6],
        prediction_ns=getattr(message, "prediction", 0),
        id=getattr(message, "id", 0),
    )
