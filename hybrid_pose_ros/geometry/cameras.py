# SPDX-License-Identifier: Apache-2.0
"""Projective cameras.

World coordinates are in metres, right-handed, z up. Image coordinates (u, v) are in pixels, v
down; integers are pixel centres.
"""

from dataclasses import dataclass, field
from pathlib import Path
from tokenize import TokenError
from typing import Final
from zipfile import BadZipFile

import numpy as np
import scipy.linalg
from numpy.typing import ArrayLike, NDArray

from hybrid_pose_ros.errors import UserError
from hybrid_pose_ros.geometry.distortion import Distortion
from hybrid_pose_ros.geometry.ranges import (
    FOCAL_PX,
    MATRIX,
    MAX_METRES,
    MAX_PIXEL,
    RangeError,
    check_range,
)
from hybrid_pose_ros.regular_files import find_obstacle

NEAREST_M: Final = 0.1
"""Depth in metres from which on a camera sees things."""

DHP19_SIZE: Final = (346, 260)
"""Width and height of the DAVIS346."""

DHP19_MATRICES: Final = {0: "P4", 1: "P1", 2: "P3", 3: "P2"}
"""Camera channel -> projection matrix of the data set."""

_ROUNDING: Final = 1e-12
_MAX_FILE_BYTES: Final = 2**16
_DAMAGE: Final = (
    *(ValueError, TypeError, OSError, EOFError),
    *(MemoryError, SyntaxError, BadZipFile, TokenError),
)
"""Errors that NumPy raises of a damaged file."""


class CameraError(UserError, ValueError):
    """A camera cannot be read or built; the message names the file or value."""


@dataclass(frozen=True)
class Camera:
    """A camera.

    Attributes:
        width, height: of the image in pixels.
        matrix: [3, 4], homogeneous metres to homogeneous pixels of an image without distortion;
            scaled so that the third coordinate is the depth in metres along the optical axis.
        name: for people.
        distortion: of the lens; None: none.

    Example:
        >>> camera = Camera.look_at((0.0, -3.0, 1.0), (0.0, 0.0, 1.0), focal_px=345.0)
        >>> camera.matrix.shape, camera.focal_px
        ((3, 4), 345.0)
        >>> points = np.array([(0.0, 0.0, 1.0), (1.0, 0.0, 1.0)])  # [2, 3], in metres
        >>> camera.project(points).round(6).tolist(), camera.depth(points).round(6).tolist()
        ([[172.5, 129.5], [287.5, 129.5]], [3.0, 3.0])
    """

    width: int
    height: int
    matrix: NDArray[np.float64] = field(repr=False)
    name: str = ""
    distortion: Distortion | None = None

    @classmethod
    def look_at(
        cls,
        position: ArrayLike,
        target: ArrayLike,
        focal_px: float,
        width: int = DHP19_SIZE[0],
        height: int = DHP19_SIZE[1],
        roll: float = 0.0,
        name: str = "",
    ) -> "Camera":
        """Place a camera so that ``target`` appears in the middle of the image.

        Args:
            position, target: in metres; the line between them must not be vertical.
            focal_px: focal length in pixels.
            roll: rotation of the camera about its axis, clockwise as it sees, in radians.
        """
        position = np.asarray(position, float)
        forward = np.asarray(target, float) - position
        forward /= np.linalg.norm(forward)
        right = np.cross(forward, (0.0, 0.0, 1.0))
        right /= np.linalg.norm(right)
        down = np.cross(forward, right)
        cosine, sine = np.cos(roll), np.sin(roll)
        rotation = np.stack((cosine * right + sine * down, cosine * down - sine * right, forward))
        intrinsic = np.array(
            ((focal_px, 0, (width - 1) / 2), (0, focal_px, (height - 1) / 2), (0, 0, 1))
        )
        extrinsic = np.column_stack((rotation, -rotation @ position))
        return cls(width, height, intrinsic @ extrinsic, name)

    @classmethod
    def from_dhp19(cls, projection: ArrayLike, name: str = "") -> "Camera":
        """Take over a projection matrix of DHP19, which maps mm and has v upwards from row 260.

        Raises:
            CameraError: the matrix is not one of a camera; see :func:`scale_projection`.
        """
        projection = check_projection(np.asarray(projection, float), name)
        width, height = DHP19_SIZE
        flip = np.array(((1, 0, 0), (0, -1, height), (0, 0, 1)))
        matrix = flip @ projection @ np.diag((1000.0, 1000.0, 1000.0, 1.0))
        # the flip makes the axes right-handed, so a positive determinant means positive depth
        return cls(width, height, scale_projection(matrix, name), name)

    def to_dhp19(self) -> NDArray[np.float64]:
        """Return the projection matrix as DHP19 has it; undoes :meth:`from_dhp19` up to scale."""
        flip = np.array(((1, 0, 0), (0, -1, DHP19_SIZE[1]), (0, 0, 1)))
        return np.asarray(flip @ self.matrix @ np.diag((1e-3, 1e-3, 1e-3, 1.0)))

    @property
    def centre(self) -> NDArray[np.float64]:
        """Position of the camera in metres, [3]."""
        return np.asarray(-np.linalg.solve(self.matrix[:, :3], self.matrix[:, 3]))

    @property
    def focal_px(self) -> float:
        """Focal length in pixels (along u)."""
        return float(np.linalg.norm(np.cross(self.matrix[0, :3], self.matrix[2, :3])))

    def project(self, points: NDArray[np.floating]) -> NDArray[np.float64]:
        """Map points [..., 3] in metres to (u, v), [..., 2]."""
        image = points @ self.matrix[:, :3].T + self.matrix[:, 3]
        return np.asarray(image[..., :2] / image[..., 2:])

    def undistort(self, points: NDArray[np.floating]) -> NDArray[np.float64]:
        """Return where image points (u, v), [..., 2], would lie without distortion.

        :meth:`project` gives image points of that kind. NaN stays NaN, and becomes what the
        distortion maps nothing to.
        """
        if self.distortion is None:
            return np.asarray(points, np.float64)
        return self.distortion.undistort(points, decompose(self.matrix)[0])

    def depth(self, points: NDArray[np.floating]) -> NDArray[np.float64]:
        """Depth of points [..., 3] along the optical axis in metres, [...]."""
        return np.asarray(points @ self.matrix[2, :3] + self.matrix[2, 3])


def check_projection(projection: NDArray[np.float64], name: str) -> NDArray[np.float64]:
    """Return a 3x4 matrix of numbers within bounds and of rank 3, or raise CameraError."""
    if projection.shape != (3, 4) or projection.dtype.kind not in "biuf":
        raise CameraError(
            f"{name}: projection must be three rows of four numbers, not {projection.shape} of "
            f"{projection.dtype}"
        )
    try:
        check_range(f"{name}: projection", projection, -MATRIX, MATRIX)
    except RangeError as error:
        raise CameraError(str(error)) from error
    projection = projection.astype(np.float64, copy=False)  # smaller numbers would overflow
    left = projection[:, :3]
    size = np.linalg.norm(left, axis=1)
    if size.min() < 1 / MATRIX or abs(np.linalg.det(left / size[:, None])) < 1e-9:
        raise CameraError(f"{name}: projection maps the world to less than an image")
    return projection


def scale_projection(projection: NDArray[np.float64], name: str) -> NDArray[np.float64]:
    """Scale a projection of any scale and sign to the depth; checks it, whatever it comes from.

    Args:
        projection: homogeneous metres to homogeneous pixels, [3, 4].
        name: for the error.

    Raises:
        CameraError: the matrix is not a finite 3x4 one of rank 3, or its focal lengths, principal
            point or place are none of a camera.
    """
    projection = check_projection(projection, name)
    left = projection[:, :3]
    scale = float(np.sign(np.linalg.det(left)) / np.linalg.norm(left[2]))
    # one that is scaled already stays as it is, to the bit
    matrix = projection if abs(scale - 1) < _ROUNDING else projection * scale
    intrinsic = decompose(matrix)[0]
    try:
        check_range(f"{name}: focal length (px)", intrinsic.diagonal()[:2], *FOCAL_PX)
        check_range(f"{name}: principal point (px)", intrinsic[:2, 2], -MAX_PIXEL, MAX_PIXEL)
        centre = -np.linalg.solve(matrix[:, :3], matrix[:, 3])
        check_range(f"{name}: place of the camera (m)", centre, -MAX_METRES, MAX_METRES)
    except RangeError as error:
        raise CameraError(str(error)) from error
    return matrix


def decompose(matrix: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Split a projection into camera matrix and rotation, each [3, 3], with p = k (r | t).

    k is upper triangular with a positive diagonal, its last number 1 for a matrix that is scaled
    to the depth.
    """
    k, r = scipy.linalg.rq(matrix[:, :3])
    signs = np.sign(np.diag(k))
    return np.asarray(k * signs), np.asarray(signs[:, None] * r)


def load_dhp19_cameras(folder: Path) -> dict[int, Camera]:
    """Read P1.npy to P4.npy of DHP19; returns channel -> camera.

    Raises:
        CameraError: a file is missing or is not a projection matrix.
    """
    cameras = {}
    for channel, name in DHP19_MATRICES.items():
        path = folder / f"{name}.npy"
        if obstacle := find_obstacle(path, "the folder with DHP19's P1 to P4"):
            raise CameraError(f"{path}: {obstacle}")
        try:
            if path.stat().st_size > _MAX_FILE_BYTES:
                raise ValueError("too large for twelve numbers")
            stored = np.load(path)
            if stored.dtype.kind not in "biuf":
                raise ValueError(f"{stored.dtype} instead of real numbers")
            projection = np.asarray(stored, float)
        except _DAMAGE as error:
            raise CameraError(f"{path}: holds no array of numbers ({error})") from error
        try:
            cameras[channel] = Camera.from_dhp19(projection, f"dhp19_{name}")
        except CameraError as error:
            raise CameraError(f"{path}: {error}; copy it again") from error
    return cameras


DHP19_LIKE: Final = (
    Camera.look_at((-2.0, -2.4, 2.0), (0.0, 0.15, 0.95), 345.0, name="front_left"),
    Camera.look_at((2.0, -2.4, 2.0), (0.0, 0.15, 0.95), 345.0, name="front_right"),
    Camera.look_at((-2.3, 0.0, 2.0), (0.0, 0.15, 0.95), 320.0, name="side_left"),
    Camera.look_at((2.3, 0.0, 2.0), (0.0, 0.15, 0.95), 320.0, name="side_right"),
)
"""Four cameras of the size and about the places of DHP19's, around a person who faces -y."""

VIEWS: Final = tuple(camera.name for camera in DHP19_LIKE)
"""Their names; the first is the simulator's default."""
