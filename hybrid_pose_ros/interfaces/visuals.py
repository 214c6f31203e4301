# SPDX-License-Identifier: Apache-2.0
"""Messages for RViz: images, the skeleton as markers, events as a cloud.

Markers and cloud lie in a frame of their own kind of metres: x to the right, y up, the centre of
the image at the origin, and `metres_per_px` metres per sensor pixel. In the cloud z is time.
"""

from typing import Any

import numpy as np
from builtin_interfaces.msg import Duration
from geometry_msgs.msg import Point, Transform, TransformStamped, Vector3
from numpy.typing import NDArray
from sensor_msgs.msg import Image, PointCloud2, PointField
from std_msgs.msg import ColorRGBA, Header
from visualization_msgs.msg import Marker, MarkerArray

from hybrid_pose_ros.drawing import ESTIMATE_STYLE
from hybrid_pose_ros.events.array import EventArray
from hybrid_pose_ros.interfaces.messages import Sensor
from hybrid_pose_ros.interfaces.topics import TF
from hybrid_pose_ros.pipeline.pose_fusion import Pose3D
from hybrid_pose_ros.pipeline.state import Pose
from hybrid_pose_ros.skeleton import JOINTS, LIMBS

NAMESPACE = "pose"
LIMBS_ID, JOINTS_ID = 0, 1

MARKER_LIFETIME = Duration(sec=0, nanosec=300_000_000)
"""A skeleton that is not renewed vanishes."""

LIMB_WIDTH_M = 0.015
JOINT_DIAMETER_M = 0.03

CLOUD_FIELDS = ("x", "y", "z", "t", "polarity")
"""All float32. x, y: position in m. z: t times the cloud's metres per second. t: sensor time in s
relative to the newest event, 0 or less. polarity: 1 ON, 0 OFF."""


def image_message(image: NDArray[np.uint8], header: Header) -> Image:
    """Return an RGB image, uint8 [height, width, 3], as a message of encoding rgb8."""
    height, width, channels = image.shape
    return Image(
        header=header,
        height=height,
        width=width,
        encoding="rgb8",
        is_bigendian=0,
        step=width * channels,
        data=image.tobytes(),
    )


def skeleton_markers(
    pose: Pose,
    header: Header,
    sensor: Sensor,
    *,
    metres_per_px: float,
    min_confidence: float,
) -> MarkerArray:
    """Return limbs and joints as two markers with fixed ids and a finite lifetime.

    Joints below ``min_confidence``, and limbs that end in one, are left out; opacity is the
    confidence.
    """
    points = [
        Point(x=float(x), y=float(y), z=0.0)
        for x, y in _to_plane(pose.keypoints.astype(np.float64), sensor, metres_per_px)
    ]
    certain = np.where(np.isfinite(pose.keypoints).all(1), pose.confidence, 0.0)
    return _skeleton(points, certain, header, min_confidence)


def skeleton_markers_3d(pose: Pose3D, header: Header, *, min_confidence: float) -> MarkerArray:
    """Return the markers of a pose in space, otherwise as :func:`skeleton_markers`.

    Joints of confidence 0 are left out whatever ``min_confidence`` is: their places are old.
    """
    points = [Point(x=x, y=y, z=z) for x, y, z in pose.joints.tolist()]
    return _skeleton(points, pose.confidence, header, min_confidence)


def joint_frames(pose: Pose3D, header: Header, prefix: str) -> Any:
    """Return the joints that are known as frames of TF (tf2_msgs/TFMessage).

    Those of confidence 0 are left out: TF keeps a frame's last place by itself.

    Args:
        prefix: beginning of the names of the frames.
    """
    transforms = []
    for joint, ((x, y, z), confidence) in enumerate(
        zip(pose.joints.tolist(), pose.confidence.tolist(), strict=True)
    ):
        if confidence > 0:
            transform = Transform(translation=Vector3(x=x, y=y, z=z))
            transform.rotation.w = 1.0
            name = prefix + JOINTS[joint]
            transforms.append(
                TransformStamped(header=header, child_frame_id=name, transform=transform)
            )
    return TF.message_class(transforms=transforms)


def _skeleton(
    points: list[Point],
    confidence: NDArray[np.floating],
    header: Header,
    min_confidence: float,
) -> MarkerArray:
    colors = [_color(joint, certainty) for joint, certainty in enumerate(confidence.tolist())]
    shown = (confidence >= min_confidence) & (confidence > 0)
    joints = np.flatnonzero(shown).tolist()
    ends = [joint for limb in LIMBS if shown[list(limb)].all() for joint in limb]
    return MarkerArray(
        markers=[
            _marker(header, LIMBS_ID, Marker.LINE_LIST, LIMB_WIDTH_M, ends, points, colors),
            _marker(
                header, JOINTS_ID, Marker.SPHERE_LIST, JOINT_DIAMETER_M, joints, points, colors
            ),
        ]
    )


def cloud_message(
    events: EventArray,
    header: Header,
    sensor: Sensor,
    *,
    metres_per_px: float,
    metres_per_s: float,
) -> PointCloud2:
    """Return events as a cloud with :data:`CLOUD_FIELDS`.

    The layout is what `sensor_msgs_py.point_cloud2.create_cloud` makes of these fields.
    """
    cloud = np.empty((len(events), len(CLOUD_FIELDS)), np.float32)
    if len(events):
        pixels = np.stack((events["x"], events["y"]), axis=-1).astype(np.float64)
        seconds = (events["t"] - events["t"][-1]) * 1e-9
        cloud[:, :2] = _to_plane(pixels, sensor, metres_per_px)
        cloud[:, 2] = seconds * metres_per_s
        cloud[:, 3] = seconds
        cloud[:, 4] = events["polarity"]
    return PointCloud2(
        header=header,
        height=1,
        width=len(events),
        fields=[
            PointField(name=name, offset=4 * index, datatype=PointField.FLOAT32, count=1)
            for index, name in enumerate(CLOUD_FIELDS)
        ],
        is_bigendian=False,
        point_step=4 * len(CLOUD_FIELDS),
        row_step=cloud.nbytes,
        data=cloud.astype("<f4").tobytes(),
        is_dense=True,
    )


def _to_plane(
    pixels: NDArray[np.float64], sensor: Sensor, metres_per_px: float
) -> NDArray[np.float64]:
    centre = ((sensor.width - 1) / 2, (sensor.height - 1) / 2)
    plane: NDArray[np.float64] = (pixels - centre) * (metres_per_px, -metres_per_px)
    return plane


def _marker(
    header: Header,
    marker_id: int,
    kind: int,
    size_m: float,
    chosen: list[int],
    points: list[Point],
    colors: list[ColorRGBA],
) -> Marker:
    marker = Marker(header=header, ns=NAMESPACE, id=marker_id, type=kind, lifetime=MARKER_LIFETIME)
    if not chosen:  # RViz calls a list without points an error
        marker.action = Marker.DELETE
        return marker
    marker.action = Marker.ADD
    marker.pose.orientation.w = 1.0
    marker.scale = Vector3(x=size_m, y=size_m, z=size_m)
    marker.points = [points[joint] for joint in chosen]
    marker.colors = [colors[joint] for joint in chosen]
    return marker


def _color(joint: int, confidence: float) -> ColorRGBA:
    side = JOINTS[joint].split("_")[0]
    style = ESTIMATE_STYLE
    rgb = {"right": style.right, "left": style.left}.get(side, style.middle)
    red, green, blue = (channel / 255 for channel in rgb)
    return ColorRGBA(r=red, g=green, b=blue, a=min(1.0, max(0.0, confidence)))
