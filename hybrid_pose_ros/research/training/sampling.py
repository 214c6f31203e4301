# SPDX-License-Identifier: Apache-2.0
"""Batches drawn at random from shards, augmented, and the same for the same seed."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from hybrid_pose_ros.events.activity import NEVER, encode_ages
from hybrid_pose_ros.networks.config import ModelConfig
from hybrid_pose_ros.pipeline.ann_estimator import sum_windows
from hybrid_pose_ros.research.training.draws import (
    NO_AUGMENTATION,
    Augmentation,
    Draw,
    draw_sample,
)
from hybrid_pose_ros.research.training.shards import (
    IMPORTED,
    UNKNOWN,
    Shard,
    ShardError,
    last_active,
)

__all__ = [
    "NO_AUGMENTATION",
    "Augmentation",
    "Batch",
    "BatchSource",
    "Sample",
    "Source",
    "cut_sample",
    "make_sample",
]

_FIRST = 10
"""Samples begin after so many steps of a recording."""


class Batch(NamedTuple):
    """Training samples: the ANN's input at t0, and the SNN's inputs and labels around it.

    ``windows``: float32 [I, N, planes, H, W], at t0 and at I - 1 later times that part the steps
    evenly. ``counts``: uint8 [T, N, 2, H, W], the steps after t0.
    ``points``: float32 [T + 1, N, 13, 2] in cells, at t0 and after each step. ``visible``: bool
    [T + 1, N, 13].
    """

    windows: Tensor
    counts: Tensor
    points: Tensor
    visible: Tensor

    @property
    def known(self) -> Tensor:
        """Whether it is known where, or that a joint is not in view: bool [T + 1, N, 13]."""
        return self.points[..., 1] > UNKNOWN / 2


def _shifted(array: NDArray[Any], dx: int, dy: int) -> NDArray[Any]:
    """Move the content of [..., H, W] by whole cells; what comes in is zero."""
    height, width = array.shape[-2:]
    out = np.zeros_like(array)
    to_y, from_y = slice(max(dy, 0), height + min(dy, 0)), slice(max(-dy, 0), height - max(dy, 0))
    to_x, from_x = slice(max(dx, 0), width + min(dx, 0)), slice(max(-dx, 0), width - max(dx, 0))
    out[..., to_y, to_x] = array[..., from_y, from_x]
    return out


class Sample(NamedTuple):
    """One sample of a :class:`Batch`, as arrays without the axis of samples."""

    windows: NDArray[np.float32]
    counts: NDArray[np.uint8]
    points: NDArray[np.float32]
    visible: NDArray[np.bool_]


def cut_sample(shard: Shard, draw: Draw, config: ModelConfig, inits: int) -> Sample:
    """Cut what was drawn out of a shard."""
    steps = len(draw.points) - 1
    past = _past(shard, draw, config)
    columns = slice(draw.columns[0], sum(draw.columns))
    counts: NDArray[np.uint8] = shard.counts[draw.start : draw.start + steps, ..., columns]
    windows = np.stack([past.inputs(counts[: number * steps // inits]) for number in range(inits)])
    if draw.invert:
        length = 2 * len(config.ann.window_steps)
        pairs = windows[:, :length].reshape(inits, -1, 2, *windows.shape[2:])
        windows[:, :length] = pairs[:, :, ::-1].reshape(inits, length, *windows.shape[2:])
        counts = counts[:, ::-1]
    if draw.mirror:
        windows, counts = windows[..., ::-1], counts[..., ::-1]
    if any(draw.shift):
        windows, counts = _shifted(windows, *draw.shift), _shifted(counts, *draw.shift)
    return Sample(windows, counts, draw.points, draw.visible)


def make_sample(
    shard: Shard,
    start: int,
    steps: int,
    config: ModelConfig,
    augmentation: Augmentation,
    rng: np.random.Generator,
    inits: int = 1,
) -> Sample:
    """Cut a sample out of a shard: history before ``start``, then ``steps`` steps.

    Args:
        inits: number of times for which the ANN's input is made: ``start``, and others that part
            the steps evenly.
    """
    draw = draw_sample(shard.labels, start, steps, config, augmentation, rng)
    return cut_sample(shard, draw, config, inits)


@dataclass(frozen=True)
class _Past:
    """All that the ANN knows before a step of a shard.

    Attributes:
        history: counts of the steps that the windows span, uint8 [steps, 2, H, W].
        last: step in which each cell was last active, [levels, H, W].
        start: the step.
    """

    history: NDArray[np.uint8]
    last: NDArray[np.int64]
    start: int
    config: ModelConfig

    def inputs(self, after: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return the ANN's input [planes, H, W] when more steps have passed."""
        ann = self.config.ann
        history = np.concatenate((self.history, after))[-ann.history_steps :]
        out = np.zeros((ann.input_planes, *history.shape[2:]), np.float32)
        count = 2 * len(ann.window_steps)
        out[:count] = sum_windows(history, ann.window_steps)
        if ann.activity_levels:
            last = last_active(after, ann.activity_levels, self.start, self.last)
            now = self.start + len(after) - 1
            out[count : count + len(last)] = encode_ages(last, now, self.config.step_ns * 1e-9)
        return out


def _past(shard: Shard, draw: Draw, config: ModelConfig) -> _Past:
    """Cut the past of a sample out of a shard."""
    columns = slice(draw.columns[0], sum(draw.columns))
    counts = shard.counts[..., columns]
    history = np.zeros((len(draw.history), *counts.shape[1:]), np.uint8)
    filled = draw.history >= 0
    history[filled] = counts[draw.history[filled]]
    last = shard.last_before(draw.start)[..., columns]
    last = np.where(last < draw.pause_at, last - draw.pause, last)
    return _Past(history, np.where(last < draw.oldest, NEVER, last), draw.start, config)


def _chances(shard: Shard, steps: int, still: float | None) -> NDArray[np.float64]:
    """How often a sample of ``steps`` steps begins at each step from :data:`_FIRST` on.

    None holds a moment at which nothing is known of the person.
    """
    starts = len(shard.counts) - steps - _FIRST + 1
    known = (shard.labels[..., 1] > UNKNOWN / 2).any(-1)
    gaps = np.concatenate(([0], np.cumsum(~known)))
    first = np.arange(starts) + _FIRST - 1
    whole = gaps[first + steps + 1] == gaps[first]
    if still is None:
        return whole.astype(float)
    points, visible = shard.labels[..., :2].astype(float), shard.labels[..., 2] > 0
    moved = np.linalg.norm(np.diff(points, axis=0), axis=-1)
    seen = visible[1:] & visible[:-1]
    speeds = (moved * seen).sum(-1) / np.maximum(seen.sum(-1), 1)  # into step 1 and so on
    sums = np.concatenate(([0.0], np.cumsum(speeds)))
    return np.asarray(whole * (still + (sums[first + steps] - sums[first]) / steps))


class Source(Protocol):
    """An endless, reproducible sequence of batches."""

    def batches(self, numbers: range) -> Iterator[Batch]:
        """Yield the batches of these numbers, on whatever device."""


class BatchSource(Dataset[Batch]):
    """Batch number i of an endless, reproducible sequence: ``source[i]``.

    Args:
        shards: where the samples come from.
        config: the model's configuration.
        batch: samples per batch.
        steps: SNN steps per sample.
        seed: batches are a function of it and their number.
        augmentation: see :class:`Augmentation`.
        earlier: numbers of earlier windows, each as long as ``steps``, of which a batch draws one;
            so many steps and ANN inputs come before the window.
        imported_share: share of samples from imported recordings; None: all as often.

    Raises:
        ShardError: no recording is long enough, or there are none of a kind that has a share.
    """

    def __init__(
        self,
        shards: Sequence[Shard],
        config: ModelConfig,
        *,
        batch: int,
        steps: int,
        seed: int,
        augmentation: Augmentation,
        earlier: Sequence[int] = (0,),
        imported_share: float | None = None,
    ) -> None:
        longest = (max(earlier) + 1) * steps
        self.shards = [shard for shard in shards if len(shard.counts) >= longest + _FIRST]
        still = augmentation.still
        self._chances = [_chances(shard, longest, still) for shard in self.shards]
        self._weights = _weights(self.shards, self._chances, imported_share, longest + _FIRST)
        self.config = config
        self._batch = batch
        self._steps = steps
        self._seed = seed
        self._augmentation = augmentation
        self._earlier = tuple(earlier)

    def draw(self, index: int) -> tuple[int, list[tuple[int, Draw]]]:
        """Return the number of the ANN's inputs of a batch, and its samples: (shard, draw)."""
        rng = np.random.default_rng((self._seed, index))
        inits = 1 + self._earlier[int(rng.integers(len(self._earlier)))]
        steps = inits * self._steps
        draws = []
        for choice in rng.choice(len(self.shards), self._batch, p=self._weights):
            labels = self.shards[choice].labels
            chances = self._chances[choice]
            start = _FIRST + int(rng.choice(len(chances), p=chances / chances.sum()))
            draw = draw_sample(labels, start, steps, self.config, self._augmentation, rng)
            draws.append((int(choice), draw))
        return inits, draws

    def __getitem__(self, index: int) -> Batch:
        inits, draws = self.draw(index)
        return stack(
            [cut_sample(self.shards[shard], draw, self.config, inits) for shard, draw in draws]
        )

    def batches(self, numbers: range) -> Iterator[Batch]:
        """Yield the batches of these numbers, cut by another process."""
        yield from DataLoader(self, batch_size=None, sampler=numbers, num_workers=1)


def stack(samples: Sequence[Sample]) -> Batch:
    """Return samples as a batch."""
    windows, counts, points, visible = zip(*samples, strict=True)
    return Batch(
        torch.from_numpy(np.stack(windows, 1)),
        torch.from_numpy(np.stack(counts, 1)),
        torch.from_numpy(np.stack(points, 1)),
        torch.from_numpy(np.stack(visible, 1)),
    )


def _weights(
    shards: Sequence[Shard],
    chances: Sequence[NDArray[np.float64]],
    imported_share: float | None,
    longest: int,
) -> NDArray[np.float64]:
    """How often a sample comes from each shard."""
    weights = np.array([own.sum() for own in chances])
    if not weights.any():
        raise ShardError(
            f"no recording has {longest} steps in a row with labels: shorten --window or add "
            "longer recordings"
        )
    if imported_share is not None:
        imported = np.array([IMPORTED in shard.meta for shard in shards])
        for kind, share, remedy in (
            (imported, imported_share, "hybrid-pose research train import"),
            (~imported, 1 - imported_share, "hybrid-pose research train render"),
        ):
            total = weights[kind].sum()
            if share and not total:
                raise ShardError(
                    f"an imported share of {imported_share:g} needs recordings of both kinds; "
                    f"make what is missing with `{remedy}`"
                )
            weights[kind] *= share / total if share else 0.0
    return np.asarray(weights / weights.sum())
