# SPDX-License-Identifier: Apache-2.0
"""Calibrations of several cameras in one world, from files.

A folder is taken for the one of DHP19 with P1.npy to P4.npy; its cameras are called cam0 to cam3
by their channels. A file is YAML::

    cameras:
      cam0:                       # the camera's namespace
        width: 346                # pixels
        height: 260
        projection:               # homogeneous metres in the world to homogeneous pixels
          - [345.0, 0.0, 172.5, 0.0]
          - [0.0, 345.0, 129.5, 0.0]
          - [0.0, 0.0, 1.0, 3.0]
      cam1:
        width: 346
        height: 260
        camera_matrix: [[345.0, 0.0, 172.5], [0.0, 345.0, 129.5], [0.0, 0.0, 1.0]]
        rotation: [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]
        translation: [-1.0, 0.0, 3.0]   # camera = rotation world + translation, metres
        distortion_model: plumb_bob     # or rational_polynomial, equidistant; without: none
        distortion: [-0.2, 0.05, 0.0, 0.0, 0.0]
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import yaml
from numpy.typing import NDArray

from hybrid_pose_ros.geometry.cameras import (
    Camera,
    CameraError,
    decompose,
    load_dhp19_cameras,
    scale_projection,
)
from hybrid_pose_ros.geometry.distortion import Distortion, make_distortion
from hybrid_pose_ros.geometry.ranges import MATRIX
from hybrid_pose_ros.plain_yaml import load_plain
from hybrid_pose_ros.regular_files import find_obstacle

MAX_SIDE: Final = 2**14
"""Columns or rows of the largest sensor."""

MAX_FILE_BYTES: Final = 2**16


def read_calibration(path: Path, names: Sequence[str]) -> dict[str, Camera]:
    """Read the cameras of these names from a folder or file.

    Args:
        path: folder of DHP19's matrices, or YAML file.
        names: namespaces without leading slash, such as ``cam0``.

    Raises:
        CameraError: it cannot be read, or lacks one of the cameras; the message says which.
    """
    if path.is_dir():
        known = {f"cam{channel}": camera for channel, camera in load_dhp19_cameras(path).items()}
    else:
        known = _read_file(path)
    for name in names:
        if name not in known:
            raise CameraError(f"{path}: no camera {name!r}; there are {', '.join(sorted(known))}")
    return {name: known[name] for name in names}


def make_camera(
    width: int,
    height: int,
    projection: NDArray[np.float64],
    name: str,
    distortion: Distortion | None = None,
) -> Camera:
    """Return the camera of a projection matrix of any scale.

    Raises:
        CameraError: the matrix is none of a camera, or the image has no pixels, or too many.
    """
    if not (0 < width <= MAX_SIDE and 0 < height <= MAX_SIDE):
        raise CameraError(
            f"{name}: width and height must be from 1 to {MAX_SIDE}, not {width} x {height}"
        )
    return Camera(width, height, scale_projection(projection, name), name, distortion)


def _read_file(path: Path) -> dict[str, Camera]:
    if obstacle := find_obstacle(path, "a folder of DHP19's matrices or a YAML file"):
        raise CameraError(f"{path}: {obstacle}")
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            raise CameraError(f"{path}: larger than {MAX_FILE_BYTES} bytes, no calibration")
        content = load_plain(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise CameraError(f"{path}: cannot be read ({error.strerror})") from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        if isinstance(error, CameraError):
            raise
        raise CameraError(f"{path}: not YAML ({' '.join(str(error).split())})") from error
    cameras = content.get("cameras") if isinstance(content, dict) else None
    if not isinstance(cameras, dict) or not cameras:
        raise CameraError(f"{path}: no cameras; the file lists them by name under `cameras:`")
    return {str(name): _camera(f"{path}: {name}", entry) for name, entry in cameras.items()}


def _camera(where: str, entry: Any) -> Camera:
    if not isinstance(entry, dict):
        raise CameraError(f"{where}: not a table")
    size = []
    for key in ("width", "height"):
        if type(entry.get(key)) is not int:  # nor a truth value, which is an int
            raise CameraError(f"{where}: {key} must be a whole number of pixels")
        size.append(entry[key])
    if "projection" in entry:
        projection = _matrix(where, entry, "projection", (3, 4))
    else:
        rotation = _matrix(where, entry, "rotation", (3, 3))
        if np.abs(rotation @ rotation.T - np.eye(3)).max() > 1e-3 or np.linalg.det(rotation) < 0:
            raise CameraError(f"{where}: rotation is not a rotation matrix")
        translation = _matrix(where, entry, "translation", (3,))
        intrinsic = _matrix(where, entry, "camera_matrix", (3, 3))
        if intrinsic[2].tolist() != [0.0, 0.0, 1.0]:
            raise CameraError(f"{where}: the last row of camera_matrix must be 0, 0, 1")
        projection = intrinsic @ np.column_stack((rotation, translation))
    camera = make_camera(size[0], size[1], projection, where)
    model, coefficients = entry.get("distortion_model", "plumb_bob"), entry.get("distortion", [])
    try:
        distortion = make_distortion(str(model), coefficients, decompose(camera.matrix)[0])
    except (TypeError, ValueError, OverflowError) as error:
        raise CameraError(f"{where}: {error}") from error
    return replace(camera, distortion=distortion)


def _matrix(
    where: str, entry: dict[str, Any], key: str, shape: tuple[int, ...]
) -> NDArray[np.float64]:
    try:
        matrix = np.array(entry.get(key), np.float64)
    except (TypeError, ValueError, OverflowError):
        matrix = np.empty(0)
    if matrix.shape != shape or not (np.abs(matrix) <= MATRIX).all():
        size = "x".join(map(str, shape))
        raise CameraError(
            f"{where}: {key} must be {size} numbers; a camera has projection, or camera_matrix, "
            "rotation and translation"
        )
    return matrix
