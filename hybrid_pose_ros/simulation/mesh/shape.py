# SPDX-License-Identifier: Apache-2.0
"""Shapes of people: the mesh of ``people.npz`` and naked persons drawn from it.

Rest poses face -y with the right side at -x; lengths are in metres.
"""

from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from typing import Final

import numpy as np
from numpy.typing import NDArray

from hybrid_pose_ros.arrays import F64, I64
from hybrid_pose_ros.simulation.markers import unit

SIDES: Final = {"right": "R", "left": "L"}


@dataclass(frozen=True)
class People:
    """Mesh and shapes that all persons share; V vertices, T triangles, G groups of bones.

    Attributes:
        mean: vertices, then pivots of the groups, then the eyes' centres, [V + G + 2, 3].
        shapes: [K, V + G + 2, 3].
        coefficients: of the shapes, for each term of :func:`terms_of`.
        axes: names of the shape axes.
        ranges: least and greatest value of each axis.
        curls: what bent fingers change in the vertices, [C, V, 3].
        curl_rad: the bends.
        faces: vertices of each triangle, [T, 3], counter-clockwise from outside.
        eyes: which triangles are eyes, [T].
        corners: texture coordinates of each triangle's corners, 0 to 1, [T, 3, 2].
        groups: names of the groups of bones, parents first.
        parents: of the groups, -1 for none.
        bones: groups that move each vertex, [V, 4], and their ``weights``, which add up to 1.
    """

    mean: F64
    shapes: F64
    coefficients: F64
    axes: tuple[str, ...]
    ranges: F64
    curls: F64
    curl_rad: F64
    faces: I64
    eyes: NDArray[np.bool_]
    corners: F64
    groups: tuple[str, ...]
    parents: I64
    bones: I64
    weights: F64

    def weight_of(self, *names: str) -> F64:
        """Share of some groups in each vertex, [V]."""
        wanted = np.isin(self.bones, [self.groups.index(name) for name in names])
        return np.asarray((self.weights * wanted).sum(1))

    def smooth(self, values: NDArray[np.floating], rounds: int, share: float = 1.0) -> F64:
        """Replace values of the vertices [V, ...] by the mean of their neighbours, repeatedly."""
        edges = np.concatenate((self.faces[:, [0, 1]], self.faces[:, [1, 2]], self.faces[:, ::2]))
        start, end = np.concatenate((edges, edges[:, ::-1])).T
        count = np.maximum(np.bincount(start, minlength=len(values)), 1)
        result = np.asarray(values, np.float64).reshape(len(values), -1)
        for _ in range(rounds):
            total = np.stack(
                [np.bincount(start, column[end], len(values)) for column in result.T], -1
            )
            result = (1.0 - share) * result + share * total / count[:, None]
        return result.reshape(values.shape)

    def normals(self, vertices: F64) -> F64:
        """Unit normals of the vertices, [V, 3], pointing outwards."""
        corner = vertices[self.faces]
        normal = np.cross(corner[:, 1] - corner[:, 0], corner[:, 2] - corner[:, 0])
        total = np.zeros_like(vertices)
        for k in range(3):
            np.add.at(total, self.faces[:, k], normal)
        return unit(total)


@lru_cache(maxsize=1)
def load_people() -> People:
    """Read ``people.npz``."""
    with np.load(str(files(__package__) / "people.npz")) as file:
        unit_m = float(file["unit_m"])
        weights = file["weights"].astype(np.float64)
        return People(
            mean=file["mean"] * unit_m,
            shapes=file["shapes"].astype(np.float64),
            coefficients=file["coefficients"].astype(np.float64),
            axes=tuple(str(name) for name in file["axes"]),
            ranges=file["ranges"].astype(np.float64),
            curls=file["curls"] * unit_m,
            curl_rad=file["curl_rad"].astype(np.float64),
            faces=file["faces"].astype(np.int64),
            eyes=file["eyes"],
            corners=file["texture"][file["corners"]] / 65535.0,
            groups=tuple(str(name) for name in file["groups"]),
            parents=file["parents"].astype(np.int64),
            bones=file["bones"].astype(np.int64),
            weights=weights / weights.sum(1, keepdims=True),
        )


def terms_of(axes: F64) -> F64:
    """Terms of a polynomial of second degree in shape axes [A], [1 + A + A (A + 1) / 2]."""
    first, second = np.triu_indices(len(axes))
    return np.concatenate(([1.0], axes, axes[first] * axes[second]))


@dataclass(frozen=True)
class Shape:
    """A naked person in rest pose.

    Attributes:
        vertices: [V, 3].
        pivots: centres of rotation of the groups, [G, 3].
        eyes: centres of the right and the left eye, [2, 3].
        axes: the shape axes by name.
    """

    vertices: F64
    pivots: F64
    eyes: F64
    axes: dict[str, float]

    def pivot(self, group: str) -> F64:
        """Centre of rotation of a group, [3]."""
        return np.asarray(self.pivots[load_people().groups.index(group)])

    @classmethod
    def sample(cls, rng: np.random.Generator) -> "Shape":
        """Draw sex, age, build and proportions, and how far the fingers are closed."""
        people = load_people()
        center, spread = people.ranges.mean(1), people.ranges[:, 1] - people.ranges[:, 0]
        axes = dict(zip(people.axes, rng.normal(center, 0.2 * spread), strict=True))
        axes["gender"] = rng.normal(float(rng.random() < 0.5), 0.1)
        axes["age"] = rng.uniform(0.5, 0.95)
        for ancestry in ("african", "asian", "caucasian"):
            axes[ancestry] = rng.uniform(0.0, 1.0)
        low, high = people.ranges.T
        values = np.clip([axes[name] for name in people.axes], low, high)
        curl = rng.uniform(0.15, 0.6) if rng.random() < 0.8 else rng.uniform(0.9, 1.4)
        return cls._of(values, curl)

    @classmethod
    def _of(cls, values: F64, curl: float) -> "Shape":
        people = load_people()
        weights = terms_of(values) @ people.coefficients
        points = people.mean + np.tensordot(weights, people.shapes, 1)
        count, groups = len(people.bones), len(people.groups)
        vertices = points[:count].copy()
        knots = np.concatenate(([0.0], people.curl_rad))
        bent = np.concatenate((np.zeros_like(people.curls[:1]), people.curls))
        place = min(int(np.searchsorted(knots, curl)), len(knots) - 1)
        share = (curl - knots[place - 1]) / (knots[place] - knots[place - 1])
        vertices += (1 - share) * bent[place - 1] + share * bent[place]
        axes = dict(zip(people.axes, values.tolist(), strict=True))
        pivots = points[count : count + groups]
        return cls(vertices, pivots, points[count + groups :], axes)
