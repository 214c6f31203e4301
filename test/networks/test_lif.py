# SPDX-License-Identifier: Apache-2.0
"""The neuron's equations, on exact values."""

import math

import pytest
import torch

from hybrid_pose_ros.networks.lif import LIF, lif_step


def drive(currents: list[float], tau: float) -> tuple[list[float], list[float]]:
    """Run one neuron from rest; returns spikes and membranes."""
    membrane = torch.zeros(1, 1, 1, 1)
    spikes, membranes = [], []
    for current in currents:
        spike, membrane = lif_step(
            torch.full_like(membrane, current), membrane, torch.tensor(1.0 / tau)
        )
        spikes.append(spike.item())
        membranes.append(membrane.item())
    return spikes, membranes


def test_charges_leaks_and_resets_softly() -> None:
    # tau 2: v = 0.8; 1.2 -> spike, 0.2; then the leak alone: 0.1, 0.05
    spikes, membranes = drive([1.6, 1.6, 0.0, 0.0], tau=2.0)
    assert spikes == [0, 1, 0, 0]
    assert membranes == pytest.approx([0.8, 0.2, 0.1, 0.05])


def test_the_threshold_itself_fires() -> None:
    spikes, membranes = drive([2.0], tau=2.0)
    assert spikes == [1] and membranes == [0.0]


def test_an_excess_is_kept_by_the_soft_reset() -> None:
    _, membranes = drive([6.0], tau=2.0)
    assert membranes == pytest.approx([2.0])


@pytest.mark.parametrize("excess", [-0.7, 0.0, 0.4])
def test_surrogate_gradient_is_that_of_an_arctangent(excess: float) -> None:
    current = torch.full((1, 1, 1, 1), 2.0 * (1.0 + excess), requires_grad=True)
    spikes, _ = lif_step(current, torch.zeros(1, 1, 1, 1), torch.tensor(0.5))
    spikes.sum().backward()
    slope = 1.0 / (1.0 + (math.pi * excess) ** 2)  # alpha = 2
    assert current.grad is not None
    assert current.grad.item() == pytest.approx(0.5 * slope)


def test_time_constants() -> None:
    fixed, learned = LIF(3, 3.0, learned=False), LIF(3, 5.0, learned=True)
    assert torch.allclose(fixed.leak, torch.full((3, 1, 1), 1 / 3))
    assert torch.allclose(learned.leak, torch.full((3, 1, 1), 1 / 5))
    assert not list(fixed.parameters()) and len(list(learned.parameters())) == 1
    with pytest.raises(ValueError, match="tau"):
        LIF(3, 1.0, learned=False)
