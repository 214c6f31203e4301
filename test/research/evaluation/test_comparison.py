# SPDX-License-Identifier: Apache-2.0
"""Pose errors and the comparison of the hybrid with its parts."""

import numpy as np
import pytest
import torch

from hybrid_pose_ros.metrics.pose_errors import mpjpe
from hybrid_pose_ros.networks.config import EDGE
from hybrid_pose_ros.networks.heatmaps import draw_heatmaps
from hybrid_pose_ros.networks.hybrid import HybridPoseNetwork
from hybrid_pose_ros.networks.snn import SnnState
from hybrid_pose_ros.research.evaluation.comparison import compare
from hybrid_pose_ros.research.training.sampling import Batch


def test_mpjpe_is_the_mean_distance_of_the_visible_joints() -> None:
    truth = np.zeros((2, 13, 2))
    estimate = truth.copy()
    estimate[0, 0] = 3, 4
    estimate[0, 1] = 100, 0
    visible = np.zeros((2, 13), bool)
    visible[0, [0, 2]] = True
    assert mpjpe(estimate, truth, visible) == pytest.approx(2.5)
    assert np.isnan(mpjpe(estimate, truth, np.zeros((2, 13), bool)))


class Scripted(HybridPoseNetwork):
    """The ANN is right at t0; each SNN step moves every joint by one cell to the right."""

    points: torch.Tensor

    def maps(self, points: torch.Tensor) -> torch.Tensor:
        return draw_heatmaps(points, torch.ones(points.shape[:-1], dtype=torch.bool), 65, 87, 1.5)

    def initial_state(self, windows: torch.Tensor) -> tuple[torch.Tensor, SnnState]:
        heatmaps = self.maps(self.points)
        return heatmaps, SnnState({}, heatmaps)

    def run(self, state: SnnState, counts: torch.Tensor) -> list[torch.Tensor]:  # type: ignore[override]
        if state.membranes:  # from rest: nothing is found
            return [torch.zeros_like(state.heatmaps) for _ in counts]
        offset = torch.tensor((1.0, 0.0))
        return [self.maps(self.points + (k + 1) * offset) for k in range(len(counts))]


def test_errors_per_step_in_pixels_of_the_view() -> None:
    network = Scripted(EDGE).eval()
    network.points = torch.rand(2, 13, 2) * 40 + 10
    # the truth moves by half a cell per step; a cell is 4 pixels
    moves = torch.tensor((0.5, 0.0)) * torch.arange(4).reshape(4, 1, 1, 1)
    batch = Batch(
        windows=torch.zeros(1, 2, EDGE.ann.input_planes, 65, 87),
        counts=torch.zeros(3, 2, 2, 65, 87),
        points=network.points + moves,
        visible=torch.ones(4, 2, 13, dtype=torch.bool),
    )
    mean = network.points.mean(0).numpy()
    errors = compare(network, [batch], mean)
    assert errors["ann"] == pytest.approx([0.0], abs=0.01)
    assert errors["ann_held"] == pytest.approx([2.0, 4.0, 6.0], abs=0.02)
    assert errors["hybrid"] == pytest.approx([2.0, 4.0, 6.0], abs=0.02)
    assert min(errors["snn_from_rest"]) > 50
    expected = np.linalg.norm(batch.points[2].numpy() - mean, axis=-1).mean() * 4
    assert errors["mean_pose"][1] == pytest.approx(expected)
