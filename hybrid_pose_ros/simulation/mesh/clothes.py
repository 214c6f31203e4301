# SPDX-License-Identifier: Apache-2.0
"""Clothes, shoes and hair of mesh people: where they are, how far they stand off, how they look.

Each piece is a signed distance over the body, positive where it covers the skin. Vertices are
pushed outwards by it, texels are painted by it, so that hems are sharper than the mesh.
"""

from dataclasses import dataclass
from typing import Final

import numba
import numpy as np

from hybrid_pose_ros.arrays import F64
from hybrid_pose_ros.simulation.mesh.rotations import smooth_step
from hybrid_pose_ros.simulation.mesh.shape import Shape, load_people

SKIN, TROUSERS, SHIRT, SHOES, HAIR = range(5)
MATERIALS: Final = ("skin", "trousers", "shirt", "shoes", "hair")

CONTRAST: Final = 0.4
"""Of cloth patterns against those of the capsules; real cloth is that faint to a sensor."""

CELL: Final = 1.6
"""Size of cloth patterns against those of the capsules."""


@dataclass(frozen=True)
class Outfit:
    """Clothes of a person.

    Attributes:
        sleeve: where sleeves end along the arm: 1 at the elbow, 2 at the wrist.
        leg: where trousers end along the leg: 1 at the knee, 2 at the ankle.
        shirt_end_m: height of the shirt's hem above the hips.
        waist_m: height of the trousers' top above the hips.
        neckline_m: radius of the opening around the neck.
        loose_m: how far the shirt stands off, and ``wide_m`` the trousers.
        hair_m: thickness of the hair.
        long_hair: whether it falls over the neck.
        reflectance: of each material, and ``sole``, log against the shoe's.
        pattern: strength of each material's pattern, log.
        seed: of patterns and folds.
    """

    sleeve: float
    leg: float
    shirt_end_m: float
    waist_m: float
    neckline_m: float
    loose_m: float
    wide_m: float
    hair_m: float
    long_hair: bool
    reflectance: dict[str, float]
    pattern: dict[str, float]
    seed: int

    @classmethod
    def sample(cls, rng: np.random.Generator, woman: bool) -> "Outfit":
        """Draw clothes, hair and shoes."""
        return cls(
            sleeve=float(rng.choice((0.12, 0.6, 0.6, 1.0, 2.0, 2.0))),
            leg=float(rng.choice((0.45, 0.8, 1.5, 2.0, 2.0, 2.0))),
            shirt_end_m=float(rng.uniform(-0.08, 0.1)),
            waist_m=float(rng.normal(0.12, 0.015)),
            neckline_m=float(rng.uniform(0.075, 0.115)),
            loose_m=float(rng.uniform(0.003, 0.035)),
            wide_m=float(rng.uniform(0.002, 0.025)),
            hair_m=float(rng.uniform(0.004, 0.022)),
            long_hair=bool(rng.random() < (0.6 if woman else 0.08)),
            reflectance={
                "skin": float(rng.uniform(0.25, 0.7)),
                "hair": float(rng.uniform(0.05, 0.4)),
                "shirt": float(rng.uniform(0.06, 0.85)),
                "trousers": float(rng.uniform(0.06, 0.7)),
                "shoes": float(rng.uniform(0.05, 0.9)),
                "sole": float(rng.uniform(-0.8, 0.8)),
            },
            pattern={name: float(rng.uniform(0.3, 0.8)) for name in MATERIALS},
            seed=int(rng.integers(2**31 - 100)),
        )


@dataclass(frozen=True)
class Regions:
    """Places on a person, per vertex [V].

    Attributes:
        arm, leg, head, foot: shares of these parts.
        arm_reach: place along the arm, 0 at the shoulder, 1 at the elbow, 2 at the wrist; -1
            elsewhere. ``leg_reach`` alike from hip to ankle.
    """

    arm: F64
    leg: F64
    head: F64
    foot: F64
    arm_reach: F64
    leg_reach: F64

    @classmethod
    def of(cls, shape: Shape) -> "Regions":
        """Find the parts of a person."""
        people = load_people()

        def limb(upper: str, lower: str, end: str) -> tuple[F64, F64]:
            count = len(shape.vertices)
            share: F64 = np.zeros(count)
            reach: F64 = np.full(count, -1.0)
            for side in "RL":
                low = people.weight_of(f"{lower}01.{side}", f"{lower}02.{side}", f"{end}.{side}")
                own = low + people.weight_of(f"{upper}01.{side}", f"{upper}02.{side}")
                names = (f"{upper}01.{side}", f"{lower}01.{side}", f"{end}.{side}")
                start, middle, stop = (shape.pivot(name) for name in names)
                first = _along(shape.vertices, start, middle)
                second = 1.0 + _along(shape.vertices, middle, stop)
                along = np.where(low > 0.5, np.maximum(second, 1.0), np.minimum(first, 1.0))
                share, reach = np.maximum(share, own), np.where(own > 0.5, along, reach)
            return share, reach

        arm, arm_reach = limb("upperarm", "lowerarm", "hand")
        leg, leg_reach = limb("upperleg", "lowerleg", "foot")
        return cls(
            arm=arm,
            leg=leg,
            head=people.weight_of("head") + 0.5 * people.weight_of("neck03"),
            foot=people.weight_of("foot.R", "foot.L"),
            arm_reach=arm_reach,
            leg_reach=leg_reach,
        )


def _along(points: F64, start: F64, end: F64) -> F64:
    axis = end - start
    return np.asarray((points - start) @ axis / (axis @ axis))


@dataclass(frozen=True)
class Dress:
    """A dressed person in rest pose.

    Attributes:
        vertices: [V, 3].
        covers: signed distances of the pieces, material -> [V], positive where it covers.
        regions: places on the body.
    """

    vertices: F64
    covers: dict[int, F64]
    regions: Regions


def dress(shape: Shape, outfit: Outfit) -> Dress:
    """Put clothes, shoes and hair on a person."""
    people, regions = load_people(), Regions.of(shape)
    covers = _covers(shape, outfit, regions)
    body = shape.vertices
    hip = shape.pivot("upperleg01.R")[2]

    def on(material: int, width: float) -> F64:
        return smooth_step(covers[material], -0.004, width)

    fold = 0.5 * noise(body, np.array((0.07, 0.07, 0.16)), outfit.seed)
    fold += 0.35 * noise(body, np.array((0.05, 0.05, 0.07)), outfit.seed + 1)
    # a shirt hangs straight down from the chest, a sleeve from the arm
    hang = np.clip((hip + 0.35 - body[:, 2]) / 0.45, 0.0, 1.2)
    hang = np.where(regions.arm > 0.5, np.clip(regions.arm_reach, 0.0, 1.5) / 1.2, hang)
    shirt = 0.004 + outfit.loose_m * (0.45 + 0.55 * hang + 0.35 * fold)
    flare = np.clip(regions.leg_reach - 0.7, 0.0, 1.3)
    trousers = 0.003 + outfit.wide_m * (0.4 + 0.9 * flare + 0.35 * fold)
    off = np.maximum(on(SHIRT, 0.012) * shirt, on(TROUSERS, 0.012) * trousers)
    off = np.maximum(off, 0.015 * on(SHOES, 0.01))
    hair = outfit.hair_m * (1.0 + 0.3 * noise(body, np.full(3, 0.05), outfit.seed + 2))
    off = np.maximum(off, smooth_step(covers[HAIR], -0.005, 0.035) * hair)
    if outfit.long_hair:
        nape = (covers[HAIR] > 0) & (body[:, 2] < shape.eyes[:, 2].mean() + 0.03)
        off = np.where(nape, np.maximum(off, 1.1 * outfit.hair_m + 0.012), off)
    off = people.smooth(np.maximum(off, 0.0), 1, 0.5)
    outwards = people.smooth(people.normals(body), 3)
    outwards /= np.maximum(np.linalg.norm(outwards, axis=1, keepdims=True), 1e-9)
    blunt = smooth_step(covers[SHOES], 0.0, 0.03) * (regions.foot > 0.5)
    body = body + blunt[:, None] * (_without_toes(shape, regions) - body)
    return Dress(body + off[:, None] * outwards, covers, regions)


def _without_toes(shape: Shape, regions: Regions) -> F64:
    """Smooth the feet into shoes as long as they are, [V, 3]."""
    rounded = load_people().smooth(shape.vertices, 14, 0.6)
    for side in "RL":
        ankle = shape.pivot(f"foot.{side}")
        own = (regions.foot > 0.5) & (shape.vertices[:, 0] * ankle[0] > 0)
        own &= shape.vertices[:, 1] < ankle[1]
        tip, shrunk = shape.vertices[own, 1].min(), rounded[own, 1].min()
        longer = (ankle[1] - tip) / (ankle[1] - shrunk)
        rounded[own, 1] = ankle[1] + longer * (rounded[own, 1] - ankle[1])
    return rounded


def _covers(shape: Shape, outfit: Outfit, regions: Regions) -> dict[int, F64]:
    """Signed distances of all pieces, in metres or nearly so."""
    x, y, z = shape.vertices.T
    eyes, neck = shape.eyes.mean(0), shape.pivot("neck01")
    ankle = 0.5 * (shape.pivot("foot.R")[2] + shape.pivot("foot.L")[2])
    hip = shape.pivot("upperleg01.R")[2]
    arm, leg, head = regions.arm > 0.5, regions.leg > 0.5, regions.head > 0.5
    trunk = ~(arm | leg | head)
    # from the forehead down and back behind the ears
    hair = z - eyes[2] - 0.055 + 0.88 * np.maximum(y - eyes[1] - 0.035, -0.03)
    ear = (np.abs(x) > 0.066) & (np.abs(z - eyes[2] + 0.025) < 0.045) & (y < eyes[1] + 0.12)
    hair = np.where(head, np.where(ear, -0.02, hair), -1.0)
    if outfit.long_hair:
        people = load_people()
        neck_share = people.weight_of("neck01", "neck02", "neck03")
        behind = (y > eyes[1] + 0.09) & (z < eyes[2] + 0.03)
        hair = np.where(behind & (head | (neck_share > 0.4)), 0.03, hair)
    shoes = np.where(leg, np.maximum(ankle + 0.015 - z, regions.leg_reach - 1.97), -1.0)
    around_neck = np.linalg.norm((shape.vertices - neck) * (1, 1, 0.8), axis=1)
    high = z > shape.pivot("clavicle.R")[2] - 0.05
    end = hip + outfit.shirt_end_m
    shirt = np.where(trunk & high, around_neck - outfit.neckline_m, z - end)
    sleeve = 1.97 if outfit.sleeve > 1.5 else outfit.sleeve
    shirt = np.where(arm, (sleeve - regions.arm_reach) * 0.28, shirt)
    shirt = np.where(head, -0.05, shirt)
    trousers = np.where(leg, (outfit.leg - regions.leg_reach) * 0.4, hip + outfit.waist_m - z)
    if outfit.leg > 1.5:
        trousers = np.where(leg, z - ankle, trousers)
    trousers = np.where(trunk | leg, trousers, -0.05)
    return {TROUSERS: trousers, SHIRT: shirt, SHOES: shoes, HAIR: hair}


@numba.njit(cache=True, fastmath=True)
def _corner(i: int, j: int, k: int, seed: int) -> float:
    """A random number in -1 to 1 at a corner of the grid."""
    value = (i * 374761393 + j * 668265263 + k * 2147483647 + seed * 1274126177) & 0xFFFFFFFF
    value = ((value ^ (value >> 13)) * 1274126177) & 0xFFFFFFFF
    value = ((value ^ (value >> 15)) * 2246822519) & 0xFFFFFFFF
    return ((value >> 8) & 0xFFFF) / 32767.5 - 1.0


@numba.njit(cache=True, fastmath=True)
def noise(points: F64, cell_m: F64, seed: int) -> F64:
    """Smooth noise of about unit variance at points [N, 3]; cells of a grid ``cell_m`` [3]."""
    values = np.empty(len(points))
    for n in range(len(points)):
        x, y, z = points[n, 0] / cell_m[0], points[n, 1] / cell_m[1], points[n, 2] / cell_m[2]
        i, j, k = int(np.floor(x)), int(np.floor(y)), int(np.floor(z))
        x, y, z = x - i, y - j, z - k
        x, y, z = x * x * (3 - 2 * x), y * y * (3 - 2 * y), z * z * (3 - 2 * z)
        total = 0.0
        for a in range(2):
            for b in range(2):
                for c in range(2):
                    weight = (x if a else 1 - x) * (y if b else 1 - y) * (z if c else 1 - z)
                    total += weight * _corner(i + a, j + b, k + c, seed)
        values[n] = 2.6 * total
    return values
