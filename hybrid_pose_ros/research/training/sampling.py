# SPDX-License-Identifier: Apache-2.0
"""Batches drawn at random from shards, augmented, and the same for the same seed."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from hybrid_pose_ros.events.activity import NEVER, encode_ages
from hybrid_pose_ros.networks.config import ModelConfig
from hybrid_pose_ros.pipeline.ann_estimator import sum_windows
from hybrid_pose_ros.research.training.shards import Shard, last_active
from hybrid_pose_ros.skeleton import JOINTS, MIRROR

_MIRROR = np.array(MIRROR)

_ARMS, _LEGS = (
    np.array([i for i, name in enumerate(JOINTS) if name.endswith(ends)])
    for ends in (("elbow", "hand"), ("hip", "knee", "foot"))
)

_FIRST = 10
"""Samples begin after so many steps of a recording."""

_PAUSE_S = (0.3, 90.0)
"""Shortest and longest pause in seconds."""


class Batch(NamedTuple):
    """Training samples: the ANN's input at t0, and the SNN's inputs and labels around it.

    ``windows``: float32 [I, N, planes, H, W], at t0 and at I - 1 later times that part the steps
    evenly; planes of feedback are zero. ``counts``: uint8 [T, N, 2, H, W], the steps after t0.
    ``points``: float32 [T + 1, N, 13, 2] in cells, at t0 and after each step. ``visible``: bool
    [T + 1, N, 13]. ``feedback``: float32 [N, 13, 3], where a run of the ANN before t0 may have
    seen the joints (x, y in cells), and how sure of it it was; 0: not at all.
    """

    windows: Tensor
    counts: Tensor
    points: Tensor
    visible: Tensor
    feedback: Tensor


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
        pause: probability that a person has rested for a while (0.3 to 90 s) at some moment of the
            past, in the pose of that moment.
        feedback: probability that the ANN is fed with an earlier pose, damaged as its own may be.
        still: samples are drawn in proportion to the mean speed of their visible joints plus this
            speed (cells per step), so that fast movements, which are rare, are learnt as well as
            standing; None: all as often.
    """

    mirror: float = 0.5
    invert: float = 0.2
    shift: tuple[int, int] = (8, 6)
    forget: float = 0.12
    pause: float = 0.3
    feedback: float = 0.6
    strip: int | None = None
    still: float | None = 0.1


NO_AUGMENTATION = Augmentation(
    mirror=0.0, invert=0.0, shift=(0, 0), forget=0.0, pause=0.0, feedback=0.0, still=None
)


def _shifted(array: NDArray[Any], dx: int, dy: int) -> NDArray[Any]:
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


class Sample(NamedTuple):
    """One sample of a :class:`Batch`, as arrays without the axis of samples."""

    windows: NDArray[np.float32]
    counts: NDArray[np.uint8]
    points: NDArray[np.float32]
    visible: NDArray[np.bool_]
    feedback: NDArray[np.float32]


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
    labels = shard.labels[start - 1 : start + steps].copy()
    points, visible = labels[..., :2], labels[..., 2] > 0
    feedback = draw_feedback(shard.labels, start, augmentation.feedback, rng)
    columns = _strip(points, visible, config.view.grid_width, augmentation, rng)
    points[..., 0] -= columns.start
    feedback[:, 0] -= columns.start
    size = np.array((columns.stop - columns.start, config.view.grid_height), np.float32)
    visible = visible & ((points > -0.5) & (points < size - 0.5)).all(-1)
    past = _past(shard, start, config, augmentation, rng, columns)
    after: NDArray[np.uint8] = shard.counts[start : start + steps, ..., columns]
    windows = np.stack([past.inputs(after[: number * steps // inits]) for number in range(inits)])
    counts = after

    if rng.random() < augmentation.invert:
        length = 2 * len(config.ann.window_steps)
        pairs = windows[:, :length].reshape(inits, -1, 2, *windows.shape[2:])
        windows[:, :length] = pairs[:, :, ::-1].reshape(inits, length, *windows.shape[2:])
        counts = counts[:, ::-1]
    if rng.random() < augmentation.mirror:
        windows, counts = windows[..., ::-1], counts[..., ::-1]
        points, feedback = points[:, _MIRROR], feedback[_MIRROR]
        points[..., 0] = size[0] - 1 - points[..., 0]
        feedback[:, 0] = size[0] - 1 - feedback[:, 0]
        visible = visible[:, _MIRROR]
    reach_x, reach_y = augmentation.shift
    dx, dy = (int(rng.integers(-reach, reach + 1)) for reach in (reach_x, reach_y))
    if dx or dy:
        windows, counts = _shifted(windows, dx, dy), _shifted(counts, dx, dy)
        points = points + np.array((dx, dy), np.float32)
        feedback[:, :2] += (dx, dy)
        visible = visible & ((points > -0.5) & (points < size - 0.5)).all(-1)
    return Sample(windows, counts, points, visible, feedback)


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


def _past(
    shard: Shard,
    start: int,
    config: ModelConfig,
    augmentation: Augmentation,
    rng: np.random.Generator,
    columns: slice,
) -> _Past:
    """Cut the past out of a shard, at times with a pause in it or without what is older."""
    length = config.ann.history_steps
    counts = shard.counts[..., columns]
    last = shard.last_before(start)[..., columns]
    history = counts[max(0, start - length) : start]
    if rng.random() < augmentation.pause:
        reach = np.log(min(3 * length, start))
        pause_at = start - int(np.exp(rng.uniform(0.0, reach)))
        pause = round(np.exp(rng.uniform(*np.log(_PAUSE_S))) * 1e9 / config.step_ns)
        last = np.where(last < pause_at, last - pause, last)
        if start - pause_at < length:
            kept = max(0, length - (start - pause_at) - pause)
            rest = np.zeros((length - (start - pause_at) - kept, *history.shape[1:]), np.uint8)
            older = counts[max(0, pause_at - kept) : pause_at]
            history = np.concatenate((older, rest, counts[pause_at:start]))
    if len(history) < length:
        missing = np.zeros((length - len(history), *history.shape[1:]), np.uint8)
        history = np.concatenate((missing, history))
    if rng.random() < augmentation.forget:
        known = int(np.exp(rng.uniform(np.log(2), np.log(length))))
        history = history.copy()
        history[:-known] = 0
        last = np.where(last < start - known, NEVER, last)
    return _Past(history, last, start, config)


def draw_feedback(
    labels: NDArray[np.float32], start: int, share: float, rng: np.random.Generator
) -> NDArray[np.float32]:
    """Draw where an earlier run of the ANN may have seen the joints, float32 [13, 3].

    It is the truth of some time before, damaged in the ways in which an answer is wrong: all or
    some joints beside their places, left and right exchanged, joints not found.

    Args:
        labels: of the recording, [steps, 13, 3].
        start: step before which the ANN runs.
        share: probability that there is an answer.
    """
    if rng.random() >= share:
        return np.zeros(labels.shape[1:], np.float32)
    ago = int(rng.integers(1, 21)) if rng.random() < 0.85 else int(rng.integers(21, 300))
    pose = labels[max(0, start - 1 - ago)].copy()
    joints = len(pose)
    pose[:, :2] += rng.normal(0, np.exp(rng.uniform(np.log(0.1), np.log(3.0))), (joints, 2))
    if rng.random() < 0.2:
        pose[:, :2] += rng.normal(0, 4.0, 2)
    if rng.random() < 0.1:
        pose = pose[_MIRROR]
    elif rng.random() < 0.1:  # arms or legs alone
        limbs = _ARMS if rng.random() < 0.5 else _LEGS
        pose[limbs] = pose[_MIRROR[limbs]]
    lost = rng.random(joints) < 0.05
    pose[lost, :2] += rng.normal(0, 12.0, (int(lost.sum()), 2))
    pose[:, 2] *= rng.uniform(0.3, 1.0, joints) * (rng.random(joints) > 0.1)
    return pose


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
        windows, counts, points, visible, feedback = zip(*samples, strict=True)
        return Batch(
            torch.from_numpy(np.stack(windows, 1)),
            torch.from_numpy(np.stack(counts, 1)),
            torch.from_numpy(np.stack(points, 1)),
            torch.from_numpy(np.stack(visible, 1)),
            torch.from_numpy(np.stack(feedback)),
        )
