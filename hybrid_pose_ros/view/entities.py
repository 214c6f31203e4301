# SPDX-License-Identifier: Apache-2.0
"""Messages as entities of a Rerun recording.

======================================== =====================================================
entity                                   what
======================================== =====================================================
world/CAMERA                             where the camera stands and how it projects
world/CAMERA/events                      picture of the events, in which they fade
world/CAMERA/pose/joints, .../limbs      the pose in px of the sensor
world/CAMERA/ground_truth/...            the true pose, projected
world/pose_3d/..., world/ground_truth/.. poses in metres, in the frame `world`
plots/CAMERA/confidence                  mean over the joints
plots/CAMERA/init_age_ms                 age of the state's initialisation, in sensor time
plots/CAMERA/latency_ms                  arrival of a pose after its packet's stamp
plots/CAMERA/ann_ms                      time that an initialisation took the ANN
======================================== =====================================================

Timelines: `sensor_time` (since the sensor's zero) and `host_time` (arrival).
"""

from typing import Any, Final

import cv2
import numpy as np
import rerun as rr
from numpy.typing import NDArray

from hybrid_pose_ros.drawing import (
    ESTIMATE_STYLE,
    HIDDEN_CONFIDENCE,
    TRUTH_STYLE,
    EventCanvas,
    SkeletonStyle,
    joint_colour,
    limb_colour,
)
from hybrid_pose_ros.events.encodings import MalformedPacketError
from hybrid_pose_ros.events.stream import PacketReader
from hybrid_pose_ros.geometry.cameras import Camera, CameraError, decompose
from hybrid_pose_ros.interfaces.messages import camera_from_info, stamp_to_ns
from hybrid_pose_ros.interfaces.topics import CAMERA_INFO_TYPE, EVENTS_TYPE, POSE_TYPE, Topic
from hybrid_pose_ros.skeleton import JOINTS, LIMBS
from hybrid_pose_ros.view.shown_topics import camera_of, owner_of

SENSOR_TIME: Final = "sensor_time"
HOST_TIME: Final = "host_time"

IMAGE_NS: Final = 33_000_000
"""Sensor time between two pictures of a camera's events."""


class _EventView:
    """The events of one camera: reader, picture, and when the next picture is due."""

    def __init__(self, reader: PacketReader, size: tuple[int, int]) -> None:
        self.reader, self.size = reader, size
        self.canvas = EventCanvas(*size)
        self.shown_ns: int | None = None


class Scene:
    """Writes messages into a recording.

    Attributes:
        malformed: packets of events that could not be decoded, and are not shown.
    """

    def __init__(self, recording: rr.RecordingStream) -> None:
        self.malformed = 0
        self._rec = recording
        self._views: dict[str, _EventView] = {}
        self._cameras: dict[str, Camera] = {}
        self._infos: dict[str, bytes] = {}
        self._rec.log("world", rr.ViewCoordinates.RIGHT_HAND_Z_UP, static=True)

    def add(self, topic: Topic, arrival_ns: int, message: Any) -> None:
        """Show a message (of rclpy or `rosbags`) that arrived at this host time."""
        camera = camera_of(topic)
        if camera is None:
            self._add_pose_3d(topic, arrival_ns, message)
        elif topic.type == EVENTS_TYPE:
            self._add_events(camera, arrival_ns, message)
        elif topic.type == POSE_TYPE:
            self._add_pose(camera, arrival_ns, message)
        elif topic.type == CAMERA_INFO_TYPE:
            self._add_camera(camera, message)
        else:
            self._set_time(message.sensor_time, arrival_ns)
            self._plot(camera, "ann_ms", message.inference_time / 1e6)

    def _add_camera(self, camera: str, message: Any) -> None:
        matrix = np.asarray(message.p, np.float64).tobytes()
        if self._infos.get(camera) == matrix:
            return  # It is published again and again.
        self._infos[camera] = matrix
        try:
            model = camera_from_info(message)
        except CameraError:
            model = None
        # A driver's p has no place of the camera in the world, and then 0 in its last column.
        if model is None or not model.matrix[:, 3].any():
            return
        self._cameras[camera] = model
        intrinsic, rotation = decompose(model.matrix)
        path = f"world/{camera}"
        pose = rr.Transform3D(translation=model.centre, mat3x3=rotation.T)
        pinhole = rr.Pinhole(
            image_from_camera=intrinsic / intrinsic[2, 2],
            resolution=(model.width, model.height),
            image_plane_distance=0.5,
        )
        self._rec.log(path, pose, pinhole, static=True)

    def _add_events(self, camera: str, arrival_ns: int, message: Any) -> None:
        view, size = self._views.get(camera), (message.width, message.height)
        if view is not None and view.size != size:
            view = None  # of another sensor, if the packet is good
        reader = PacketReader() if view is None else view.reader
        try:
            events = reader.read(message)
        except MalformedPacketError:
            self.malformed += 1
            return
        if view is None:
            view = self._views[camera] = _EventView(reader, size)
        if len(events) == 0:
            return
        view.canvas.add(events)
        now_ns = int(events["t"][-1])
        if view.shown_ns is not None and 0 <= now_ns - view.shown_ns < IMAGE_NS:
            return
        view.shown_ns = now_ns
        # Most of the picture is background: as PNG it is a tenth of its size.
        _, png = cv2.imencode(".png", view.canvas.render()[:, :, ::-1])
        self._set_time(now_ns, arrival_ns)
        image = rr.EncodedImage(contents=png.tobytes(), media_type="image/png")
        self._rec.log(f"world/{camera}/events", image)

    def _add_pose(self, camera: str, arrival_ns: int, message: Any) -> None:
        points = np.array([(point.x, point.y) for point in message.keypoints], np.float64)
        confidence = np.array([point.confidence for point in message.keypoints], np.float64)
        self._set_time(message.sensor_time, arrival_ns)
        self._skeleton(f"world/{camera}/pose", points, confidence, ESTIMATE_STYLE)
        self._plot(camera, "confidence", float(confidence.mean()))
        if message.init_age >= 0:
            self._plot(camera, "init_age_ms", message.init_age / 1e6)
        latency_ns = arrival_ns - stamp_to_ns(message.header.stamp)
        self._plot(camera, "latency_ms", latency_ns / 1e6)

    def _add_pose_3d(self, topic: Topic, arrival_ns: int, message: Any) -> None:
        points = np.array([(point.x, point.y, point.z) for point in message.keypoints], np.float64)
        confidence = np.array([point.confidence for point in message.keypoints], np.float64)
        self._set_time(message.sensor_time, arrival_ns)
        if owner_of(topic).rpartition("/")[2] != "ground_truth":
            name = f"{owner_of(topic)}/pose_3d".strip("/")
            self._skeleton(f"world/{name}", points, confidence, ESTIMATE_STYLE)
            return
        self._skeleton(f"world/{owner_of(topic)}", points, confidence, TRUTH_STYLE)
        for camera, model in self._cameras.items():
            # A joint behind the camera would be mirrored into the picture.
            seen = np.where(model.depth(points) > 0, confidence, 0.0)
            place = model.project(points)
            self._skeleton(f"world/{camera}/ground_truth", place, seen, TRUTH_STYLE)

    def _skeleton(
        self,
        path: str,
        points: NDArray[np.float64],
        confidence: NDArray[np.float64],
        style: SkeletonStyle,
    ) -> None:
        """Log joints and limbs, [13, 2] in px or [13, 3] in metres, where they are drawable."""
        drawable = np.isfinite(points).all(axis=1) & (confidence >= HIDDEN_CONFIDENCE)
        joints = np.flatnonzero(drawable).tolist()
        limbs = [(a, b) for a, b in LIMBS if drawable[a] and drawable[b]]
        strips = [points[[a, b]] for a, b in limbs]
        places = points[joints]
        colours = [joint_colour(joint, style) for joint in joints]
        limb_colours = [limb_colour(a, b, style) for a, b in limbs]
        labels = [f"{JOINTS[joint]} {confidence[joint]:.2f}" for joint in joints]
        # Of all joints: those that are not drawn would be looked for here.
        extra = rr.AnyValues(confidence=confidence)
        if points.shape[1] == 2:
            # Negative radii are in px of the screen: they stay fine when the view is enlarged.
            spots: Any = rr.Points2D(
                places,
                colors=colours,
                radii=-1.5 * style.joint_px,
                labels=labels,
                show_labels=False,
                draw_order=30,
            )
            lines: Any = rr.LineStrips2D(
                strips, colors=limb_colours, radii=-style.limb_px, draw_order=20
            )
        else:
            spots = rr.Points3D(
                places,
                colors=colours,
                radii=0.01 * style.joint_px,
                labels=labels,
                show_labels=False,
            )
            lines = rr.LineStrips3D(strips, colors=limb_colours, radii=0.012 * style.limb_px)
        self._rec.log(f"{path}/joints", spots, extra)
        self._rec.log(f"{path}/limbs", lines)

    def _plot(self, camera: str, name: str, value: float) -> None:
        self._rec.log(f"plots/{camera}/{name}", rr.Scalars(value))

    def _set_time(self, sensor_ns: int, arrival_ns: int) -> None:
        self._rec.set_time(SENSOR_TIME, duration=np.timedelta64(sensor_ns, "ns"))
        self._rec.set_time(HOST_TIME, timestamp=np.datetime64(arrival_ns, "ns"))
