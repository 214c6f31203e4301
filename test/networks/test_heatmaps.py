# SPDX-License-Identifier: Apache-2.0
"""Drawing and decoding heatmaps."""

import math

import torch
from hypothesis import given
from hypothesis import strategies as st

from hybrid_pose_ros.networks.heatmaps import UNSURE, decode_heatmaps, draw_heatmaps, locate_peaks

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


def two_places(first: float, second: float) -> torch.Tensor:
    """A map of a joint that may be in either of two places, with these probabilities."""
    places = torch.tensor([[20.0, 30.0], [40.0, 10.0]])
    maps = draw_heatmaps(places, torch.tensor([True, True]), 65, 87, 1.5)
    return first * maps[:1] + second * maps[1:]


def test_a_joint_without_a_peak_is_put_at_the_mean_of_where_it_may_be() -> None:
    found, confidence = decode_heatmaps(two_places(0.28, 0.28))
    assert torch.allclose(found, torch.tensor([[30.0, 20.0]]), atol=1e-4)
    assert torch.allclose(confidence, torch.tensor([0.28]), atol=1e-4)
    # what of a Gaussian of height a exceeds f has the mass a - f - f log(a / f)
    found, _ = decode_heatmaps(two_places(0.28, 0.14))
    share = (0.112 - 0.028 * math.log(5)) / (0.364 - 0.028 * math.log(50))
    expected = torch.tensor([[20 + 20 * share, 30 - 20 * share]])
    assert torch.allclose(found, expected, atol=0.1)


def test_cells_below_a_tenth_of_the_peak_do_not_count() -> None:
    found, _ = decode_heatmaps(two_places(0.2, 0.02))
    assert torch.allclose(found, torch.tensor([[20.0, 30.0]]), atol=1e-4)


def test_a_joint_with_a_peak_is_put_there() -> None:
    maps = two_places(UNSURE, 0.29)
    found, _ = decode_heatmaps(maps)
    assert torch.allclose(found, torch.tensor([[20.0, 30.0]]), atol=1e-3)
    assert torch.equal(found, locate_peaks(maps)[0])
    assert not torch.equal(decode_heatmaps(0.9 * maps)[0], locate_peaks(0.9 * maps)[0])


def test_each_joint_of_each_pose_is_decoded_alone() -> None:
    maps = torch.stack([two_places(a, b)[0] for a, b in ((0.2, 0.2), (0.9, 0.1), (0.1, 0.25))])
    maps = torch.stack((maps, maps.flip(0), torch.zeros_like(maps), -maps))
    found, confidence = decode_heatmaps(maps)
    assert found.shape == (4, 3, 2) and torch.isfinite(found).all()
    for pose, joint in ((0, 0), (0, 1), (0, 2), (1, 0), (2, 1), (3, 2)):
        alone, sure = decode_heatmaps(maps[pose, joint])
        assert torch.allclose(found[pose, joint], alone) and confidence[pose, joint] == sure
