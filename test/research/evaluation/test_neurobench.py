# SPDX-License-Identifier: Apache-2.0
"""Figures in NeuroBench's terms against numbers computed by hand."""

import pytest
import torch

from hybrid_pose_ros.networks.config import SPIKING_LAYERS
from hybrid_pose_ros.networks.hybrid import HybridPoseNetwork
from hybrid_pose_ros.research.evaluation.energy import READOUT, Activity, Costs, Duty
from hybrid_pose_ros.research.evaluation.neurobench import neurobench_figures

LAYERS = (*SPIKING_LAYERS, READOUT)

ACTIVITY = Activity(
    steps=4,
    entered=dict.fromkeys(LAYERS, 4.0),
    accumulated=dict.fromkeys(LAYERS, 6.0),
    fired=dict.fromkeys(SPIKING_LAYERS, 2.0),
)


def test_operations_of_a_pose_hold_the_share_of_what_is_rarer(
    small_network: HybridPoseNetwork,
) -> None:
    costs = Costs.of(small_network)
    duty = Duty(ann_hz=10.0, initialise_hz=10.0, step_hz=120.0)  # 100 poses, 20 steps again
    found = neurobench_figures(small_network, costs, duty, ACTIVITY)
    assert found["model_execution_rate"] == 100.0
    rare = 0.1 * (costs.ann_macs + costs.initialiser_macs)
    operations = found["synaptic_operations"]
    assert operations["Effective_MACs"] == pytest.approx(rare)
    assert operations["Effective_ACs"] == pytest.approx(1.2 * 10 * 6 / 4)
    assert operations["Dense"] == pytest.approx(rare + 1.2 * sum(costs.dense_macs.values()))
    neurons = sum(costs.neurons.values())
    assert found["membrane_updates"] == pytest.approx(1.2 * neurons)
    assert found["activation_sparsity"] == pytest.approx(1 - 9 * 2 / (4 * neurons))


def test_parts_that_do_not_run_take_no_room(small_network: HybridPoseNetwork) -> None:
    costs = Costs.of(small_network)
    alone = neurobench_figures(small_network, costs, Duty(ann_hz=20.0), None)
    assert alone["model_execution_rate"] == 20.0
    assert alone["synaptic_operations"]["Effective_MACs"] == costs.ann_macs
    assert alone["activation_sparsity"] is None
    both = neurobench_figures(small_network, costs, Duty(ann_hz=10, step_hz=100), ACTIVITY)
    snn = [*small_network.snn.parameters(), *small_network.snn.buffers()]
    size = sum(tensor.numel() for tensor in snn if tensor.is_floating_point())
    assert both["footprint"] - alone["footprint"] == 4 * size


def test_weights_that_are_zero_are_counted(small_network: HybridPoseNetwork) -> None:
    costs = Costs.of(small_network)
    weight = small_network.ann.stem1.conv.weight
    kept = weight.detach().clone()
    with torch.no_grad():
        weight[0] = 0.0
    try:
        found = neurobench_figures(small_network, costs, Duty(ann_hz=10.0), None)
    finally:
        with torch.no_grad():
            weight.copy_(kept)
    convolutions = [m for m in small_network.ann.modules() if isinstance(m, torch.nn.Conv2d)]
    total = sum(module.weight.numel() for module in convolutions)
    assert found["connection_sparsity"] == pytest.approx(weight[0].numel() / total)
