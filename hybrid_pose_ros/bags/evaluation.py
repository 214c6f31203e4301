# SPDX-License-Identifier: Apache-2.0
"""Scores the poses of a bag against its ground truth: recorded ones, or new ones of its events."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rosbags.typesys.store import Typestore

from hybrid_pose_ros.bags.bag import BagError, reading
from hybrid_pose_ros.bags.layout import (
    CAMERA_INFO_TYPE,
    EVENTS_TYPE,
    GROUND_TRUTH_TOPIC,
    GROUND_TRUTH_TYPE,
    POSE_TYPE,
)
from hybrid_pose_ros.bags.player import (
    CAMERA_INFO,
    EVENTS,
    BagContents,
    Stored,
    played_topics,
    read_stored,
)
from hybrid_pose_ros.events.encodings import MalformedPacketError
from hybrid_pose_ros.events.stream import Packet, PacketReader
from hybrid_pose_ros.geometry.calibration import make_camera
from hybrid_pose_ros.geometry.cameras import Camera, CameraError
from hybrid_pose_ros.interfaces.messages import (
    camera_from_info,
    joints_from_message,
    pose_from_message,
)
from hybrid_pose_ros.metrics.running import RunningEvaluation
from hybrid_pose_ros.networks.checkpoint import Checkpoint
from hybrid_pose_ros.pipeline.pose_estimator import PoseEstimator
from hybrid_pose_ros.pipeline.pose_fusion import FusionConfig, PoseFusion
from hybrid_pose_ros.pipeline.state import Pose

POSE_3D = "/pose_3d"

Progress = Callable[[float], None]
"""Called with the seconds of the bag that are done."""


class PacketPoses:
    """Poses of the packets of one camera, with answers of the ANN that come at once.

    Args:
        ann_hz: rate of the ANN; its period is a whole number of steps.
    """

    def __init__(self, checkpoint: Checkpoint, ann_hz: float) -> None:
        self._checkpoint, self._ann_hz = checkpoint, ann_hz
        self._reader = PacketReader()
        self._estimator: PoseEstimator | None = None

    def push(self, packet: Packet) -> list[Pose]:
        """Take a packet and return the poses of the steps that it completes.

        A packet that the nodes would drop is dropped.
        """
        try:
            events = self._reader.read(packet)
        except MalformedPacketError:
            return []
        if self._estimator is None:
            size = packet.width, packet.height
            self._estimator = PoseEstimator(*size, self._checkpoint, ann_hz=self._ann_hz)
        return self._estimator.push(events)


class OfflineTriangulator:
    """`triangulator` without ROS: a moment waits for its cameras as long as there are packets."""

    def __init__(self) -> None:
        self._cameras: dict[str, Camera] = {}
        self._fusion: PoseFusion | None = None

    def calibrate(self, name: str, camera: Camera) -> None:
        """Take the calibration of a camera; with a new one the joining begins anew.

        One that nothing can be triangulated with is left out.
        """
        if name in self._cameras:
            return
        try:
            camera = make_camera(camera.width, camera.height, camera.matrix, name)
        except CameraError:
            return
        self._cameras[name] = camera
        self._fusion = PoseFusion(self._cameras, FusionConfig())

    def push(self, name: str, pose: Pose) -> list[tuple[int, NDArray[np.float64]]]:
        """Take a pose; return what it completes: sensor time, joints [13, 3] (NaN: not found)."""
        if self._fusion is None or name not in self._cameras or pose.init_age_ns < 0:
            return []
        # host time stands still: nobody is late
        done = self._fusion.add(name, pose.sensor_time_ns, pose.keypoints, pose.confidence, 0)
        return [
            (found.sensor_time_ns, np.where(found.confidence[:, None] > 0, found.joints, np.nan))
            for found in done
        ]


def evaluate_recorded(
    contents: BagContents,
    cameras: tuple[str, ...],
    store: Typestore,
    *,
    progress: Progress = lambda seconds: None,
) -> dict[str, Any]:
    """Score the poses that the bag holds.

    Args:
        cameras: namespaces.

    Returns:
        what :meth:`RunningEvaluation.report` returns.

    Raises:
        BagError: the bag is damaged, or has no ground truth.
    """
    evaluation = _begin(contents)
    topics = [f"{camera}/pose" for camera in cameras] + [POSE_3D]
    topics += [f"{camera}/{CAMERA_INFO}" for camera in cameras]
    for stored in read_stored(contents.path, [*topics, GROUND_TRUTH_TOPIC]):
        camera, _, name = stored.topic.rpartition("/")
        if name == "pose":
            with reading(contents.path):
                message: Any = store.deserialize_cdr(stored.data, POSE_TYPE)
                pose = pose_from_message(message)
            _add_pose(evaluation, camera, pose)
        elif stored.topic == POSE_3D:
            with reading(contents.path):
                message = store.deserialize_cdr(stored.data, GROUND_TRUTH_TYPE)
                joints = joints_from_message(message)
            evaluation.add_pose_3d(message.sensor_time, joints)
        else:
            _take_reference(evaluation, contents.path, stored, store)
        progress((stored.stamp_ns - contents.start_ns) * 1e-9)
    evaluation.finish()
    return evaluation.report()


def evaluate_events(
    contents: BagContents,
    cameras: tuple[str, ...],
    store: Typestore,
    checkpoint: Checkpoint,
    *,
    ann_hz: float = 10.0,
    progress: Progress = lambda seconds: None,
) -> dict[str, Any]:
    """Make the poses anew of the events that the bag holds, and score them.

    Arguments, result and errors are those of :func:`evaluate_recorded`.
    """
    evaluation = _begin(contents)
    pipelines = {camera: PacketPoses(checkpoint, ann_hz) for camera in cameras}
    triangulator = OfflineTriangulator()
    for stored in read_stored(contents.path, played_topics(contents, cameras)):
        camera, _, name = stored.topic.rpartition("/")
        if name == EVENTS:
            with reading(contents.path):
                packet: Any = store.deserialize_cdr(stored.data, EVENTS_TYPE)
            for pose in pipelines[camera].push(packet):
                _add_pose(evaluation, camera, pose)
                for sensor_ns, joints in triangulator.push(camera, pose):
                    evaluation.add_pose_3d(sensor_ns, joints)
        else:
            calibration = _take_reference(evaluation, contents.path, stored, store)
            if calibration is not None:
                triangulator.calibrate(camera, calibration)
        progress((stored.stamp_ns - contents.start_ns) * 1e-9)
    evaluation.finish()
    return evaluation.report()


def _begin(contents: BagContents) -> RunningEvaluation:
    if not contents.has_truth:
        raise BagError(
            f"{contents.path}: no ground truth on {GROUND_TRUTH_TOPIC}; "
            "`hybrid-pose convert` writes it where the recording has labels"
        )
    return RunningEvaluation()


def _add_pose(evaluation: RunningEvaluation, camera: str, pose: Pose) -> None:
    evaluation.add_pose(
        camera, pose.sensor_time_ns, pose.keypoints, has_state=pose.init_age_ns >= 0
    )


def _take_reference(
    evaluation: RunningEvaluation, path: Path, stored: Stored, store: Typestore
) -> Camera | None:
    """Take a label or a calibration of a bag, and return the latter."""
    if stored.topic == GROUND_TRUTH_TOPIC:
        with reading(path):
            message: Any = store.deserialize_cdr(stored.data, GROUND_TRUTH_TYPE)
            joints = joints_from_message(message)
        evaluation.add_truth(message.sensor_time, joints)
        return None
    with reading(path):
        calibration = camera_from_info(store.deserialize_cdr(stored.data, CAMERA_INFO_TYPE))
    if calibration is not None:
        evaluation.set_camera(stored.topic.rpartition("/")[0], calibration)
    return calibration
