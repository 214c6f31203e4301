# SPDX-License-Identifier: Apache-2.0
"""Mesh people: persons of real shape behind the interface of all bodies (:mod:`..figure`)."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from hybrid_pose_ros.arrays import F32, F64
from hybrid_pose_ros.geometry.cameras import Camera
from hybrid_pose_ros.simulation.mesh.clothes import Outfit, dress
from hybrid_pose_ros.simulation.mesh.paint import paint
from hybrid_pose_ros.simulation.mesh.pose import Habits, Poser
from hybrid_pose_ros.simulation.mesh.raster import SAMPLES, fill, mesh_bounds, resolve, skin
from hybrid_pose_ros.simulation.mesh.shape import Shape, load_people
from hybrid_pose_ros.simulation.mesh.skin_markers import MARKER_GROUPS, rest_markers
from hybrid_pose_ros.simulation.mesh.skirt import Skirt
from hybrid_pose_ros.simulation.motion import Motion
from hybrid_pose_ros.simulation.renderer import Lighting

_TEXELS_PER_SAMPLE: Final = 1.5
"""A coarser texture is taken from twice this many on."""

_LEVELS: Final = 4
"""Textures of a surface."""

_WOMENS_SKIRTS, _MENS_COATS = 0.2, 0.05
"""Shares of people in skirts, dresses or long coats."""


@dataclass(frozen=True)
class Surface:
    """A textured mesh that bones move, in rest pose: the clothed body, or a skirt.

    Attributes:
        vertices: [V, 3]; ``normals`` alike.
        faces: vertices of each triangle, [T, 3].
        corners: texture coordinates of each triangle's corners, 0 to 1, [T, 3, 2].
        bones: groups of bones that move each vertex, [V, 4]; ``weights`` alike.
        textures: reflectance, the finest first, each half as fine as the one before.
        texel_m: mean size of the finest texture's texels.
    """

    vertices: F32
    normals: F32
    faces: NDArray[np.int32]
    corners: F32
    bones: NDArray[np.int32]
    weights: F32
    textures: tuple[F32, ...]
    texel_m: float

    @classmethod
    def of(
        cls,
        vertices: F64,
        normals: F64,
        faces: NDArray[np.int64],
        corners: F64,
        bones: NDArray[np.int64],
        weights: F64,
        texture: F32,
    ) -> "Surface":
        """Prepare a mesh for drawing."""
        rows, columns = texture.shape
        first, second, third = np.moveaxis(vertices[faces], 1, 0)
        areas = np.linalg.norm(np.cross(second - first, third - first), axis=1)
        a, b = (corners[:, k] - corners[:, 0] for k in (1, 2))
        texels = rows * columns * np.abs(a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0])
        return cls(
            vertices=vertices.astype(np.float32),
            normals=normals.astype(np.float32),
            faces=faces.astype(np.int32),
            corners=corners.astype(np.float32),
            bones=bones.astype(np.int32),
            weights=weights.astype(np.float32),
            textures=_coarser(texture),
            texel_m=float(np.sqrt(areas.sum() / texels.sum())),
        )


def _coarser(finest: F32) -> tuple[F32, ...]:
    """The texture, its half, and so on."""
    levels = [finest]
    for _ in range(_LEVELS - 1):
        rows, columns = levels[-1].shape
        half = levels[-1].reshape(rows // 2, 2, columns // 2, 2).mean((1, 3))
        levels.append(np.ascontiguousarray(half, np.float32))
    return tuple(levels)


@dataclass(frozen=True)
class MeshBody:
    """Build and looks of one person.

    Attributes:
        shape: naked, in rest pose.
        habits: how hands and feet are held.
        surfaces: the clothed body, and a skirt or the like if there is one.
    """

    shape: Shape
    habits: Habits
    surfaces: tuple[Surface, ...]

    def figure(self, motion: Motion) -> "MeshFigure":
        """Let the person carry out a motion."""
        poser = Poser(self.shape, self.habits, motion)
        return MeshFigure(self, poser, rest_markers(self.shape))

    @classmethod
    def sample(cls, rng: np.random.Generator, *, skirts: bool = True) -> "MeshBody":
        """Draw a person: age, build, clothes, skin, hair and shoes.

        Args:
            skirts: whether some wear skirts, dresses or long coats; DHP19's people do not.
        """
        people, shape = load_people(), Shape.sample(rng)
        woman = shape.axes["gender"] > 0.5
        outfit = Outfit.sample(rng, woman)
        habits = Habits.sample(rng)
        dressed = dress(shape, outfit)
        body = Surface.of(
            dressed.vertices,
            people.normals(dressed.vertices),
            people.faces,
            people.corners,
            people.bones,
            people.weights,
            paint(shape, outfit, dressed, rng),
        )
        surfaces = [body]
        if skirts and rng.random() < (_WOMENS_SKIRTS if woman else _MENS_COATS):
            cloth = Skirt.sample(shape, outfit, dressed, rng)
            surfaces.append(
                Surface.of(
                    cloth.vertices,
                    cloth.normals,
                    cloth.faces,
                    cloth.corners,
                    cloth.bones,
                    cloth.weights,
                    cloth.texture,
                )
            )
        return cls(shape, habits, tuple(surfaces))


@dataclass(frozen=True)
class MeshFigure:
    """A mesh person who carries out a motion (:class:`~..figure.Figure`)."""

    body: MeshBody
    poser: Poser
    rest_markers_m: F64

    def markers_m(self, times_s: NDArray[np.floating]) -> F64:
        """Place the markers, [F, 13, 3] in metres, at times [F]."""
        transforms = self.poser.transforms(times_s)
        return self.poser.points(self.rest_markers_m, MARKER_GROUPS, transforms)

    def view(
        self, times_s: NDArray[np.floating], camera: Camera, lighting: Lighting
    ) -> "MeshView":
        """Skin and project the mesh at times [F]."""
        transforms = self.poser.transforms(times_s)
        drawn = []
        for surface in self.body.surfaces:
            image = np.empty((len(transforms), len(surface.vertices), 4))
            skin(
                surface.vertices,
                surface.normals,
                surface.bones,
                surface.weights,
                transforms,
                np.ascontiguousarray(camera.matrix, np.float64),
                np.asarray(camera.centre, np.float64),
                np.array(lighting.direction, np.float64),
                lighting.ambient,
                lighting.rim,
                image,
            )
            depth = max(float(np.median(image[:, :, 2])), 0.1)
            texels = depth / (camera.focal_px * SAMPLES) / surface.texel_m
            level = int(np.clip(np.log2(texels / _TEXELS_PER_SAMPLE), 0, _LEVELS - 1))
            texture = surface.textures[level]
            size = np.array(texture.shape[::-1])
            corners = (surface.corners * size - 0.5).astype(np.float32)
            drawn.append(_Drawn(image, surface.faces, corners, texture))
        return MeshView(tuple(drawn), lighting.glare)


@dataclass(frozen=True)
class _Drawn:
    """A surface before a camera.

    Attributes:
        image: u, v (pixels), depth (metres) and light of the vertices, [F, V, 4].
        faces: vertices of each triangle, [T, 3].
        corners: texture coordinates in texels of the texture, [T, 3, 2].
        texture: reflectance.
    """

    image: F64
    faces: NDArray[np.int32]
    corners: F32
    texture: F32


@dataclass(frozen=True)
class MeshView:
    """A mesh person in the image of a camera (:class:`~..figure.FigureView`)."""

    surfaces: tuple[_Drawn, ...]
    glare: float

    def move(self, offsets_px: F64) -> None:
        """Move the picture of each frame by [F, 2] pixels."""
        for surface in self.surfaces:
            surface.image[..., :2] += offsets_px[:, None]

    def bounds(self, frame: int, width: int, height: int, box: NDArray[np.int64]) -> None:
        """Write the box of the person in a frame within the image."""
        mesh_bounds(self.surfaces[0].image[frame], width, height, box)
        for surface in self.surfaces[1:]:
            own = np.empty(4, np.int64)
            mesh_bounds(surface.image[frame], width, height, own)
            if own[0] < own[2] and own[1] < own[3]:
                box[:2] = np.minimum(box[:2], own[:2])
                box[2:] = np.maximum(box[2:], own[2:])

    def draw(self, frame: int, canvas: F32, depth: F32) -> None:
        """Draw a frame over ``canvas`` where it is nearer than ``depth``."""
        box = np.empty(4, np.int64)
        height, width = canvas.shape
        self.bounds(frame, width, height, box)
        left, top, right, bottom = (int(edge) for edge in box)
        if left >= right or top >= bottom:
            return
        samples = (SAMPLES * (bottom - top), SAMPLES * (right - left))
        nearest = np.full(samples, 1e9, np.float32)
        light = np.empty(samples, np.float32)
        for surface in self.surfaces:
            fill(
                surface.image[frame],
                surface.faces,
                surface.corners,
                surface.texture,
                self.glare,
                left,
                top,
                nearest,
                light,
            )
        resolve(nearest, light, box, canvas, depth)
