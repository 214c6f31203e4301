# SPDX-License-Identifier: Apache-2.0
"""The sparse SNN is the same function as the torch module."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from hybrid_pose_ros.inference.sparse_snn import SparseSnn
from hybrid_pose_ros.networks.config import EDGE, PAPER, SPIKING_LAYERS, ModelConfig
from hybrid_pose_ros.networks.snn import SnnState, SpikingUNet

NARROW_PAPER = replace(
    PAPER, snn=replace(PAPER.snn, downs=((16, 5), (16, 5), (16, 5)), ups=((8, 5), (8, 5), (8, 5)))
)


def random_snn(config: ModelConfig) -> SpikingUNet:
    torch.manual_seed(3)
    snn = SpikingUNet(config.snn)
    with torch.no_grad():
        for synapse in snn.synapses.values():
            synapse.norm.running_mean.normal_(std=0.1)
            synapse.norm.running_var.uniform_(0.2, 0.5)
            synapse.norm.weight.uniform_(0.5, 3.0)
            synapse.norm.bias.uniform_(-0.5, 2.0)
    return snn.eval()


@pytest.mark.parametrize("config", [EDGE, NARROW_PAPER], ids=lambda config: config.name)
@pytest.mark.parametrize("size", [(65, 87), (32, 48)])
def test_it_follows_the_torch_network(config: ModelConfig, size: tuple[int, int]) -> None:
    """Each step from the same state, so that a spike at the threshold's edge does not add up."""
    snn = random_snn(config)
    sparse = SparseSnn(snn, *size)
    rng = np.random.default_rng(0)
    rest = snn.rest(1, *size)
    state = SnnState(
        {name: torch.rand_like(v) * 1.2 for name, v in rest.membranes.items()},
        torch.rand_like(rest.heatmaps),
    )
    for _ in range(6):
        counts = rng.poisson(0.2, (2, *size)).astype(np.uint16)
        sparse.load(state)
        sparse.step(counts)
        with torch.no_grad():
            _, state = snn(torch.from_numpy(counts.astype(np.float32))[None], state)
        found = sparse.state()
        for name in SPIKING_LAYERS:
            difference = (found.membranes[name] - state.membranes[name]).abs()
            assert (difference < 1e-3).float().mean() > 0.9999, name
        assert (found.heatmaps - state.heatmaps).abs().mean() < 1e-5
    rates = sparse.firing_rates()
    assert all(0.01 < rate < 0.9 for rate in rates.values()), rates


def test_state_round_trip_rest_and_shapes() -> None:
    snn = random_snn(EDGE)
    sparse = SparseSnn(snn, 65, 87)
    rest = snn.rest(1, 65, 87)
    state = SnnState(
        {name: torch.rand_like(v) for name, v in rest.membranes.items()},
        torch.rand_like(rest.heatmaps),
    )
    sparse.load(state)
    found = sparse.state()
    assert torch.equal(found.heatmaps, state.heatmaps)
    assert all(torch.equal(found.membranes[n], state.membranes[n]) for n in SPIKING_LAYERS)
    assert sparse.shapes["head"] == (16, 65, 87) and sparse.shapes["heatmaps"] == (13, 65, 87)
    sparse.rest()
    assert not any(v.any() for v in (*sparse.state().membranes.values(), sparse.state().heatmaps))


def test_silence_equals_many_steps_without_input_spikes_or_bias() -> None:
    snn = SpikingUNet(EDGE.snn).eval()  # untrained: no bias, so nothing fires from below 1
    sparse, stepped = SparseSnn(snn, 65, 87), SparseSnn(snn, 65, 87)
    rest = snn.rest(1, 65, 87)
    state = SnnState(
        {name: 0.9 * torch.rand_like(v) for name, v in rest.membranes.items()},
        torch.rand_like(rest.heatmaps),
    )
    sparse.load(state)
    stepped.load(state)
    sparse.silence(7)
    for _ in range(7):
        stepped.step(np.zeros((2, 65, 87), np.uint16))
    for a, b in zip(
        (*sparse.state().membranes.values(), sparse.state().heatmaps),
        (*stepped.state().membranes.values(), stepped.state().heatmaps),
        strict=True,
    ):
        assert torch.allclose(a, b, atol=1e-6)
