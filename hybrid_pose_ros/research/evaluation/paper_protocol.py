# SPDX-License-Identifier: Apache-2.0
"""The paper's protocol on binned recordings: all windows of 100 ms, one after the other.

The ANN runs where a window begins; errors are 2D, in pixels, after each of its steps. What comes
before the first window is what the ANN looks back on, and one window in which the SNN gets going.
"""

import itertools
from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np

from hybrid_pose_ros.networks.config import ModelConfig
from hybrid_pose_ros.networks.hybrid import HybridPoseNetwork
from hybrid_pose_ros.research.evaluation.comparison import compare, mean_points
from hybrid_pose_ros.research.evaluation.published import WINDOW_NS
from hybrid_pose_ros.research.training.draws import NO_AUGMENTATION
from hybrid_pose_ros.research.training.sampling import Batch, make_sample, stack
from hybrid_pose_ros.research.training.shards import Shard, ShardError

_BATCH: Final = 32


def score_windows(network: HybridPoseNetwork, shards: Sequence[Shard]) -> dict[str, list[float]]:
    """Return what :func:`~.comparison.compare` does, over all windows of some recordings.

    Args:
        network: in evaluation mode.
        shards: the recordings.

    Raises:
        ShardError: they are too short, or without labels.
    """
    config = network.config
    batches = _batches(shards, config)
    first = next(batches, None)
    if first is None:
        raise ShardError(
            f"{shards[0].meta['folder']}: no recording has a whole window with labels "
            f"{config.ann.history_steps * config.step_ns * 1e-9:.2g} s after its beginning"
        )
    return compare(network, itertools.chain((first,), batches), mean_points(shards))


def _batches(shards: Sequence[Shard], config: ModelConfig) -> Iterator[Batch]:
    """Yield all windows with labels, each after an earlier one."""
    steps = WINDOW_NS // config.step_ns
    rng = np.random.default_rng(0)  # draws nothing
    samples = []
    for shard in shards:
        for start in range(config.ann.history_steps, len(shard.counts) - 2 * steps + 1, steps):
            seen = shard.labels[start + steps - 1 : start + 2 * steps, :, 2]
            if not seen.any(1).all():
                continue
            samples.append(
                make_sample(shard, start, 2 * steps, config, NO_AUGMENTATION, rng, inits=2)
            )
            if len(samples) == _BATCH:
                yield stack(samples)
                samples = []
    if samples:
        yield stack(samples)
