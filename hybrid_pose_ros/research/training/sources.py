# SPDX-License-Identifier: Apache-2.0
"""The batches of a training plan: from files or from a device's memory, once or followed."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final

import torch

from hybrid_pose_ros.networks.config import ModelConfig
from hybrid_pose_ros.research.training.device_sampling import DeviceShards, DeviceSource
from hybrid_pose_ros.research.training.draws import Augmentation
from hybrid_pose_ros.research.training.sampling import Batch, BatchSource, Source
from hybrid_pose_ros.research.training.shards import Shard, open_shards
from hybrid_pose_ros.research.training.stages import Stage
from hybrid_pose_ros.research.training.trainer import TrainingPlan
from hybrid_pose_ros.research.training.warp import WarpedSource

FOLLOWED: Final = "followed"
"""Stands for the recordings of a training that takes in new ones."""


class FollowingSource:
    """Draws from what a folder holds by and by, while others still add to it.

    Args:
        reopen: returns a source of all that is there.
        every: so many batches are taken from one source before the folder is opened anew.
    """

    def __init__(self, reopen: Callable[[], Source], every: int) -> None:
        self._reopen = reopen
        self._every = every

    def batches(self, numbers: range) -> Iterator[Batch]:
        """Yield the batches of these numbers."""
        for first in range(0, len(numbers), self._every):
            yield from self._reopen().batches(numbers[first : first + self._every])


def make_source(
    folder: Path,
    shards: Sequence[Shard],
    plan: TrainingPlan,
    config: ModelConfig,
    device: torch.device,
) -> Source:
    """Return what a plan draws from.

    Args:
        folder: of the recordings, opened again and again if the plan follows it.
        shards: those that are there now.
        device: that trains; a GPU keeps the recordings in its memory and cuts the samples itself.

    Raises:
        ShardError: see :class:`~.sampling.BatchSource`.
    """
    memory = DeviceShards(config, device) if device.type == "cuda" else None

    def draw_from(shards: Sequence[Shard]) -> Source:
        source = BatchSource(
            shards,
            config,
            batch=plan.batch,
            steps=plan.window_steps,
            seed=plan.seed,
            augmentation=Augmentation(strip=plan.strip),
            earlier=(0, 1) if config.carry and plan.stage is Stage.HYBRID else (0,),
            imported_share=plan.imported_share,
        )
        cut = source if memory is None else DeviceSource(source, memory)
        return WarpedSource(cut, plan.seed, 2 * len(config.ann.window_steps))

    if plan.recordings == FOLLOWED:
        return FollowingSource(lambda: draw_from(open_shards(folder, config)), plan.report_every)
    return draw_from(shards)
