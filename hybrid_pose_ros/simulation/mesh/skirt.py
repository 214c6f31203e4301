# SPDX-License-Identifier: Apache-2.0
"""Skirts, dresses and long coats: a cloth of its own that hangs around hips and legs."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from hybrid_pose_ros.arrays import F32, F64
from hybrid_pose_ros.simulation.markers import unit
from hybrid_pose_ros.simulation.mesh.clothes import CELL, CONTRAST, SHIRT, Dress, Outfit, noise
from hybrid_pose_ros.simulation.mesh.rotations import smooth_step
from hybrid_pose_ros.simulation.mesh.shape import Shape, load_people

_ROWS, _COLUMNS = 10, 32
_TEXELS: Final = (64, 128)

_BONES: Final = ("pelvis", "upperleg01.R", "upperleg01.L", "spine05")


@dataclass(frozen=True)
class Skirt:
    """A skirt in rest pose, of R rows from the waist down and C columns around.

    Attributes:
        vertices: [R * (C + 1), 3]; the last column repeats the first. ``normals`` alike.
        faces: vertices of the triangles of both sides, [T, 3].
        corners: texture coordinates, 0 to 1, [T, 3, 2].
        bones: groups of bones that move each vertex, [R * (C + 1), 4]; ``weights`` alike.
        texture: reflectance.
    """

    vertices: F64
    normals: F64
    faces: NDArray[np.int64]
    corners: F64
    bones: NDArray[np.int64]
    weights: F64
    texture: F32

    @classmethod
    def sample(
        cls, shape: Shape, outfit: Outfit, dressed: Dress, rng: np.random.Generator
    ) -> "Skirt":
        """Draw a skirt for a dressed person: its length, width, folds and cloth."""
        hip = shape.pivot("upperleg01.R")[2]
        leg = hip - shape.pivot("foot.R")[2]
        heights = np.linspace(hip + outfit.waist_m, hip - rng.uniform(0.2, 0.75) * leg, _ROWS)
        turns = np.linspace(0.0, 2 * np.pi, _COLUMNS + 1)
        ways = np.stack((np.sin(turns), np.cos(turns)), -1)
        centre = np.array((0.0, dressed.vertices[dressed.regions.leg > 0.5, 1].mean()))
        radii = _around(dressed, heights, centre, ways)
        below = np.clip((hip - heights) / leg, 0.0, 1.0)[:, None]
        folds = np.sin(rng.integers(4, 10) * turns + rng.uniform(0, 2 * np.pi))
        radii = np.maximum.accumulate(radii, 0) + 0.012 + rng.uniform(0.0, 0.15) * below
        radii += rng.uniform(0.0, 0.03) * below * folds
        vertices = np.empty((_ROWS, _COLUMNS + 1, 3))
        vertices[..., :2] = centre + radii[..., None] * ways
        vertices[..., 2] = heights[:, None]
        down = np.gradient(vertices, axis=0)
        side = np.gradient(vertices, axis=1)
        side[:, [0, -1]] = 0.5 * (side[:, :1] + side[:, -1:])
        normals = unit(np.cross(down, side))
        normals *= np.sign(np.sum(normals[..., :2] * ways, -1, keepdims=True))
        bones, weights = _hang(vertices.reshape(-1, 3), hip)
        faces, corners = _triangles(vertices.reshape(-1, 3), normals.reshape(-1, 3))
        return cls(
            vertices=vertices.reshape(-1, 3),
            normals=normals.reshape(-1, 3),
            faces=faces,
            corners=corners,
            bones=bones,
            weights=weights,
            texture=_cloth(vertices, outfit, rng),
        )


def _around(dressed: Dress, heights: F64, centre: F64, ways: F64) -> F64:
    """Distance from the middle to a cloth that is laid around hips and legs, [R, C + 1]."""
    body = dressed.vertices[(dressed.regions.arm < 0.3) & (dressed.regions.head < 0.3)]
    cosines = np.maximum(ways @ ways.T, 1e-3)
    radii = np.empty((len(heights), len(ways)))
    for row, height in enumerate(heights):
        slab = body[np.abs(body[:, 2] - height) < 0.07, :2] - centre
        reach = (ways @ slab.T).max(1)
        # the convex hull in polar form, from its distances in all directions
        radii[row] = (reach[None] / cosines).min(1)
    return radii


def _hang(vertices: F64, hip: float) -> tuple[NDArray[np.int64], F64]:
    """Let a skirt hang on the pelvis above and on the thighs below."""
    people = load_people()
    groups = [people.groups.index(name) for name in _BONES]
    thighs = 0.9 * smooth_step(hip + 0.06 - vertices[:, 2], 0.0, 0.35)
    right = smooth_step(-vertices[:, 0], -0.14, 0.14)
    spine = 0.5 * smooth_step(vertices[:, 2] - hip, 0.05, 0.2)
    rest = (1.0 - thighs) * (1.0 - spine)
    weights = np.stack((rest, thighs * right, thighs * (1 - right), (1 - thighs) * spine), -1)
    return np.tile(groups, (len(vertices), 1)), weights


def _triangles(vertices: F64, normals: F64) -> tuple[NDArray[np.int64], F64]:
    """Triangles of both sides, and their texture coordinates."""
    row, column = np.mgrid[: _ROWS - 1, :_COLUMNS]
    first = (row * (_COLUMNS + 1) + column).ravel()
    below = first + _COLUMNS + 1
    upper, lower = (
        np.stack((first, below, first + 1), 1),
        np.stack((first + 1, below, below + 1), 1),
    )
    faces = np.concatenate((upper, lower))
    corner = vertices[faces]
    outwards = np.cross(corner[:, 1] - corner[:, 0], corner[:, 2] - corner[:, 0])
    inside_out = np.sum(outwards * normals[faces[:, 0]], -1) < 0
    faces[inside_out] = faces[inside_out][:, ::-1]
    faces = np.concatenate((faces, faces[:, ::-1]))
    place = np.stack(
        (faces % (_COLUMNS + 1) / _COLUMNS, faces // (_COLUMNS + 1) / (_ROWS - 1)), -1
    )
    return faces, place


def _cloth(vertices: F64, outfit: Outfit, rng: np.random.Generator) -> F32:
    """Reflectance of a skirt, or, as of a dress or a coat, of the shirt; [*_TEXELS]."""
    rows = np.linspace(0, _ROWS - 1, _TEXELS[0])
    columns = np.linspace(0, _COLUMNS, _TEXELS[1])
    i, j = np.minimum(rows.astype(int), _ROWS - 2), np.minimum(columns.astype(int), _COLUMNS - 1)
    a, b = (rows - i)[:, None, None], (columns - j)[None, :, None]
    points = (1 - a) * ((1 - b) * vertices[i][:, j] + b * vertices[i][:, j + 1])
    points += a * ((1 - b) * vertices[i + 1][:, j] + b * vertices[i + 1][:, j + 1])
    flat = np.ascontiguousarray(points.reshape(-1, 3))
    dress = rng.random() < 0.5
    name = "shirt" if dress else "trousers"
    coarse = noise(flat, CELL * np.array((0.05, 0.05, 0.10)), outfit.seed + 3 + SHIRT)
    fine = noise(flat, CELL * np.array((0.014, 0.014, 0.03)), outfit.seed + 9 + SHIRT)
    base = CONTRAST * outfit.pattern[name] * (0.5 * coarse + 0.6 * fine).reshape(_TEXELS)
    base[-2:] -= 0.3  # the hem
    return (outfit.reflectance[name] * np.exp(base)).astype(np.float32)
