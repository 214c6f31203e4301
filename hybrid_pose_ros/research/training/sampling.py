# SPDX-License-Identifier: Apache-2.0
"""Batches drawn at random from shards, augmented, and the same for the same seed."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from hybrid_pose_ros.networks.config import ModelConfig
from hybrid_pose_ros.pipeline.ann_estimator import sum_windows
from hybrid_pose_ros.research.training.shards import Shard
from hybrid_pose_ros.skeleton import MIRROR

_MIRROR = np.array(MIRROR)

_FIRST = 10
"""Samples begin after so many steps of a recording."""


class Batch(NamedTuple):
    """Training samples: the ANN's input at t0, and the SNN's inputs and labels around it.

    ``windows``: float32 [I, N, 2 * windows, H, W], at t0 and at I - 1 later times that part the
    steps evenly. ``counts``: float32 [T, N, 2, H, W], the steps after t0. ``points``: float32
    [T + 1, N, 13, 2] in cells, at t0 and after each step. ``visible``: bool [T + 1, N, 13].
    """

    windows: Tensor
    counts: Tensor
    points: Tensor
    visible: Tensor


@dataclass(frozen=True)
class Augmentation:
    """Random changes of a sample.

    Attributes:
        mirror: probability of a left-right mirrored sample (joints swapped accordingly).
        invert: probability of exchanged polarities.
        shift: largest shift in cells along x and y.
        forget: probability that the ANN's history is cut off at a random length, as it is when
            a stream has just begun.
        strip: columns that are cut out around the person, for training at half the cost; None:
            all.
        still: samples are drawn in proportion to the mean speed of their visible joints plus this
            speed (cells per step), so that fast movements, which are rare, are learnt as well as
            standing; None: all as often.
    """

    mirror: float = 0.5
    invert: float = 0.2
    shift: tuple[int, int] = (8, 6)
    forget: float = 0.15
    strip: int | None = None
    still: float | None = 0.1


NO_AUGMENTATION = Augmentation(mirror=0.0, invert=0.0, shift=(0, 0), forget=0.0, still=None)


def _shifted(array: NDArray[np.float32], dx: int, dy: int) -> NDArray[np.float32]:
    """Move the content of [..., H, W] by whole cells; what comes in is zero."""
    height, width = array.shape[-2:]
    out = np.zeros_like(array)
    to_y, from_y = slice(max(dy, 0), height + min(dy, 0)), slice(max(-dy, 0), height - max(dy, 0))
    to_x, from_x = slice(max(dx, 0), width + min(dx, 0)), slice(max(-dx, 0), width - max(dx, 0))
    out[..., to_y, to_x] = array[..., from_y, from_x]
    return out


def _strip(
    points: NDArray[np.float32],
    visible: NDArray[np.bool_],
    width: int,
    augmentation: Augmentation,
    rng: np.random.Generator,
) -> slice:
    """Choose the columns of a sample: around where the visible joints are, give or take."""
    strip = augmentation.strip
    if strip is None or strip >= width:
        return slice(0, width)
    middle = points[..., 0][visible].mean() if visible.any() else rng.uniform(0, width)
    first = round(float(middle - strip / 2 + rng.normal(0, strip / 10)))
    first = min(max(first, 0), width - strip)
    return slice(first, first + strip)


def make_sample(
    shard: Shard,
    start: int,
    steps: int,
    config: ModelConfig,
    augmentation: Augmentation,
    rng: np.random.Generator,
    inits: int = 1,
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32], NDArray[np.bool_]]:
    """Cut a sample out of a shard: history before ``start``, then ``steps`` steps.

    Args:
        inits: number of times for which the ANN's input is made: ``start``, and others that part
            the steps evenly.

    Returns:
        windows [inits, 2 * windows, H, W], counts [steps, 2, H, W], points [steps + 1, 13, 2] and
        visible [steps + 1, 13]; the first label is that at the end of step ``start - 1``.
    """
    length = config.ann.history_steps
    labels = shard.labels[start - 1 : start + steps].copy()
    points, visible = labels[..., :2], labels[..., 2] > 0
    columns = _strip(points, visible, config.view.grid_width, augmentation, rng)
    points[..., 0] -= columns.start
    size = np.array((columns.stop - columns.start, config.view.grid_height), np.float32)
    visible = visible & ((points > -0.5) & (points < size - 0.5)).all(-1)
    history: NDArray[np.uint8] = shard.counts[max(0, start - length) : start, ..., columns]
    if len(history) < length:
        missing = np.zeros((length - len(history), *history.shape[1:]), np.uint8)
        history = np.concatenate((missing, history))
    if rng.random() < augmentation.forget:
        history = history.copy()
        history[: -int(rng.integers(length // 10, length))] = 0
    after: NDArray[np.uint8] = shard.counts[start : start + steps, ..., columns]
    past = np.concatenate((history, after))
    ends = [length + number * steps // inits for number in range(inits)]
    windows = np.stack(
        [sum_windows(past[end - length : end], config.ann.window_steps) for end in ends]
    )
    counts = after.astype(np.float32)

    if rng.random() < augmentation.invert:
        pairs = windows.reshape(inits, -1, 2, *windows.shape[2:])
        windows = pairs[:, :, ::-1].reshape(windows.shape)
        counts = counts[:, ::-1]
    if rng.random() < augmentation.mirror:
        windows, counts = windows[..., ::-1], counts[..., ::-1]
        points = points[:, _MIRROR]
        points[..., 0] = size[0] - 1 - points[..., 0]
        visible = visible[:, _MIRROR]
    reach_x, reach_y = augmentation.shift
    dx, dy = (int(rng.integers(-reach, reach + 1)) for reach in (reach_x, reach_y))
    if dx or dy:
        windows, counts = _shifted(windows, dx, dy), _shifted(counts, dx, dy)
        points = points + np.array((dx, dy), np.float32)
        visible = visible & ((points > -0.5) & (points < size - 0.5)).all(-1)
    return windows, counts, points, visible


def _chances(shard: Shard, steps: int, still: float | None) -> NDArray[np.float64]:
    """How often a sample of ``steps`` steps begins at each step from :data:`_FIRST` on."""
    starts = len(shard.counts) - steps - _FIRST + 1
    if still is None:
        return np.ones(starts)
    points, visible = shard.labels[..., :2].astype(float), shard.labels[..., 2] > 0
    moved = np.linalg.norm(np.diff(points, axis=0), axis=-1)
    seen = visible[1:] & visible[:-1]
    speeds = (moved * seen).sum(-1) / np.maximum(seen.sum(-1), 1)  # into step 1 and so on
    sums = np.concatenate(([0.0], np.cumsum(speeds)))
    first = np.arange(starts) + _FIRST - 1
    return np.asarray(still + (sums[first + steps] - sums[first]) / steps)


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
    ) -> None:
        longest = (max(earlier) + 1) * steps
        self._shards = [shard for shard in shards if len(shard.counts) >= longest + _FIRST]
        still = augmentation.still
        self._chances = [_chances(shard, longest, still) for shard in self._shards]
        totals = np.array([chances.sum() for chances in self._chances])
        self._weights = totals / totals.sum()
        self._config = config
        self._batch = batch
        self._steps = steps
        self._seed = seed
        self._augmentation = augmentation
        self._earlier = tuple(earlier)

    def __getitem__(self, index: int) -> Batch:
        rng = np.random.default_rng((self._seed, index))
        inits = 1 + self._earlier[int(rng.integers(len(self._earlier)))]
        steps = inits * self._steps
        samples = []
        for choice in rng.choice(len(self._shards), self._batch, p=self._weights):
            shard = self._shards[choice]
            chances = self._chances[choice]
            start = _FIRST + int(rng.choice(len(chances), p=chances / chances.sum()))
            samples.append(
                make_sample(shard, start, steps, self._config, self._augmentation, rng, inits)
            )
        windows, counts, points, visible = zip(*samples, strict=True)
        return Batch(
            torch.from_numpy(np.stack(windows, 1)),
            torch.from_numpy(np.stack(counts, 1)),
            torch.from_numpy(np.stack(points, 1)),
            torch.from_numpy(np.stack(visible, 1)),
        )
