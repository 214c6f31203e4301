# SPDX-License-Identifier: Apache-2.0
"""Renders the training data: random people, motions, cameras and sensors, one shard each.

Shard number i is a function of the seed and i, so rendering can be stopped and resumed, and any
number of processes give the same data. The plan is kept beside them, so that no other is mixed in.
"""

import hashlib
import json
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, replace
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Final

import numpy as np

from hybrid_pose_ros.geometry.cameras import DHP19_LIKE, DHP19_MATRICES, Camera, load_dhp19_cameras
from hybrid_pose_ros.networks.config import EDGE
from hybrid_pose_ros.research.training.shards import ShardError, is_finished, write_shard
from hybrid_pose_ros.research.training.splits import (
    HELD_OUT_MOVEMENTS,
    SPLITS,
    TEST_SUBJECTS,
    TRAIN_SUBJECTS,
)
from hybrid_pose_ros.simulation.mocap import load_mocap, vary
from hybrid_pose_ros.simulation.motion import Motion
from hybrid_pose_ros.simulation.movements import MOVEMENTS, make_motion
from hybrid_pose_ros.simulation.recording import Scene, simulate_recording

_PLAN = "plan.json"
"""What the shards of a folder were rendered by, whatever their number."""

_SIZES: Final = ((346, 260), (346, 260), (320, 240), (240, 180))
"""Sensors of the cameras that are not DHP19's (pixels)."""

_HELD_OUT_SHARE = 0.05


@dataclass(frozen=True)
class RenderPlan:
    """What is rendered.

    Attributes:
        seconds: length of all training recordings together; validation and test come on top.
        seed: the data is a function of it.
        mocap: motion capture, mixed with the procedural motion; None for that alone.
        calibration: folder of the DHP19 matrices; None for cameras like them.
        shard_seconds: length of one recording.
    """

    seconds: float
    seed: int
    mocap: Path | None = None
    calibration: Path | None = None
    shard_seconds: float = 6.0


def disturb(camera: Camera, rng: np.random.Generator) -> Camera:
    """Return the camera of a rig set up once more: a little moved, turned and refocused."""
    turn, roll = rng.normal(0, 0.08), rng.normal(0, 0.02)
    world = np.eye(4)
    world[:2, :2] = ((np.cos(turn), -np.sin(turn)), (np.sin(turn), np.cos(turn)))
    world[:3, 3] = rng.normal(0, 0.08, 3)
    middle = np.array((camera.width - 1, camera.height - 1)) / 2
    image = np.eye(3)
    image[:2, :2] = ((np.cos(roll), -np.sin(roll)), (np.sin(roll), np.cos(roll)))
    image[:2, :2] *= rng.normal(1.0, 0.06)
    image[:2, 2] = middle - image[:2, :2] @ middle + rng.normal(0, 5, 2)
    return replace(camera, matrix=image @ camera.matrix @ world)


def sample_camera(plan: RenderPlan, rng: np.random.Generator) -> tuple[Camera, float]:
    """Draw a camera, and a yaw (radians) for the person.

    Six in ten are cameras about like DHP19's (never exactly these, which are for the test), before
    a person who faces as DHP19's people do. The others stand anywhere around; half of these are
    close, so that only a part of the person, such as head and shoulders, is in the image.
    """
    if rng.random() < 0.6:
        cameras = list(DHP19_LIKE)
        facing = np.pi  # DHP19's people face -y
        if plan.calibration is not None:
            cameras = list(load_dhp19_cameras(plan.calibration).values())
        camera = cameras[int(rng.integers(len(cameras)))]
        return disturb(camera, rng), facing + rng.normal(0, 0.3)
    azimuth = rng.uniform(0, 2 * np.pi)
    width, height_px = _SIZES[int(rng.integers(len(_SIZES)))]
    kind = rng.random()
    if kind < 0.25:
        name, distance, height = "desk", rng.uniform(0.6, 1.4), rng.uniform(1.2, 1.8)
        target = (*rng.normal(0, 0.08, 2), rng.uniform(1.45, 1.7))
        extent = rng.uniform(0.4, 0.8)  # metres from the image's top to its bottom
    elif kind < 0.5:
        name, distance, height = "close", rng.uniform(0.8, 2.0), rng.uniform(1.0, 1.7)
        target = (*rng.normal(0, 0.1, 2), rng.uniform(1.15, 1.6))
        extent = rng.uniform(0.45, 1.4)
    else:
        name, distance, height = "random", rng.uniform(2.2, 5.0), rng.uniform(0.7, 2.4)
        target = (*rng.normal(0, 0.15, 2), rng.uniform(0.8, 1.15))
        extent = 1.8 / rng.uniform(0.45, 1.05)
    position = (distance * np.cos(azimuth), distance * np.sin(azimuth), height)
    focal = height_px * distance / extent
    camera = Camera.look_at(
        position, target, focal, width, height_px, roll=rng.normal(0, 0.05), name=name
    )
    towards = azimuth - np.pi / 2  # a yaw of 0 faces +y
    return camera, towards + rng.normal(0, 0.7)


def sample_motion(
    plan: RenderPlan, split: str, yaw: float, rng: np.random.Generator, *, close: bool
) -> Motion:
    """Draw a motion of a shard's length, captured or procedural, of those the split may see.

    Half of the people close to the camera sway or turn, as those at a desk do.
    """
    test = split == "test"
    if close and rng.random() < 0.5:
        name = ("standing", "turning")[int(rng.integers(2))]
        return make_motion(name, rng, plan.shard_seconds, yaw)
    if plan.mocap is not None and rng.random() < 0.5:
        clips = load_mocap(plan.mocap, TEST_SUBJECTS if test else TRAIN_SUBJECTS)
        lengths = np.array([clip.duration_s for clip in clips])
        clip = clips[int(rng.choice(len(clips), p=lengths / lengths.sum()))]
        return vary(clip, rng, plan.shard_seconds, yaw)
    names = [name for name in MOVEMENTS if test or name not in HELD_OUT_MOVEMENTS]
    return make_motion(names[int(rng.integers(len(names)))], rng, plan.shard_seconds, yaw)


def render_shard(folder: Path, plan: RenderPlan, split: str, number: int) -> None:
    """Simulate and bin one recording into ``<folder>/<number>``."""
    rng = np.random.default_rng((plan.seed, SPLITS[split], number))
    camera, yaw = sample_camera(plan, rng)
    motion = sample_motion(plan, split, yaw, rng, close=camera.name in ("close", "desk"))
    scene = Scene.sample_wild(motion, camera, rng)
    recording = simulate_recording(scene, min(plan.shard_seconds, motion.duration_s))
    write_shard(
        folder / f"{number:05d}",
        EDGE,
        events=recording.events,
        sensor_size=(recording.width, recording.height),
        truth=recording.truth,
        meta={"motion": motion.name, "camera": camera.name, "number": number},
    )


def render_shards(
    data: Path, plan: RenderPlan, *, workers: int, progress: Callable[[int, int], None]
) -> None:
    """Render what is missing below ``data/train``, ``data/validation`` and ``data/test``.

    Args:
        workers: number of processes.
        progress: called with the number of finished shards and of all.

    Raises:
        ShardError: what is there was rendered by another plan.
        CameraError, MocapError, OSError: the calibration or the motion capture cannot be read.
    """
    record = _plan_record(plan)
    count = max(1, round(plan.seconds / plan.shard_seconds))
    held_out = max(4, round(count * _HELD_OUT_SHARE))
    sizes = {"validation": held_out, "test": held_out, "train": count}
    jobs = [
        (data / split, plan, split, number)
        for split, size in sizes.items()
        for number in range(size)
    ]
    missing = [job for job in jobs if not is_finished(job[0] / f"{job[3]:05d}")]
    done = len(jobs) - len(missing)
    _keep_plan(data, record, begun=done > 0)
    progress(done, len(jobs))
    # torch does not survive a fork with its threads running
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        try:
            for future in as_completed([pool.submit(render_shard, *job) for job in missing]):
                future.result()
                done += 1
                progress(done, len(jobs))
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def _plan_record(plan: RenderPlan) -> dict[str, Any]:
    """What a shard is a function of, with its number; files count by their content."""
    mocap: list[Path] = []
    calibration: list[Path] = []
    if plan.mocap is not None:
        for subjects in (TRAIN_SUBJECTS, TEST_SUBJECTS):
            load_mocap(plan.mocap, subjects)  # what cannot be read is said now
        mocap = [plan.mocap]
    if plan.calibration is not None:
        load_dhp19_cameras(plan.calibration)
        calibration = [plan.calibration / f"{name}.npy" for name in DHP19_MATRICES.values()]
    return {
        "seed": plan.seed,
        "mocap": [_digest(path) for path in mocap],
        "calibration": [_digest(path) for path in calibration],
        "shard_seconds": plan.shard_seconds,
    }


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()[:16]


def _keep_plan(data: Path, record: dict[str, Any], *, begun: bool) -> None:
    """Write the plan beside the data, or compare it with the one that is there."""
    file = data / _PLAN
    if file.is_file():
        kept = json.loads(file.read_text())
        differs = [name for name, value in record.items() if kept[name] != value]
        if differs:
            raise ShardError(
                f"{data}: rendered with another {' and '.join(differs)}; "
                "give what it was rendered with, or another folder"
            )
    elif begun:
        raise ShardError(f"{file}: missing, so nothing can be added; give another folder")
    else:
        data.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(record, indent=2) + "\n")
