# SPDX-License-Identifier: Apache-2.0
"""Calibrations and poses that no camera or person has are refused where they enter."""

import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from sensor_msgs.msg import CameraInfo
from std_msgs.msg import Header

from hybrid_pose_ros.geometry.calibration import make_camera, read_calibration
from hybrid_pose_ros.geometry.cameras import (
    DHP19_LIKE,
    Camera,
    CameraError,
    load_dhp19_cameras,
)
from hybrid_pose_ros.geometry.ranges import RangeError, check_range
from hybrid_pose_ros.interfaces.messages import (
    Sensor,
    camera_from_info,
    camera_info_message,
    joints_from_message,
    pose_from_message,
    pose_message,
)
from hybrid_pose_ros.msg import PoseKeypoints, PoseKeypoints3D
from hybrid_pose_ros.pipeline.state import Pose

CAMERA = DHP19_LIKE[0]
HEADER = Header(frame_id="cam0")


def changed(place: tuple[int, int], value: float) -> NDArray[np.float64]:
    matrix = CAMERA.matrix.copy()
    matrix[place] = value
    return matrix


MATRICES = {
    "huge": CAMERA.matrix * 1e200,
    "tiny": CAMERA.matrix * 1e-200,
    "one huge": changed((0, 3), 1e200),
    "NaN": changed((1, 1), np.nan),
    "infinite": changed((2, 3), np.inf),
    "zeros": np.zeros((3, 4)),
    "a row of zeros": CAMERA.matrix * [[1], [1], [0]],
    "rank 2": CAMERA.matrix[[0, 1, 1]],
    "rank 1": np.ones((3, 4)),
    "far away": CAMERA.matrix + CAMERA.matrix[:, :3] @ np.full((3, 1), 1e9) * [0, 0, 0, 1],
    "no focal length": np.diag([1e-9, 1e-9, 1.0]) @ CAMERA.matrix,
    "3x3": CAMERA.matrix[:, :3],
}


@pytest.mark.parametrize("matrix", MATRICES.values(), ids=MATRICES)
def test_matrices_of_no_camera_are_refused(tmp_path: Path, matrix: NDArray[np.float64]) -> None:
    with pytest.raises(CameraError, match="odd: "):
        make_camera(346, 260, matrix, "odd")
    with pytest.raises(CameraError):
        Camera.from_dhp19(matrix, "P1")
    for name in ("P1", "P2", "P3", "P4"):
        np.save(tmp_path / f"{name}.npy", CAMERA.to_dhp19())
    load_dhp19_cameras(tmp_path)
    np.save(tmp_path / "P1.npy", matrix)
    with pytest.raises(CameraError, match=r"P1\.npy: "):
        load_dhp19_cameras(tmp_path)
    if matrix.shape == (3, 4) and matrix.any():
        info = camera_info_message(CAMERA, HEADER)
        info.p = matrix.ravel()
        with pytest.raises(CameraError, match="cam0"):
            camera_from_info(info)


@pytest.mark.parametrize("scale", [1.0, -1.0, 1e-6, 1e6])
def test_the_scale_of_a_projection_does_not_matter(scale: float) -> None:
    camera = make_camera(346, 260, CAMERA.matrix * scale, "")
    np.testing.assert_allclose(camera.matrix, CAMERA.matrix)


def distorted(**fields: object) -> CameraInfo:
    info = camera_info_message(CAMERA, HEADER)
    for name, value in fields.items():
        setattr(info, name, value)
    return info


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"distortion_model": "mirror_ball", "d": [0.1] * 5}, "'mirror_ball' is not known"),
        ({"distortion_model": "", "d": [0.1] * 5}, "'' is not known"),
        ({"d": [0.1] * 3}, "has 4 or 5 distortion coefficients, not 3"),
        ({"d": [np.nan] * 5}, "distortion coefficient: nan"),
        ({"d": [1e9] * 5}, "distortion coefficient: 1e"),
        ({"d": [0.1] * 5, "k": [np.inf, *[0.0] * 8]}, "k: inf"),
        ({"d": [0.1] * 5, "k": [0.0, 0.0, 1.0, *[0.0] * 6]}, "focal length in k"),
        ({"width": 0}, "from 1 to"),
        ({"height": 2**31}, "from 1 to"),
    ],
)
def test_camera_info_of_no_camera_is_refused(fields: dict[str, object], reason: str) -> None:
    with pytest.raises(CameraError, match=reason):
        camera_from_info(distorted(**fields))


def test_no_distortion_needs_no_model() -> None:
    for fields in ({"distortion_model": "", "d": []}, {"distortion_model": "x", "d": [0.0] * 5}):
        camera = camera_from_info(distorted(**fields))
        assert camera is not None and camera.distortion is None


NESTED = "cameras: " + "[" * 30_000
ALIASED = "\n".join(
    ["a0: &a0 [1.0, 1.0]", *(f"a{i + 1}: &a{i + 1} [*a{i}, *a{i}]" for i in range(40))]
)
CALIBRATIONS = {
    "nested": (NESTED, "nested more than"),
    "aliased": (f"{ALIASED}\ncameras: {{cam0: {{projection: *a40}}}}", "aliases are not read"),
    "recursive": ("cameras: &c {cam0: *c}", "aliases are not read"),
    "large": ("cameras: {}\n" + "#" * 100_000, "larger than 65536 bytes"),
    "no date": ("cameras: 2001-99-99", "not YAML"),
    "no text": ("cameras: \x00", "not YAML"),
    "huge number": (f"cameras: {{cam0: {{width: 1{'0' * 5000}}}}}", "not YAML"),
    "tag": ("cameras: !!python/object:os.system {}", "not YAML"),
    "unhashable": ("cameras: {? [a] : 1}", "cam0|not YAML|not a table"),
    "truth": ("cameras: {cam0: {width: true, height: 2}}", "whole number"),
    "list": ("[1, 2]", "no cameras"),
    "infinite": (
        "cameras: {cam0: {width: 3, height: 2, projection: [[.inf,0,0,0],[0,1,0,0],[0,0,1,0]]}}",
        "projection must be",
    ),
    "distortion": (
        "cameras: {cam0: {width: 3, height: 2, distortion: {a: 1}, "
        "projection: [[1,0,0,0],[0,1,0,0],[0,0,1,0]]}}",
        "cam0",
    ),
}


@pytest.mark.parametrize(("text", "reason"), CALIBRATIONS.values(), ids=CALIBRATIONS)
def test_yaml_that_is_no_calibration_is_one_sentence_in_a_second(
    tmp_path: Path, text: str, reason: str
) -> None:
    path = tmp_path / "calibration.yaml"
    path.write_text(text)
    start = time.perf_counter()
    with pytest.raises(CameraError, match=reason) as caught:
        read_calibration(path, ["cam0"])
    assert time.perf_counter() - start < 1.0
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "content",
    [
        b"\x93NUMPY\x01\x00v\x00{'descr': '<f8', 'fortran_order': False, 'shape': (99999999999,)}",
        b"PK\x03\x04 no archive",
        b"\x80\x04N.",
        b"x" * 100_000,
    ],
)
def test_damaged_matrix_files_are_named(tmp_path: Path, content: bytes) -> None:
    for name in ("P1", "P2", "P3", "P4"):
        (tmp_path / f"{name}.npy").write_bytes(content)
    with pytest.raises(CameraError, match=r"P4\.npy: holds no array of numbers"):
        load_dhp19_cameras(tmp_path)


def pose_with(**first: float) -> PoseKeypoints:
    pose = Pose(1, np.ones((13, 2), np.float32), np.ones(13, np.float32), "snn", 1, 1)
    message = pose_message(pose, HEADER, Sensor(346, 260))
    for name, value in first.items():
        setattr(message.keypoints[0], name, value)
    return message


@pytest.mark.parametrize(
    "first",
    [
        {"x": 1e38},
        {"y": -1e38},
        {"x": float("inf")},
        {"confidence": 1.5},
        {"confidence": 1e38},
        {"confidence": -0.1},
        {"confidence": float("nan")},
    ],
)
def test_poses_of_no_camera_are_refused(first: dict[str, float]) -> None:
    pose_from_message(pose_with())
    with pytest.raises(RangeError):
        pose_from_message(pose_with(**first))


def test_joints_of_no_person_are_refused() -> None:
    message = PoseKeypoints3D()
    for joint, point in enumerate(message.keypoints):
        point.id, point.confidence, point.x = joint, 1.0, 1.0
    joints_from_message(message)
    message.keypoints[4].z = 1e38
    with pytest.raises(RangeError, match="place of a joint"):
        joints_from_message(message)
    for point in message.keypoints:
        point.confidence = float("nan")
    assert np.isnan(joints_from_message(message)).all()


def test_nan_is_out_of_range_unless_it_is_allowed() -> None:
    check_range("x", [0.0, np.nan, 1.0], 0.0, 1.0, nan=True)
    with pytest.raises(RangeError, match="x: nan is not from 0 to 1"):
        check_range("x", [0.0, np.nan], 0.0, 1.0)
    check_range("x", [], 0.0, 1.0)


@pytest.mark.parametrize("kind", [np.float16, np.float32, np.int64])
def test_numbers_of_any_size_make_the_same_camera(kind: type) -> None:
    """Those of 16 bits have no norm above 255, and none that NumPy solves."""
    matrix: NDArray[Any] = np.round(CAMERA.matrix).astype(kind)
    camera = make_camera(346, 260, matrix, "")
    expected = make_camera(346, 260, np.round(CAMERA.matrix), "")
    np.testing.assert_allclose(camera.matrix, expected.matrix, rtol=1e-3)
    assert camera.matrix.dtype == np.float64


def test_a_matrix_of_complex_numbers_is_no_projection(tmp_path: Path) -> None:
    for name in ("P1", "P2", "P3", "P4"):
        np.save(tmp_path / f"{name}.npy", CAMERA.to_dhp19() * (1 if name != "P2" else 1j))
    with pytest.raises(CameraError, match=r"P2\.npy: .*complex128 instead of real numbers"):
        load_dhp19_cameras(tmp_path)


def test_a_matrix_of_texts_is_no_projection() -> None:
    with pytest.raises(CameraError, match=r"odd: projection must be .* of <U1"):
        make_camera(346, 260, np.full((3, 4), "1"), "odd")  # type: ignore[arg-type]
