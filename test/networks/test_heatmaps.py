# SPDX-License-Identifier: Apache-2.0
"""Drawing and decoding heatmaps."""

import torch
from hypothesis import given
from hypothesis import strategies as st

from hybrid_pose_ros.networks.heatmaps import decode_heatmaps, draw_heatmaps

inside_x = st.floats(2.0, 84.0)
inside_y = st.floats(2.0, 62.0)


@given(inside_x, inside_y, st.floats(0.8, 3.0))
def test_a_gaussian_is_located_exactly(x: float, y: float, sigma: float) -> None:
    points = torch.tensor([[x, y]], dtype=torch.float64)
    heatmaps = draw_heatmaps(points, torch.tensor([True]), 65, 87, sigma)
    found, confidence = decode_heatmaps(heatmaps)
    assert torch.allclose(found, points, atol=2e-3)
    assert 0.5 < confidence.item() <= 1.0


def test_exact_values() -> None:
    heatmaps = draw_heatmaps(torch.tensor([[3.0, 1.0]]), torch.tensor([True]), 3, 5, 1.0)
    assert heatmaps[0, 1, 3] == 1.0
    assert torch.isclose(heatmaps[0, 1, 2], torch.tensor(-0.5).exp())
    assert torch.isclose(heatmaps[0, 0, 2], torch.tensor(-1.0).exp())


def test_an_invisible_joint_has_an_empty_map_and_no_confidence() -> None:
    heatmaps = draw_heatmaps(torch.tensor([[3.0, 1.0]]), torch.tensor([False]), 3, 5, 1.0)
    assert not heatmaps.any()
    found, confidence = decode_heatmaps(heatmaps)
    assert confidence.item() == 0.0
    assert torch.isfinite(found).all()


def test_confidence_is_the_peak_clipped() -> None:
    heatmaps = torch.zeros(2, 5, 5)
    heatmaps[0, 2, 2], heatmaps[1, 2, 2] = 0.25, 1.75
    _, confidence = decode_heatmaps(heatmaps)
    assert confidence.tolist() == [0.25, 1.0]


def test_peaks_on_the_border_stay_there() -> None:
    heatmaps = torch.zeros(3, 4, 6)
    for joint, (row, column) in enumerate(((0, 0), (3, 5), (0, 3))):
        heatmaps[joint, row, column] = 1.0
    found, _ = decode_heatmaps(heatmaps)
    assert found.tolist() == [[0, 0], [5, 3], [3, 0]]
