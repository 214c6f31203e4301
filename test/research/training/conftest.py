# SPDX-License-Identifier: Apache-2.0
"""Shards in memory."""

import numpy as np
from numpy.typing import NDArray

from hybrid_pose_ros.networks.config import EDGE, ModelConfig
from hybrid_pose_ros.research.training.shards import Shard, activity_keys


def make_shard(
    counts: NDArray[np.uint8], labels: NDArray[np.float32], config: ModelConfig = EDGE
) -> Shard:
    """A shard as :func:`write_shard` writes it for a model and ``open_shards`` opens it."""
    levels = config.ann.activity_levels
    return Shard(counts, labels, activity_keys(counts, levels), levels, {})
