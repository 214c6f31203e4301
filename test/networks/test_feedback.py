# SPDX-License-Identifier: Apache-2.0
"""The ANN's answers as its own further input."""

import pytest
import torch

from hybrid_pose_ros.networks.ann import AnnUNet, with_feedback
from hybrid_pose_ros.networks.config import EDGE, PAPER, in_parts, variant_of
from hybrid_pose_ros.networks.hybrid import HybridPoseNetwork
from hybrid_pose_ros.networks.snn import SnnState

PLANES = EDGE.ann.input_planes


@pytest.fixture(scope="module")
def network() -> HybridPoseNetwork:
    torch.manual_seed(0)
    network = HybridPoseNetwork(EDGE).eval()
    with torch.no_grad():
        network.ann.head.conv.weight.normal_(std=0.3)
    return network


def test_planes_of_counts_of_ages_and_of_feedback() -> None:
    assert PLANES == 2 * 10 + 2 + 13
    assert in_parts(EDGE, 5).ann.input_planes == PLANES
    assert PAPER.ann.input_planes == 20


def test_heatmaps_become_the_last_planes_clamped_to_what_a_heatmap_may_be() -> None:
    inputs = torch.rand(2, PLANES, 6, 7)
    heatmaps = torch.linspace(-1, 2, 2 * 13 * 42).reshape(2, 13, 6, 7)
    fed = with_feedback(inputs, heatmaps)
    assert torch.equal(fed[:, :-13], inputs[:, :-13])
    assert torch.equal(fed[:, -13:], heatmaps.clamp(0, 1))
    assert with_feedback(inputs.bfloat16(), heatmaps).dtype == torch.bfloat16


def test_the_logarithm_is_of_counts_only() -> None:
    torch.manual_seed(0)
    ann = AnnUNet(EDGE.ann).eval()
    seen = []
    hook = ann.stem1.register_forward_pre_hook(lambda _m, given: seen.append(given[0]))
    inputs = torch.rand(1, PLANES, 16, 16) * 3
    with torch.no_grad():
        ann(inputs)
    hook.remove()
    assert torch.equal(seen[0][:, :20], torch.log1p(inputs[:, :20]))
    assert torch.equal(seen[0][:, 20:], inputs[:, 20:])


def same(found: tuple[torch.Tensor, SnnState], expected: tuple[torch.Tensor, SnnState]) -> bool:
    a, b = found[1], expected[1]
    assert a.velocity is not None and b.velocity is not None
    return (
        torch.equal(found[0], expected[0])
        and torch.equal(a.heatmaps, b.heatmaps)
        and torch.equal(a.velocity, b.velocity)
        and all(torch.equal(a.membranes[name], b.membranes[name]) for name in b.membranes)
    )


def test_successive_runs_are_each_fed_with_the_one_before(network: HybridPoseNetwork) -> None:
    inputs = torch.rand(3, 2, PLANES, 16, 24)
    with torch.no_grad():
        found = network.initial_states(inputs)
        first = network.initial_state(inputs[0])  # as it is, feedback and all
        second_in = torch.cat((inputs[1, :, :-13], first[0].clamp(0, 1)), 1)
        second = network.initial_state(second_in)
        third_in = torch.cat((inputs[2, :, :-13], second[0].clamp(0, 1)), 1)
        third = network.initial_state(third_in)
        apart = network.initial_state(inputs[1])
    assert len(found) == 3
    assert all(map(same, found, (first, second, third)))
    assert not torch.equal(found[1][0], apart[0])


def test_no_gradient_flows_back_through_an_answer(network: HybridPoseNetwork) -> None:
    inputs = torch.rand(2, 1, PLANES, 16, 24, requires_grad=True)
    found = network.initial_states(inputs)
    found[1][0].square().sum().backward()
    assert inputs.grad is not None
    assert not inputs.grad[0].any()
    assert inputs.grad[1, :, :-13].any()


def test_a_network_without_feedback_runs_on_each_input_alone() -> None:
    config = variant_of(PAPER, "snn")
    network = HybridPoseNetwork(config).eval()
    inputs = torch.rand(2, 1, 20, 32, 32)
    with torch.no_grad():
        found = network.initial_states(inputs)
        for (heatmaps, _), given in zip(found, inputs, strict=True):
            assert torch.equal(heatmaps, network.initial_state(given)[0])
