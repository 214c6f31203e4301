# SPDX-License-Identifier: Apache-2.0
"""Skins and draws a mesh: a z-buffer with 2x2 samples per pixel, in linear light."""

from typing import Final

import numba
import numpy as np
from numpy.typing import NDArray

from hybrid_pose_ros.arrays import F32, F64
from hybrid_pose_ros.geometry.cameras import NEAREST_M

I32 = NDArray[np.int32]

SAMPLES: Final = 2
"""Samples along each side of a pixel."""

MARGIN_PX: Final = 2
"""How far a mesh reaches into pixels beyond its outline."""

_FAR: Final = 1e8
"""Depth beyond all that is drawn."""


@numba.njit(cache=True, fastmath=True)
def skin(
    vertices: F32,
    normals: F32,
    bones: I32,
    weights: F32,
    transforms: F64,
    camera: F64,
    centre: F64,
    lamp: F64,
    ambient: float,
    rim: float,
    image: F64,
) -> None:
    """Move, light and project the vertices of all frames.

    Args:
        vertices: in rest pose, [V, 3]; ``normals`` alike.
        bones: groups that move each vertex, [V, 4]; ``weights`` alike.
        transforms: of the groups, [F, G, 3, 4].
        camera: metres to homogeneous pixels, [3, 4].
        centre: of the camera in metres, [3].
        lamp: unit vector towards the lamp.
        ambient: share of light that comes from all around.
        rim: share of that light that is missing where a surface turns away.
        image: receives u, v (pixels), depth (metres) and light, [F, V, 4].
    """
    turn = np.empty((3, 4))
    for frame in range(image.shape[0]):
        for i in range(vertices.shape[0]):
            turn[:] = 0.0
            for k in range(4):
                weight = weights[i, k]
                if weight > 0.0:
                    group = bones[i, k]
                    for row in range(3):
                        for column in range(4):
                            turn[row, column] += weight * transforms[frame, group, row, column]
            x, y, z = vertices[i]
            px = turn[0, 0] * x + turn[0, 1] * y + turn[0, 2] * z + turn[0, 3]
            py = turn[1, 0] * x + turn[1, 1] * y + turn[1, 2] * z + turn[1, 3]
            pz = turn[2, 0] * x + turn[2, 1] * y + turn[2, 2] * z + turn[2, 3]
            x, y, z = normals[i]
            nx = turn[0, 0] * x + turn[0, 1] * y + turn[0, 2] * z
            ny = turn[1, 0] * x + turn[1, 1] * y + turn[1, 2] * z
            nz = turn[2, 0] * x + turn[2, 1] * y + turn[2, 2] * z
            size = 1.0 / np.sqrt(nx * nx + ny * ny + nz * nz + 1e-12)
            vx, vy, vz = centre[0] - px, centre[1] - py, centre[2] - pz
            facing = (nx * vx + ny * vy + nz * vz) * size / np.sqrt(vx * vx + vy * vy + vz * vz)
            away = 1.0 - max(facing, 0.0) ** 2
            lit = max((nx * lamp[0] + ny * lamp[1] + nz * lamp[2]) * size, 0.0)
            around = ambient * (1.0 - rim * away * np.sqrt(max(away, 0.0)))
            depth = camera[2, 0] * px + camera[2, 1] * py + camera[2, 2] * pz + camera[2, 3]
            safe = max(depth, NEAREST_M)
            u = camera[0, 0] * px + camera[0, 1] * py + camera[0, 2] * pz + camera[0, 3]
            v = camera[1, 0] * px + camera[1, 1] * py + camera[1, 2] * pz + camera[1, 3]
            image[frame, i, 0] = u / safe
            image[frame, i, 1] = v / safe
            image[frame, i, 2] = depth
            image[frame, i, 3] = around + (1.0 - ambient) * lit


@numba.njit(cache=True)
def mesh_bounds(image: F64, width: int, height: int, box: NDArray[np.int64]) -> None:
    """Box x0, y0, x1, y1 (exclusive) of what a mesh [V, 4] changes in an image."""
    box[0], box[1], box[2], box[3] = width, height, 0, 0
    for i in range(image.shape[0]):
        if image[i, 2] <= NEAREST_M:
            continue
        u, v = image[i, 0], image[i, 1]
        box[0] = min(box[0], max(0, int(np.floor(u)) - MARGIN_PX))
        box[1] = min(box[1], max(0, int(np.floor(v)) - MARGIN_PX))
        box[2] = max(box[2], min(width, int(np.floor(u)) + MARGIN_PX + 1))
        box[3] = max(box[3], min(height, int(np.floor(v)) + MARGIN_PX + 1))
    box[2], box[3] = max(box[0], box[2]), max(box[1], box[3])


@numba.njit(cache=True, fastmath=True)
def fill(
    image: F64,
    faces: I32,
    corners: F32,
    texture: F32,
    glare: float,
    left: int,
    top: int,
    depth: F32,
    light: F32,
) -> None:
    """Draw the triangles that face the camera into sample buffers whose origin is a pixel.

    Args:
        image: vertices as of :func:`skin`, [V, 4].
        corners: texture coordinates in texels, [T, 3, 2].
        left: pixel column of the buffers' first sample; ``top`` its row.
        depth: metres, [h, w]; ``light`` linear intensity alike.
    """
    height, width = depth.shape
    rows, columns = texture.shape
    for t in range(faces.shape[0]):
        i, j, k = faces[t, 0], faces[t, 1], faces[t, 2]
        if min(image[i, 2], image[j, 2], image[k, 2]) <= NEAREST_M:
            continue
        # pixel centres are whole numbers; sample s lies at (s + 0.5) / SAMPLES - 0.5
        x0 = SAMPLES * (image[i, 0] - left + 0.5)
        y0 = SAMPLES * (image[i, 1] - top + 0.5)
        x1 = SAMPLES * (image[j, 0] - left + 0.5) - x0
        y1 = SAMPLES * (image[j, 1] - top + 0.5) - y0
        x2 = SAMPLES * (image[k, 0] - left + 0.5) - x0
        y2 = SAMPLES * (image[k, 1] - top + 0.5) - y0
        area = x1 * y2 - x2 * y1
        if area >= -1e-9:  # the image has y down: a front face has a negative area
            continue
        first_x = max(0, int(np.ceil(min(0.0, x1, x2) + x0 - 0.5)))
        last_x = min(width - 1, int(np.floor(max(0.0, x1, x2) + x0 - 0.5)))
        first_y = max(0, int(np.ceil(min(0.0, y1, y2) + y0 - 0.5)))
        last_y = min(height - 1, int(np.floor(max(0.0, y1, y2) + y0 - 0.5)))
        scale = 1.0 / area
        for y in range(first_y, last_y + 1):
            py = y + 0.5 - y0
            for x in range(first_x, last_x + 1):
                px = x + 0.5 - x0
                b = (px * y2 - x2 * py) * scale
                c = (x1 * py - px * y1) * scale
                a = 1.0 - b - c
                if min(a, b, c) < -1e-4:
                    continue
                z = a * image[i, 2] + b * image[j, 2] + c * image[k, 2]
                if z >= depth[y, x]:
                    continue
                depth[y, x] = z
                u = a * corners[t, 0, 0] + b * corners[t, 1, 0] + c * corners[t, 2, 0]
                v = a * corners[t, 0, 1] + b * corners[t, 1, 1] + c * corners[t, 2, 1]
                m, n = min(max(int(u), 0), columns - 2), min(max(int(v), 0), rows - 2)
                u, v = u - m, v - n
                upper = (1.0 - u) * texture[n, m] + u * texture[n, m + 1]
                lower = (1.0 - u) * texture[n + 1, m] + u * texture[n + 1, m + 1]
                shade = a * image[i, 3] + b * image[j, 3] + c * image[k, 3]
                light[y, x] = ((1.0 - v) * upper + v * lower) * shade + glare


@numba.njit(cache=True, fastmath=True)
def resolve(
    samples_depth: F32, samples: F32, box: NDArray[np.int64], canvas: F32, depth: F32
) -> None:
    """Filter samples to pixels (a tent two pixels wide) and lay them over the canvas.

    Samples count where they are nearer than ``depth`` is at their own pixel.
    """
    left, top = box[0], box[1]
    rows, columns = samples.shape
    taps = 2 * SAMPLES
    weights = np.empty(taps)
    for tap in range(taps):
        weights[tap] = (1.0 - abs((tap + 0.5) / SAMPLES - 1.0)) / SAMPLES
    nearest = np.empty((box[3] - top, box[2] - left), np.float32)
    for y in range(top, box[3]):
        for x in range(left, box[2]):
            total, coverage, least = 0.0, 0.0, 1e9
            for a in range(taps):
                row = (y - top) * SAMPLES - SAMPLES // 2 + a
                if row < 0 or row >= rows:
                    continue
                for b in range(taps):
                    column = (x - left) * SAMPLES - SAMPLES // 2 + b
                    if column < 0 or column >= columns:
                        continue
                    z = samples_depth[row, column]
                    if z > _FAR or z > depth[top + row // SAMPLES, left + column // SAMPLES]:
                        continue
                    weight = weights[a] * weights[b]
                    total += weight * samples[row, column]
                    coverage += weight
                    least = min(least, z)
            nearest[y - top, x - left] = least if coverage > 0.5 else 1e9
            if coverage > 0.0:
                rest = 1.0 - coverage
                if rest > 1e-4:
                    total += rest * np.exp(canvas[y, x])
                else:
                    total /= coverage
                canvas[y, x] = np.log(total)
    # only now: each pixel's depth decides about samples of its neighbours
    for y in range(top, box[3]):
        for x in range(left, box[2]):
            depth[y, x] = min(depth[y, x], nearest[y - top, x - left])
