# SPDX-License-Identifier: Apache-2.0
"""Draws the body as log intensity: anti-aliased tapered capsules, shaded and textured.

Each part is drawn in the image plane as a tapered capsule between its projected ends. The distance
to its outline gives sub-pixel coverage, the position across it a surface normal and a place in the
texture. A depth buffer orders the parts.
"""

from dataclasses import dataclass
from typing import Final

import numba
import numpy as np
from numpy.typing import NDArray

from hybrid_pose_ros.arrays import F32, F64
from hybrid_pose_ros.geometry.cameras import NEAREST_M, Camera

_EDGE_PX = 1.5
"""Width of an edge in the lens' image."""


TEXTURE_SHAPE: Final = (32, 64)
"""Rows of a part's texture along its axis, columns around it."""


@dataclass(frozen=True)
class Capsules:
    """A body's parts over a number of frames.

    Attributes:
        ends: both ends of each part's axis in metres, [F, P, 2, 3].
        radii: at the two ends in metres, [P, 2].
        forward: unit vector in which the body faces, [F, 3]; textures are fixed to it.
    """

    ends: F64
    radii: F64
    forward: F64


@dataclass(frozen=True)
class Lighting:
    """One distant lamp, light from all around, and stray light in the lens.

    Attributes:
        direction: unit vector towards the lamp.
        ambient: share of light that comes from all around.
        glare: stray light on every pixel, as a share of white; it lowers the contrast.
        rim: share of the light from all around that is missing where a surface turns away.
    """

    direction: tuple[float, float, float]
    ambient: float
    glare: float = 0.0
    rim: float = 0.0

    @classmethod
    def sample(cls, rng: np.random.Generator) -> "Lighting":
        """Draw a lamp above the person, anywhere around."""
        azimuth, height = rng.uniform(0, 2 * np.pi), rng.uniform(0.4, 1.3)
        x, y = np.cos(azimuth) * np.cos(height), np.sin(azimuth) * np.cos(height)
        direction = (float(x), float(y), float(np.sin(height)))
        return cls(direction, rng.uniform(0.3, 0.65), rng.uniform(0.01, 0.06), 0.35)


@dataclass(frozen=True)
class ProjectedParts:
    """Capsules in the image, per frame and part.

    Attributes:
        image: u, v, radius (pixels) and depth (metres) of both ends, [F, P, 2, 4].
        facing: texture angle that faces the camera, and the lamp's component towards the camera
            and to the right across the part, [F, P, 3].
        thickness: mean radius in metres, [P].
    """

    image: F64
    facing: F64
    thickness: F64


def _across(vectors: F64, axis: F64) -> F64:
    """The unit vector of what is left of ``vectors`` at right angles to ``axis``."""
    rest = vectors - np.sum(vectors * axis, -1, keepdims=True) * axis
    return rest / np.maximum(np.linalg.norm(rest, axis=-1, keepdims=True), 1e-9)


def project_parts(capsules: Capsules, camera: Camera, lighting: Lighting) -> ProjectedParts:
    """Project the body's parts into a camera."""
    depth = camera.depth(capsules.ends)
    # a part that is not wholly before the camera gets no radius and is not drawn
    seen = np.all(depth > NEAREST_M, axis=-1, keepdims=True)
    safe = np.where(seen, depth, NEAREST_M)
    radius = np.where(seen, camera.focal_px * capsules.radii / safe, 0.0)
    points = np.where(seen[..., None], camera.project(capsules.ends), 0.0)
    image = np.concatenate((points, radius[..., None], safe[..., None]), -1)
    axis = capsules.ends[:, :, 1] - capsules.ends[:, :, 0]
    axis = axis / np.maximum(np.linalg.norm(axis, axis=-1, keepdims=True), 1e-9)
    towards = _across(camera.centre - capsules.ends.mean(2), axis)
    right = np.cross(axis, towards)
    forward = _across(np.broadcast_to(capsules.forward[:, None], axis.shape), axis)
    angle = np.arctan2(np.sum(forward * right, -1), np.sum(forward * towards, -1))
    lamp = np.array(lighting.direction)
    facing = np.stack((-angle, towards @ lamp, right @ lamp), -1)
    return ProjectedParts(image, facing, capsules.radii.mean(-1))


@numba.njit(cache=True)
def clear(canvas: F32, depth: F32, background: F32, x0: int, y0: int, x1: int, y1: int) -> None:
    """Restore the background in a box."""
    for y in range(y0, y1):
        for x in range(x0, x1):
            canvas[y, x] = background[y, x]
            depth[y, x] = 1e9


@numba.njit(cache=True)
def bounds(image: F64, width: int, height: int, box: NDArray[np.int64]) -> None:
    """Box x0, y0, x1, y1 (exclusive) of all parts [P, 2, 4] of a frame, within the image."""
    box[0], box[1], box[2], box[3] = width, height, 0, 0
    for p in range(image.shape[0]):
        if image[p, 0, 2] <= 0.0:
            continue
        for e in range(2):
            u, v, r = image[p, e, 0], image[p, e, 1], image[p, e, 2] + 1.5
            box[0] = min(box[0], max(0, int(u - r)))
            box[1] = min(box[1], max(0, int(v - r)))
            box[2] = max(box[2], min(width, int(u + r) + 1))
            box[3] = max(box[3], min(height, int(v + r) + 1))
    box[2], box[3] = max(box[0], box[2]), max(box[1], box[3])


@numba.njit(cache=True, fastmath=True)
def draw(
    image: F64,
    facing: F64,
    thickness: F64,
    textures: F32,
    ambient: float,
    glare: float,
    rim: float,
    canvas: F32,
    depth: F32,
) -> None:
    """Draw all parts of one frame into ``canvas`` (log intensity) and ``depth`` (metres)."""
    height, width = canvas.shape
    rows, columns = TEXTURE_SHAPE
    order = np.argsort(-(image[:, 0, 3] + image[:, 1, 3]))
    for p in order:
        ua, va, ra, za = image[p, 0]
        if ra <= 0.0:
            continue
        ub, vb, rb, zb = image[p, 1]
        du, dv = ub - ua, vb - va
        length = max(np.sqrt(du * du + dv * dv), 1e-6)
        du, dv = du / length, dv / length
        x0, x1 = max(0, int(min(ua - ra, ub - rb) - 1)), int(max(ua + ra, ub + rb) + 2)
        y0, y1 = max(0, int(min(va - ra, vb - rb) - 1)), int(max(va + ra, vb + rb) + 2)
        angle, lamp_towards, lamp_right = facing[p]
        for y in range(y0, min(height, y1)):
            for x in range(x0, min(width, x1)):
                along = (x - ua) * du + (y - va) * dv
                h = min(max(along / length, 0.0), 1.0)
                radius = ra + h * (rb - ra)
                across = -(x - ua) * dv + (y - va) * du
                beyond = along - h * length
                distance = np.sqrt(across * across + beyond * beyond)
                coverage = min((radius - distance) / _EDGE_PX + 0.5, 1.0)
                if coverage <= 0.0:
                    continue
                side = min(max(across / max(radius, 1e-6), -1.0), 1.0)
                rho = min(distance / max(radius, 1e-6), 1.0)
                z = za + h * (zb - za) - thickness[p] * np.sqrt(1.0 - rho * rho)
                if z > depth[y, x]:
                    continue
                cosine = np.sqrt(1.0 - side * side)
                lit = max(lamp_towards * cosine + lamp_right * side, 0.0)
                theta = (np.arcsin(side) + angle) / (2.0 * np.pi)
                column = (theta - np.floor(theta)) * columns
                row = h * (rows - 1.001)
                i, j = int(row), int(column) % columns
                fi, fj = row - int(row), column - int(column)
                k = (j + 1) % columns
                texture = (1.0 - fi) * (
                    (1.0 - fj) * textures[p, i, j] + fj * textures[p, i, k]
                ) + fi * ((1.0 - fj) * textures[p, i + 1, j] + fj * textures[p, i + 1, k])
                around = ambient * (1.0 - rim * rho * rho * rho)
                value = np.log(texture * (around + (1.0 - ambient) * lit) + glare)
                canvas[y, x] += coverage * (value - canvas[y, x])
                if coverage > 0.5:
                    depth[y, x] = z
