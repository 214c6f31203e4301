# SPDX-License-Identifier: Apache-2.0
"""Poses between steps and ahead of the last one."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from hybrid_pose_ros.events.array import make_events
from hybrid_pose_ros.events.binning import GridView, Step
from hybrid_pose_ros.networks.checkpoint import Checkpoint
from hybrid_pose_ros.pipeline.decoding import PoseDecoder, position_variance
from hybrid_pose_ros.pipeline.pose_estimator import PoseEstimator
from hybrid_pose_ros.pipeline.prediction import (
    DAMPING_S,
    MAX_PREDICTION_NS,
    PoseHistory,
    ahead,
    interpolate,
    predict,
)
from hybrid_pose_ros.pipeline.snn_estimator import SnnEstimator
from hybrid_pose_ros.pipeline.state import Pose, StateInit
from hybrid_pose_ros.skeleton import NUM_JOINTS

from .conftest import T, equal, follow

MS = 1_000_000


def moving(t_ns: int = 0, velocity: tuple[float, float] = (100.0, -50.0)) -> Pose:
    """A pose all of whose joints move at the same velocity (px/s)."""
    return Pose(
        sensor_time_ns=t_ns,
        keypoints=np.tile(np.float32((20.0, 30.0)), (NUM_JOINTS, 1)),
        confidence=np.full(NUM_JOINTS, 0.5, np.float32),
        source="snn",
        steps_since_init=1,
        init_age_ns=T,
        variance=np.full(NUM_JOINTS, 4.0, np.float32),
        velocity=np.tile(np.float32(velocity), (NUM_JOINTS, 1)),
        velocity_variance=np.full(NUM_JOINTS, 900.0, np.float32),
    )


def test_a_joint_goes_on_with_a_velocity_that_dies_away() -> None:
    pose = predict(moving(5 * MS), 25 * MS)
    path = DAMPING_S * (1 - np.exp(-0.02 / DAMPING_S))
    np.testing.assert_allclose(pose.keypoints[7], (20 + 100 * path, 30 - 50 * path), rtol=1e-6)
    np.testing.assert_allclose(pose.velocity[7], np.array((100, -50)) * np.exp(-0.2), rtol=1e-6)
    assert (pose.sensor_time_ns, pose.prediction_ns) == (25 * MS, 20 * MS)


def test_the_variance_grows_with_the_square_of_the_time_ahead() -> None:
    pose = moving()
    for ms in (0, 10, 20, 50, 100):
        found = predict(pose, ms * MS).variance
        np.testing.assert_allclose(found, 4.0 + 900.0 * (ms * 1e-3) ** 2, rtol=1e-6)
    np.testing.assert_allclose(predict(pose, 20 * MS).covariance[3], 4.36 * np.eye(2), rtol=1e-6)


@pytest.mark.parametrize("ahead_ns", [-1, MAX_PREDICTION_NS + 1])
def test_no_prediction_backwards_or_beyond_the_limit(ahead_ns: int) -> None:
    with pytest.raises(ValueError, match="can be predicted 0 to 100 ms ahead"):
        predict(moving(MS), MS + ahead_ns)


def test_a_pose_without_velocities_is_held() -> None:
    nan = np.full((NUM_JOINTS, 2), np.nan, np.float32)
    pose = replace(moving(), velocity=nan, velocity_variance=nan[:, 0])
    held = predict(pose, 20 * MS)
    np.testing.assert_array_equal(held.keypoints, pose.keypoints)
    np.testing.assert_array_equal(held.variance, pose.variance)


def test_nothing_is_predicted_by_default() -> None:
    pose = moving()
    assert ahead(pose, 0) is pose


def test_between_two_poses_lies_a_straight_line() -> None:
    before = moving()
    after = replace(moving(10 * MS), keypoints=before.keypoints + np.float32(8))
    middle = interpolate(before, after, 2_500_000)
    np.testing.assert_array_equal(middle.keypoints, before.keypoints + np.float32(2))
    assert middle.sensor_time_ns == 2_500_000


def test_history_answers_for_the_newest_poses_alone() -> None:
    history = PoseHistory(limit=3)
    with pytest.raises(ValueError, match="no pose yet"):
        history.at(0)
    for k in range(5):
        history.add(moving(k * T))
    assert history.at(3 * T).sensor_time_ns == 3 * T
    assert history.at(2 * T + 1).sensor_time_ns == 2 * T + 1
    assert history.at(4 * T + 7).prediction_ns == 7
    with pytest.raises(ValueError, match="before the oldest of the 3 poses kept"):
        history.at(2 * T - 1)
    history.reset()
    with pytest.raises(ValueError, match="no pose yet"):
        history.at(4 * T)


def test_variance_of_a_spread_gaussian_follows_from_its_peak() -> None:
    sigma, spread = 6.0, 2.5
    peak = np.float32(sigma**2 / (sigma**2 + spread**2))
    np.testing.assert_allclose(position_variance(peak, sigma), spread**2, rtol=1e-5)


def test_velocities_are_those_of_the_network_in_pixels_per_second(
    checkpoint: Checkpoint, steps: Sequence[Step], inits: dict[int, StateInit]
) -> None:
    snn = SnnEstimator(checkpoint, checkpoint.config.view.fit(692, 520))  # 2 px per view pixel
    pose = follow(snn, steps[:15], inits)[-1]
    state = snn.state()
    assert state.velocity is not None
    expected = state.velocity[0].numpy() * 8 * 100  # 8 px per cell, 100 steps per second
    assert np.abs(expected).min() > 0
    np.testing.assert_allclose(pose.velocity, expected, rtol=1e-5)


def test_points_are_mapped_as_the_view_maps_them(checkpoint: Checkpoint) -> None:
    rng = np.random.default_rng(5)
    points = rng.uniform(-1, 90, (NUM_JOINTS, 2)).astype(np.float32)
    confidence = rng.uniform(0.02, 1, NUM_JOINTS).astype(np.float32)
    velocity = rng.normal(0, 1, (NUM_JOINTS, 2)).astype(np.float32)
    for size in ((346, 260), (1280, 720), (128, 128)):
        view = checkpoint.config.view.fit(*size)
        cell_px = view.cell / view.scale
        pose = PoseDecoder(checkpoint.config, view).pose(
            points,
            confidence,
            velocity,
            sensor_time_ns=0,
            source="snn",
            steps_since_init=0,
            init_age_ns=0,
        )
        np.testing.assert_array_equal(pose.keypoints, view.to_sensor(points).astype(np.float32))
        np.testing.assert_allclose(pose.velocity, velocity * cell_px * 100, rtol=1e-6)
        sigma = checkpoint.config.sigma * cell_px
        np.testing.assert_allclose(pose.variance, sigma**2 * (1 / confidence - 1), rtol=1e-4)
        speed2 = np.square(pose.velocity).sum(-1)
        slow = (5.5 * cell_px) ** 2
        np.testing.assert_allclose(pose.velocity_variance, slow + speed2 / 16, rtol=1e-5)


def test_a_model_without_velocities_says_that_it_has_none(
    checkpoint: Checkpoint, view: GridView
) -> None:
    pose = PoseDecoder(checkpoint.config, view).pose(
        np.zeros((NUM_JOINTS, 2), np.float32),
        np.ones(NUM_JOINTS, np.float32),
        None,
        sensor_time_ns=0,
        source="snn",
        steps_since_init=0,
        init_age_ns=0,
    )
    assert np.isnan(pose.velocity).all() and np.isnan(pose.velocity_variance).all()
    assert (pose.variance == 0).all()


def test_estimator_predicts_what_it_returns_and_answers_for_any_moment(
    checkpoint: Checkpoint,
) -> None:
    rng = np.random.default_rng(3)
    count = 20_000
    times = np.sort(rng.integers(0, 205 * MS, count))
    events = make_events(
        times, rng.integers(0, 346, count), rng.integers(0, 260, count), rng.random(count) < 0.5
    )
    plain = PoseEstimator(346, 260, checkpoint)
    eager = PoseEstimator(346, 260, checkpoint, predict_ms=15.0)
    poses = plain.push(events)
    predicted = eager.push(events)
    assert len(poses) == len(predicted) == 20
    for pose, early in zip(poses, predicted, strict=True):
        assert equal(predict(pose, pose.sensor_time_ns + 15 * MS), early)
    assert equal(plain.pose_at(100 * MS), poses[9])
    assert equal(plain.pose_at(215 * MS), predicted[-1])
    assert equal(eager.pose_at(200 * MS), poses[-1])
    eager.reset()
    with pytest.raises(ValueError, match="no pose yet"):
        eager.pose_at(100 * MS)
    with pytest.raises(ValueError, match="predict_ms 101: it must be from 0 to 100 ms"):
        PoseEstimator(346, 260, checkpoint, predict_ms=101)
