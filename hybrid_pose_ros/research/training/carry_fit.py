# SPDX-License-Identifier: Apache-2.0
"""How much of its own heatmaps an SNN keeps at an initialisation, chosen by the joints' errors.

The loss of the stage `hybrid` is about heatmaps and favours sharp ones, averages of few; and the
samples of that stage hold one initialisation or two, where a network in use has seen many.
"""

from collections.abc import Sequence
from typing import Final

import torch
from torch import Tensor

from hybrid_pose_ros.networks.heatmaps import decode_heatmaps
from hybrid_pose_ros.networks.hybrid import HybridPoseNetwork
from hybrid_pose_ros.networks.snn import SnnState
from hybrid_pose_ros.research.training.sampling import Batch
from hybrid_pose_ros.research.training.stages import fed, follow
from hybrid_pose_ros.skeleton import MIRROR, NUM_JOINTS

SHARES: Final = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6)
"""Shares that are tried."""


def fit_carry(network: HybridPoseNetwork, batches: Sequence[Batch]) -> None:
    """Set the share of the heatmaps that is kept, for each pair of joints, left and right.

    Args:
        network: trained, in evaluation mode; its ``carry`` is changed.
        batches: with some earlier windows each; the errors are those after the last
            initialisation.
    """
    logits = network.carry.heatmaps_logit
    errors = torch.zeros(len(SHARES), NUM_JOINTS)
    with torch.no_grad():
        for batch in batches:
            inits = [state for _, state in network.initial_states(fed(network, batch))]
            for choice, share in enumerate(SHARES):
                logits.fill_(share).logit_()
                errors[choice] += _errors(network, inits, batch)
        logits.copy_(torch.tensor(SHARES)[best(errors)]).logit_()


def best(errors: Tensor) -> Tensor:
    """Return which of several errors [choices, 13] is the smallest for each pair: [13]."""
    return (errors + errors[:, list(MIRROR)]).argmin(0)


def _errors(network: HybridPoseNetwork, inits: Sequence[SnnState], batch: Batch) -> Tensor:
    """Sum of the distances of each joint from where it is, in cells, [13]."""
    state, rest = follow(network, inits, batch)
    points, _ = decode_heatmaps(torch.stack(network.run(state, rest.counts)))
    distance = (points - rest.points[1:]).norm(dim=-1)
    return (distance * rest.visible[1:]).sum((0, 1))
