# SPDX-License-Identifier: Apache-2.0
"""Recordings binned once into memory-mapped arrays that training reads at random.

A shard is a folder: ``counts.npy`` uint8 [steps, 2, H, W] (events per cell, saturated at 255),
``labels.npy`` float32 [steps, 13, 3] (x, y in grid cells at the end of the step; 1 where the joint
is inside the view, else 0) and ``meta.json``, written last: a folder without it is not finished.
"""

import hashlib
import json
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hybrid_pose_ros.errors import UserError
from hybrid_pose_ros.events.array import EventArray
from hybrid_pose_ros.events.binning import StepBinner
from hybrid_pose_ros.networks.config import ModelConfig
from hybrid_pose_ros.simulation.recording import Truth

META = "meta.json"


class ShardError(UserError):
    """The training data is missing or does not fit; the message names the folder."""


@dataclass(frozen=True)
class Shard:
    """One recording, memory-mapped.

    Attributes:
        counts: uint8 [steps, 2, H, W].
        labels: float32 [steps, 13, 3]: x, y (cells), visible.
        meta: where it came from.
    """

    counts: NDArray[np.uint8]
    labels: NDArray[np.float32]
    meta: dict[str, Any]


def write_shard(
    folder: Path,
    config: ModelConfig,
    *,
    events: EventArray,
    sensor_size: tuple[int, int],
    truth: Truth,
    meta: dict[str, Any],
) -> None:
    """Bin a recording and write it.

    Args:
        folder: the shard's folder; what it holds is replaced.
        config: its view and step length are used.
        events: the recording's events.
        sensor_size: (width, height) in pixels.
        truth: its labels; between them they are interpolated.
        meta: JSON, stored with the shard.
    """
    view = config.view.fit(*sensor_size)
    label_ns = truth.label_ns
    binner = StepBinner(view, config.step_ns, max_gap_steps=len(label_ns) + 1)
    steps = {step.index: step.counts for step in binner.push(events)}
    ends = np.arange(-(-label_ns[0] // config.step_ns), label_ns[-1] // config.step_ns + 1)
    present = np.array([end - 1 in steps for end in ends])
    first, last = np.flatnonzero(present)[[0, -1]]
    ends = ends[first : last + 1]
    grid = config.view
    counts = np.zeros((len(ends), 2, grid.grid_height, grid.grid_width), np.uint8)
    for row, end in enumerate(ends):
        np.minimum(steps[int(end) - 1], 255, out=counts[row], casting="unsafe")
    pixels, shown = truth.at(ends * config.step_ns)
    points = view.to_grid(pixels)
    inside = (points > -0.5) & (points < (grid.grid_width - 0.5, grid.grid_height - 0.5))
    shown &= inside.all(-1)
    labels = np.concatenate((points, shown[..., None]), -1).astype(np.float32)

    if folder.exists():
        shutil.rmtree(folder)
    folder.mkdir(parents=True)
    np.save(folder / "counts.npy", counts)
    np.save(folder / "labels.npy", labels)
    record = {**meta, "step_ns": config.step_ns, "steps": len(ends)}
    (folder / META).write_text(json.dumps(record))


def is_finished(folder: Path) -> bool:
    """Whether a shard was written to its end."""
    return (folder / META).is_file()


def _finished_folders(root: Path) -> Iterator[Path]:
    return (path.parent for path in sorted(root.glob(f"*/{META}")))


def open_shards(root: Path, config: ModelConfig) -> list[Shard]:
    """Open all finished shards below ``root``.

    Raises:
        ShardError: there are none, or they were made for another model configuration.
    """
    shards = []
    shape = (2, config.view.grid_height, config.view.grid_width)
    for folder in _finished_folders(root):
        counts = np.load(folder / "counts.npy", mmap_mode="r")
        if counts.shape[1:] != shape:
            raise ShardError(
                f"{folder}: made for a grid of {counts.shape[1:]}, the model needs {shape}"
            )
        meta = json.loads((folder / META).read_text())
        if meta["step_ns"] != config.step_ns:
            raise ShardError(
                f"{folder}: binned in steps of {meta['step_ns']} ns, the model's have "
                f"{config.step_ns}"
            )
        shards.append(Shard(counts, np.load(folder / "labels.npy"), meta))
    if not shards:
        raise ShardError(f"{root}: no training data; make it with `hybrid-pose train render`")
    return shards


def recordings_digest(shards: Sequence[Shard]) -> str:
    """16 hexadecimal digits that identify recordings and their order, by the labels."""
    digest = hashlib.sha256()
    for shard in shards:
        digest.update(shard.labels.tobytes())
    return digest.hexdigest()[:16]
