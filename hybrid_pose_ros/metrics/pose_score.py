# SPDX-License-Identifier: Apache-2.0
"""Errors of the poses of one recording against 2D labels, in px of the 346x260 view."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from hybrid_pose_ros.events.binning import GridView
from hybrid_pose_ros.events.labelled import PointLabels
from hybrid_pose_ros.metrics.errors import joint_errors, mirrored, mpjpe, pck, without_offset
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
            :func:`~hybrid_pose_ros.metrics.errors.without_offset`.
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


def score_poses(poses: Sequence[Pose], view: GridView, labels: PointLabels | None) -> PoseScore:
    """Score poses of one recording.

    Args:
        view: tells the size of the sensor, and of the picture that errors are measured in.
    """
    if not poses:
        return PoseScore(0, float("nan"), float("nan"), None)
    points = np.stack([pose.keypoints for pose in poses]).astype(np.float64)
    shown = np.stack([pose.confidence for pose in poses]) >= SHOWN_CONFIDENCE
    inside = view.inside(points)
    if labels is None:
        return PoseScore(len(poses), _per_pose(shown), _per_pose(shown & ~inside), None)
    truth, confidence = labels.at(np.array([pose.sensor_time_ns for pose in poses]))
    sure = confidence >= LABEL_CONFIDENCE
    truth_inside = view.inside(truth)
    outside = ~inside | (sure & ~truth_inside)
    visible = sure & truth_inside
    labelled = visible.any(-1)
    estimate, truth, visible = (
        view.scale * points[labelled],
        view.scale * truth[labelled],
        visible[labelled],
    )
    distance = np.where(visible, joint_errors(estimate, truth), np.nan)
    counts = np.maximum(visible.sum(0), 1)
    means = np.where(visible.any(0), np.nansum(distance, 0) / counts, np.nan)
    errors = LabelErrors(
        poses=int(labelled.sum()),
        mpjpe_px=mpjpe(estimate, truth, visible),
        mpjpe_offset_free_px=mpjpe(without_offset(estimate, truth, visible), truth, visible),
        mirrored=float(mirrored(estimate, truth, visible).mean()) if len(truth) else float("nan"),
        pck10=pck(estimate, truth, visible, PCK_PX),
        per_joint_px=dict(zip(JOINTS, means.tolist(), strict=True)),
    )
    return PoseScore(len(poses), _per_pose(shown), _per_pose(shown & outside), errors)


def _per_pose(joints: np.ndarray) -> float:
    return float(joints.sum(-1).mean())


def _json(value: float) -> float | None:
    return value if np.isfinite(value) else None
