# SPDX-License-Identifier: Apache-2.0
"""Motion capture as motions of this package.

The file is an .npz with one array per clip, named ``<source>_<subject>_<clip>``: float
[frames, 13, 3] in metres at 60 Hz, joints in DHP19's order, y up from the floor; a person who
faces +z has the right side at -x.
"""

import zlib
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Final
from zipfile import BadZipFile, ZipFile

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import uniform_filter1d

from hybrid_pose_ros.errors import UserError
from hybrid_pose_ros.simulation.floor_contact import clearance
from hybrid_pose_ros.simulation.motion import Motion, rotate_about_vertical
from hybrid_pose_ros.skeleton import MIRROR, joint_id

RATE_HZ: Final = 60.0
_HIPS = [joint_id("right_hip"), joint_id("left_hip")]
_FEET = [joint_id("right_foot"), joint_id("left_foot")]
_ANKLE_M = 0.10
"""Height of the foot joint of a person who stands."""
_SHIFT_M = 0.02
"""By which the file's people, whose ankles stand 0.08 m above its floor, are raised."""
_DRIFT_S = 4.0


class MocapError(UserError, ValueError):
    """Motion capture cannot be read; the message names the file."""


def _to_world(clip: NDArray[np.floating], *, in_place: bool) -> NDArray[np.float64]:
    """Swap axes (y up to z up, facing +z to facing +y) and stand the person at the origin."""
    joints = np.stack((-clip[..., 0], clip[..., 2], clip[..., 1]), -1).astype(np.float64)
    path = joints[:, _HIPS, :2].mean(1)
    if in_place:  # a walk through the room becomes one on the spot, as on a treadmill
        window = min(len(joints), int(_DRIFT_S * RATE_HZ))
        joints[..., :2] -= uniform_filter1d(path, window, axis=0, mode="nearest")[:, None]
    else:
        joints[..., :2] -= 0.5 * (path.min(0) + path.max(0))
    floor = np.percentile(joints[:, _FEET, 2].min(1), 5)
    # the file's own floor is y = 0; who jumps or stands on his hands shows none
    shift = np.clip(_ANKLE_M - floor, _SHIFT_M - 0.02, _SHIFT_M + 0.02)
    joints[..., 2] += max(shift, -clearance(joints).min())
    return joints


def subject_of(clip: str) -> str:
    """The subject of a clip: its name up to the second ``_``."""
    return "_".join(clip.split("_")[:2])


@lru_cache(maxsize=4)
def index_mocap(path: Path) -> dict[str, int]:
    """Names and numbers of frames of a file's clips, from its headers alone.

    Raises:
        OSError: there is no such file.
        MocapError: it is of another kind, or a clip has another name or shape.
    """
    clips: dict[str, int] = {}
    try:
        with ZipFile(path) as file:
            for member in file.namelist():
                with file.open(member) as stream:
                    np.lib.format.read_magic(stream)
                    shape, _, kind = np.lib.format.read_array_header_1_0(stream)
                name = member.removesuffix(".npy")
                if kind.kind != "f":
                    raise ValueError
                if len(shape) != 3 or shape[1:] != (13, 3) or shape[0] < 2:
                    raise MocapError(
                        f"{path}: clip {name} has shape {shape}, not [frames >= 2, 13, 3]"
                    )
                if name.count("_") < 2:
                    raise MocapError(f"{path}: clip {name} is not named <source>_<subject>_<clip>")
                clips[name] = shape[0]
    except MocapError:
        raise
    except (EOFError, ValueError, BadZipFile) as error:  # by the file's kind
        raise MocapError(f"{path}: not an .npz file of clips") from error
    if not clips:
        raise MocapError(f"{path}: not an .npz file of clips")
    return clips


def load_clip(path: Path, name: str, *, in_place: bool = True) -> Motion:
    """Read one clip, which stands on the floor z = 0 around the origin.

    Args:
        in_place: the slow part of the way through the room is taken out, as on a treadmill.

    Raises:
        OSError, MocapError: the file or the clip cannot be read.
        KeyError: there is no such clip.
    """
    frames = index_mocap(path)[name]
    try:
        with np.load(path) as file:
            clip = np.asarray(file[name])
    except (EOFError, ValueError, BadZipFile, zlib.error) as error:
        raise MocapError(f"{path}: clip {name} is damaged") from error
    if not np.isfinite(clip).all():
        raise MocapError(f"{path}: clip {name} holds numbers that are not finite")
    return Motion(np.arange(frames) / RATE_HZ, _to_world(clip, in_place=in_place), name)


def draw_clip(
    path: Path, rng: np.random.Generator, allowed: Callable[[str], bool], least_s: float = 0.0
) -> str:
    """Draw the name of a clip: first the source, then one of its subjects, then one of his clips.

    So neither the source with most clips nor the most recorded subject prevails.

    Args:
        allowed: whether a subject's clips may be drawn.
        least_s: shorter clips are left out.

    Raises:
        OSError, MocapError: the file cannot be read, or has no clip of an allowed subject.
    """
    names = [
        name
        for name, frames in index_mocap(path).items()
        if allowed(subject_of(name)) and (frames - 1) / RATE_HZ >= least_s
    ]
    if not names:
        raise MocapError(
            f"{path}: no clip of at least {least_s:g} s of the subjects that may be drawn"
        )
    for group in (lambda name: name.split("_")[0], subject_of, str):
        groups = list(dict.fromkeys(group(name) for name in names))
        chosen = groups[int(rng.integers(len(groups)))]
        names = [name for name in names if group(name) == chosen]
    return names[0]


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
