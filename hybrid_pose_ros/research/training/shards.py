# SPDX-License-Identifier: Apache-2.0
"""Recordings binned once into memory-mapped arrays that training reads at random.

A shard is a folder: ``counts.npy`` uint8 [steps, 2, H, W] (events per cell, saturated at 255),
``labels.npy`` float32 [steps, 13, 3] (x, y in grid cells at the end of the step; 1 where the joint
is inside the view, else 0; far away where nobody knows), ``last.npy`` int32 [keys, levels, H, W]
(the step in which each cell was last active, before every 50th step) and ``meta.json``, written
last: a folder without it is not finished.
"""

import hashlib
import json
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol

import numpy as np
from numpy.typing import NDArray

from hybrid_pose_ros.errors import UserError
from hybrid_pose_ros.events.activity import NEVER
from hybrid_pose_ros.events.array import EventArray
from hybrid_pose_ros.events.binning import StepBinner
from hybrid_pose_ros.networks.config import ModelConfig

META = "meta.json"

IMPORTED: Final = "imported"
"""Key of the meta data of a recording that was not rendered: its origin."""

UNKNOWN: Final = -1e4
"""Both coordinates (cells) of a joint of which the labels do not say where it is."""


class Labels(Protocol):
    """Where the joints are in the picture of a camera.

    Attributes:
        label_ns: moments of the labels, int64 [M]; outside of them nothing is known.
    """

    @property
    def label_ns(self) -> NDArray[np.int64]: ...  # noqa: D102

    def at(self, sensor_ns: NDArray[np.int64]) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        """Return the joints' places, [N, 13, 2] in px, and whether they are in view, [N, 13].

        A joint that nobody knows the place of is at NaN.
        """


class ShardError(UserError):
    """The training data is missing or does not fit; the message names the folder."""


@dataclass(frozen=True)
class Shard:
    """One recording, memory-mapped.

    Attributes:
        counts: uint8 [steps, 2, H, W].
        labels: float32 [steps, 13, 3]: x, y (cells), visible.
        last: int32 [keys, levels, H, W]: step in which each cell was last active.
        levels: numbers of events that make a cell active.
        meta: where it came from, and its ``folder``.
    """

    counts: NDArray[np.uint8]
    labels: NDArray[np.float32]
    last: NDArray[np.int32]
    levels: tuple[int, ...]
    meta: dict[str, Any]

    def last_before(self, step: int) -> NDArray[np.int64]:
        """Return the step in which each cell was last active before a step, [levels, H, W]."""
        key = step // KEY_STEPS
        last = self.last[key].astype(np.int64)
        last[last < 0] = NEVER
        first = key * KEY_STEPS
        return last_active(self.counts[first:step], self.levels, first, last)


KEY_STEPS: Final = 50
"""Steps between two keys of ``last.npy``."""


def last_active(
    counts: NDArray[np.uint8], levels: Sequence[int], first: int, before: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Return the step in which each cell was last active, as LastActivity does for one by one.

    Args:
        counts: of the steps from ``first`` on, [steps, 2, H, W].
        before: the result before these, [levels, H, W].
    """
    if not len(counts):
        return before
    events = counts.sum(1, dtype=np.uint16)[::-1]
    newest = first + len(counts) - 1
    active = events >= np.reshape(levels, (-1, 1, 1, 1))
    ago = active.argmax(1)
    return np.where(active.any(1), newest - ago, before)


def write_shard(
    folder: Path,
    config: ModelConfig,
    *,
    events: EventArray,
    sensor_size: tuple[int, int],
    truth: Labels,
    meta: dict[str, Any],
) -> None:
    """Bin a recording and write it.

    Args:
        folder: the shard's folder; what it holds is replaced.
        config: its view, step length and noise filter are used.
        events: the recording's events.
        sensor_size: (width, height) in pixels.
        truth: its labels; between them they are interpolated.
        meta: JSON, stored with the shard.

    Raises:
        ShardError: there are no events while there are labels.
    """
    view = config.view.fit(*sensor_size)
    label_ns = truth.label_ns
    binner = StepBinner(
        view,
        config.step_ns,
        noise_filter=config.noise_filter,
        max_gap_steps=int((label_ns[-1] - label_ns[0]) // config.step_ns) + 2,
    )
    steps = {step.index: step.counts for step in binner.push(events)}
    ends = np.arange(-(-label_ns[0] // config.step_ns), label_ns[-1] // config.step_ns + 1)
    present = np.array([end - 1 in steps for end in ends])
    if not present.any():
        raise ShardError(f"{folder}: no events between the first label and the last")
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
    points = np.where(np.isfinite(points).all(-1, keepdims=True), points, UNKNOWN)
    labels = np.concatenate((points, shown[..., None]), -1).astype(np.float32)

    if folder.exists():
        shutil.rmtree(folder)
    folder.mkdir(parents=True)
    np.save(folder / "counts.npy", counts)
    np.save(folder / "labels.npy", labels)
    np.save(folder / "last.npy", activity_keys(counts, config.ann.activity_levels))
    record = {
        **meta,
        "step_ns": config.step_ns,
        "noise_filter": _filter_record(config),
        "steps": len(ends),
    }
    (folder / META).write_text(json.dumps(record))


def activity_keys(counts: NDArray[np.uint8], levels: Sequence[int]) -> NDArray[np.int32]:
    """Return the step in which each cell was last active, before every 50th step; -1: in none.

    Args:
        counts: of all steps, [steps, 2, H, W].
        levels: numbers of events that make a cell active.

    Returns:
        ``Shard.last``, int32 [keys, levels, H, W].
    """
    last = np.full((len(levels), *counts.shape[2:]), -1, np.int64)
    keys = [last]
    for first in range(0, len(counts) - KEY_STEPS + 1, KEY_STEPS):
        last = last_active(counts[first : first + KEY_STEPS], levels, first, last)
        keys.append(last)
    return np.stack(keys).astype(np.int32)


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
        meta = {**json.loads((folder / META).read_text()), "folder": str(folder)}
        if meta["step_ns"] != config.step_ns:
            raise ShardError(
                f"{folder}: binned in steps of {meta['step_ns']} ns, the model's have "
                f"{config.step_ns}"
            )
        if meta.get("noise_filter") != _filter_record(config):
            raise ShardError(
                f"{folder}: binned with the noise filter {meta.get('noise_filter')}, the model's "
                f"is {_filter_record(config)}; render the shards anew into an empty folder"
            )
        levels = config.ann.activity_levels
        if not (folder / "last.npy").is_file():
            raise ShardError(
                f"{folder}: has no last.npy, the cells' last activity, for it was made by an "
                "earlier version; render the shards anew into an empty folder"
            )
        labels, last = np.load(folder / "labels.npy"), np.load(folder / "last.npy", mmap_mode="r")
        if last.shape[1] != len(levels):
            raise ShardError(
                f"{folder}: made for {last.shape[1]} levels of activity, the model has "
                f"{len(levels)}; render the shards anew into an empty folder"
            )
        shards.append(Shard(counts, labels, last, levels, meta))
    if not shards:
        raise ShardError(
            f"{root}: no training data; make it with `hybrid-pose research train render`"
        )
    return shards


def _filter_record(config: ModelConfig) -> Any:
    return config.to_dict()["noise_filter"]


def recordings_digest(shards: Sequence[Shard]) -> str:
    """16 hexadecimal digits that identify recordings and their order, by the labels."""
    digest = hashlib.sha256()
    for shard in shards:
        digest.update(shard.labels.tobytes())
    return digest.hexdigest()[:16]
