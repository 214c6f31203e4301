# SPDX-License-Identifier: Apache-2.0
"""Training: stages change what they should, learn, and resume to the bit."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from hybrid_pose_ros.networks.config import EDGE, PAPER, ModelConfig
from hybrid_pose_ros.networks.hybrid import HybridPoseNetwork
from hybrid_pose_ros.research.training.log import Report, RunLog
from hybrid_pose_ros.research.training.sampling import NO_AUGMENTATION, BatchSource
from hybrid_pose_ros.research.training.shards import Shard
from hybrid_pose_ros.research.training.stages import Stage, set_mode, stage_loss
from hybrid_pose_ros.research.training.trainer import (
    TrainingError,
    TrainingPlan,
    train_stage,
    weights_digests,
)

from .conftest import make_shard

SMALL = replace(
    EDGE,
    view=replace(EDGE.view, view_width=64, view_height=48, grid_width=16, grid_height=12),
    ann=replace(EDGE.ann, window_steps=(1, 1, 2), stem=(8, 3), downs=((16, 3),) * 4),
    snn=replace(EDGE.snn, head=(8, 3), downs=((16, 3),) * 3, ups=((16, 3), (8, 3), (8, 3))),
)


def small_shard(config: ModelConfig, steps: int = 40) -> Shard:
    rng = np.random.default_rng(0)
    height, width = config.view.grid_height, config.view.grid_width
    labels = np.ones((steps, 13, 3), np.float32)
    labels[..., :2] = rng.uniform(2, min(height, width) - 2, (13, 2))
    labels[..., 0] += 0.5 * np.sin(0.3 * np.arange(steps))[:, None]
    counts = rng.poisson(0.3, (steps, 2, height, width)).astype(np.uint8)
    return make_shard(counts, labels, config)


def source(config: ModelConfig = SMALL, batch: int = 4) -> BatchSource:
    return BatchSource(
        [small_shard(config)],
        config,
        batch=batch,
        steps=3,
        seed=0,
        augmentation=NO_AUGMENTATION,
    )


def plan(stage: Stage, updates: int, **changes: Any) -> TrainingPlan:
    usual = TrainingPlan(
        stage=stage,
        updates=updates,
        batch=4,
        window_steps=3,
        learning_rate=3e-3,
        seed=0,
        strip=None,
        recordings="recordings",
        ann_weights="ann",
        snn_weights="snn",
        bfloat16=False,
        report_every=5,
    )
    return replace(usual, **changes)


def train(
    network: HybridPoseNetwork, stage: Stage, updates: int, folder: Path, **changes: Any
) -> list[Report]:
    reports: list[Report] = []
    train_stage(
        network,
        source(),
        plan(stage, updates, **changes),
        folder,
        name=stage.value,
        log=RunLog(folder),
        validate=lambda _: {},
        progress=lambda _update, _loss: None,
        reported=reports.append,
    )
    return reports


@pytest.mark.parametrize("stage", list(Stage))
def test_a_stage_learns_and_changes_only_its_parts(stage: Stage, tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = HybridPoseNetwork(SMALL)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    reports = train(network, stage, 40, tmp_path)
    assert min(report.loss for report in reports) < 0.96 * reports[0].loss
    changed = {
        name.split(".")[0]
        for name, value in network.state_dict().items()
        if not torch.equal(value, before[name])
    }
    expected = {
        "ann": {"ann", "motion"},
        "snn": {"snn"},
        "hybrid": {"snn", "initialiser"},
    }
    assert changed == expected[stage.value]


def test_an_interrupted_training_goes_on_as_if_it_had_not_been(tmp_path: Path) -> None:
    class StoppedError(Exception):
        pass

    def stop(report: Report) -> None:
        if report.update == 10:
            raise StoppedError

    def run(folder: Path, interrupt: bool) -> HybridPoseNetwork:
        torch.manual_seed(0)
        network = HybridPoseNetwork(SMALL)
        train_stage(
            network,
            source(),
            plan(Stage.HYBRID, 15),
            folder,
            name="hybrid",
            log=RunLog(folder),
            validate=lambda _: {},
            progress=lambda _update, _loss: None,
            reported=stop if interrupt else lambda _report: None,
        )
        return network

    whole = run(tmp_path / "whole", interrupt=False)
    with pytest.raises(StoppedError):
        run(tmp_path / "parts", interrupt=True)
    resumed = run(tmp_path / "parts", interrupt=False)
    for name, value in whole.state_dict().items():
        assert torch.equal(value, resumed.state_dict()[name]), name


def test_another_plan_does_not_resume(tmp_path: Path) -> None:
    train(HybridPoseNetwork(SMALL), Stage.ANN, 20, tmp_path)
    for updates, changes, says in (
        (30, {}, "updates"),
        (20, {"strip": 8}, "strip"),
        (20, {"recordings": "more"}, "recordings"),
        (20, {"ann_weights": "retrained", "snn_weights": "too"}, "ann weights, snn weights"),
    ):
        with pytest.raises(TrainingError, match=rf"ann\.pt: .* another plan \(other {says}\)"):
            train(HybridPoseNetwork(SMALL), Stage.ANN, updates, tmp_path, **changes)


def test_how_a_training_runs_may_change_when_it_goes_on(tmp_path: Path) -> None:
    network = HybridPoseNetwork(SMALL)
    train(network, Stage.ANN, 5, tmp_path)
    resumed = HybridPoseNetwork(SMALL)
    assert train(resumed, Stage.ANN, 5, tmp_path, compiled=True, report_every=2) == []
    for name, value in network.state_dict().items():
        assert torch.equal(value, resumed.state_dict()[name]), name


def test_digests_tell_the_ann_from_the_rest() -> None:
    network = HybridPoseNetwork(SMALL)
    ann, snn = weights_digests(network)
    assert weights_digests(network.to(memory_format=torch.channels_last)) == (ann, snn)
    with torch.no_grad():
        next(network.snn.parameters()).add_(1.0)
    assert weights_digests(network)[0] == ann and weights_digests(network)[1] != snn
    snn = weights_digests(network)[1]
    for part in (network.ann, network.motion):
        with torch.no_grad():
            next(part.parameters()).add_(1.0)
        assert weights_digests(network)[0] != ann and weights_digests(network)[1] == snn
        ann = weights_digests(network)[0]


@pytest.mark.skipif(torch.cuda.is_available(), reason="the device is there")
def test_what_was_trained_on_a_gpu_goes_on_without_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr("torch.serialization.location_tag", lambda _storage: "cuda:0")
        train(HybridPoseNetwork(SMALL), Stage.ANN, 5, tmp_path)
    assert train(HybridPoseNetwork(SMALL), Stage.ANN, 5, tmp_path) == []


def test_empty_heatmaps_cost_one() -> None:
    network = HybridPoseNetwork(EDGE)
    with torch.no_grad():
        for parameter in network.ann.head.parameters():
            parameter.zero_()
    batch = source(EDGE)[0]
    batch = batch._replace(points=batch.points[:1].expand_as(batch.points))  # nothing moves
    set_mode(network, Stage.ANN, freeze_norm=True)
    loss = stage_loss(network, Stage.ANN, batch)
    assert loss.item() == pytest.approx(1.0, abs=0.1)  # less where a Gaussian leaves the grid


@pytest.mark.parametrize("stage", list(Stage))
def test_the_paper_network_trains_on_a_small_view(stage: Stage) -> None:
    """The published layers on a view of 64x64: gradients reach every trained parameter."""
    config = replace(PAPER, view=replace(PAPER.view, grid_width=64, grid_height=64))
    network = HybridPoseNetwork(config)
    set_mode(network, stage, freeze_norm=False)
    stage_loss(network, stage, source(config, batch=2)[0]).backward()
    silent = [
        name
        for name, parameter in network.named_parameters()
        if parameter.requires_grad and (parameter.grad is None or not parameter.grad.any())
    ]
    assert silent == []


@pytest.mark.slow
def test_the_paper_network_fits_a_few_samples() -> None:
    """The published layers learn: in a small view, two samples by heart."""
    torch.manual_seed(0)
    config = replace(PAPER, view=replace(PAPER.view, grid_width=32, grid_height=32))
    network = HybridPoseNetwork(config)
    batch = source(config, batch=2)[0]
    losses = {}
    for stage, updates in ((Stage.ANN, 40), (Stage.HYBRID, 15)):
        set_mode(network, stage, freeze_norm=False)
        trained = [p for p in network.parameters() if p.requires_grad]
        optimizer = torch.optim.Adam(trained, lr=3e-4)
        for _ in range(updates):
            loss = stage_loss(network, stage, batch)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        losses[stage] = loss.item()
    assert losses[Stage.ANN] < 0.3
    assert losses[Stage.HYBRID] < 0.2
