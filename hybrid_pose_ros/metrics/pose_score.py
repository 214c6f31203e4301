# SPDX-License-Identifier: Apache-2.0
"""Errors of the poses of one recording against 2D labels, in px of the 346x260 view."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from hybrid_pose_ros.events.binning import GridView
from hybrid_pose_ros.events.labelled import PointLabels
from hybrid_pose_ros.metrics.pose_errors import joint_errors, mirrored, mpjpe, pck, without_offset
from hybrid_pose_ros.pipeline.state import Pose
from hybrid_pose_ros.skeleton import JOINTS

SHOWN_CONFIDENCE: Final = 0.2
"""A joint with at least this confidence is shown."""

LABEL_CONFIDENCE: Final = 0.5
"""A label below this confidence does not count."""

PCK_PX: Final = 10.0
"""A joint within this distance counts as found."""


@dataclass(frozen=True)
class LabelErrors:
    """Errors of poses at moments that have labels; joints outside the picture do not count.

    Attributes:
        poses: how many were compared.
        mpjpe_px: mean error over all joints.
        mpjpe_offset_free_px: likewise without each joint's constant offset; see
            :func:`~hybrid_pose_ros.metrics.pose_errors.without_offset`.
        mirrored: share of poses that fit better with left and right exchanged.
        pck10: share of joints within :data:`PCK_PX`.
        per_joint_px: mean error of each joint, NaN where it has no label.
    """

    poses: int
    mpjpe_px: float
    mpjpe_offset_free_px: float
    mirrored: float
    pck10: float
    per_joint_px: dict[str, float]


@dataclass(frozen=True)
class PoseScore:
    """How good the poses of a recording are.

    Attributes:
        poses: how many count.
        joints_shown: mean number of joints with a confidence of :data:`SHOWN_CONFIDENCE`.
        joints_shown_outside: mean number of these whose estimate, or by the labels whose true
            place, lies outside the picture.
        errors: None without labels.
    """

    poses: int
    joints_shown: float
    joints_shown_outside: float
    errors: LabelErrors | None

    def to_dict(self) -> dict[str, Any]:
        """Return the figures under the names that the JSON has; NaN is None there."""
        figures: dict[str, Any] = {
            "poses": self.poses,
            "joints_shown": _json(self.joints_shown),
            "joints_shown_outside": _json(self.joints_shown_outside),
        }
        if self.errors is not None:
            figures |= {
                "labelled_poses": self.errors.poses,
                "mpjpe_px": _json(self.errors.mpjpe_px),
                "mpjpe_offset_free_px": _json(self.errors.mpjpe_offset_free_px),
                "mirrored": _json(self.errors.mirrored),
                "pck10": _json(self.errors.pck10),
                "joints_px": {k: _json(v) for k, v in self.errors.per_joint_px.items()},
            }
        return figures


@dataclass(frozen=True)
class PoseComparison:
    """Poses beside the truth.

    Attributes:
        estimate, truth: [N, 13, 2] in px of the 346x260 view.
        visible: [N, 13], the joint has a label inside the picture.
        outside: [N, 13], the estimate, or by the labels the true place, lies outside the picture.
        confidence: [N, 13].
    """

    estimate: NDArray[np.float64]
    truth: NDArray[np.float64]
    visible: NDArray[np.bool_]
    outside: NDArray[np.bool_]
    confidence: NDArray[np.float64]

    @property
    def shown(self) -> NDArray[np.bool_]:
        """Which joints are shown, [N, 13]."""
        return self.confidence >= SHOWN_CONFIDENCE

    @property
    def mirrored(self) -> NDArray[np.bool_]:
        """Which of the poses that have a label fit better with left and right exchanged."""
        some = self.visible.any(-1)
        return mirrored(self.estimate[some], self.truth[some], self.visible[some])

    @classmethod
    def joined(cls, parts: Sequence["PoseComparison"]) -> "PoseComparison":
        """Join the poses of several recordings."""
        names = [field.name for field in fields(cls)]
        return cls(*(np.concatenate([getattr(part, name) for part in parts]) for name in names))


def compare_poses(poses: Sequence[Pose], view: GridView, labels: PointLabels) -> PoseComparison:
    """Set poses of one recording beside its labels.

    Args:
        poses: at least one.
        view: tells the size of the sensor, and of the picture that errors are measured in.
    """
    points = np.stack([pose.keypoints for pose in poses]).astype(np.float64)
    truth, sure = labels.at(np.array([pose.sensor_time_ns for pose in poses]))
    known = sure >= LABEL_CONFIDENCE
    truth_inside = view.inside(truth)
    return PoseComparison(
        estimate=view.scale * points,
        truth=view.scale * truth,
        visible=known & truth_inside,
        outside=~view.inside(points) | (known & ~truth_inside),
        confidence=np.stack([pose.confidence for pose in poses]).astype(np.float64),
    )


def score_poses(poses: Sequence[Pose], view: GridView, labels: PointLabels | None) -> PoseScore:
    """Score poses of one recording.

    Args:
        view: tells the size of the sensor, and of the picture that errors are measured in.
    """
    if not poses:
        return PoseScore(0, float("nan"), float("nan"), None)
    if labels is None:
        points = np.stack([pose.keypoints for pose in poses])
        shown = np.stack([pose.confidence for pose in poses]) >= SHOWN_CONFIDENCE
        return PoseScore(
            len(poses), _per_pose(shown), _per_pose(shown & ~view.inside(points)), None
        )
    compared = compare_poses(poses, view, labels)
    estimate, truth, visible = compared.estimate, compared.truth, compared.visible
    distance = np.where(visible, joint_errors(estimate, truth), np.nan)
    counts = np.maximum(visible.sum(0), 1)
    means = np.where(visible.any(0), np.nansum(distance, 0) / counts, np.nan)
    swapped = compared.mirrored
    errors = LabelErrors(
        poses=len(swapped),
        mpjpe_px=mpjpe(estimate, truth, visible),
        mpjpe_offset_free_px=mpjpe(without_offset(estimate, truth, visible), truth, visible),
        mirrored=float(swapped.mean()) if len(swapped) else float("nan"),
        pck10=pck(estimate, truth, visible, PCK_PX),
        per_joint_px=dict(zip(JOINTS, means.tolist(), strict=True)),
    )
    return PoseScore(
        len(poses), _per_pose(compared.shown), _per_pose(compared.shown & compared.outside), errors
    )


def _per_pose(joints: np.ndarray) -> float:
    return float(joints.sum(-1).mean())


def _json(value: float) -> float | None:
    return value if np.isfinite(value) else None
