# SPDX-License-Identifier: Apache-2.0
"""A recording's score: in px of the view, over labelled joints in the picture."""

import numpy as np
import pytest

from hybrid_pose_ros.events.binning import GridView
from hybrid_pose_ros.events.labelled import PointLabels
from hybrid_pose_ros.metrics.pose_score import score_poses
from hybrid_pose_ros.pipeline.state import Pose

MS = 1_000_000
VIEW = GridView.fit(173, 130)  # half of 346x260
POINTS = np.stack((np.linspace(20, 150, 13), np.linspace(10, 120, 13)), -1)


def pose(t_ms: int, points: np.ndarray, confidence: np.ndarray | float = 0.9) -> Pose:
    trust = np.broadcast_to(np.float32(confidence), 13)
    return Pose(t_ms * MS, points.astype(np.float32), trust, "snn", 1, 10 * MS)


def labels(points: np.ndarray = POINTS, confidence: np.ndarray | float = 1.0) -> PointLabels:
    """Two labels 100 ms apart; the person goes 10 px to the right in between."""
    moving = np.stack((points, np.add(points, (10.0, 0.0))))
    return PointLabels(
        np.array([0, 100 * MS]), moving, np.broadcast_to(np.float64(confidence), (2, 13))
    )


def test_errors_are_in_px_of_the_view_and_truth_is_interpolated() -> None:
    score = score_poses([pose(50, np.add(POINTS, (5.0, 3.0)))], VIEW, labels())
    assert score.errors is not None
    assert score.errors.mpjpe_px == pytest.approx(6.0, abs=1e-4)
    assert score.errors.mpjpe_offset_free_px == pytest.approx(0.0, abs=1e-4)
    assert (score.errors.mirrored, score.errors.pck10) == (0.0, 1.0)
    assert score.errors.per_joint_px["left_hand"] == pytest.approx(6.0, abs=1e-4)


def test_poses_outside_the_labels_are_not_compared_but_counted() -> None:
    score = score_poses([pose(t, POINTS) for t in (0, 100, 110)], VIEW, labels())
    assert score.errors is not None
    assert (score.poses, score.errors.poses) == (3, 2)
    assert score.errors.mpjpe_px == pytest.approx(10.0, abs=1e-4)  # of 0 and 20


def test_joints_shown_where_they_cannot_be_are_counted() -> None:
    confidence = np.full(13, 0.9)
    confidence[:3] = 0.1  # not shown
    truth = POINTS.copy()
    truth[5] = (60.0, 140.0)  # below the picture, though the estimate is not
    estimate = POINTS.copy()
    estimate[6] = (-30.0, 5.0)
    score = score_poses([pose(0, estimate, confidence)], VIEW, labels(truth))
    assert (score.joints_shown, score.joints_shown_outside) == (10.0, 2.0)
    assert score.errors is not None
    assert np.isnan(score.errors.per_joint_px["right_hip"])
    alone = score_poses([pose(0, estimate, confidence)], VIEW, None)
    assert alone.to_dict() == {"poses": 1, "joints_shown": 10.0, "joints_shown_outside": 1.0}


def test_uncertain_labels_do_not_count() -> None:
    confidence = np.ones(13)
    confidence[4] = 0.4
    estimate = POINTS.copy()
    estimate[4] += 1000.0
    score = score_poses([pose(0, estimate)], VIEW, labels(confidence=confidence))
    assert score.errors is not None
    assert score.errors.mpjpe_px == pytest.approx(0.0, abs=1e-4)


def test_figures_have_the_names_of_the_json() -> None:
    figures = score_poses([pose(0, POINTS)], VIEW, labels()).to_dict()
    assert figures.keys() >= {
        "mpjpe_px",
        "mpjpe_offset_free_px",
        "mirrored",
        "joints_shown",
        "joints_shown_outside",
        "pck10",
    }
