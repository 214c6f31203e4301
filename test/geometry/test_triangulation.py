# SPDX-License-Identifier: Apache-2.0
"""Triangulation: exact without noise, honest about what is not seen, and weighted."""

import numpy as np
import pytest

from hybrid_pose_ros.geometry.cameras import DHP19_LIKE
from hybrid_pose_ros.geometry.triangulation import triangulate, triangulate_agreeing


def points_and_images() -> tuple[np.ndarray, np.ndarray]:
    points = np.random.default_rng(0).uniform((-0.7, -0.5, 0.0), (0.7, 0.5, 1.9), (5, 13, 3))
    return points, np.stack([camera.project(points) for camera in DHP19_LIKE])


@pytest.mark.parametrize("views", [(0, 1), (2, 3), (0, 1, 2), (0, 1, 2, 3)])
def test_noise_free_projections_give_the_points_back(views: tuple[int, ...]) -> None:
    points, images = points_and_images()
    found = triangulate([DHP19_LIKE[view] for view in views], images[list(views)])
    assert found.points == pytest.approx(points, abs=1e-9)
    assert found.reprojection_px == pytest.approx(np.zeros((5, 13)), abs=1e-6)


def test_a_joint_that_fewer_than_two_cameras_see_is_nan() -> None:
    points, images = points_and_images()
    images[0, 0, 0] = np.nan
    weights = np.ones(images.shape[:-1])
    weights[1, 1, 2] = 0.0
    found = triangulate(DHP19_LIKE[:2], images[:2], weights[:2])
    missing = np.zeros((5, 13), bool)
    missing[0, 0] = missing[1, 2] = True
    assert (np.isnan(found.points).all(-1) == missing).all()
    assert (np.isnan(found.reprojection_px) == missing).all()
    # the other two cameras still see both
    found = triangulate(DHP19_LIKE, images, weights)
    assert found.points == pytest.approx(points, abs=1e-9)


def test_weights_decide_between_cameras_that_disagree() -> None:
    points, images = points_and_images()
    images[3, ..., 0] += 25.0
    trusting = triangulate(DHP19_LIKE, images).points
    weights = np.ones(images.shape[:-1])
    weights[3] = 1e-6
    doubting = triangulate(DHP19_LIKE, images, weights).points
    assert np.linalg.norm(trusting - points, axis=-1).min() > 0.01
    assert doubting == pytest.approx(points, abs=1e-4)


def test_reprojection_error_of_two_rays_that_miss_each_other() -> None:
    # both cameras look at the point; half of the vertical difference stays in either image
    target = np.array((0.0, 0.15, 0.95))
    images = np.stack([camera.project(target) for camera in DHP19_LIKE[:2]])
    images[0, 1] += 3.0
    images[1, 1] -= 3.0
    found = triangulate(DHP19_LIKE[:2], images)
    projected = np.stack([camera.project(found.points) for camera in DHP19_LIKE[:2]])
    distance = np.linalg.norm(projected - images, axis=-1)
    assert found.reprojection_px == pytest.approx(np.sqrt(np.mean(distance**2)))
    assert 2.0 < found.reprojection_px <= 3.0


def test_residuals_are_pixels_whatever_the_distance() -> None:
    """A camera four times as far away counts by its pixels, not by pixels times depth."""
    rng = np.random.default_rng(1)
    _, images = points_and_images()
    noisy = images + rng.normal(0, 1.0, images.shape)
    found = triangulate(DHP19_LIKE, noisy)
    # no small move of the result brings the projections closer to the image points
    for step in np.eye(3) * 2e-3:
        for sign in (-1, 1):
            moved = found.points + sign * step
            squares = sum(
                np.square(camera.project(moved) - image).sum(-1)
                for camera, image in zip(DHP19_LIKE, noisy, strict=True)
            )
            assert (np.sqrt(squares / 4) > found.reprojection_px - 1e-3).all()


def test_wrong_calls_are_refused() -> None:
    _, images = points_and_images()
    with pytest.raises(ValueError, match="two cameras"):
        triangulate(DHP19_LIKE[:1], images[:1])
    with pytest.raises(ValueError, match="image points"):
        triangulate(DHP19_LIKE[:2], images[:3])
    with pytest.raises(ValueError, match="negative"):
        triangulate(DHP19_LIKE[:2], images[:2], np.full(images.shape[1:-1], -1.0))


@pytest.mark.parametrize("wrong", [0, 1, 2, 3])
@pytest.mark.parametrize("offset", [(50.0, 0.0), (0.0, -50.0), (35.0, 35.0)])
def test_one_wrong_view_of_four_does_not_move_the_result(
    wrong: int, offset: tuple[float, float]
) -> None:
    points, images = points_and_images()
    images[wrong, ::2] += offset
    found = triangulate_agreeing(DHP19_LIKE, images, np.ones(images.shape[:-1]), 15.0)
    assert found.points == pytest.approx(points, abs=1e-6)
    expected = np.ones((4, 5, 13), bool)
    expected[wrong, ::2] = False
    assert (found.used == expected).all()
    assert found.reprojection_px == pytest.approx(np.zeros((5, 13)), abs=1e-6)


def test_a_confident_wrong_view_is_outvoted() -> None:
    points, images = points_and_images()
    images[1] += 50.0
    weights = np.full(images.shape[:-1], 0.3)
    weights[1] = 1.0
    found = triangulate_agreeing(DHP19_LIKE, images, weights, 15.0)
    assert found.points == pytest.approx(points, abs=1e-6)


def test_two_views_that_contradict_each_other_are_no_point() -> None:
    points, images = points_and_images()
    images[0, 0, :, 1] += 80.0
    images[1, 0, :, 1] -= 80.0
    found = triangulate_agreeing(DHP19_LIKE[:2], images[:2], np.ones((2, 5, 13)), 15.0)
    assert np.isnan(found.points[0]).all()
    assert not found.used[:, 0].any()
    assert found.points[1:] == pytest.approx(points[1:], abs=1e-9)
    assert found.used[:, 1:].all()


def test_agreement_needs_two_views_that_see() -> None:
    _, images = points_and_images()
    weights = np.zeros((4, 5, 13))
    weights[0] = 1.0
    images[1] = np.nan
    found = triangulate_agreeing(DHP19_LIKE, images, weights, 15.0)
    assert np.isnan(found.points).all()
    assert not found.used.any()


def test_noise_within_the_limit_leaves_everyone_in() -> None:
    _, images = points_and_images()
    noisy = images + np.random.default_rng(2).normal(0, 2.0, images.shape)
    found = triangulate_agreeing(DHP19_LIKE, noisy, np.ones((4, 5, 13)), 15.0)
    plain = triangulate(DHP19_LIKE, noisy)
    assert found.used.all()
    assert (found.points == plain.points).all()
