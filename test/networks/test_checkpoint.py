# SPDX-License-Identifier: Apache-2.0
"""Checkpoints: round trip, digest, and errors that name the file."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from hybrid_pose_ros.networks.checkpoint import (
    Checkpoint,
    CheckpointError,
    load_checkpoint,
    load_variant,
    save_checkpoint,
    save_variant,
    shipped_checkpoint,
)
from hybrid_pose_ros.networks.config import EDGE, VARIANTS, variant_of
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


def test_a_file_of_another_format_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "old.safetensors"
    save_file({"weight": torch.zeros(1)}, path, {"format": "hybrid_pose_ros/1"})
    with pytest.raises(
        CheckpointError, match=r"old\.safetensors: format 'hybrid_pose_ros/1' inst"
    ):
        load_checkpoint(path)


@pytest.fixture
def base(saved: Path) -> Checkpoint:
    return load_checkpoint(saved)


def trained(name: str) -> HybridPoseNetwork:
    """Stands for a variant after training: nothing in it is as in its base."""
    torch.manual_seed(1)
    return HybridPoseNetwork(variant_of(EDGE, name))


@pytest.mark.parametrize("name", VARIANTS)
def test_a_variant_is_its_own_snn_on_the_ann_of_its_base(
    base: Checkpoint, tmp_path: Path, name: str
) -> None:
    network = trained(name)
    save_variant(tmp_path / f"edge_{name}.safetensors", network, base, name)
    found = load_variant(name, base, tmp_path)
    assert found is not None and not found.training
    assert found.config == variant_of(EDGE, name)
    shared, own = base.network.state_dict(), network.state_dict()
    assert found.state_dict().keys() == own.keys()
    for key, value in found.state_dict().items():
        expected = shared[key] if key.startswith("ann.") else own[key]
        assert torch.equal(value, expected.half().float() if value.is_floating_point() else value)
    larger = (tmp_path / "model.safetensors").stat().st_size
    assert (tmp_path / f"edge_{name}.safetensors").stat().st_size < larger / 2  # without the ANN


def test_a_variant_that_nobody_trained_is_none(base: Checkpoint, tmp_path: Path) -> None:
    assert load_variant("no_init", base, tmp_path) is None
    with pytest.raises(ValueError, match="no variant is called 'other'"):
        load_variant("other", base, tmp_path)


def test_a_variant_of_another_checkpoint_is_refused(base: Checkpoint, tmp_path: Path) -> None:
    save_variant(tmp_path / "edge_snn.safetensors", trained("snn"), base, "snn")
    with torch.no_grad():
        base.network.ann.head.conv.bias += 1.0
    digest = save_checkpoint(tmp_path / "other.safetensors", base.network, {})
    other = load_checkpoint(tmp_path / "other.safetensors")
    with pytest.raises(CheckpointError, match=f"checkpoint {base.digest}, not of {digest}"):
        load_variant("snn", other, tmp_path)


def test_a_variant_under_the_name_of_another_is_refused(base: Checkpoint, tmp_path: Path) -> None:
    save_variant(tmp_path / "edge_snn.safetensors", trained("no_delta"), base, "no_delta")
    with pytest.raises(CheckpointError, match=r"edge_snn\.safetensors: the weights do not fit"):
        load_variant("snn", base, tmp_path)


def test_a_variant_is_no_checkpoint(base: Checkpoint, tmp_path: Path) -> None:
    path = tmp_path / "edge_snn.safetensors"
    save_variant(path, trained("snn"), base, "snn")
    with pytest.raises(CheckpointError, match=f"a variant of checkpoint {base.digest}"):
        load_checkpoint(path)


def test_a_damaged_variant_is_refused(base: Checkpoint, tmp_path: Path) -> None:
    path = tmp_path / "edge_snn.safetensors"
    save_variant(path, trained("snn"), base, "snn")
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(CheckpointError, match=r"edge_snn\.safetensors: damaged"):
        load_variant("snn", base, tmp_path)


def test_the_shipped_weights_load() -> None:
    checkpoint = load_checkpoint()
    assert checkpoint.config == EDGE
    assert shipped_checkpoint().stat().st_size < 10e6
