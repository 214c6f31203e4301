# SPDX-License-Identifier: Apache-2.0
"""A clothed body around the 13 joints: tapered capsules with a texture that moves with them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from hybrid_pose_ros.geometry.cameras import Camera
from hybrid_pose_ros.simulation.markers import body_axes, markers_of, segment_axes, unit
from hybrid_pose_ros.simulation.motion import Motion
from hybrid_pose_ros.simulation.renderer import (
    TEXTURE_SHAPE,
    Capsules,
    Lighting,
    ProjectedParts,
    bounds,
    draw,
    project_parts,
)
from hybrid_pose_ros.skeleton import JOINTS, joint_id

_SIDES: Final = ("right", "left")


@dataclass(frozen=True)
class Body:
    """Build and looks of one person.

    Attributes:
        girth: factor on all thicknesses.
        textures: reflectance, [P, *TEXTURE_SHAPE], parts in the order of :data:`PARTS`.
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

    def figure(self, motion: Motion) -> "CapsuleFigure":
        """Let the person carry out a motion."""
        return CapsuleFigure(self, motion)

    @classmethod
    def sample(cls, rng: np.random.Generator) -> "Body":
        """Draw a person: build, clothes, skin and hair."""
        reflectance = {
            "skin": rng.uniform(0.25, 0.7),
            "hair": rng.uniform(0.05, 0.4),
            "shirt": rng.uniform(0.06, 0.85),
            "trousers": rng.uniform(0.06, 0.7),
            "shoes": rng.uniform(0.05, 0.9),
            "sole": rng.uniform(-0.8, 0.8),
        }
        sleeve, leg = rng.choice((0.6, 1.0, 2.0)), rng.choice((0.8, 2.0))
        pattern = {cloth: rng.uniform(0.3, 0.8) for cloth in reflectance}
        textures = [_texture(part, reflectance, pattern, sleeve, leg, rng) for part in PARTS]
        return cls(rng.uniform(0.85, 1.25), np.stack(textures).astype(np.float32))


@dataclass(frozen=True)
class CapsuleFigure:
    """A body of capsules that carries out a motion (:class:`~.figure.Figure`)."""

    body: Body
    motion: Motion

    def markers_m(self, times_s: NDArray[np.floating]) -> NDArray[np.float64]:
        """Place the markers, [F, 13, 3] in metres, at times [F]."""
        return markers_of(self.motion.at(times_s))

    def view(
        self, times_s: NDArray[np.floating], camera: Camera, lighting: Lighting
    ) -> "CapsuleView":
        """Project the parts at times [F] into a camera."""
        capsules = self.body.capsules(self.motion.at(times_s))
        return CapsuleView(self.body, project_parts(capsules, camera, lighting), lighting)


@dataclass(frozen=True)
class CapsuleView:
    """Capsules in the image of a camera (:class:`~.figure.FigureView`)."""

    body: Body
    parts: ProjectedParts
    lighting: Lighting

    def move(self, offsets_px: NDArray[np.float64]) -> None:
        """Move the picture of each frame by [F, 2] pixels."""
        self.parts.image[..., :2] += offsets_px[:, None, None]

    def bounds(self, frame: int, width: int, height: int, box: NDArray[np.int64]) -> None:
        """Write the box of all parts of a frame within the image."""
        bounds(self.parts.image[frame], width, height, box)

    def draw(self, frame: int, canvas: NDArray[np.float32], depth: NDArray[np.float32]) -> None:
        """Draw all parts of a frame over ``canvas`` where they are nearer than ``depth``."""
        parts, light = self.parts, self.lighting
        draw(
            parts.image[frame],
            parts.facing[frame],
            parts.thickness,
            self.body.textures,
            light.ambient,
            light.glare,
            light.rim,
            canvas,
            depth,
        )


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
            _Part(f"{side}_upper_arm", f"{side}_shoulder", f"{side}_elbow", (0.052, 0.041), "arm"),
            _Part(f"{side}_forearm", f"{side}_elbow", f"{side}_hand", (0.042, 0.028), "arm", 1.0),
            _Part(f"{side}_palm", f"{side}_hand", f"{side}_knuckles", (0.030, 0.038), "hand"),
            _Part(f"{side}_fingers", f"{side}_knuckles", f"{side}_tips", (0.036, 0.022), "hand"),
            _Part(f"{side}_thigh", f"{side}_hip", f"{side}_knee", (0.085, 0.058), "leg"),
            _Part(f"{side}_calf", f"{side}_knee", f"{side}_calf", (0.055, 0.056), "leg", 1.0),
            _Part(f"{side}_shank", f"{side}_calf", f"{side}_foot", (0.056, 0.038), "leg", 1.35),
            _Part(f"{side}_heel", f"{side}_foot", f"{side}_heel", (0.040, 0.036), "shoes"),
            _Part(f"{side}_shoe", f"{side}_instep", f"{side}_toe", (0.042, 0.032), "shoes"),
            _Part(f"{side}_flank", f"{side}_chest", f"{side}_waist", (0.105, 0.095), "shirt"),
            _Part(f"{side}_collar", "throat", f"{side}_acromion", (0.050, 0.048), "shirt"),
        ]
    return tuple(parts)


PARTS: Final = (
    *_limbs(),
    _Part("pelvis", "right_hip", "left_hip", (0.105, 0.105), "trousers"),
    _Part("shoulders", "right_chest", "left_chest", (0.095, 0.095), "shirt"),
    _Part("belly", "breast", "pelvis", (0.115, 0.120), "shirt"),
    _Part("neck", "breast", "head", (0.058, 0.052), "skin"),
    _Part("face", "chin", "brow", (0.056, 0.072), "face"),
    _Part("head", "occiput", "crown", (0.080, 0.083), "hair"),
    _Part("nose", "nose", "nose_tip", (0.014, 0.017), "skin"),
)
"""All parts of the body, in the order of textures and capsules."""


def _anchors(joints: NDArray[np.float64]) -> dict[str, NDArray[np.float64]]:
    """Points from which parts are hung, each [F, 3]."""
    at = {name: joints[:, joint_id(name)] for name in JOINTS}
    axes = segment_axes(joints)
    breast = 0.5 * (at["right_shoulder"] + at["left_shoulder"])
    pelvis = 0.5 * (at["right_hip"] + at["left_hip"])
    _, forward, spine = body_axes(joints)
    at |= {"breast": breast - 0.06 * spine, "pelvis": pelvis, "forward": forward}

    def near(joint: str, sideways: float, ahead: float, up: float) -> NDArray[np.float64]:
        offset = np.array((sideways, ahead, up))
        return np.asarray(at[joint] + offset @ axes[:, joint_id(joint)])

    at |= {"throat": breast + 0.05 * spine, "chin": near("head", 0, 0.035, -0.055)}
    at |= {"brow": near("head", 0, 0.018, 0.035), "occiput": near("head", 0, -0.025, 0.0)}
    at |= {"crown": near("head", 0, -0.005, 0.045), "nose": near("head", 0, 0.088, 0.005)}
    at |= {"nose_tip": near("head", 0, 0.098, -0.022)}
    for side in _SIDES:
        shoulder, hip, elbow = at[f"{side}_shoulder"], at[f"{side}_hip"], at[f"{side}_elbow"]
        hand = at[f"{side}_hand"]
        reach = unit(hand - elbow)
        at[f"{side}_chest"] = shoulder + 0.28 * (breast - shoulder) - 0.08 * spine
        at[f"{side}_acromion"] = shoulder + 0.01 * spine
        at[f"{side}_waist"] = hip + 0.25 * (pelvis - hip) + 0.12 * spine
        at[f"{side}_knuckles"] = hand + 0.08 * reach
        at[f"{side}_tips"] = hand + 0.14 * reach
        at[f"{side}_calf"] = at[f"{side}_knee"] + 0.3 * (at[f"{side}_foot"] - at[f"{side}_knee"])
        at[f"{side}_heel"] = near(f"{side}_foot", 0, -0.035, -0.06)
        at[f"{side}_instep"] = near(f"{side}_foot", 0, 0.02, -0.05)
        at[f"{side}_toe"] = near(f"{side}_foot", 0.02, 0.16, -0.07)
    return at


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
    """Reflectance of one part, [*TEXTURE_SHAPE]."""
    rows = np.linspace(0, 1, TEXTURE_SHAPE[0])[:, None]
    reach = rows + part.reach
    around = np.arange(TEXTURE_SHAPE[1])[None] / TEXTURE_SHAPE[1]
    around = np.minimum(around, 1 - around)  # 0 faces forward, 0.5 back
    cloth = {"arm": "shirt", "leg": "trousers", "face": "skin", "hand": "skin"}.get(
        part.cloth, part.cloth
    )
    base = np.full(TEXTURE_SHAPE, np.log(reflectance[cloth]))
    if part.cloth in ("arm", "leg"):
        hem = sleeve if part.cloth == "arm" else leg
        base[(reach >= hem)[:, 0]] = np.log(reflectance["skin"])
        base -= 0.4 * np.exp(-(((reach - hem) / 0.03) ** 2))  # the hem's shadow
    elif part.cloth == "face":
        for height, width, at, size, depth in _FEATURES:
            spot = ((rows - height) / size) ** 2 + ((around - at) / width) ** 2
            base -= depth * rng.uniform(0.6, 1.2) * np.exp(-spot)
    elif part.cloth == "hand":
        base -= 0.25 * (1 + np.cos(2 * np.pi * around * 8)) * (rows > 0.4)  # between the fingers
    elif part.cloth == "shoes":
        base += reflectance["sole"] * (around > 0.33)
    strength = 0.35 * pattern[cloth] if cloth == "skin" else pattern[cloth]
    if part.cloth in ("arm", "leg"):  # a bent knee or elbow folds the cloth, and its cap shades
        bend = np.exp(-(((reach - 1.0) / 0.13) ** 2))
        strength = strength * (1.0 + 1.2 * bend)
        base -= 0.35 * bend * np.exp(-((around / 0.1) ** 2)) * (reach > 1.0)
    coarse, fine = _smooth_noise(rng, 3, 6), _smooth_noise(rng, 10, 24)
    return np.exp(base + strength * (0.5 * coarse + 0.6 * fine))


_FEATURES: Final = (
    (0.72, 0.045, 0.075, 0.06, 0.7),  # eyes
    (0.88, 0.060, 0.080, 0.05, 0.5),  # eyebrows
    (0.22, 0.060, 0.0, 0.05, 0.4),  # mouth
    (0.40, 0.03, 0.02, 0.05, 0.3),  # below the nose
    (0.0, 0.3, 0.0, 0.08, 0.4),  # below the chin
)
"""Dark places of a face: height, width and place around it, size along it, depth (log)."""
