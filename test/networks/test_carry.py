# SPDX-License-Identifier: Apache-2.0
"""What an initialisation leaves of the SNN's own state."""

import pytest
import torch

from hybrid_pose_ros.networks.config import EDGE, PAPER
from hybrid_pose_ros.networks.hybrid import HybridPoseNetwork
from hybrid_pose_ros.networks.snn import SnnState


def state(value: float) -> SnnState:
    return SnnState(
        {"head": torch.full((2, 3, 4, 5), value)},
        torch.full((2, 13, 4, 5), value),
        torch.full((2, 13, 2), value),
    )


def test_each_joint_keeps_its_share_and_membranes_are_overwritten() -> None:
    network = HybridPoseNetwork(EDGE)
    with torch.no_grad():
        network.carry.heatmaps_logit[3] = torch.tensor(0.25).logit()
        network.carry.velocity_logit[4] = torch.tensor(0.9).logit()
        after = network.reinitialise(state(1.0), state(5.0))
    assert after.velocity is not None
    assert torch.equal(after.membranes["head"], state(1.0).membranes["head"])
    assert after.heatmaps[:, 3] == pytest.approx(0.75 * 1 + 0.25 * 5)
    assert after.heatmaps[:, 2] == pytest.approx(0.7 * 1 + 0.3 * 5)
    assert after.velocity[:, 4] == pytest.approx(0.1 * 1 + 0.9 * 5)
    assert after.velocity[:, 3] == pytest.approx(3.0)


def test_the_papers_network_keeps_nothing() -> None:
    init = state(1.0)
    assert HybridPoseNetwork(PAPER).reinitialise(init, state(5.0)) is init
