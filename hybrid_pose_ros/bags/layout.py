# SPDX-License-Identifier: Apache-2.0
"""What a converted bag holds: names and types of its topics, and how its messages are filled.

============================ ===================================== =============================
topic                        type                                  when
============================ ===================================== =============================
/camN/events                 hybrid_pose_ros/msg/EventPacket       every packet that has events
/camN/camera_info            sensor_msgs/msg/CameraInfo            at the start, then each second
/ground_truth/pose_3d        hybrid_pose_ros/msg/PoseKeypoints3D   100 Hz
============================ ===================================== =============================

Host time (stamps, times of arrival) is sensor time plus :func:`host_base_ns`. A packet is stamped
with the end of its interval of sensor time, when a camera would deliver it.

The field ``p`` of a camera_info is the whole projection: homogeneous metres in the frame `world`
to homogeneous pixels, scaled so that the third coordinate is the depth. ``k`` and ``r`` are the
camera matrix and the rotation from `world` in it: p = k (r | t). Without calibration all are 0.
"""

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from rosbags.interfaces import (
    Qos,
    QosDurability,
    QosHistory,
    QosLiveliness,
    QosReliability,
    QosTime,
)
from rosbags.typesys.store import Typestore

from hybrid_pose_ros.geometry.cameras import Camera, decompose
from hybrid_pose_ros.graph import description as graph

EVENTS_TYPE: Final = "hybrid_pose_ros/msg/EventPacket"
CAMERA_INFO_TYPE: Final = "sensor_msgs/msg/CameraInfo"
POSE_TYPE: Final = "hybrid_pose_ros/msg/PoseKeypoints"
GROUND_TRUTH_TYPE: Final = "hybrid_pose_ros/msg/PoseKeypoints3D"

GROUND_TRUTH_TOPIC: Final = graph.GROUND_TRUTH_TOPIC

_UNIX_FROM_NS: Final = 10**17
_BASE_NS: Final = 10**18


def events_topic(camera: int) -> str:
    """Return the name of a camera's topic of events."""
    return f"/cam{camera}/events"


def camera_info_topic(camera: int) -> str:
    """Return the name of a camera's topic of calibration."""
    return f"/cam{camera}/camera_info"


def frame_id(camera: int) -> str:
    """Return the name of a camera's optical frame."""
    return f"cam{camera}_optical"


def host_base_ns(first_sensor_ns: int) -> int:
    """Return what is added to sensor time to get host time, in ns.

    A sensor clock that counts from 1970 on (of 1973 or later) is taken as it is; others are moved
    to 2001-09-09 01:46:40 UTC, so that no stamp is 0.
    """
    return 0 if first_sensor_ns >= _UNIX_FROM_NS else _BASE_NS


def make_qos(*, depth: int, reliable: bool = True, latched: bool = False) -> Qos:
    """Return what a publisher offers that keeps its last ``depth`` messages.

    Args:
        reliable: what a subscriber misses is sent again; else best effort.
        latched: subscribers that come later get the messages kept (transient local).
    """
    forever = QosTime(sec=0, nsec=0)
    return Qos(
        history=QosHistory.KEEP_LAST,
        depth=depth,
        reliability=QosReliability.RELIABLE if reliable else QosReliability.BEST_EFFORT,
        durability=QosDurability.TRANSIENT_LOCAL if latched else QosDurability.VOLATILE,
        deadline=forever,
        lifespan=forever,
        liveliness=QosLiveliness.AUTOMATIC,
        liveliness_lease_duration=forever,
        avoid_ros_namespace_conventions=False,
    )


def make_header(store: Typestore, host_ns: int, frame: str) -> Any:
    """Return a header (of `rosbags`)."""
    time = store.types["builtin_interfaces/msg/Time"](host_ns // 10**9, host_ns % 10**9)
    return store.types["std_msgs/msg/Header"](time, frame)


def make_ground_truth(
    store: Typestore, joints_m: NDArray[np.floating], sensor_ns: int, host_ns: int, views: int = 0
) -> Any:
    """Return a message (of `rosbags`) with true places of the joints, [13, 3] in metres.

    A joint that is not known (NaN) has NaN for its place and a confidence of 0; the others have 1.
    """
    keypoint = store.types["hybrid_pose_ros/msg/Keypoint3D"]
    return store.types[GROUND_TRUTH_TYPE](
        header=make_header(store, host_ns, graph.WORLD_FRAME),
        sensor_time=sensor_ns,
        views=views,
        keypoints=[
            keypoint(
                id=joint,
                x=float(x),
                y=float(y),
                z=float(z),
                confidence=0.0 if np.isnan((x, y, z)).any() else 1.0,
                reprojection_error=0.0,
            )
            for joint, (x, y, z) in enumerate(joints_m)
        ],
    )


def make_camera_info(
    store: Typestore, camera: int, host_ns: int, size: tuple[int, int], model: Camera | None
) -> Any:
    """Return a message (of `rosbags`) with a camera's size in pixels and its calibration."""
    width, height = size
    p = np.zeros((3, 4)) if model is None else model.matrix
    k, r = (np.zeros((3, 3)), np.zeros((3, 3))) if model is None else decompose(model.matrix)
    region = store.types["sensor_msgs/msg/RegionOfInterest"](0, 0, 0, 0, False)
    return store.types[CAMERA_INFO_TYPE](
        header=make_header(store, host_ns, frame_id(camera)),
        height=height,
        width=width,
        distortion_model="plumb_bob",
        d=np.zeros(5),
        k=k.ravel(),
        r=r.ravel(),
        p=p.ravel(),
        binning_x=0,
        binning_y=0,
        roi=region,
    )
