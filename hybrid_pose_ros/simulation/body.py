# SPDX-License-Identifier: Apache-2.0
"""A clothed body around the 13 joints: tapered capsules with a texture that moves with them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from hybrid_pose_ros.skeleton import joint_id

TEXTURE_SHAPE: Final = (32, 64)
"""Rows of a part's texture along its axis, columns around it."""

_HEAD = joint_id("head")
_SIDES: Final = ("right", "left")


@dataclass(frozen=True)
class Capsules:
    """The body's parts over a number of frames.

    Attributes:
        ends: both ends of each part's axis in metres, [F, P, 2, 3].
        radii: at the two ends in metres, [P, 2].
        forward: unit vector in which the body faces, [F, 3]; textures are fixed to it.
    """

    ends: NDArray[np.float64]
    radii: NDArray[np.float64]
    forward: NDArray[np.float64]


@dataclass(frozen=True)
class Body:
    """Build and looks of one person.

    Attributes:
        girth: factor on all thicknesses.
        textures: log reflectance, [P, *TEXTURE_SHAPE], parts in the order of :data:`PARTS`.
    """

    girth: float
    textures: NDArray[np.float32]

    def capsules(self, joints_m: NDArray[np.floating]) -> Capsules:
        """Place the parts around joints [F, 13, 3] in metres."""
        joints = np.asarray(joints_m, np.float64)
        anchors = _anchors(joints)
        ends = np.stack([np.stack((anchors[p.start], anchors[p.end]), 1) for p in PARTS], 1)
        radii = np.array([p.radii for p in PARTS]) * self.girth
        return Capsules(ends, radii, anchors["forward"])

    @classmethod
    def sample(cls, rng: np.random.Generator) -> "Body":
        """Draw a person: build, clothes, skin and hair."""
        reflectance = {
            "skin": rng.uniform(0.25, 0.7),
            "hair": rng.uniform(0.05, 0.4),
            "shirt": rng.uniform(0.06, 0.85),
            "trousers": rng.uniform(0.06, 0.7),
            "shoes": rng.uniform(0.05, 0.9),
        }
        sleeve, leg = rng.choice((0.6, 1.0, 2.0)), rng.choice((0.8, 2.0))
        pattern = {cloth: rng.uniform(0.05, 0.5) for cloth in reflectance}
        textures = [_texture(part, reflectance, pattern, sleeve, leg, rng) for part in PARTS]
        return cls(rng.uniform(0.85, 1.25), np.stack(textures).astype(np.float32))


@dataclass(frozen=True)
class _Part:
    """``reach`` is the part's place along arm or leg, in limb segments from the trunk."""

    name: str
    start: str
    end: str
    radii: tuple[float, float]
    cloth: str
    reach: float = 0.0


def _limbs() -> tuple[_Part, ...]:
    parts = []
    for side in _SIDES:
        parts += [
            _Part(f"{side}_upper_arm", f"{side}_shoulder", f"{side}_elbow", (0.055, 0.043), "arm"),
            _Part(f"{side}_forearm", f"{side}_elbow", f"{side}_hand", (0.043, 0.030), "arm", 1.0),
            _Part(f"{side}_palm", f"{side}_hand", f"{side}_fingers", (0.036, 0.030), "skin"),
            _Part(f"{side}_thigh", f"{side}_hip", f"{side}_knee", (0.085, 0.060), "leg"),
            _Part(f"{side}_shank", f"{side}_knee", f"{side}_foot", (0.058, 0.040), "leg", 1.0),
            _Part(f"{side}_shoe", f"{side}_foot", f"{side}_toe", (0.042, 0.034), "shoes"),
            _Part(f"{side}_flank", f"{side}_chest", f"{side}_waist", (0.105, 0.095), "shirt"),
        ]
    return tuple(parts)


PARTS: Final = (
    *_limbs(),
    _Part("pelvis", "right_hip", "left_hip", (0.105, 0.105), "trousers"),
    _Part("shoulders", "right_chest", "left_chest", (0.095, 0.095), "shirt"),
    _Part("belly", "breast", "pelvis", (0.120, 0.120), "shirt"),
    _Part("neck", "breast", "head", (0.062, 0.055), "skin"),
    _Part("head", "chin", "crown", (0.080, 0.093), "head"),
)
"""All parts of the body, in the order of textures and capsules."""


def _unit(vectors: NDArray[np.floating]) -> NDArray[np.float64]:
    return np.asarray(vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-9))


def _anchors(joints: NDArray[np.float64]) -> dict[str, NDArray[np.float64]]:
    """Points from which parts are hung, each [F, 3]."""

    def joint(name: str) -> NDArray[np.float64]:
        return joints[:, joint_id(name)]

    at = {name: joint(name) for side in _SIDES for name in _side_joints(side)}
    head = joints[:, _HEAD]
    breast = 0.5 * (at["right_shoulder"] + at["left_shoulder"])
    pelvis = 0.5 * (at["right_hip"] + at["left_hip"])
    spine = _unit(breast - pelvis)
    across = _unit(at["right_hip"] - at["left_hip"])
    forward = _unit(np.cross(spine, across))
    neck = _unit(head - breast)
    at |= {"breast": breast - 0.06 * spine, "pelvis": pelvis, "head": head, "forward": forward}
    at |= {"chin": head - 0.04 * neck + 0.01 * forward, "crown": head + 0.05 * neck}
    for side in _SIDES:
        shoulder, hip, elbow = at[f"{side}_shoulder"], at[f"{side}_hip"], at[f"{side}_elbow"]
        hand, foot = at[f"{side}_hand"], at[f"{side}_foot"]
        at[f"{side}_chest"] = shoulder + 0.28 * (breast - shoulder) - 0.08 * spine
        at[f"{side}_waist"] = hip + 0.25 * (pelvis - hip) + 0.12 * spine
        at[f"{side}_fingers"] = hand + 0.09 * _unit(hand - elbow)
        shank = _unit(foot - at[f"{side}_knee"])
        # the sole is at right angles to the shank, towards where the body faces
        toes = _unit(forward - np.sum(forward * shank, -1, keepdims=True) * shank)
        at[f"{side}_toe"] = foot + 0.15 * toes + 0.03 * shank
    return at


def _side_joints(side: str) -> Mapping[str, None]:
    joints = ("shoulder", "elbow", "hand", "hip", "knee", "foot")
    return {f"{side}_{joint}": None for joint in joints}


def _smooth_noise(rng: np.random.Generator, rows: int, columns: int) -> NDArray[np.float64]:
    """Bilinear noise of unit variance over a texture, periodic around the part."""
    height, width = TEXTURE_SHAPE
    grid = rng.standard_normal((rows + 1, columns))
    y = np.linspace(0, rows, height, endpoint=False)
    x = np.arange(width) * columns / width
    y0, x0 = y.astype(int), x.astype(int)
    fy, fx = (y - y0)[:, None], (x - x0)[None]
    x1 = (x0 + 1) % columns
    top = grid[y0][:, x0] * (1 - fx) + grid[y0][:, x1] * fx
    bottom = grid[y0 + 1][:, x0] * (1 - fx) + grid[y0 + 1][:, x1] * fx
    return np.asarray(top * (1 - fy) + bottom * fy)


def _texture(
    part: _Part,
    reflectance: Mapping[str, float],
    pattern: Mapping[str, float],
    sleeve: float,
    leg: float,
    rng: np.random.Generator,
) -> NDArray[np.float64]:
    """Log reflectance of one part, [*TEXTURE_SHAPE]."""
    rows = np.linspace(0, 1, TEXTURE_SHAPE[0])[:, None] + part.reach
    cloth = {"arm": "shirt", "leg": "trousers"}.get(part.cloth, part.cloth)
    if part.cloth == "arm":
        base = np.where(rows < sleeve, reflectance["shirt"], reflectance["skin"])
    elif part.cloth == "leg":
        base = np.where(rows < leg, reflectance["trousers"], reflectance["skin"])
    elif part.cloth == "head":
        around = np.abs(np.arange(TEXTURE_SHAPE[1]) / TEXTURE_SHAPE[1] - 0.5)[None]
        hair = (rows > 0.75) | (around < 0.25)  # column 0 faces forward
        base = np.where(hair, reflectance["hair"], reflectance["skin"])
        cloth = "skin"
    else:
        base = np.full((TEXTURE_SHAPE[0], 1), reflectance[cloth])
    strength = 0.5 * pattern[cloth] if cloth == "skin" else pattern[cloth]
    coarse, fine = _smooth_noise(rng, 3, 6), _smooth_noise(rng, 10, 24)
    return np.asarray(np.log(base) + strength * (0.6 * coarse + 0.5 * fine))
