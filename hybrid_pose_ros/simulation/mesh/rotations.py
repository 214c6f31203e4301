# SPDX-License-Identifier: Apache-2.0
"""Rotation matrices [..., 3, 3] of arrays of vectors; columns are the images of the axes."""

import numpy as np

from hybrid_pose_ros.arrays import F64
from hybrid_pose_ros.simulation.markers import unit


def frame(first: F64, second: F64) -> F64:
    """Orthonormal axes: along ``first`` [..., 3], then towards ``second``."""
    first, second = np.broadcast_arrays(unit(first), second)
    second = unit(second - np.sum(second * first, -1, keepdims=True) * first)
    return np.stack((first, second, np.cross(first, second)), -1)


def _cross_matrix(vectors: F64) -> F64:
    matrix = np.zeros((*vectors.shape, 3))
    x, y, z = np.moveaxis(vectors, -1, 0)
    matrix[..., 0, 1], matrix[..., 0, 2], matrix[..., 1, 2] = -z, y, -x
    matrix[..., 1, 0], matrix[..., 2, 0], matrix[..., 2, 1] = z, -y, x
    return matrix


def swing(start: F64, end: F64) -> F64:
    """Turn unit vectors ``start`` into ``end`` the shortest way."""
    cross = _cross_matrix(np.asarray(np.cross(start, end), np.float64))
    cosine = np.sum(start * end, -1)[..., None, None]
    return np.asarray(np.eye(3) + cross + cross @ cross / np.maximum(1.0 + cosine, 1e-3))


def about(axis: F64, angle: F64) -> F64:
    """Turn about unit vectors by angles in radians."""
    cross = _cross_matrix(np.broadcast_to(axis, (*np.shape(angle), 3)))
    sine, cosine = np.sin(angle)[..., None, None], np.cos(angle)[..., None, None]
    return np.asarray(np.eye(3) + sine * cross + (1.0 - cosine) * cross @ cross)


def between(start: F64, end: F64, share: float | F64) -> F64:
    """Rotations a share of the way from ``start`` to ``end``; these are no half turn apart."""
    weight = np.asarray(share)[..., None, None]
    mixed = (1.0 - weight) * start + weight * end
    return frame(mixed[..., :, 0], mixed[..., :, 1])


def smooth_step(value: F64, low: float, high: float) -> F64:
    """Rise smoothly from 0 at ``low`` to 1 at ``high``."""
    share = np.clip((value - low) / (high - low), 0.0, 1.0)
    return np.asarray(share * share * (3.0 - 2.0 * share))
