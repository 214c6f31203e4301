# SPDX-License-Identifier: Apache-2.0
"""The stress test: error, joints shown and confidence while one condition goes to the extreme.

Recordings of people who were never trained on are simulated under each value of each axis
(:mod:`~hybrid_pose_ros.research.evaluation.stress_axes`), and the ANN and the hybrid run over them
as over any recording.
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, fields
from functools import lru_cache
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch

from hybrid_pose_ros.events.labelled import PointLabels
from hybrid_pose_ros.metrics.pose_errors import joint_errors, mpjpe, pck
from hybrid_pose_ros.metrics.pose_score import PCK_PX, PoseComparison, compare_poses
from hybrid_pose_ros.metrics.reliability import reliability
from hybrid_pose_ros.networks.checkpoint import Checkpoint, load_checkpoint
from hybrid_pose_ros.research.evaluation.recordings import estimate_poses
from hybrid_pose_ros.research.evaluation.stress_axes import AXES, Setting
from hybrid_pose_ros.research.evaluation.stress_scenes import (
    CAPTURED,
    PERFORMED,
    Performance,
    check_mocap,
    make_scene,
)
from hybrid_pose_ros.simulation.recording import Recording, Truth, simulate_sensors

Job = tuple[Performance, Setting]
"""One recording."""

FORMAT: Final = 1
"""Of the figures, and of the finished recordings' results; changed where either changes."""

MODELS: Final = ("ann", "hybrid")

VIEW_HEIGHT_PX: Final = 260
"""Of the picture that errors are measured in."""


@dataclass(frozen=True)
class StressPlan:
    """Settings of a stress test.

    Attributes:
        axes: some of :data:`~hybrid_pose_ros.research.evaluation.stress_axes.AXES`.
        people: persons that perform each movement.
        seconds: time of each recording in which poses count.
        seed: people, rooms and sensors are a function of it.
        checkpoint: file of the model; None: the shipped one.
        mocap: captured motion of the test subjects is shown, too; None: parametric motion alone.
    """

    axes: tuple[str, ...] = tuple(AXES)
    people: int = 1
    seconds: float = 1.0
    seed: int = 0
    checkpoint: Path | None = None
    mocap: Path | None = None

    @property
    def performances(self) -> list[Performance]:
        """All performances, which are the same under each setting."""
        count = len(PERFORMED) + (CAPTURED if self.mocap is not None else 0)
        return [
            Performance(self.seed, person, number)
            for person in range(self.people)
            for number in range(count)
        ]


@dataclass(frozen=True)
class Measured:
    """Poses of one recording, or of several, beside the truth."""

    ann: PoseComparison
    hybrid: PoseComparison

    @classmethod
    def joined(cls, parts: Iterable["Measured"]) -> "Measured":
        """Join the poses of several recordings."""
        found = list(parts)
        return cls(
            PoseComparison.joined([part.ann for part in found]),
            PoseComparison.joined([part.hybrid for part in found]),
        )

    def save(self, path: Path) -> None:
        """Write the poses to a file, which is there as a whole or not at all."""
        arrays = {
            f"{model}_{field.name}": getattr(getattr(self, model), field.name)
            for model in MODELS
            for field in fields(PoseComparison)
        }
        partial = path.with_suffix(".partial.npz")
        np.savez_compressed(partial, **arrays)
        partial.replace(path)

    @classmethod
    def load(cls, path: Path) -> "Measured":
        """Read what :meth:`save` wrote."""
        names = [field.name for field in fields(PoseComparison)]
        with np.load(path) as file:
            return cls(
                *(PoseComparison(*(file[f"{model}_{name}"] for name in names)) for model in MODELS)
            )


def labels_of(truth: Truth) -> PointLabels:
    """Make labels of the truth; places outside the picture are known, too."""
    points = truth.keypoints_px.astype(np.float64)
    return PointLabels(truth.label_ns, points, np.ones(points.shape[:2]))


def measure(recording: Recording, counted_from_s: float, checkpoint: Checkpoint) -> Measured:
    """Run the ANN and the hybrid over a recording, and set their poses beside its truth.

    Raises:
        ValueError: no pose counts.
    """
    width, height = recording.width, recording.height
    start_ns = round(1e9 * counted_from_s)
    poses = estimate_poses(recording.events, width, height, checkpoint, start_ns)
    if not poses.ann or not poses.hybrid:
        raise ValueError("the recordings are too short for a pose that counts; simulate longer")
    view, labels = checkpoint.config.view.fit(width, height), labels_of(recording.truth)
    return Measured(
        compare_poses(poses.ann, view, labels), compare_poses(poses.hybrid, view, labels)
    )


def stress(
    plan: StressPlan,
    *,
    workers: int = 1,
    finished: Path | None = None,
    progress: Callable[[float, float], None] = lambda done, total: None,
) -> dict[str, Any]:
    """Measure all values of all axes of a plan.

    Args:
        workers: number of processes; the figures do not depend on it.
        finished: folder of the results of finished recordings, which is made; a run that was
            interrupted goes on from them. Results of other plans or models in it are left alone.
        progress: called with the cost of what is done, and of all, in no unit.

    Returns:
        ``stress``: axis -> list of the figures of each value; and what they were measured with.

    Raises:
        CheckpointError, MocapError, OSError: a file cannot be read or written.
        ValueError: the recordings are too short.
    """
    checkpoint = _model(plan.checkpoint)
    if plan.mocap is not None:
        check_mocap(plan.mocap, plan.seconds)
    settings = {
        setting: None for axis in plan.axes for setting in AXES[axis].settings.values()
    }  # in order, each once: all axes share the base scene
    jobs = [(performance, setting) for setting in settings for performance in plan.performances]
    results: dict[Job, Measured] = {}
    files: dict[Job, Path] = {}
    if finished is not None:
        finished.mkdir(parents=True, exist_ok=True)
        basis = repr((FORMAT, checkpoint.digest, plan.seconds, _digest(plan.mocap)))
        files = {job: finished / f"{_hash(basis + repr(job))}.npz" for job in jobs}
    costs = {job: _cost(job[1], plan.seconds) for job in jobs}
    total, done = sum(costs.values()), 0.0
    for job, file in files.items():
        if file.is_file():
            results[job] = Measured.load(file)
            done += costs[job]
    progress(done, total)
    for group in _run(plan, [job for job in jobs if job not in results], workers):
        for job, result in group.items():
            if job in files:
                result.save(files[job])
            done += costs[job]
        results |= group
        progress(done, total)
    return {
        "format": FORMAT,
        "stress": {
            axis: [
                {"value": value} | _figures(plan, results, setting)
                for value, setting in AXES[axis].settings.items()
            ]
            for axis in plan.axes
        },
        "performances": list(dict.fromkeys(p.name for p in plan.performances)),
        "people": plan.people,
        "seconds": plan.seconds,
        "seed": plan.seed,
        "model": checkpoint.config.name,
        "checkpoint": checkpoint.digest,
    }


def _run(plan: StressPlan, jobs: list[Job], workers: int) -> Iterator[dict[Job, Measured]]:
    """Measure recordings, in the order in which they are finished."""
    groups: dict[Job, list[Setting]] = {}
    for performance, setting in jobs:
        groups.setdefault((performance, setting.before_sensor), []).append(setting)
    # the longest first, so that no process works alone in the end
    order = sorted(
        groups, key=lambda job: -sum(_cost(setting, plan.seconds) for setting in groups[job])
    )
    tasks = [(job[0], tuple(groups[job])) for job in order]
    if workers == 1:
        torch.set_num_threads(1)  # as in the processes: sums in another order differ in the end
        for performance, settings in tasks:
            results = _measure(plan, performance, settings)
            yield {
                (performance, own): result for own, result in zip(settings, results, strict=True)
            }
        return
    # torch does not survive a fork with its threads running
    with ProcessPoolExecutor(
        workers, get_context("spawn"), initializer=torch.set_num_threads, initargs=(1,)
    ) as pool:
        try:
            futures = {pool.submit(_measure, plan, *task): task for task in tasks}
            for future in as_completed(futures):
                performance, settings = futures[future]
                results = future.result()
                yield {
                    (performance, own): result
                    for own, result in zip(settings, results, strict=True)
                }
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def _measure(
    plan: StressPlan, performance: Performance, settings: tuple[Setting, ...]
) -> list[Measured]:
    """Measure recordings that differ in their sensors alone."""
    made = [make_scene(performance, own, plan.seconds, plan.mocap) for own in settings]
    first, model = made[0], _model(plan.checkpoint)
    sensors = [own.scene.sensor for own in made]
    recordings = simulate_sensors(first.scene, sensors, first.seconds)
    return [measure(recording, first.counted_from_s, model) for recording in recordings]


@lru_cache(maxsize=1)
def _model(path: Path | None) -> Checkpoint:
    return load_checkpoint(path)


def _figures(
    plan: StressPlan, results: Mapping[Job, Measured], setting: Setting
) -> dict[str, Any]:
    """All figures of one value."""
    parts = {p: results[p, setting] for p in plan.performances}
    figures = summarise(Measured.joined(parts.values()), setting.size)
    errors: dict[str, list[float]] = {}
    for performance, part in parts.items():
        error = mpjpe(part.hybrid.estimate, part.hybrid.truth, part.hybrid.visible)
        errors.setdefault(performance.name, []).append(error)
    figures["hybrid_px_per_performance"] = {
        name: _rounded(float(np.mean(values))) for name, values in errors.items()
    }
    return figures


def summarise(measured: Measured, size: float) -> dict[str, Any]:
    """Compute the figures of one value of an axis.

    Errors are means over the joints in view, in px of the 346x260 view. Keys without a model's
    name are the hybrid's.

    Args:
        size: height of a body as a share of the picture's.
    """
    ann, hybrid = measured.ann, measured.hybrid
    error = joint_errors(hybrid.estimate, hybrid.truth)
    seen, shown = hybrid.visible, hybrid.shown
    hybrid_px = mpjpe(hybrid.estimate, hybrid.truth, seen)
    figures = {
        "ann_px": mpjpe(ann.estimate, ann.truth, ann.visible),
        "hybrid_px": hybrid_px,
        "joints_shown": float(shown.sum(-1).mean()),
        "mirrored": float(hybrid.mirrored.mean()) if seen.any() else float("nan"),
        "joints_in_view": float(seen.sum(-1).mean()),
        "shown_outside": float((shown & hybrid.outside).sum(-1).mean()),
        "shown_error_px": float(error[seen & shown].mean()) if (seen & shown).any() else np.nan,
        "median_px": float(np.median(error[seen])) if seen.any() else np.nan,
        "body_percent": 100 * hybrid_px / (size * VIEW_HEIGHT_PX),
        "pck10": pck(hybrid.estimate, hybrid.truth, seen, PCK_PX),
        "confidence": float(hybrid.confidence[seen].mean()) if seen.any() else np.nan,
        "calibration_error": reliability(hybrid.confidence[seen], error[seen]).calibration_error,
        "ann_joints_shown": float(ann.shown.sum(-1).mean()),
        "ann_mirrored": float(ann.mirrored.mean()) if ann.visible.any() else float("nan"),
    }
    return {name: _rounded(value) for name, value in figures.items()}


def _rounded(value: float) -> float | None:
    return round(float(value), 4) if np.isfinite(value) else None


def _cost(setting: Setting, seconds: float) -> float:
    """About what a recording costs, in seconds of one at 346x260."""
    pixels = setting.resolution[0] * setting.resolution[1] / (346 * 260)
    still = 0.0 if setting.moving == "all" else 2.0 + setting.still_s
    return (1.0 + seconds) * (1.0 + 2.0 * pixels) + still


@lru_cache(maxsize=1)
def _digest(path: Path | None) -> str:
    return "" if path is None else hashlib.sha256(path.read_bytes()).hexdigest()


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:24]
