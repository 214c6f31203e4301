# SPDX-License-Identifier: Apache-2.0
"""Which windows and labels of a batch the stages use."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from hybrid_pose_ros.networks.config import EDGE
from hybrid_pose_ros.networks.hybrid import HybridPoseNetwork
from hybrid_pose_ros.research.training.sampling import NO_AUGMENTATION, Batch, BatchSource
from hybrid_pose_ros.research.training.stages import Stage, begin, set_mode, stage_loss

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
        augmentation=NO_AUGMENTATION,
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


def test_the_ann_is_asked_for_the_joints_of_the_time_at_which_it_runs(
    network: HybridPoseNetwork,
) -> None:
    batch = make_batch(1)
    set_mode(network, Stage.ANN, freeze_norm=True)
    loss = stage_loss(network, Stage.ANN, batch)
    points = batch.points.clone()
    points[1:-1] = 0.0  # only the mean velocity of the steps to come counts
    assert torch.equal(stage_loss(network, Stage.ANN, batch._replace(points=points)), loss)
    points[0] = 0.0
    assert not torch.equal(stage_loss(network, Stage.ANN, batch._replace(points=points)), loss)


def test_the_hybrid_begins_after_the_last_window_of_a_batch(network: HybridPoseNetwork) -> None:
    batch = make_batch(3)
    set_mode(network, Stage.HYBRID, freeze_norm=True)
    heatmaps, _, rest = begin(network, batch)
    with torch.no_grad():
        expected, _ = network.initial_state(batch.windows[2])
    assert torch.allclose(heatmaps, expected, atol=1e-6)
    assert torch.equal(rest.counts, batch.counts[2 * STEPS :])
    assert torch.equal(rest.points, batch.points[2 * STEPS :])


def test_labels_before_the_last_window_do_not_count(network: HybridPoseNetwork) -> None:
    batch = make_batch(3)
    set_mode(network, Stage.HYBRID, freeze_norm=True)
    loss = stage_loss(network, Stage.HYBRID, batch)
    points = batch.points.clone()
    points[: 2 * STEPS] = 0.0
    assert torch.equal(stage_loss(network, Stage.HYBRID, batch._replace(points=points)), loss)
    points[2 * STEPS + 1] = 0.0
    assert not torch.equal(stage_loss(network, Stage.HYBRID, batch._replace(points=points)), loss)
