# SPDX-License-Identifier: Apache-2.0
"""Tells how far the markers of mesh people are from where DHP19's published CNN sees them.

    python tools/fit_markers.py DHP_CNN.model

P1.npy to P4.npy are taken from the CNN's folder. The recordings are seeded with 100
(FIRST_MESH_SEED) and more; the sim-to-real check (`hybrid-pose research gauge`) is read on other
seeds.
What is printed, in metres sideways, forwards and up, is to be added to the table of
hybrid_pose_ros/simulation/mesh/skin_markers.py.
"""

import sys
from dataclasses import replace
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from hybrid_pose_ros.geometry.cameras import Camera, load_dhp19_cameras
from hybrid_pose_ros.research.evaluation.dhp19_cnn import Dhp19Cnn, load_dhp19_cnn
from hybrid_pose_ros.research.evaluation.gauge import (
    FIRST_MESH_SEED,
    WARM_UP_S,
    clean,
    cut_frames,
    locate,
)
from hybrid_pose_ros.research.evaluation.published import FRONT_CHANNELS
from hybrid_pose_ros.simulation.mesh.mesh_body import MeshBody, MeshFigure
from hybrid_pose_ros.simulation.mesh.skin_markers import MARKER_GROUPS, marker_axes
from hybrid_pose_ros.simulation.movements import make_motion
from hybrid_pose_ros.simulation.recording import Scene, simulate_recording
from hybrid_pose_ros.simulation.rooms import sample_background
from hybrid_pose_ros.skeleton import JOINTS

F64 = NDArray[np.float64]

SECONDS: Final = 2.0
MOVEMENTS: Final = (
    "walking",
    "star_jumps",
    "slow_jogging",
    "arm_abduction_right",
    "bicep_curl_left",
    "kick_right",
    "wave_hello_left",
    "clap",
    "knee_lift_left",
    "multiple_jumps",
)
PARTS: Final = ("head", "shoulder", "elbow", "hand", "hip", "knee", "foot")

LOST_PX: Final = 15.0
"""A joint that the CNN sees farther away is taken for another one."""


def measure(
    cnn: Dhp19Cnn, cameras: dict[int, Camera], movement: str, seed: int
) -> tuple[F64, F64]:
    """Return the CNN's errors in one movement, and what they owe to each marker's place.

    Returns:
        errors in px, [N, 13, 2], NaN out of view, and pixels per metre along the three axes of
        each marker's segment, [N, 13, 2, 3].
    """
    rng = np.random.default_rng((seed, *movement.encode()))
    motion = make_motion(movement, rng, SECONDS + WARM_UP_S)
    first = Scene.sample(motion, cameras[FRONT_CHANNELS[0]], rng)
    first = replace(first, body=MeshBody.sample(rng, skirts=False))
    recordings = {}
    for channel, camera in cameras.items():
        wall = sample_background(rng, camera.width, camera.height, first.lighting.glare)
        scene = replace(first, camera=camera, background=wall, seed=int(rng.integers(2**31)))
        recordings[channel] = clean(simulate_recording(scene, SECONDS + WARM_UP_S), channel)
    figure = first.body.figure(motion)
    assert isinstance(figure, MeshFigure)
    truth = recordings[FRONT_CHANNELS[0]].truth
    errors, slopes = [], []
    for frames in cut_frames(recordings):
        for channel, frame in frames.items():
            error = locate(cnn, frame.image[None])[0] - frame.keypoints_px
            error[~frame.visible] = np.nan
            own = recordings[channel].truth.keypoints_px - frame.keypoints_px
            middle = truth.label_ns[np.abs(own).sum((1, 2)).argmin()] * 1e-9
            errors.append(error)
            slopes.append(_slopes(figure, cameras[channel], float(middle)))
    return np.array(errors), np.array(slopes)


def _slopes(figure: MeshFigure, camera: Camera, time_s: float) -> F64:
    """Pixels that a marker moves per metre along the three axes of its segment, [13, 2, 3]."""
    times = np.array([time_s])
    transforms = figure.poser.transforms(times)
    places, axes = figure.rest_markers_m, marker_axes(figure.body.shape)
    step = 1e-3
    moved = [
        camera.project(
            figure.poser.points(places + sign * step * axes[:, axis], MARKER_GROUPS, transforms)[0]
        )
        for axis in range(3)
        for sign in (1, -1)
    ]
    return np.stack([(moved[2 * k] - moved[2 * k + 1]) / (2 * step) for k in range(3)], -1)


def fit(errors: F64, slopes: F64) -> F64:
    """Fit the offset [3] that explains errors [N, 2], by weights that lessen the large ones."""
    offset = np.zeros(3)
    for _ in range(30):
        rest = np.linalg.norm(errors - slopes @ offset, axis=1)
        weight = np.where(rest < LOST_PX, 1.0 / np.maximum(rest, 1.5), 0.0)
        normal = np.einsum("nik,nil,n->kl", slopes, slopes, weight)
        normal += 0.02 * np.trace(normal) / 3 * np.eye(3)
        offset = np.linalg.solve(normal, np.einsum("nik,ni,n->k", slopes, errors, weight))
    return offset


def main(path: Path) -> None:
    """Measure all movements and print the offsets."""
    cnn, cameras = load_dhp19_cnn(path), load_dhp19_cameras(path.parent)
    measured = []
    for k, movement in enumerate(MOVEMENTS):
        measured.append(measure(cnn, cameras, movement, FIRST_MESH_SEED + k))
        print(movement, flush=True)
    errors = np.concatenate([own for own, _ in measured])
    slopes = np.concatenate([own for _, own in measured])
    distance = np.linalg.norm(errors, axis=-1)
    print(f"mean {np.nanmean(distance):.2f} px, median {np.nanmedian(distance):.2f} px")
    for part in PARTS:
        joints = [k for k, name in enumerate(JOINTS) if name.split("_")[-1] == part]
        own, slope = errors[:, joints].reshape(-1, 2), slopes[:, joints].reshape(-1, 2, 3)
        seen = ~np.isnan(own[:, 0])
        offset = fit(own[seen], slope[seen])
        left = np.linalg.norm(own[seen] - slope[seen] @ offset, axis=1)
        before = np.nanmean(np.linalg.norm(own, axis=1))
        print(f"{part:9} {offset.round(3)} m, mean {before:.2f} px, with it {left.mean():.2f} px")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python tools/fit_markers.py DHP_CNN.model")
    main(Path(sys.argv[1]))
