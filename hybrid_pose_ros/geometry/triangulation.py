# SPDX-License-Identifier: Apache-2.0
"""Points in space from their images in two or more cameras."""

import itertools
from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hybrid_pose_ros.geometry.cameras import Camera

CLOSE: Final = 1 / 3
"""Part of the largest error up to which nobody is doubted."""


class Triangulation(NamedTuple):
    """Triangulated points.

    Attributes:
        points: [..., 3] in metres; NaN where fewer than two cameras see the point.
        reprojection_px: root of the weighted mean of the squared distances between the given
            image points and those of the result, [...]; NaN likewise.
    """

    points: NDArray[np.float64]
    reprojection_px: NDArray[np.float64]


def triangulate(
    cameras: Sequence[Camera],
    image_points: NDArray[np.floating],
    weights: NDArray[np.floating] | None = None,
) -> Triangulation:
    """Find the points that project closest to the given ones (direct linear transform).

    Each camera contributes the two equations ``u (m3 X) = m1 X`` and ``v (m3 X) = m2 X`` for the
    rows m of its matrix. They are linear in X, and their residuals are pixels times depth. A
    second solution with each equation divided by the depth of the first makes them pixels
    (Hartley and Sturm, "Triangulation", 1997).

    Args:
        cameras: the V cameras, at least two.
        image_points: (u, v) in pixels of each camera, [V, ..., 2]; distortion is undone here.
        weights: how far each image point is to be trusted, [V, ...]; 0, or an image point that is
            not finite: not seen. ``None``: all alike.

    Raises:
        ValueError: fewer than two cameras, or as many image points as there are cameras are not
            given, or a weight is negative.
    """
    return _triangulate(cameras, _undistort(cameras, image_points), weights)


def _undistort(
    cameras: Sequence[Camera], image_points: NDArray[np.floating]
) -> NDArray[np.float64]:
    """Return the image points as the cameras would see them without distortion, [V, ..., 2]."""
    points = np.asarray(image_points, np.float64)
    if len(cameras) != len(points) or all(own.distortion is None for own in cameras):
        return points
    return np.stack([camera.undistort(own) for camera, own in zip(cameras, points, strict=True)])


def _triangulate(
    cameras: Sequence[Camera],
    image_points: NDArray[np.float64],
    weights: NDArray[np.floating] | None,
) -> Triangulation:
    """Triangulate from image points without distortion."""
    if len(cameras) < 2 or len(image_points) != len(cameras):
        raise ValueError(
            f"triangulation needs two cameras or more and image points of each, not "
            f"{len(cameras)} cameras and {len(image_points)} sets of image points"
        )
    seen = np.asarray(np.isfinite(image_points).all(-1))
    if weights is None:
        trust = seen.astype(np.float64)
    else:
        trust = np.where(seen, np.broadcast_to(weights, seen.shape), 0.0)
        if (trust < 0).any():
            raise ValueError("a weight is negative")
    image_points = np.where(seen[..., None], image_points, 0.0)
    enough = (trust > 0).sum(0) >= 2

    matrices = np.stack([camera.matrix for camera in cameras])
    # [V, ..., 2, 4]
    shaped = matrices.reshape(len(cameras), *(1,) * (image_points.ndim - 2), 3, 4)
    equations = image_points[..., None] * shaped[..., 2:, :] - shaped[..., :2, :]
    equations = equations * np.sqrt(trust)[..., None, None]
    points = _solve(equations)
    depth = np.stack([camera.depth(points) for camera in cameras])
    # a camera that the first solution lies beside or behind keeps its place, but no more
    depth = np.maximum(np.abs(depth), 1e-3)
    points = _solve(equations / depth[..., None, None])

    projected = np.stack([camera.project(points) for camera in cameras])
    squares = np.square(projected - image_points).sum(-1)
    total = np.where(enough, trust.sum(0), 1.0)
    reprojection = np.sqrt((trust * squares).sum(0) / total)
    return Triangulation(
        np.where(enough[..., None], points, np.nan), np.where(enough, reprojection, np.nan)
    )


class Agreement(NamedTuple):
    """Points on which cameras agree.

    Attributes:
        points: [..., 3] in metres; NaN where no two cameras agree.
        reprojection_px: as in :class:`Triangulation`, over the cameras used.
        used: whether the camera's image point has a part in the point, [V, ...].
    """

    points: NDArray[np.float64]
    reprojection_px: NDArray[np.float64]
    used: NDArray[np.bool_]


def triangulate_agreeing(
    cameras: Sequence[Camera],
    image_points: NDArray[np.floating],
    weights: NDArray[np.floating],
    max_error_px: float,
) -> Agreement:
    """Triangulate without the cameras whose image points contradict the others'.

    Where the common point is not close to all image points, each pair of cameras proposes a
    point, too. The proposal with the smallest sum of squared distances wins, distances beyond
    ``max_error_px`` counting as that (MSAC: Torr and Zisserman, 2000); cameras within it are
    used. All pairs are tried, so the result is no matter of chance. The weights have no say in
    who is used: a camera that is sure of the wrong thing is outvoted.

    Args:
        cameras, image_points, weights: as for :func:`triangulate`.
        max_error_px: largest distance between an image point and the projection of the result.

    Raises:
        ValueError: as :func:`triangulate`.
    """
    images = _undistort(cameras, image_points)
    trust = np.where(np.isfinite(images).all(-1), weights, 0.0).astype(np.float64)
    points, reprojection = _triangulate(cameras, images, trust)
    used = (trust > 0) & np.isfinite(reprojection)
    close = _errors(cameras, points, images) <= CLOSE * max_error_px
    doubtful = (used & ~close).any(0)
    if doubtful.any():
        images, trust = images[:, doubtful], trust[:, doubtful]
        chosen = _choose(cameras, images, trust, points[doubtful], max_error_px)
        used[:, doubtful] = chosen
        points[doubtful], reprojection[doubtful] = _triangulate(cameras, images, trust * chosen)
    return Agreement(points, reprojection, used)


def _choose(
    cameras: Sequence[Camera],
    image_points: NDArray[np.float64],
    weights: NDArray[np.float64],
    points: NDArray[np.float64],
    max_error_px: float,
) -> NDArray[np.bool_]:
    """Return which cameras to use for each of N points, [V, N]: none, or two or more.

    Args:
        image_points: [V, N, 2].
        weights: [V, N].
        points: those of all cameras together, [N, 3].
    """
    pairs = np.array(list(itertools.combinations(range(len(cameras)), 2)))
    members = np.zeros((len(cameras), len(pairs), 1), bool)
    for row in pairs.T:
        members[row, np.arange(len(pairs))] = True
    images = np.repeat(image_points[:, None], len(pairs), axis=1)
    proposed = _triangulate(cameras, images, members * weights[:, None]).points
    proposed = np.concatenate((points[None], proposed))

    seen = (weights > 0)[:, None]
    errors = _errors(cameras, proposed, image_points[:, None])
    # NaN, of a pair of which one does not see the point, is not within any distance
    agrees = (errors <= max_error_px) & seen
    squares = np.where(agrees, errors, max_error_px) ** 2 * seen
    cost = np.where(agrees.sum(0) >= 2, squares.sum(0), np.inf)
    best, index = cost.argmin(0), np.arange(cost.shape[1])
    return np.asarray(agrees[:, best, index] & np.isfinite(cost[best, index]))


def _errors(
    cameras: Sequence[Camera], points: NDArray[np.float64], image_points: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the distances in the images in pixels, [V, ...]; inf for a point behind a camera."""
    projected = np.stack([camera.project(points) for camera in cameras])
    depth = np.stack([camera.depth(points) for camera in cameras])
    distance = np.linalg.norm(projected - image_points, axis=-1)
    return np.asarray(np.where(depth > 0, distance, np.inf))


def _solve(equations: NDArray[np.float64]) -> NDArray[np.float64]:
    """Least squares for X in ``equations @ (X, 1) = 0``: [V, ..., 2, 4] -> [..., 3]."""
    rows = np.moveaxis(equations, 0, -3)
    rows = rows.reshape(*rows.shape[:-3], -1, 4)
    # pinv, because a point seen by fewer than two cameras leaves a singular system
    return np.asarray(-(np.linalg.pinv(rows[..., :3]) @ rows[..., 3:])[..., 0])
