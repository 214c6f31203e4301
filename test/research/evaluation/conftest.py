# SPDX-License-Identifier: Apache-2.0
"""A network small enough to be run many times, whose neurons fire."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from hybrid_pose_ros.networks.config import EDGE, VARIANTS, ModelConfig, variant_of
from hybrid_pose_ros.networks.hybrid import HybridPoseNetwork

SMALL = replace(
    EDGE,
    view=replace(EDGE.view, cell=13, grid_width=26, grid_height=20),
    ann=replace(EDGE.ann, stem=(4, 3), downs=((6, 3), (6, 3), (8, 3), (8, 3))),
    snn=replace(
        EDGE.snn, head=(4, 3), downs=((6, 3), (6, 3), (8, 3)), ups=((6, 3), (6, 3), (4, 3))
    ),
)


def make_network(config: ModelConfig, seed: int = 0) -> HybridPoseNetwork:
    """Build a network with random weights that lets most neurons fire now and then."""
    torch.manual_seed(seed)
    network = HybridPoseNetwork(config).eval()
    for module in network.snn.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 2.0, 6.0)
            nn.init.uniform_(module.bias, 0.2, 1.0)
    nn.init.normal_(network.ann.head.conv.weight, std=0.3)
    nn.init.normal_(network.snn.readout.conv.weight, std=0.2)
    if config.snn.motion:
        nn.init.normal_(network.motion.readout.weight, std=0.5)
        nn.init.normal_(network.snn.motion.readout.weight, std=0.1)
    if config.carry:
        nn.init.normal_(network.carry.heatmaps_logit)
        nn.init.normal_(network.carry.velocity_logit)
    with torch.no_grad():
        network.ann.stem1.conv.weight[:, -13:].normal_(std=0.5)  # so that maps have peaks
    return network


@pytest.fixture(scope="session")
def small_network() -> HybridPoseNetwork:
    return make_network(SMALL)


@pytest.fixture(scope="session")
def small_variants() -> dict[str, HybridPoseNetwork]:
    return {
        name: make_network(variant_of(SMALL, name), seed) for seed, name in enumerate(VARIANTS, 1)
    }


@pytest.fixture(scope="session", params=["binary", "valued"])
def lively_network(request: pytest.FixtureRequest) -> HybridPoseNetwork:
    """One in all of whose layers many neurons fire.

    The convolutions of the second get raw counts, and spikes that are upsampled before them.
    """
    config = SMALL
    if request.param == "valued":
        config = replace(SMALL, snn=replace(SMALL.snn, levels=(), upsample_first=True))
    network = make_network(config)
    for module in network.snn.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.bias, 0.5, 4.0)
    return network
