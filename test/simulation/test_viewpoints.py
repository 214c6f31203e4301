# SPDX-License-Identifier: Apache-2.0
"""Cameras anywhere in a room: shares of sensors, heights, sizes and cut-off bodies."""

import numpy as np
import pytest

from hybrid_pose_ros.geometry.cameras import Camera, decompose
from hybrid_pose_ros.simulation.viewpoints import SENSOR_SIZES, sample_wide_camera

PLACE = (3.0, -2.0)
BODY = np.array([(*PLACE, z) for z in (0.05, 0.5, 0.9, 1.4, 1.7)])


@pytest.fixture(scope="module")
def cameras() -> list[Camera]:
    rng = np.random.default_rng(0)
    return [sample_wide_camera(rng, PLACE) for _ in range(800)]


def test_cameras_are_a_function_of_the_generator() -> None:
    one, two = (sample_wide_camera(np.random.default_rng(5)) for _ in range(2))
    assert np.array_equal(one.matrix, two.matrix)


def test_sensors_have_their_shares(cameras: list[Camera]) -> None:
    assert sum(SENSOR_SIZES.values()) == pytest.approx(1.0)
    for size, share in SENSOR_SIZES.items():
        drawn = np.mean([(camera.width, camera.height) == size for camera in cameras])
        assert abs(drawn - share) < 4 * np.sqrt(share / len(cameras))


def test_cameras_stand_on_all_sides_from_the_floor_to_the_ceiling(cameras: list[Camera]) -> None:
    centres = np.array([camera.centre for camera in cameras])
    assert centres[:, 2].min() >= 0.2 - 1e-6 and centres[:, 2].max() <= 2.8 + 1e-6
    assert np.ptp(centres[:, 2]) > 2.3
    away = centres[:, :2] - PLACE
    assert np.linalg.norm(away, axis=1).min() >= 0.6 - 1e-6
    sides = np.bincount(((np.arctan2(*away.T) + np.pi) / (np.pi / 4)).astype(int) % 8)
    assert sides.min() > 60  # of 100


def test_bodies_have_all_sizes_and_are_cut_off_at_all_sides(cameras: list[Camera]) -> None:
    upright = [camera for camera in cameras if abs(_roll(camera)) < np.pi / 4]
    focal = np.array([camera.focal_px / camera.height for camera in upright])
    ground = np.array([np.linalg.norm(camera.centre[:2] - PLACE) for camera in upright])
    size = 1.7 * focal / ground
    assert size.min() > 0.18 and size.max() < 3.4
    assert 0.5 < np.mean((size > 0.4) & (size < 1.1)) < 0.75
    cut = {"left": 0, "right": 0, "feet": 0, "head": 0}
    for camera in upright:
        assert (camera.depth(BODY) > 0).any()
        image = camera.project(BODY)
        cut["left"] += image[2, 0] < 0.08 * camera.width
        cut["right"] += image[2, 0] > 0.92 * camera.width
        cut["feet"] += image[0, 1] > camera.height
        cut["head"] += image[4, 1] < 0
    count = len(upright)
    assert all(number > 0.03 * count for number in cut.values()), cut
    assert cut["feet"] > cut["head"]


def test_most_cameras_are_level_and_a_few_on_their_side(cameras: list[Camera]) -> None:
    rolls = np.abs(np.rad2deg([_roll(camera) for camera in cameras]))
    assert 0.8 < np.mean(rolls <= 5.01) < 0.95
    assert 0.04 < np.mean((rolls > 5.01) & (rolls <= 30.01)) < 0.2
    assert 0.002 < np.mean(rolls > 59) < 0.05


def _roll(camera: Camera) -> float:
    rotation = decompose(camera.matrix)[1]
    return float(np.arctan2(rotation[0, 2], -rotation[1, 2]))
