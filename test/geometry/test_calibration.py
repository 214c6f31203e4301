# SPDX-License-Identifier: Apache-2.0
"""Calibrations from files."""

from pathlib import Path

import numpy as np
import pytest
import yaml

from hybrid_pose_ros.geometry.calibration import make_camera, read_calibration
from hybrid_pose_ros.geometry.cameras import DHP19_LIKE, DHP19_MATRICES, CameraError, decompose

CAMERA = DHP19_LIKE[2]


def write(path: Path, **cameras: object) -> Path:
    path.write_text(yaml.safe_dump({"cameras": cameras}))
    return path


def entry(**fields: object) -> dict[str, object]:
    return {"width": CAMERA.width, "height": CAMERA.height, **fields}


def test_both_ways_to_write_a_camera_are_the_same(tmp_path: Path) -> None:
    k, r = decompose(CAMERA.matrix)
    t = np.linalg.solve(k, CAMERA.matrix[:, 3])
    path = write(
        tmp_path / "cameras.yaml",
        left=entry(projection=(-7 * CAMERA.matrix).tolist()),
        right=entry(camera_matrix=k.tolist(), rotation=r.tolist(), translation=t.tolist()),
    )
    cameras = read_calibration(path, ["right", "left"])
    assert list(cameras) == ["right", "left"]
    for camera in cameras.values():
        assert (camera.width, camera.height) == (CAMERA.width, CAMERA.height)
        assert camera.matrix == pytest.approx(CAMERA.matrix, abs=1e-9)


def test_cameras_of_dhp19_are_called_by_their_channels(tmp_path: Path) -> None:
    for channel, name in DHP19_MATRICES.items():
        np.save(tmp_path / f"{name}.npy", DHP19_LIKE[channel].to_dhp19())
    cameras = read_calibration(tmp_path, ["cam1", "cam3"])
    assert cameras["cam1"].matrix == pytest.approx(DHP19_LIKE[1].matrix)
    assert cameras["cam3"].matrix == pytest.approx(DHP19_LIKE[3].matrix)
    with pytest.raises(CameraError, match="no camera 'left'; there are cam0, cam1"):
        read_calibration(tmp_path, ["left"])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (": [", "not YAML"),
        ("- 1", "no cameras"),
        ("cameras: {a: 1}", "a: not a table"),
        ("cameras: {a: {width: 3.5, height: 2}}", "width must be a whole number"),
        ("cameras: {a: {width: 3, height: 2}}", "rotation must be 3x3 numbers"),
        ("cameras: {a: {width: 3, height: 2, projection: [[1, 2], [3]]}}", "projection must be"),
        (
            "cameras: {a: {width: 3, height: 2, rotation: [[2, 0, 0], [0, 1, 0], [0, 0, 1]]}}",
            "not a rotation",
        ),
    ],
)
def test_what_is_wrong_with_a_file_is_named(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "cameras.yaml"
    path.write_text(text)
    with pytest.raises(CameraError, match=message):
        read_calibration(path, ["a"])


def test_a_missing_file_and_a_flat_projection_are_refused(tmp_path: Path) -> None:
    with pytest.raises(CameraError, match="no such file"):
        read_calibration(tmp_path / "none.yaml", [])
    with pytest.raises(CameraError, match="less than an image"):
        make_camera(3, 2, np.ones((3, 4)), "flat")
    with pytest.raises(CameraError, match="from 1 to"):
        make_camera(0, 2, CAMERA.matrix, "empty")
