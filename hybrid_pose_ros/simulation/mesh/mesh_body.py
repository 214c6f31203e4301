# SPDX-License-Identifier: Apache-2.0
"""Mesh people: persons of real shape behind the interface of all bodies (:mod:`..figure`)."""

from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from hybrid_pose_ros.geometry.cameras import Camera
from hybrid_pose_ros.simulation.mesh.clothes import Outfit, dress
from hybrid_pose_ros.simulation.mesh.paint import TEXELS, paint
from hybrid_pose_ros.simulation.mesh.pose import Habits, Poser
from hybrid_pose_ros.simulation.mesh.raster import SAMPLES, fill, mesh_bounds, resolve, skin
from hybrid_pose_ros.simulation.mesh.shape import Shape, load_people
from hybrid_pose_ros.simulation.mesh.skin_markers import MARKER_GROUPS, rest_markers
from hybrid_pose_ros.simulation.motion import Motion
from hybrid_pose_ros.simulation.renderer import Lighting

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]

_TEXELS_PER_SAMPLE: Final = 1.5
"""A coarser texture is taken from twice this many on."""


@dataclass(frozen=True)
class MeshBody:
    """Build and looks of one person.

    Attributes:
        shape: naked, in rest pose.
        habits: how hands and feet are held.
        vertices: dressed, [V, 3]; ``normals`` alike.
        textures: reflectance, the finest first, each half as fine as the one before.
    """

    shape: Shape
    habits: Habits
    vertices: F32
    normals: F32
    textures: tuple[F32, ...]

    def figure(self, motion: Motion) -> "MeshFigure":
        """Let the person carry out a motion."""
        poser = Poser(self.shape, self.habits, motion)
        return MeshFigure(self, poser, rest_markers(self.shape))

    @classmethod
    def sample(cls, rng: np.random.Generator) -> "MeshBody":
        """Draw a person: age, build, clothes, skin, hair and shoes."""
        shape = Shape.sample(rng)
        outfit = Outfit.sample(rng, woman=shape.axes["gender"] > 0.5)
        habits = Habits.sample(rng)
        dressed = dress(shape, outfit)
        normals = load_people().normals(dressed.vertices)
        return cls(
            shape=shape,
            habits=habits,
            vertices=dressed.vertices.astype(np.float32),
            normals=normals.astype(np.float32),
            textures=tuple(paint(shape, outfit, dressed, rng)),
        )


@dataclass(frozen=True)
class _Topology:
    """What :class:`~.shape.People` says of the mesh, as the renderer wants it."""

    faces: NDArray[np.int32]
    corners: tuple[F32, ...]
    bones: NDArray[np.int32]
    weights: F32
    texel_m: float

    @classmethod
    @lru_cache(maxsize=1)
    def load(cls) -> "_Topology":
        people = load_people()
        sizes = [TEXELS >> level for level in range(4)]
        corner = people.mean[people.faces]
        area = np.linalg.norm(
            np.cross(corner[:, 1] - corner[:, 0], corner[:, 2] - corner[:, 0]), axis=1
        )
        a, b = (people.corners[:, k] - people.corners[:, 0] for k in (1, 2))
        texels = TEXELS**2 * np.abs(a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0])
        return cls(
            faces=people.faces.astype(np.int32),
            corners=tuple((people.corners * n - 0.5).astype(np.float32) for n in sizes),
            bones=people.bones.astype(np.int32),
            weights=people.weights.astype(np.float32),
            texel_m=float(np.sqrt(area.sum() / texels.sum())),
        )


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
        topology, body = _Topology.load(), self.body
        image = np.empty((len(times_s), len(body.vertices), 4))
        skin(
            body.vertices,
            body.normals,
            topology.bones,
            topology.weights,
            self.poser.transforms(times_s),
            np.ascontiguousarray(camera.matrix, np.float64),
            np.asarray(camera.centre, np.float64),
            np.array(lighting.direction, np.float64),
            lighting.ambient,
            lighting.rim,
            image,
        )
        depth = max(float(np.median(image[:, :, 2])), 0.1)
        texels = depth / (camera.focal_px * SAMPLES) / topology.texel_m
        level = int(np.clip(np.log2(texels / _TEXELS_PER_SAMPLE), 0, len(body.textures) - 1))
        return MeshView(body, image, level, lighting.glare)


@dataclass(frozen=True)
class MeshView:
    """A mesh in the image of a camera (:class:`~..figure.FigureView`).

    Attributes:
        image: u, v (pixels), depth (metres) and light of the vertices, [F, V, 4].
        level: of the texture.
        glare: stray light.
    """

    body: MeshBody
    image: F64
    level: int
    glare: float

    def move(self, offsets_px: F64) -> None:
        """Move the picture of each frame by [F, 2] pixels."""
        self.image[..., :2] += offsets_px[:, None]

    def bounds(self, frame: int, width: int, height: int, box: NDArray[np.int64]) -> None:
        """Write the box of the mesh of a frame within the image."""
        mesh_bounds(self.image[frame], width, height, box)

    def draw(self, frame: int, canvas: F32, depth: F32) -> None:
        """Draw a frame over ``canvas`` where it is nearer than ``depth``."""
        box = np.empty(4, np.int64)
        height, width = canvas.shape
        mesh_bounds(self.image[frame], width, height, box)
        left, top, right, bottom = (int(edge) for edge in box)
        if left >= right or top >= bottom:
            return
        samples = (SAMPLES * (bottom - top), SAMPLES * (right - left))
        nearest = np.full(samples, 1e9, np.float32)
        light = np.empty(samples, np.float32)
        topology = _Topology.load()
        fill(
            self.image[frame],
            topology.faces,
            topology.corners[self.level],
            self.body.textures[self.level],
            self.glare,
            left,
            top,
            nearest,
            light,
        )
        resolve(nearest, light, box, canvas, depth)
