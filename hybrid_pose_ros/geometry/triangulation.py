# SPDX-License-Identifier: Apache-2.0
"""Points in space from their images in two or more cameras."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hybrid_pose_ros.geometry.cameras import Camera


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
        image_points: (u, v) in pixels of each camera, [V, ..., 2].
        weights: how far each image point is to be trusted, [V, ...]; 0, or an image point that is
            not finite: not seen. ``None``: all alike.

    Raises:
        ValueError: fewer than two cameras, or as many image points as there are cameras are not
            given, or a weight is negative.
    """
    image_points = np.asarray(image_points, np.float64)
    if len(cameras) < 2 or len(image_points) != len(cameras):
        raise ValueError(
            f"triangulation needs two cameras or more and image points of each, not "
            f"{len(cameras)} cameras and {len(image_points)} sets of image points"
        )
    seen = np.isfinite(image_points).all(-1)
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


def _solve(equations: NDArray[np.float64]) -> NDArray[np.float64]:
    """Least squares for X in ``equations @ (X, 1) = 0``: [V, ..., 2, 4] -> [..., 3]."""
    rows = np.moveaxis(equations, 0, -3)
    rows = rows.reshape(*rows.shape[:-3], -1, 4)
    # pinv, because a point seen by fewer than two cameras leaves a singular system
    return np.asarray(-(np.linalg.pinv(rows[..., :3]) @ rows[..., 3:])[..., 0])
