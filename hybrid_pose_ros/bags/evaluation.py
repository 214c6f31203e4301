# SPDX-License-Identifier: Apache-2.0
"""Scores the poses of a bag against its ground truth: recorded ones, or new ones of its events."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rosbags.typesys.store import Typestore

from hybrid_pose_ros.bags.bag import (
    BagError,
    RawMessage,
    read_raw,
    reading,
    recorded_types,
)
from hybrid_pose_ros.bags.contents import BagContents, played_topics
from hybrid_pose_ros.events.encodings import MalformedPacketError
from hybrid_pose_ros.events.stream import Packet, PacketReader, describe_losses
from hybrid_pose_ros.geometry.cameras import Camera, CameraError
from hybrid_pose_ros.interfaces.messages import (
    camera_from_info,
    joints_from_message,
    pose_from_message,
)
from hybrid_pose_ros.interfaces.topics import CAMERA_INFO, EVENTS, GROUND_TRUTH, POSE, POSE_3D
from hybrid_pose_ros.metrics.running_errors import RunningEvaluation
from hybrid_pose_ros.networks.checkpoint import Checkpoint
from hybrid_pose_ros.pipeline.pose_estimator import PoseEstimator
from hybrid_pose_ros.pipeline.pose_fusion import FusionConfig, Pose3D
from hybrid_pose_ros.pipeline.state import Pose
from hybrid_pose_ros.pipeline.triangulator import Triangulator

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

    @property
    def trouble(self) -> str:
        """Losses among the packets so far in a sentence, or ""."""
        reader = self._reader
        return describe_losses(reader.malformed, reader.lost, reader.losses)

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
        return self._estimator.push_packet(events)


def _joints(pose: Pose3D) -> NDArray[np.float64]:
    """Return the joints of a pose in space, [13, 3] in metres; NaN: not found."""
    return np.where(pose.confidence[:, None] > 0, pose.joints, np.nan)


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
    store = recorded_types(contents.path, store)
    topics = [topic.under(camera) for camera in cameras for topic in (POSE, CAMERA_INFO)]
    topics += [POSE_3D.under(""), GROUND_TRUTH]
    for stored in read_raw(contents.path, [topic.name for topic in topics]):
        camera, _, name = stored.topic.rpartition("/")
        if name == POSE.name:
            with reading(contents.path):
                message: Any = store.deserialize_cdr(stored.data, POSE.type)
                pose = pose_from_message(message)
            _add_pose(evaluation, camera, pose)
        elif stored.topic == POSE_3D.under("").name:
            with reading(contents.path):
                message = store.deserialize_cdr(stored.data, GROUND_TRUTH.type)
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
    warn: Callable[[str], None] = lambda sentence: None,
) -> dict[str, Any]:
    """Make the poses anew of the events that the bag holds, and score them.

    Other arguments, result and errors are those of :func:`evaluate_recorded`.

    Args:
        warn: called with a sentence where events of a camera were lost.
    """
    evaluation = _begin(contents)
    pipelines = {camera: PacketPoses(checkpoint, ann_hz) for camera in cameras}
    triangulator = Triangulator(FusionConfig())
    names = [topic.name for topic in played_topics(contents, cameras)]
    for stored in read_raw(contents.path, names):
        camera, _, name = stored.topic.rpartition("/")
        if name == EVENTS.name:
            with reading(contents.path):
                packet: Any = store.deserialize_cdr(stored.data, EVENTS.type)
            for pose in pipelines[camera].push(packet):
                _add_pose(evaluation, camera, pose)
                # host time stands still: a moment waits as long as there are packets
                for done in triangulator.add(camera, pose, 0):
                    evaluation.add_pose_3d(done.sensor_time_ns, _joints(done))
        else:
            calibration = _take_reference(evaluation, contents.path, stored, store)
            if calibration is not None:
                triangulator.calibrate(camera, calibration)
        progress((stored.stamp_ns - contents.start_ns) * 1e-9)
    for camera, pipeline in pipelines.items():
        if pipeline.trouble:
            warn(f"{contents.path}: {EVENTS.under(camera).name}: {pipeline.trouble}")
    evaluation.finish()
    return evaluation.report()


def _begin(contents: BagContents) -> RunningEvaluation:
    if not contents.has_truth:
        raise BagError(
            f"{contents.path}: no ground truth on {GROUND_TRUTH.name}; "
            "`hybrid-pose convert` writes it where the recording has labels"
        )
    return RunningEvaluation()


def _add_pose(evaluation: RunningEvaluation, camera: str, pose: Pose) -> None:
    evaluation.add_pose(
        camera, pose.sensor_time_ns, pose.keypoints, has_state=pose.init_age_ns >= 0
    )


def _take_reference(
    evaluation: RunningEvaluation, path: Path, stored: RawMessage, store: Typestore
) -> Camera | None:
    """Take a label or a calibration of a bag, and return the latter."""
    if stored.topic == GROUND_TRUTH.name:
        with reading(path):
            message: Any = store.deserialize_cdr(stored.data, GROUND_TRUTH.type)
            joints = joints_from_message(message)
        evaluation.add_truth(message.sensor_time, joints)
        return None
    with reading(path):
        info = store.deserialize_cdr(stored.data, CAMERA_INFO.type)
    try:
        calibration = camera_from_info(info)
    except CameraError:
        return None
    if calibration is not None:
        evaluation.set_camera(stored.topic.rpartition("/")[0], calibration)
    return calibration
