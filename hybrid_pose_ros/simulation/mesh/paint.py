# SPDX-License-Identifier: Apache-2.0
"""Textures of mesh people: reflectance of skin, cloth, shoes, hair and face."""

from functools import lru_cache
from typing import Final

import numba
import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt

from hybrid_pose_ros.arrays import F32, F64
from hybrid_pose_ros.simulation.mesh.clothes import (
    CELL,
    CONTRAST,
    HAIR,
    MATERIALS,
    SHIRT,
    SHOES,
    SKIN,
    TROUSERS,
    Dress,
    Outfit,
    noise,
)
from hybrid_pose_ros.simulation.mesh.shape import Shape, load_people

TEXELS: Final = 512
"""Along each side of the texture."""


@numba.njit(cache=True)
def _lay_out(corners: F64, size: int, triangle: NDArray[np.int32], share: F64) -> None:
    """Find the triangle of each texel and its place in it."""
    for t in range(len(corners)):
        x0, y0 = corners[t, 0, 0] * size, corners[t, 0, 1] * size
        x1, y1 = corners[t, 1, 0] * size - x0, corners[t, 1, 1] * size - y0
        x2, y2 = corners[t, 2, 0] * size - x0, corners[t, 2, 1] * size - y0
        area = x1 * y2 - x2 * y1
        if abs(area) < 1e-9:
            continue
        first_x, last_x = int(x0 + min(0.0, x1, x2)) - 1, int(x0 + max(0.0, x1, x2)) + 2
        first_y, last_y = int(y0 + min(0.0, y1, y2)) - 1, int(y0 + max(0.0, y1, y2)) + 2
        for y in range(max(0, first_y), min(size, last_y)):
            for x in range(max(0, first_x), min(size, last_x)):
                px, py = x + 0.5 - x0, y + 0.5 - y0
                b, c = (px * y2 - x2 * py) / area, (x1 * py - px * y1) / area
                if min(b, c, 1.0 - b - c) >= -0.02:
                    triangle[y, x] = t
                    share[y, x, 0], share[y, x, 1], share[y, x, 2] = 1.0 - b - c, b, c


@lru_cache(maxsize=1)
def _texels() -> tuple[NDArray[np.bool_], NDArray[np.int64], F64, NDArray[np.int64]]:
    """Which texels are used, their triangles and shares, and the used texel next to each."""
    triangle = np.full((TEXELS, TEXELS), -1, np.int32)
    share = np.zeros((TEXELS, TEXELS, 3))
    _lay_out(load_people().corners, TEXELS, triangle, share)
    used = triangle >= 0
    nearest = distance_transform_edt(~used, return_distances=False, return_indices=True)
    number = np.cumsum(used).reshape(used.shape) - 1
    return used, triangle[used].astype(np.int64), share[used], number[nearest[0], nearest[1]]


def paint(shape: Shape, outfit: Outfit, dressed: Dress, rng: np.random.Generator) -> F32:
    """Paint a person: reflectance, [TEXELS, TEXELS]."""
    people = load_people()
    _, triangles, shares, nearest = _texels()
    regions = dressed.regions
    columns = [*dressed.covers.values(), regions.head, regions.arm_reach, regions.leg_reach]
    per_vertex = np.column_stack([shape.vertices, *columns])
    values = np.einsum("nk,nkc->nc", shares, per_vertex[people.faces[triangles]])
    points = np.ascontiguousarray(values[:, :3])
    covers = dict(zip(dressed.covers, values.T[3:], strict=False))
    head, arm_reach, leg_reach = values.T[3 + len(covers) :]

    material = np.full(len(points), SKIN)
    for piece in (TROUSERS, SHIRT, SHOES):
        material[covers[piece] > 0] = piece
    material[(covers[HAIR] > 0) & ~people.eyes[triangles]] = HAIR
    base = np.log([outfit.reflectance[name] for name in MATERIALS])[material]
    strength = np.array([outfit.pattern[name] for name in MATERIALS])
    strength[SKIN] *= 0.35
    cloth = (material == SHIRT) | (material == TROUSERS)
    # bent elbows and knees fold the cloth
    bend = np.exp(-(((arm_reach - 1) / 0.13) ** 2)) + np.exp(-(((leg_reach - 1) / 0.13) ** 2))
    amount = CONTRAST * strength[material] * (1.0 + 1.2 * bend * cloth)
    for piece in range(len(MATERIALS)):
        own = material == piece
        coarse = noise(points[own], CELL * np.array((0.05, 0.05, 0.10)), outfit.seed + 3 + piece)
        fine = noise(points[own], CELL * np.array((0.014, 0.014, 0.03)), outfit.seed + 9 + piece)
        base[own] += amount[own] * (0.5 * coarse + 0.6 * fine)
    for piece, hidden in ((SHIRT, np.zeros_like(cloth)), (TROUSERS, covers[SHIRT] > 0.008)):
        shadow = np.exp(-((covers[piece] / 0.008) ** 2))  # of the hem
        base -= 0.4 * shadow * ((head < 0.5) & ~hidden)
    sole = (material == SHOES) & (points[:, 2] < shape.vertices[:, 2].min() + 0.022)
    base += outfit.reflectance["sole"] * sole
    base -= _face(shape, points, head > 0.5, rng)
    return np.exp(base)[nearest].astype(np.float32)


def _face(shape: Shape, points: F64, head: NDArray[np.bool_], rng: np.random.Generator) -> F64:
    """Darkness (log) of eyes, brows, mouth and the shadow of the nose."""
    eyes = shape.eyes.mean(0)
    front = head & (points[:, 1] < eyes[1] + 0.045)
    x, z = points[:, 0], points[:, 2]

    def spot(at_x: float, at_z: float, width: float, height: float, depth: float) -> F64:
        place = ((x - at_x) / width) ** 2 + ((z - at_z) / height) ** 2
        return np.asarray(depth * front * np.exp(-place))

    dark = np.zeros(len(points))
    eye, brow, mouth = rng.uniform((0.45, 0.3, 0.25), (0.8, 0.7, 0.5))
    for centre in shape.eyes:
        dark += spot(centre[0], centre[2], 0.017, 0.009, eye)
        dark += spot(1.05 * centre[0], centre[2] + 0.026, 0.024, 0.006, brow)
    dark += spot(0.0, eyes[2] - 0.072, 0.024, 0.007, mouth)
    return dark + spot(0.0, eyes[2] - 0.045, 0.020, 0.006, 0.35)
