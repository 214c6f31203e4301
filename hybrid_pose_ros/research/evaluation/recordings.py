# SPDX-License-Identifier: Apache-2.0
"""Evaluation on a recording of one's own: the ANN alone and the hybrid, against 2D labels."""

from dataclasses import dataclass
from typing import Any, Final

from hybrid_pose_ros.events.array import EventArray
from hybrid_pose_ros.events.labelled import PointLabels
from hybrid_pose_ros.metrics.pose_score import PoseScore, score_poses
from hybrid_pose_ros.networks.checkpoint import Checkpoint
from hybrid_pose_ros.pipeline.pose_estimator import AnnPoseEstimator, PoseEstimator
from hybrid_pose_ros.pipeline.state import Pose

ANN_HZ: Final = 20.0
"""Poses per second of the ANN alone."""

HYBRID_ANN_HZ: Final = 10.0
"""Runs per second of the hybrid's ANN."""

HYBRID_POSE_NS: Final = 10_000_000
"""Time between two poses of the hybrid that count, at whatever length of step."""

SETTLING_NS: Final = 600_000_000
SETTLING_SHARE: Final = 0.4
"""Poses of the first 0.6 s, or of the first 40 % of a shorter recording, do not count."""


@dataclass(frozen=True)
class RecordingReport:
    """Scores and poses of a model on a recording.

    Attributes:
        ann, hybrid: their scores.
        counted_poses: the hybrid's poses that count.
    """

    ann: PoseScore
    hybrid: PoseScore
    counted_poses: list[Pose]

    def to_dict(self) -> dict[str, Any]:
        """Return the scores, ready for JSON."""
        return {"ann": self.ann.to_dict(), "hybrid": self.hybrid.to_dict()}


@dataclass(frozen=True)
class CountedPoses:
    """Poses of a recording that count, every 50 ms of the ANN and every 10 ms of the hybrid."""

    ann: list[Pose]
    hybrid: list[Pose]


def estimate_poses(
    events: EventArray, width: int, height: int, checkpoint: Checkpoint, start_ns: int
) -> CountedPoses:
    """Run the ANN every 50 ms, and the hybrid every 10 ms with the ANN every 100 ms.

    Args:
        events: of the whole recording, in order of time.
        width, height: of the sensor in pixels.
        checkpoint: the model.
        start_ns: sensor time from which on poses count.

    Raises:
        MalformedEventsError: events out of order or outside the sensor.
    """
    ann_poses = AnnPoseEstimator(width, height, checkpoint, hz=ANN_HZ).push(events)
    hybrid_poses = PoseEstimator(width, height, checkpoint, ann_hz=HYBRID_ANN_HZ).push(events)

    def counted(poses: list[Pose], every_ns: int) -> list[Pose]:
        return [
            pose
            for pose in poses
            if pose.sensor_time_ns >= start_ns and pose.sensor_time_ns % every_ns == 0
        ]

    return CountedPoses(counted(ann_poses, 1), counted(hybrid_poses, HYBRID_POSE_NS))


def evaluate_recording(
    events: EventArray,
    width: int,
    height: int,
    labels: PointLabels | None,
    checkpoint: Checkpoint,
) -> RecordingReport:
    """Run and score the ANN and the hybrid, as :func:`estimate_poses` does.

    The first 0.6 s, or 40 % of a shorter recording, do not count.

    Args:
        events: of the whole recording, in order of time.
        width, height: of the sensor in pixels.
        labels: where the joints are; None: only the number of shown joints is reported.
        checkpoint: the model.

    Raises:
        MalformedEventsError: events out of order or outside the sensor.
    """
    start_ns = 0
    if len(events):
        first_ns, last_ns = events["t"][[0, -1]].tolist()
        start_ns = first_ns + round(min(SETTLING_NS, SETTLING_SHARE * (last_ns - first_ns)))
    poses = estimate_poses(events, width, height, checkpoint, start_ns)
    view = checkpoint.config.view.fit(width, height)
    return RecordingReport(
        ann=score_poses(poses.ann, view, labels),
        hybrid=score_poses(poses.hybrid, view, labels),
        counted_poses=poses.hybrid,
    )
