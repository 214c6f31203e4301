# SPDX-License-Identifier: Apache-2.0
"""Motion capture as motions of this package.

The file is an .npz with one array per clip, named ``<subject>_<clip>``: float [frames, 13, 3] in
metres at 60 Hz, joints in DHP19's order, y up; a person who faces +z has the right side at -x.
"""

from functools import lru_cache
from pathlib import Path
from typing import Final
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import uniform_filter1d

from hybrid_pose_ros.errors import UserError
from hybrid_pose_ros.simulation.motion import Motion, rotate_about_vertical
from hybrid_pose_ros.skeleton import MIRROR, joint_id

RATE_HZ: Final = 60.0
_HIPS = [joint_id("right_hip"), joint_id("left_hip")]
_FEET = [joint_id("right_foot"), joint_id("left_foot")]
_ANKLE_M = 0.10
"""Height of the foot joint of a person who stands."""
_DRIFT_S = 4.0


class MocapError(UserError, ValueError):
    """Motion capture cannot be read; the message names the file."""


def _to_world(clip: NDArray[np.floating]) -> NDArray[np.float64]:
    """Swap axes (y up to z up, facing +z to facing +y) and stand the person at the origin."""
    joints = np.stack((-clip[..., 0], clip[..., 2], clip[..., 1]), -1).astype(np.float64)
    # a walk through the room becomes a walk in place, as on a treadmill
    window = min(len(joints), int(_DRIFT_S * RATE_HZ))
    drift = uniform_filter1d(joints[:, _HIPS, :2].mean(1), window, axis=0, mode="nearest")
    joints[..., :2] -= drift[:, None]
    floor = np.percentile(joints[:, _FEET, 2].min(1), 5)
    joints[..., 2] += _ANKLE_M - floor
    return joints


@lru_cache(maxsize=4)
def load_mocap(path: Path, subjects: tuple[str, ...] | None = None) -> list[Motion]:
    """Read the clips of some subjects, or all.

    Raises:
        OSError: there is no such file.
        MocapError: it is of another kind, no clip of these subjects is in it, or a clip has
            another shape.
    """
    try:
        with np.load(path) as file:
            clips = {
                key: np.asarray(file[key])
                for key in file.files
                if subjects is None or key.split("_")[0] in subjects
            }
    except (EOFError, TypeError, ValueError, BadZipFile) as error:  # numpy's, by the file's kind
        raise MocapError(f"{path}: not an .npz file of clips") from error
    if not clips:
        who = ", ".join(subjects or ("anybody",))
        raise MocapError(f"{path}: no clips of {who}; their names are <subject>_<clip>")
    motions = []
    for key, clip in clips.items():
        if clip.ndim != 3 or clip.shape[1:] != (13, 3):
            raise MocapError(f"{path}: clip {key} has shape {clip.shape}, not [frames, 13, 3]")
        times = np.arange(len(clip)) / RATE_HZ
        motions.append(Motion(times, _to_world(clip), key))
    return motions


def vary(motion: Motion, rng: np.random.Generator, duration_s: float, yaw: float) -> Motion:
    """Cut a random part out of a clip, at random tempo, turned to face ``yaw``, maybe mirrored.

    A yaw of 0 faces +y, and counts from the mean direction in which the person faces. The part is
    as long as the clip allows, at most ``duration_s``.
    """
    tempo = rng.uniform(0.8, 1.25)
    length = min(duration_s * tempo, motion.duration_s)
    start = rng.uniform(0.0, motion.duration_s - length)
    steps = max(2, int(length * RATE_HZ))
    times = np.linspace(0.0, length, steps, dtype=np.float64)
    joints = motion.at(start + times)
    if rng.random() < 0.5:
        joints = joints[:, list(MIRROR)] * (-1.0, 1.0, 1.0)
    return Motion(times / tempo, _facing(joints, yaw), motion.name)


def turn_to(motion: Motion, yaw: float) -> Motion:
    """Turn a motion so that the person on average faces ``yaw`` (0 is +y)."""
    return Motion(motion.times_s, _facing(motion.joints_m, yaw), motion.name)


def _facing(joints: NDArray[np.float64], yaw: float) -> NDArray[np.float64]:
    right = (joints[:, _HIPS[0]] - joints[:, _HIPS[1]]).mean(0)
    return rotate_about_vertical(joints, yaw - np.arctan2(right[1], right[0]))
