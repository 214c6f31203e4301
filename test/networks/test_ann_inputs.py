# SPDX-License-Identifier: Apache-2.0
"""The ANN: the planes that it sees, and the blocks that end its levels."""

from dataclasses import replace

import pytest
import torch

from hybrid_pose_ros.networks.ann import AnnUNet
from hybrid_pose_ros.networks.config import EDGE, PAPER, in_parts

PLANES = EDGE.ann.input_planes


def test_planes_of_counts_and_of_ages() -> None:
    assert PLANES == 2 * 10 + 2
    assert in_parts(EDGE, 5).ann.input_planes == PLANES
    assert PAPER.ann.input_planes == 20


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


@pytest.mark.parametrize("norm", [True, False])
def test_untrained_blocks_change_nothing_and_can_be_trained(norm: bool) -> None:
    shallow = AnnUNet(replace(EDGE.ann, norm=norm, blocks=())).eval()
    deep = AnnUNet(replace(EDGE.ann, norm=norm, blocks=(0, 1, 2, 0))).eval()
    missing, unknown = deep.load_state_dict(shallow.state_dict(), strict=False)
    assert {name.split(".")[1] for name in missing} == {"1", "2"} and not unknown
    inputs = torch.poisson(torch.ones(1, PLANES, 33, 40))
    heatmaps, taps = deep(inputs)
    expected, expected_taps = shallow(inputs)
    assert torch.equal(heatmaps, expected)
    assert all(torch.equal(taps[name], tap) for name, tap in expected_taps.items())
    heatmaps.square().sum().backward()
    last = deep.downs[2].blocks[1].conv2
    weight = last.norm.weight if norm else last.conv.weight
    assert weight.grad is not None and weight.grad.abs().max() > 0


def test_each_level_has_its_number_of_blocks() -> None:
    with pytest.raises(ValueError, match="zip"):
        AnnUNet(replace(EDGE.ann, blocks=(1, 1)))
