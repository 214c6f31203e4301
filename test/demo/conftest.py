# SPDX-License-Identifier: Apache-2.0
from pathlib import Path

import pytest
import torch

from hybrid_pose_ros.networks.checkpoint import save_checkpoint
from hybrid_pose_ros.networks.config import EDGE
from hybrid_pose_ros.networks.hybrid import HybridPoseNetwork


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An untrained checkpoint: its poses are wrong, but they come."""
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("model") / "untrained.safetensors"
    save_checkpoint(path, HybridPoseNetwork(EDGE).eval(), {})
    return path
