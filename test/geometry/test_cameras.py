# SPDX-License-Identifier: Apache-2.0
"""Projection, depth and the conventions of DHP19's matrices."""

import os
from pathlib import Path

import numpy as np
import pytest

from hybrid_pose_ros.geometry.cameras import (
    DHP19_LIKE,
    DHP19_MATRICES,
    Camera,
    CameraError,
    load_dhp19_cameras,
)

PINHOLE = Camera.look_at((0, -4, 1), (0, 0, 1), 200.0)
"""Stands at y = -4 and looks along +y, so that +x is to the right in the image."""


@pytest.fixture
def dhp19_folder() -> Path:
    root = os.environ.get("HYBRID_POSE_DATA")
    if root is None or not (Path(root) / "dhp19").is_dir():
        pytest.skip("HYBRID_POSE_DATA names no folder with dhp19/")
    return Path(root) / "dhp19"


@pytest.mark.parametrize("roll", [0.0, 0.3])
def test_target_is_in_the_middle_of_the_image(roll: float) -> None:
    target = np.array((0.3, -0.2, 1.1))
    camera = Camera.look_at((2.0, 3.0, 1.5), target, 310.0, width=320, height=240, roll=roll)
    assert camera.project(target) == pytest.approx((159.5, 119.5))


def test_pinhole_values() -> None:
    points = np.array(((0.5, 0, 1), (0, 0, 1.5), (0.5, 4, 0)))
    # 4 m away 1 m takes 50 px, 8 m away 25 px; up in the world is less v
    expected = ((172.5 + 25, 129.5), (172.5, 129.5 - 25), (172.5 + 12.5, 129.5 + 25))
    assert PINHOLE.project(points) == pytest.approx(np.array(expected))
    assert PINHOLE.depth(points) == pytest.approx((4, 4, 8))


def test_roll_turns_the_camera_clockwise() -> None:
    rolled = Camera.look_at((0, -4, 1), (0, 0, 1), 200.0, roll=np.pi / 2)
    # what was above appears to the left of a camera lying on its right side
    assert rolled.project(np.array((0, 0, 1.5))) == pytest.approx((172.5 - 25, 129.5))


def test_centre_and_focal_length() -> None:
    camera = Camera.look_at((1.5, -2.5, 0.7), (0, 0, 1), 280.0, roll=0.2)
    assert camera.centre == pytest.approx((1.5, -2.5, 0.7))
    assert camera.focal_px == pytest.approx(280.0)
    assert camera.depth(camera.centre) == pytest.approx(0.0)


def test_points_keep_their_leading_dimensions() -> None:
    points = np.random.default_rng(0).normal(0, 0.3, (4, 13, 3))
    projected, depth = PINHOLE.project(points), PINHOLE.depth(points)
    assert projected.shape == (4, 13, 2)
    assert depth.shape == (4, 13)
    assert projected[2, 5] == pytest.approx(PINHOLE.project(points[2, 5]))


@pytest.mark.parametrize("scale", [1.0, -0.37])
def test_dhp19_matrix_means_the_same_at_any_scale_and_sign(scale: float) -> None:
    # u = a / w, v = 260 - b / w of millimetres, for a camera at y = -3 m that looks along +y
    projection = np.array(((320.0, 170, 0, 0), (0, 130, 320, 0), (0, 1, 0, 0)))
    projection[:, 3] = -projection[:, :3] @ (0, -3000.0, 1000.0)
    camera = Camera.from_dhp19(scale * projection, "P9")
    assert camera.project(np.array((0.3, 0, 1.6))) == pytest.approx((170 + 32, 260 - 130 - 64))
    assert camera.depth(np.array((0.3, 0, 1.6))) == pytest.approx(3.0)
    assert camera.centre == pytest.approx((0, -3, 1))
    assert (camera.width, camera.height, camera.name) == (346, 260, "P9")


def test_dhp19_matrix_of_another_shape_is_refused() -> None:
    with pytest.raises(CameraError, match=r"P9: projection must be three rows of four"):
        Camera.from_dhp19(np.eye(3), "P9")


@pytest.mark.parametrize("content", [b"no array", b"\x93NUMPY\x01\x00"])
def test_a_damaged_dhp19_matrix_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "P1.npy").write_bytes(content)
    for name in ("P2", "P3", "P4"):
        np.save(tmp_path / f"{name}.npy", np.eye(3, 4))
    with pytest.raises(CameraError, match=r"P1\.npy: holds no array of numbers"):
        load_dhp19_cameras(tmp_path)


def test_missing_matrix_is_named(tmp_path: Path) -> None:
    for name in ("P1", "P2", "P4"):
        np.save(tmp_path / f"{name}.npy", np.eye(3, 4))
    with pytest.raises(CameraError, match=r"P3\.npy"):
        load_dhp19_cameras(tmp_path)


@pytest.mark.parametrize("camera", DHP19_LIKE, ids=lambda camera: camera.name)
def test_own_cameras_frame_a_person(camera: Camera) -> None:
    feet, crown = camera.project(np.array(((0, 0, 0), (0, 0, 1.8))))
    assert 0 <= crown[1] < feet[1] < camera.height
    assert feet[1] - crown[1] > 0.6 * camera.height


def test_left_cameras_see_the_right_side_of_a_person_who_faces_them() -> None:
    # a person who faces -y has the right side at -x
    for camera in DHP19_LIKE:
        assert ("left" in camera.name) == (camera.centre[0] < 0)
    front = DHP19_LIKE[0]
    right_hand, left_hand = front.project(np.array(((-0.4, 0, 1), (0.4, 0, 1))))
    assert right_hand[0] < left_hand[0]


@pytest.mark.parametrize(("channel", "matrix"), [(3, "P2"), (2, "P3")])
def test_published_pixels_are_reproduced(dhp19_folder: Path, channel: int, matrix: str) -> None:
    camera = load_dhp19_cameras(dhp19_folder)[channel]
    with np.load(dhp19_folder / "label_sample.npz") as label:
        joints_m, published = label["vicon_xyz_mm"] / 1000, label[f"pixels_vu_{matrix}"]
    assert np.array_equal(np.floor(camera.project(joints_m))[:, ::-1], published)
    assert np.all(camera.depth(joints_m) > 1)


def test_dhp19_centres_are_the_published_ones(dhp19_folder: Path) -> None:
    published_m = np.load(dhp19_folder / "camera_positions.npy") / 1000
    for channel, camera in load_dhp19_cameras(dhp19_folder).items():
        number = int(DHP19_MATRICES[channel].removeprefix("P"))
        # computed by others; agreement to a centimetre is what can be expected
        assert camera.centre == pytest.approx(published_m[number - 1], abs=0.01)
