# SPDX-License-Identifier: Apache-2.0
"""Distortion is undone as OpenCV makes it, and triangulation sees none of it."""

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from std_msgs.msg import Header

from hybrid_pose_ros.geometry.calibration import read_calibration
from hybrid_pose_ros.geometry.cameras import DHP19_LIKE, Camera, decompose
from hybrid_pose_ros.geometry.distortion import Distortion
from hybrid_pose_ros.geometry.triangulation import triangulate, triangulate_agreeing
from hybrid_pose_ros.interfaces.messages import camera_from_info, camera_info_message

LENSES = {
    "barrel": ("plumb_bob", (-0.3, 0.1, 0.002, -0.001, -0.02)),
    "pincushion": ("plumb_bob", (0.1, 0.02, 0.0, 0.001)),
    "rational": ("rational_polynomial", (0.5, 0.1, 0.001, -0.002, 0.01, 0.8, 0.2, 0.02)),
    "fisheye": ("equidistant", (-0.03, 0.01, -0.005, 0.001)),
}

POINTS = np.random.default_rng(0).uniform((-0.6, -0.6, 0.1), (0.6, 0.6, 1.9), (13, 3))


def with_lens(camera: Camera, lens: str) -> Camera:
    model, coefficients = LENSES[lens]
    return replace(camera, distortion=Distortion(model, coefficients, decompose(camera.matrix)[0]))


def see(camera: Camera, points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Project points with distortion, by OpenCV."""
    lens = camera.distortion
    assert lens is not None
    k, rotation = decompose(camera.matrix)
    local = points @ rotation.T - rotation @ camera.centre
    zero, numbers = np.zeros(3), np.array(lens.coefficients)
    if lens.model == "equidistant":
        image, _ = cv2.fisheye.projectPoints(local[:, None], zero, zero, k, numbers)
    else:
        image, _ = cv2.projectPoints(local, zero, zero, k, numbers)
    return np.asarray(image).reshape(-1, 2)


@pytest.mark.parametrize("lens", LENSES)
def test_what_opencv_distorts_is_undone(lens: str) -> None:
    camera = with_lens(DHP19_LIKE[0], lens)
    seen, ideal = see(camera, POINTS), camera.project(POINTS)
    assert np.abs(seen - ideal).max() > 0.9
    np.testing.assert_allclose(camera.undistort(seen), ideal, atol=1e-5)
    principal = decompose(camera.matrix)[0][:2, 2]
    if lens in ("fisheye", "pincushion"):
        np.testing.assert_allclose(camera.undistort(principal), principal, atol=0.5)


@pytest.mark.parametrize("lens", LENSES)
def test_triangulated_points_are_those_that_were_seen(lens: str) -> None:
    cameras = [with_lens(camera, lens) for camera in DHP19_LIKE]
    images = np.stack([see(camera, POINTS) for camera in cameras])
    found = triangulate(cameras, images)
    np.testing.assert_allclose(found.points, POINTS, atol=1e-6)
    assert found.reprojection_px.max() < 1e-4
    agreed = triangulate_agreeing(cameras, images, np.ones(images.shape[:2]), 15.0)
    np.testing.assert_allclose(agreed.points, POINTS, atol=1e-6)
    plain = [replace(camera, distortion=None) for camera in cameras]
    assert np.abs(triangulate(plain, images).points - POINTS).max() > 2e-3  # what it is for


@pytest.mark.parametrize("lens", LENSES)
def test_what_is_not_seen_or_cannot_be_undone_is_nan(lens: str) -> None:
    camera = with_lens(DHP19_LIKE[0], lens)
    images = np.array([[np.nan, 3.0], [1e5, -1e5], [170.0, 130.0]])
    found = camera.undistort(images)
    assert np.isnan(found[0]).any()
    assert np.isfinite(found[2]).all()
    assert camera.undistort(np.empty((0, 2))).shape == (0, 2)


def test_camera_info_brings_its_lens() -> None:
    camera = DHP19_LIKE[0]
    info = camera_info_message(camera, Header())
    info.distortion_model, info.d = "plumb_bob", [-0.3, 0.1, 0.002, -0.001, -0.02]
    found = camera_from_info(info)
    assert found is not None
    seen = see(with_lens(camera, "barrel"), POINTS)
    np.testing.assert_allclose(found.undistort(seen), camera.project(POINTS), atol=1e-5)
    info.k = [2 * value for value in info.k[:6]] + [0.0, 0.0, 1.0]
    found = camera_from_info(info)  # the image that is distorted has twice the pixels
    assert found is not None
    np.testing.assert_allclose(found.undistort(2 * seen), camera.project(POINTS), atol=1e-5)


def test_a_file_brings_its_lens(tmp_path: Path) -> None:
    path = tmp_path / "calibration.yaml"
    rows = DHP19_LIKE[0].matrix.tolist()
    path.write_text(
        f"cameras: {{cam0: {{width: 346, height: 260, projection: {rows}, "
        "distortion_model: equidistant, distortion: [-0.03, 0.01, -0.005, 0.001]}}"
    )
    camera = read_calibration(path, ["cam0"])["cam0"]
    seen = see(with_lens(DHP19_LIKE[0], "fisheye"), POINTS)
    np.testing.assert_allclose(camera.undistort(seen), DHP19_LIKE[0].project(POINTS), atol=1e-5)
