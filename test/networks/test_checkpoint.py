# SPDX-License-Identifier: Apache-2.0
"""Checkpoints: round trip, digest, and errors that name the file."""

from pathlib import Path

import pytest
import torch

from hybrid_pose_ros.networks.checkpoint import (
    CheckpointError,
    load_checkpoint,
    save_checkpoint,
    shipped_checkpoint,
)
from hybrid_pose_ros.networks.config import EDGE
from hybrid_pose_ros.networks.hybrid import HybridPoseNetwork


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    path = tmp_path / "model.safetensors"
    save_checkpoint(path, HybridPoseNetwork(EDGE), {"note": "untrained"})
    return path


def test_round_trip(saved: Path) -> None:
    checkpoint = load_checkpoint(saved)
    assert checkpoint.config == EDGE
    assert checkpoint.summary == {"note": "untrained"}
    assert not checkpoint.network.training
    torch.manual_seed(0)
    for name, value in HybridPoseNetwork(EDGE).state_dict().items():
        stored = checkpoint.network.state_dict()[name]
        assert torch.equal(stored, value.half().float() if value.is_floating_point() else value)


def test_the_digest_identifies_the_weights(saved: Path, tmp_path: Path) -> None:
    checkpoint = load_checkpoint(saved)
    again = save_checkpoint(tmp_path / "again.safetensors", checkpoint.network, {})
    assert again == checkpoint.digest
    with torch.no_grad():
        checkpoint.network.snn.readout.conv.weight[0, 0] += 0.5
    assert save_checkpoint(tmp_path / "other.safetensors", checkpoint.network, {}) != again


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"nowhere\.safetensors: no such checkpoint"):
        load_checkpoint(tmp_path / "nowhere.safetensors")


@pytest.mark.parametrize("cut", [0, 5, 1000, -1])
def test_a_damaged_file_is_refused(saved: Path, cut: int) -> None:
    saved.write_bytes(saved.read_bytes()[:cut])
    with pytest.raises(CheckpointError, match=r"model\.safetensors: damaged"):
        load_checkpoint(saved)


def test_changed_weights_are_noticed(saved: Path) -> None:
    content = bytearray(saved.read_bytes())
    content[-100] ^= 0x10
    saved.write_bytes(content)
    with pytest.raises(CheckpointError, match="digest"):
        load_checkpoint(saved)


def test_the_shipped_weights_load() -> None:
    checkpoint = load_checkpoint()
    assert checkpoint.config == EDGE
    assert shipped_checkpoint().stat().st_size < 10e6
