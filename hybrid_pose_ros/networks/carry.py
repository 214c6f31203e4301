# SPDX-License-Identifier: Apache-2.0
"""State blending: the part of the SNN's own state that an initialisation keeps.

In the paper an initialisation overwrites everything, and nothing crosses a window. But the ANN's
heatmaps have errors of their own, which differ from one initialisation to the next, and the SNN
has measured the joints' velocities since the last one. Here the new heatmaps and velocities are
averages of the ANN's and the SNN's, with one weight per joint that is trained along; membranes are
overwritten.
"""

from typing import Final

import torch
from torch import Tensor, nn

from hybrid_pose_ros.networks.snn import SnnState
from hybrid_pose_ros.skeleton import NUM_JOINTS

_HEATMAPS: Final = 0.3
_VELOCITY: Final = 0.5
"""Shares that are kept before training."""


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
        heatmaps = torch.lerp(init.heatmaps, own.heatmaps, self.heatmaps[:, None, None])
        assert init.velocity is not None and own.velocity is not None
        velocity = torch.lerp(init.velocity, own.velocity, self.velocity[:, None])
        return SnnState(init.membranes, heatmaps, velocity)
