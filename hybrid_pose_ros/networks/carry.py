# SPDX-License-Identifier: Apache-2.0
"""State blending: the part of the SNN's own state that an initialisation keeps.

In the paper an initialisation overwrites everything, and nothing crosses a window. But the ANN's
heatmaps have errors of their own, which differ from one initialisation to the next, and the SNN
has measured the joints' velocities since the last one. Here the new heatmaps and velocities are
averages of the ANN's and the SNN's, with one weight per joint that is trained along; membranes are
overwritten.

The worst of those errors is left taken for right, which a single look at a person often cannot
tell. The SNN follows the joints meanwhile and knows which is which, so initialisations vote on it:
what all of them say of a pair of joints counts, not the last one alone, and whichever of the two,
ANN or SNN, is outvoted has the maps of the pair exchanged before they are averaged.
"""

from typing import Final

import torch
from torch import Tensor, nn
from torch.nn.functional import max_pool2d

from hybrid_pose_ros.networks.snn import SnnState
from hybrid_pose_ros.skeleton import MIRROR, NUM_JOINTS, SIDE_PAIRS

_HEATMAPS: Final = 0.3
_VELOCITY: Final = 0.5
"""Shares that are kept before training."""

VOTES_KEPT: Final = 0.9
"""Share of the votes on left and right that is left at the next initialisation."""

_RIGHT, _LEFT = map(list, zip(*SIDE_PAIRS, strict=True))


def vote_on_sides(init: Tensor, own: Tensor) -> Tensor:
    """Return how clearly heatmaps say that left and right are where others have them.

    Args:
        init: the ANN's heatmaps, [N, 13, H, W].
        own: the SNN's, of the same moment.

    Returns:
        per pair of joints, [N, 6]: what ``init`` gains at the peaks of ``own`` over the other
        joint's map, both joints together: about 2 where it is sure that the sides are the same,
        -2 where they are exchanged, 0 where it cannot tell or both joints are in one place.
    """
    near = max_pool2d(init, 3, stride=1, padding=1).flatten(2)
    peaks = own.flatten(2).argmax(-1)
    same = near.gather(2, peaks[..., None])
    crossed = near.gather(2, peaks[:, list(MIRROR), None])
    gain = (same - crossed).squeeze(-1)
    return gain[:, _RIGHT] + gain[:, _LEFT]


def _exchanged(values: Tensor, pairs: Tensor) -> Tensor:
    """Exchange left and right of [N, 13, ...] in the given pairs, bool [N, 6]."""
    joints = torch.zeros(len(values), NUM_JOINTS, dtype=torch.bool, device=values.device)
    joints[:, _RIGHT] = joints[:, _LEFT] = pairs
    return torch.where(
        joints.view(*joints.shape, *(1,) * (values.ndim - 2)), values[:, list(MIRROR)], values
    )


class CarryOver(nn.Module):
    """The share of its own heatmaps and velocities that an SNN keeps, per joint."""

    def __init__(self) -> None:
        super().__init__()
        self.heatmaps_logit = nn.Parameter(torch.full((NUM_JOINTS,), _HEATMAPS).logit())
        self.velocity_logit = nn.Parameter(torch.full((NUM_JOINTS,), _VELOCITY).logit())

    @property
    def heatmaps(self) -> Tensor:
        """The share of the heatmaps, [13]."""
        return torch.sigmoid(self.heatmaps_logit)

    @property
    def velocity(self) -> Tensor:
        """The share of the velocities, [13]."""
        return torch.sigmoid(self.velocity_logit)

    def forward(self, init: SnnState, own: SnnState) -> SnnState:
        """Return the state after an initialisation of a network that had one before.

        Args:
            init: what the ANN says.
            own: the SNN's state at that moment; its membranes are not used.
        """
        assert init.velocity is not None and own.velocity is not None
        vote = vote_on_sides(init.heatmaps.detach(), own.heatmaps.detach())
        votes = vote if own.sides is None else VOTES_KEPT * own.sides + vote
        own_is_wrong = votes < 0
        init_is_wrong = (vote < 0) & ~own_is_wrong
        heatmaps = torch.lerp(
            _exchanged(init.heatmaps, init_is_wrong),
            _exchanged(own.heatmaps, own_is_wrong),
            self.heatmaps[:, None, None],
        )
        velocity = torch.lerp(
            _exchanged(init.velocity, init_is_wrong),
            _exchanged(own.velocity, own_is_wrong),
            self.velocity[:, None],
        )
        return SnnState(init.membranes, heatmaps, velocity, sides=votes.abs())
