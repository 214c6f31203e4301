# SPDX-License-Identifier: Apache-2.0
"""The planes that the ANN sees: counts of its windows, and ages."""

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
