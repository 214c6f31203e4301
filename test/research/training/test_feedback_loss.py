# SPDX-License-Identifier: Apache-2.0
"""How the stages feed the ANN: with what a batch says first, and then with its own answers."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from hybrid_pose_ros.networks.config import EDGE
from hybrid_pose_ros.networks.heatmaps import draw_heatmaps
from hybrid_pose_ros.networks.hybrid import HybridPoseNetwork
from hybrid_pose_ros.research.training.sampling import NO_AUGMENTATION, Batch, BatchSource
from hybrid_pose_ros.research.training.stages import Stage, begin, fed, set_mode, stage_loss

from .conftest import make_shard

SMALL = replace(
    EDGE,
    view=replace(EDGE.view, view_width=64, view_height=48, grid_width=16, grid_height=12),
    ann=replace(EDGE.ann, window_steps=(1, 1, 2), stem=(8, 3), downs=((16, 3),) * 4),
    snn=replace(EDGE.snn, head=(8, 3), downs=((16, 3),) * 3, ups=((16, 3), (8, 3), (8, 3))),
)
STEPS = 4


def make_batch(inits: int) -> Batch:
    rng = np.random.default_rng(0)
    labels = np.ones((60, 13, 3), np.float32)
    labels[..., :2] = rng.uniform(2, 10, (13, 2)) + 0.02 * np.arange(60)[:, None, None]
    shard = make_shard(rng.poisson(0.1, (60, 2, 12, 16)).astype(np.uint8), labels, SMALL)
    return BatchSource(
        [shard],
        SMALL,
        batch=2,
        steps=STEPS,
        seed=0,
        augmentation=replace(NO_AUGMENTATION, feedback=1.0),
        earlier=(inits - 1,),
    )[0]


@pytest.fixture
def network() -> HybridPoseNetwork:
    torch.manual_seed(0)
    network = HybridPoseNetwork(SMALL)
    with torch.no_grad():
        network.ann.head.conv.weight.normal_(std=0.2)
        network.motion.readout.weight.normal_()
    return network


def seen_by_the_ann(network: HybridPoseNetwork, stage: Stage, batch: Batch) -> list[Tensor]:
    seen: list[Tensor] = []
    hook = network.ann.register_forward_pre_hook(lambda _m, given: seen.append(given[0].detach()))
    set_mode(network, stage, freeze_norm=True)
    stage_loss(network, stage, batch)
    hook.remove()
    return seen


def test_the_batchs_feedback_is_drawn_as_high_as_it_is_sure() -> None:
    network, batch = HybridPoseNetwork(SMALL), make_batch(2)
    feedback = torch.zeros(2, 13, 3)
    feedback[0, 5] = torch.tensor([7.0, 6.0, 0.5])
    first, second = fed(network, batch._replace(feedback=feedback))
    assert torch.equal(first[:, :-13], batch.windows[0][:, :-13])
    expected = draw_heatmaps(feedback[..., :2], feedback[..., 2] > 0, 12, 16, SMALL.sigma)
    assert torch.allclose(first[:, -13:], 0.5 * expected)
    assert first[0, -8, 6, 7] == 0.5 and first[:, -13:].flatten(2).any(-1).sum() == 1
    assert not second[:, -13:].any()  # its own answer comes later


@pytest.mark.parametrize("stage", [Stage.ANN, Stage.HYBRID])
def test_each_later_run_is_fed_with_the_one_before(
    network: HybridPoseNetwork, stage: Stage
) -> None:
    batch = make_batch(3)
    seen = seen_by_the_ann(network, stage, batch)
    assert len(seen) == 3
    assert torch.equal(seen[0], fed(network, batch)[0])
    assert seen[0][:, -13:].any()
    with torch.no_grad():
        for now, before, windows in zip(seen[1:], seen, batch.windows[1:], strict=False):
            assert torch.equal(now[:, :-13], windows[:, :-13])
            answer, _ = network.ann(before)
            assert torch.allclose(now[:, -13:], answer.clamp(0, 1), atol=1e-6)
            assert now[:, -13:].any()


def test_the_ann_learns_from_its_last_run_only(network: HybridPoseNetwork) -> None:
    batch = make_batch(3)
    last = seen_by_the_ann(network, Stage.ANN, batch)[-1]
    stage_loss(network, Stage.ANN, batch).backward()
    gradients = [parameter.grad.clone() for parameter in network.ann.parameters()]
    network.zero_grad()
    # the last run alone: its input is taken as it was, and its labels are those of its time
    alone = Batch(
        last[None],
        batch.counts[2 * STEPS :],
        batch.points[2 * STEPS :],
        batch.visible[2 * STEPS :],
        batch.feedback,
    )
    original = SMALL.ann
    network.config = replace(SMALL, ann=replace(original, feedback=False))
    loss = stage_loss(network, Stage.ANN, alone)
    loss.backward()
    network.config = SMALL
    assert loss.item() == pytest.approx(stage_loss(network, Stage.ANN, batch).item(), rel=1e-5)
    for gradient, parameter in zip(gradients, network.ann.parameters(), strict=True):
        assert torch.allclose(gradient, parameter.grad, rtol=1e-3, atol=1e-5)
    feedback_weights = network.ann.stem1.conv.weight.grad[:, -13:]
    assert feedback_weights.any()


def test_labels_before_the_last_run_do_not_count(network: HybridPoseNetwork) -> None:
    batch = make_batch(3)
    set_mode(network, Stage.ANN, freeze_norm=True)
    loss = stage_loss(network, Stage.ANN, batch)
    points = batch.points.clone()
    points[: 2 * STEPS] = 0.0
    assert torch.equal(stage_loss(network, Stage.ANN, batch._replace(points=points)), loss)
    points[2 * STEPS] = 0.0
    assert not torch.equal(stage_loss(network, Stage.ANN, batch._replace(points=points)), loss)


def test_the_hybrid_begins_with_the_chain_of_answers(network: HybridPoseNetwork) -> None:
    batch = make_batch(3)
    set_mode(network, Stage.HYBRID, freeze_norm=True)
    heatmaps, _, rest = begin(network, batch)
    with torch.no_grad():
        expected = network.initial_states(fed(network, batch))[-1][0]
    assert torch.allclose(heatmaps, expected, atol=1e-6)
    assert torch.equal(rest.counts, batch.counts[2 * STEPS :])
    assert torch.equal(rest.points, batch.points[2 * STEPS :])
