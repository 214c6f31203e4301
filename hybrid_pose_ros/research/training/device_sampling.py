# SPDX-License-Identifier: Apache-2.0
"""Batches cut and augmented on the device that trains, from recordings that lie in its memory.

Another process draws the samples from the labels (:mod:`.draws`), as it does for
:class:`~hybrid_pose_ros.research.training.sampling.BatchSource`; what is cut of them here equals
what is cut there. Cropping, mirroring and shifting are where the cells are read from.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from hybrid_pose_ros.events.activity import LONGEST_S, NEVER, SHORTEST_S
from hybrid_pose_ros.networks.config import ModelConfig
from hybrid_pose_ros.research.training.draws import Draw
from hybrid_pose_ros.research.training.sampling import Batch, BatchSource
from hybrid_pose_ros.research.training.shards import KEY_STEPS, Shard


class DrawnBatch(NamedTuple):
    """The draws of a batch of N samples, see :class:`~.draws.Draw`; all but the last two int64.

    ``steps``: where in its recording each step lies that the ANN sees before t0, then the steps
    after t0, [N, history + T]; -1: empty. ``numbers``: shard, start, pause_at, pause, oldest,
    first column, invert, mirror, shift along x and y, [N, 10]. ``size``: inputs of the ANN,
    steps after t0, columns. ``points``, ``visible``: as in a
    :class:`~.sampling.Batch`.
    """

    steps: Tensor
    numbers: Tensor
    size: tuple[int, int, int]
    points: Tensor
    visible: Tensor


def stack_draws(inits: int, draws: Sequence[tuple[int, Draw]]) -> DrawnBatch:
    """Return draws as a batch, each with the number of its shard."""
    after = len(draws[0][1].points) - 1
    steps = [np.r_[draw.history, draw.start : draw.start + after] for _, draw in draws]
    numbers = [
        (
            shard,
            *(draw.start, draw.pause_at, draw.pause, draw.oldest, draw.columns[0]),
            *(draw.invert, draw.mirror, *draw.shift),
        )
        for shard, draw in draws
    ]
    return DrawnBatch(
        torch.from_numpy(np.stack(steps)),
        torch.tensor(numbers, dtype=torch.int64),
        (inits, after, draws[0][1].columns[1]),
        torch.from_numpy(np.stack([draw.points for _, draw in draws], 1)),
        torch.from_numpy(np.stack([draw.visible for _, draw in draws], 1)),
    )


class DeviceShards:
    """Recordings in the memory of a device; each is read once.

    Args:
        config: the model's configuration.
        device: of torch.
    """

    def __init__(self, config: ModelConfig, device: torch.device) -> None:
        self._config = config
        self._device = device
        size = config.view.grid_height, config.view.grid_width
        levels = len(config.ann.activity_levels)
        self._counts = torch.empty((0, 2, *size), dtype=torch.uint8, device=device)
        self._last = torch.empty((0, levels, *size), dtype=torch.int32, device=device)
        self._first: dict[str, tuple[int, int, int]] = {}  # folder -> number, step, key
        self._places = torch.empty((2, 0), dtype=torch.int64, device=device)

    def add(self, shards: Sequence[Shard]) -> list[int]:
        """Read the recordings that are not there yet, and return the numbers of all given."""
        new = [shard for shard in shards if shard.meta["folder"] not in self._first]
        step, key = len(self._counts), len(self._last)
        self._counts = _longer(self._counts, sum(len(shard.counts) for shard in new))
        self._last = _longer(self._last, sum(len(shard.last) for shard in new))
        for shard in new:
            counts, last = np.array(shard.counts), np.array(shard.last)  # out of the file
            self._counts[step : step + len(counts)] = torch.from_numpy(counts).to(self._device)
            self._last[key : key + len(last)] = torch.from_numpy(last).to(self._device)
            self._first[shard.meta["folder"]] = len(self._first), step, key
            step, key = step + len(counts), key + len(last)
        places = [(step, key) for _, step, key in self._first.values()]
        self._places = torch.tensor(places, device=self._device).T
        return [self._first[shard.meta["folder"]][0] for shard in shards]

    def cut(self, drawn: DrawnBatch) -> Batch:
        """Cut a batch; it lies on the device."""
        device = self._device
        inits, after, width = drawn.size
        steps = drawn.steps.to(device)
        columns = drawn.numbers.to(device).unbind(1)
        shard, start, pause_at, pause, oldest, first, invert, mirror, dx, dy = columns
        length = self._config.ann.history_steps
        rows, row_inside = _sources(self._counts.shape[2], dy)
        cells, cell_inside = _sources(width, dx)
        cells = torch.where(mirror[:, None] > 0, width - 1 - cells, cells) + first[:, None]
        inside = row_inside[:, :, None] & cell_inside[:, None, :]
        seen = self._read(shard, steps, rows, cells, invert)
        seen *= inside[:, None, None]
        counts = seen[:, length:]
        ann = self._config.ann
        windows = torch.zeros(
            (inits, len(steps), ann.input_planes, *inside.shape[1:]), device=device
        )
        if ann.activity_levels:
            last = self._last_before(shard, start, rows, cells)
            last = torch.where(last < _wide(pause_at), last - _wide(pause), last)
            last = torch.where(last < _wide(oldest), NEVER, last)
        for init in range(inits):
            passed = init * after // inits
            end = length + passed
            for window, steps_long in enumerate(ann.window_steps):
                planes = seen[:, end - steps_long : end].sum(1, dtype=torch.float32)
                windows[init, :, 2 * window : 2 * window + 2] = planes
                end -= steps_long
            if ann.activity_levels:
                ages = self._ages(last, counts[:, :passed], start)
                first_age = 2 * len(ann.window_steps)
                windows[init, :, first_age : first_age + ages.shape[1]] = ages * inside[:, None]
        return Batch(
            windows,
            counts.transpose(0, 1),
            drawn.points.to(device),
            drawn.visible.to(device),
        )

    def _read(
        self, shard: Tensor, steps: Tensor, rows: Tensor, cells: Tensor, invert: Tensor
    ) -> Tensor:
        """Return the counts of steps [N, T] at rows [N, H] and columns [N, W]: [N, T, 2, H, W]."""
        polarity = torch.arange(2, device=self._device) ^ invert[:, None]
        found = self._counts[
            (self._places[0, shard][:, None] + steps.clamp_min(0))[:, :, None, None, None],
            polarity[:, None, :, None, None],
            rows[:, None, None, :, None],
            cells[:, None, None, None, :],
        ]
        found *= (steps >= 0)[:, :, None, None, None]
        return found

    def _last_before(self, shard: Tensor, start: Tensor, rows: Tensor, cells: Tensor) -> Tensor:
        """Return :meth:`.Shard.last_before` for each sample, [N, levels, H, W]."""
        levels = torch.arange(self._last.shape[1], device=self._device)
        last = self._last[
            (self._places[1, shard] + start // KEY_STEPS)[:, None, None, None],
            levels[:, None, None],
            rows[:, None, :, None],
            cells[:, None, None, :],
        ].long()
        last = torch.where(last < 0, NEVER, last)
        since = start - start % KEY_STEPS
        steps = since[:, None] + torch.arange(KEY_STEPS, device=self._device)
        steps = torch.where(steps < start[:, None], steps, -1)
        counts = self._read(shard, steps, rows, cells, torch.zeros_like(start))
        return self._newer(last, counts, since)

    def _newer(self, last: Tensor, counts: Tensor, first: Tensor) -> Tensor:
        """Take steps [N, T, 2, H, W] from ``first`` [N] on into the last activity."""
        if not counts.shape[1]:
            return last
        events = counts.sum(2, dtype=torch.int16)
        steps = torch.arange(counts.shape[1], device=self._device)[:, None, None]
        newest = [
            torch.where(events >= level, steps, -1).amax(1)
            for level in self._config.ann.activity_levels
        ]
        found = torch.stack(newest, 1)
        return torch.where(found >= 0, found + _wide(first), last)

    def _ages(self, last: Tensor, after: Tensor, start: Tensor) -> Tensor:
        """Encode as :func:`~hybrid_pose_ros.events.activity.encode_ages` does."""
        now = start + after.shape[1] - 1
        last = self._newer(last, after, start)
        age_s = (_wide(now) - last).clamp_min(0) * (self._config.step_ns * 1e-9)
        share = torch.log1p(age_s.double() / SHORTEST_S) / np.log1p(LONGEST_S / SHORTEST_S)
        return (1.0 - share).clamp_min(0.0).float()


def _longer(values: Tensor, more: int) -> Tensor:
    """Return a tensor with room for more rows."""
    if not more:
        return values
    found = values.new_empty((len(values) + more, *values.shape[1:]))
    found[: len(values)] = values
    return found


def _sources(size: int, shift: Tensor) -> tuple[Tensor, Tensor]:
    """Where each cell along an axis is read from after a shift [N], and whether it is there."""
    found = torch.arange(size, device=shift.device) - shift[:, None]
    return found.clamp(0, size - 1), (found >= 0) & (found < size)


def _wide(values: Tensor) -> Tensor:
    return values[:, None, None, None]


class _Draws(Dataset[DrawnBatch]):
    """Draws of batches, for a process without the device."""

    def __init__(self, source: BatchSource, numbers: Sequence[int]) -> None:
        self._source = source
        self._numbers = numbers

    def __getitem__(self, index: int) -> DrawnBatch:
        inits, draws = self._source.draw(index)
        return stack_draws(inits, [(self._numbers[shard], draw) for shard, draw in draws])


class DeviceSource:
    """The batches of a :class:`~.sampling.BatchSource`, cut on a device.

    Args:
        source: what is drawn from.
        shards: keep its recordings, those of others too.
    """

    def __init__(self, source: BatchSource, shards: DeviceShards) -> None:
        self._draws = _Draws(source, shards.add(source.shards))
        self._shards = shards

    def batches(self, numbers: range) -> Iterator[Batch]:
        """Yield the batches of these numbers, on the device."""
        for drawn in DataLoader(self._draws, batch_size=None, sampler=numbers, num_workers=1):
            yield self._shards.cut(drawn)
