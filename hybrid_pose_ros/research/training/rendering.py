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
from hybrid_pose_ros.research.training.splits import REPERTOIRES, SPLITS
from hybrid_pose_ros.simulation.mocap import MocapError, index_mocap, subject_of
from hybrid_pose_ros.simulation.motion_sampler import sample_motion
from hybrid_pose_ros.simulation.movements import PLACE_M
from hybrid_pose_ros.simulation.recording import simulate_recording
from hybrid_pose_ros.simulation.scene import Scene, sample_body
from hybrid_pose_ros.simulation.viewpoints import sample_wide_camera

_PLAN = "plan.json"
"""File with the plan that the shards of a folder were rendered by, whatever their number."""

_LABORATORY: Final = 0.3
"""Share of recordings before cameras like DHP19's; the others are seen from anywhere."""

_CALM: Final = 0.5
"""Share of those in a laboratory: steady light, a fixed camera, a DAVIS346, nobody else."""

_LONG: Final = 0.12
"""Share of long recordings."""

_HELD_OUT_SHARE = 0.05


@dataclass(frozen=True)
class RenderPlan:
    """Settings of a rendering.

    Attributes:
        seconds: length of all training recordings together; validation and test come on top.
        seed: the data is a function of it.
        mocap: motion capture, mixed with the procedural motion; None for that alone.
        calibration: folder of the DHP19 matrices; None for cameras like them.
        mesh_share: share of people with a mesh for a body, the others are capsules.
        short_s, long_s: shortest and longest of the short and of the long recordings (seconds).
    """

    seconds: float
    seed: int
    mocap: Path | None = None
    calibration: Path | None = None
    mesh_share: float = 0.6
    short_s: tuple[float, float] = (2.5, 5.5)
    long_s: tuple[float, float] = (8.0, 16.0)

    @property
    def mean_s(self) -> float:
        """Mean length of a recording in seconds."""
        return (1 - _LONG) * sum(self.short_s) / 2 + _LONG * sum(self.long_s) / 2


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


def sample_scene(plan: RenderPlan, split: str, rng: np.random.Generator) -> tuple[Scene, float]:
    """Draw a scene and its length in seconds.

    Three in ten are seen by cameras about like DHP19's (never exactly these, which are for the
    test), by people who mostly face as DHP19's do. The others are seen from anywhere, with
    any heading.
    """
    seconds = float(rng.uniform(*(plan.long_s if rng.random() < _LONG else plan.short_s)))
    repertoire = REPERTOIRES[split]
    if rng.random() < _LABORATORY:
        cameras = list(DHP19_LIKE)
        if plan.calibration is not None:
            cameras = list(load_dhp19_cameras(plan.calibration).values())
        camera = disturb(cameras[int(rng.integers(len(cameras)))], rng)
        yaw = np.pi + rng.normal(0, 0.3) if rng.random() < 0.75 else rng.uniform(0, 2 * np.pi)
        motion = sample_motion(rng, seconds, repertoire, mocap=plan.mocap, yaw=yaw)
        motion = replace(motion, joints_m=motion.joints_m + PLACE_M)  # DHP19's faces -y
        if rng.random() < _CALM:
            body = sample_body(rng, plan.mesh_share)
            return replace(Scene.sample(motion, camera, rng), body=body), seconds
    else:
        yaw = rng.uniform(0, 2 * np.pi)
        motion = sample_motion(rng, seconds, repertoire, mocap=plan.mocap, yaw=yaw)
        camera = sample_wide_camera(rng, tuple(motion.joints_m[..., :2].mean((0, 1))))
    return Scene.sample_wild(motion, camera, rng, mesh_share=plan.mesh_share), seconds


def render_shard(folder: Path, plan: RenderPlan, split: str, number: int) -> None:
    """Simulate and bin one recording into ``<folder>/<number>``."""
    rng = np.random.default_rng((plan.seed, SPLITS[split], number))
    scene, seconds = sample_scene(plan, split, rng)
    recording = simulate_recording(scene, seconds)
    write_shard(
        folder / f"{number:05d}",
        EDGE,
        events=recording.events,
        sensor_size=(recording.width, recording.height),
        truth=recording.truth,
        meta={
            "motion": scene.motion.name,
            "camera": scene.camera.name,
            "body": type(scene.body).__name__,
            "number": number,
        },
    )


def render_shards(
    data: Path,
    plan: RenderPlan,
    *,
    workers: int,
    progress: Callable[[int, int], None],
    part: tuple[int, int] = (1, 1),
) -> None:
    """Render what is missing below ``data/train``, ``data/validation`` and ``data/test``.

    Args:
        workers: number of processes.
        progress: called with the number of finished shards and of all.
        part: (i, n): what the i-th of n machines does, from 1; of all shards every n-th.

    Raises:
        ShardError: what is there was rendered by another plan.
        CameraError, MocapError, OSError: the calibration or the motion capture cannot be read.
    """
    record = _plan_record(plan)
    count = max(1, round(plan.seconds / plan.mean_s))
    held_out = max(4, round(count * _HELD_OUT_SHARE))
    sizes = {"validation": held_out, "test": held_out, "train": count}
    jobs = [
        (data / split, plan, split, number)
        for split, size in sizes.items()
        for number in range(size)
    ][part[0] - 1 :: part[1]]
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
    """Return all that determines a shard beside its number; files count by their content."""
    mocap: list[Path] = []
    calibration: list[Path] = []
    if plan.mocap is not None:
        subjects = {subject_of(clip) for clip in index_mocap(plan.mocap)}
        for split, repertoire in REPERTOIRES.items():  # each part of the data needs some
            if not any(map(repertoire.may_see, subjects)):
                raise MocapError(f"{plan.mocap}: no clips of subjects that {split} may see")
        mocap = [plan.mocap]
    if plan.calibration is not None:
        load_dhp19_cameras(plan.calibration)
        calibration = [plan.calibration / f"{name}.npy" for name in DHP19_MATRICES.values()]
    return {
        "seed": plan.seed,
        "mocap": [_digest(path) for path in mocap],
        "calibration": [_digest(path) for path in calibration],
        "mesh_share": plan.mesh_share,
        "lengths": [*plan.short_s, *plan.long_s],
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
