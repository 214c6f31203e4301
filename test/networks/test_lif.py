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
            torch.full_like(membrane, current), membrane, torch.full((1, 1, 1), 1.0 / tau)
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
    spikes, _ = lif_step(current, torch.zeros(1, 1, 1, 1), torch.full((1, 1, 1), 0.5))
    spikes.sum().backward()
    slope = 1.0 / (1.0 + (math.pi * excess) ** 2)  # alpha = 2
    assert current.grad is not None
    assert current.grad.item() == pytest.approx(0.5 * slope)


def test_gradients_equal_those_of_the_equations_under_autograd() -> None:
    torch.manual_seed(0)
    current, membrane = 2 * torch.randn(2, 3, 4, 5), torch.randn(2, 3, 4, 5)
    leak = torch.rand(3, 1, 1)
    weights = torch.randn(2, 2, 3, 4, 5)

    def gradients(step):  # type: ignore[no-untyped-def]
        inputs = [value.double().requires_grad_() for value in (current, membrane, leak)]
        spikes, after = step(*inputs)
        (weights[0] * spikes + weights[1] * after).sum().backward()
        return [value.grad for value in inputs]

    def equations(x, v, a):  # type: ignore[no-untyped-def]
        v = v + a * (x - v)
        soft = torch.atan(math.pi * (v - 1)) / math.pi + 0.5
        s = soft + ((v >= 1).double() - soft).detach()
        return s, v - s

    for found, expected in zip(gradients(lif_step), gradients(equations), strict=True):
        assert torch.allclose(found, expected)


def test_time_constants() -> None:
    fixed, learned = LIF(3, (3.0, 3.0), learned=False), LIF(3, (2.0, 18.0), learned=True)
    assert torch.allclose(fixed.leak, torch.full((3, 1, 1), 1 / 3))
    assert torch.allclose(1 / learned.leak.flatten(), torch.tensor([2.0, 6.0, 18.0]))
    assert not list(fixed.parameters()) and len(list(learned.parameters())) == 1
    with pytest.raises(ValueError, match="tau"):
        LIF(3, (1.0, 5.0), learned=False)
