# SPDX-License-Identifier: Apache-2.0
"""What the stages' losses say of places: where a peak is, and how far from its joint."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from hybrid_pose_ros.networks.heatmaps import draw_heatmaps
from hybrid_pose_ros.research.training.stages import peak_centres, position_loss

HEIGHT, WIDTH, SIGMA = 24, 32, 1.5


def draw(points: Tensor) -> Tensor:
    visible = torch.ones(points.shape[:-1], dtype=torch.bool)
    return draw_heatmaps(points, visible, HEIGHT, WIDTH, SIGMA)


@given(x=st.floats(6, 25), y=st.floats(6, 17))
def test_a_peak_is_found_to_a_hundredth_of_a_cell(x: float, y: float) -> None:
    point = torch.tensor([[[x, y]]])
    assert (peak_centres(draw(point)) - point).abs().max() < 0.01


def test_only_the_highest_peak_counts() -> None:
    high, low = torch.tensor([[[8.3, 9.0]]]), torch.tensor([[[20.0, 15.0]]])
    assert torch.allclose(peak_centres(draw(high) + 0.8 * draw(low)), high, atol=0.01)


def test_maps_without_a_peak_have_a_place_and_a_finite_gradient() -> None:
    maps = torch.zeros(1, 13, HEIGHT, WIDTH, requires_grad=True)
    centres = peak_centres(maps)
    centres.sum().backward()
    assert torch.isfinite(centres).all()
    assert maps.grad is not None and torch.isfinite(maps.grad).all()


def test_the_loss_is_the_distance_of_the_peaks_in_cells() -> None:
    joints = torch.tensor([[[10.0, 10.0], [20.0, 12.0]]])
    maps = draw(joints + torch.tensor([2.0, 0.0]))
    seen = torch.ones(1, 2, dtype=torch.bool)
    # beyond half a cell it grows by one per cell, a quarter of a cell less than the distance
    assert position_loss(maps, joints, seen).item() == pytest.approx(1.75, abs=0.01)


@pytest.mark.parametrize(("away", "seen"), [(4.0, True), (1.0, False)], ids=["lost", "not seen"])
def test_peaks_that_are_not_the_joint_cost_nothing(away: float, seen: bool) -> None:
    joints = torch.tensor([[[10.0, 10.0], [20.0, 12.0]]])
    maps = draw(joints + torch.tensor([[[away, 0.0], [0.0, 0.0]]]))
    loss = position_loss(maps, joints, torch.tensor([[seen, True]]))
    assert loss.item() == pytest.approx(0.0, abs=1e-4)


def test_the_loss_moves_a_peak_towards_its_joint() -> None:
    joint = torch.tensor([[[10.0, 10.0]]])
    beside = torch.tensor([[[10.4, 10.0]]], requires_grad=True)
    position_loss(draw(beside), joint, torch.ones(1, 1, dtype=torch.bool)).backward()
    assert beside.grad is not None
    x, y = beside.grad[0, 0].tolist()
    assert x == pytest.approx(0.8, abs=0.02)  # the square's slope: distance over half a cell
    assert y == pytest.approx(0.0, abs=1e-3)
