# SPDX-License-Identifier: Apache-2.0
"""Motion of the joints: how heatmaps say where to look, and how a velocity moves them.

The paper's accumulator holds heatmaps that the spikes must erase at one place and draw at the next
while a limb moves. Here the state also holds one velocity per joint, begun by the ANN and changed
by the spikes around the joints; it carries the heatmap along, and the spikes only correct.
"""

from collections.abc import Callable
from typing import Final

import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, conv2d

from hybrid_pose_ros.skeleton import NUM_JOINTS

MAX_VELOCITY: Final = 2.0
"""Largest shift of a heatmap in one step, in cells along each axis."""

SHIFT_REACH: Final = 3
"""Taps on each side of the shift's kernel: a cubic's two and one more for shifts beyond a cell."""

_INERTIA: Final = 0.95
"""Share of a velocity that is left after a step without spikes, before training."""

ATTENTION_FLOOR: Final = 1e-3
"""Keeps the attention of a map without a peak near zero."""


def attention(heatmaps: Tensor) -> Tensor:
    """Where each joint is: the squared positive part of its heatmap, summing to almost 1.

    Args:
        heatmaps: [N, J, H, W].

    Returns:
        [N, J, H, W]; all but zero where a joint's map holds nothing.
    """
    weight = heatmaps.relu().square()
    return weight / (weight.sum((-2, -1), keepdim=True) + ATTENTION_FLOOR)


def pool(attentions: Tensor, features: Tensor) -> Tensor:
    """Average features [N, C, H, W] around each joint, attentions [N, J, H, W]: [N, J, C]."""
    return torch.einsum("njs,ncs->njc", attentions.flatten(2), features.flatten(2))


def halve(attentions: Tensor) -> Tensor:
    """Attentions [N, J, H, W] on the grid of half the resolution: sums of 2 x 2 cells."""
    return avg_pool2d(attentions, 2, ceil_mode=True, divisor_override=1)


def cubic_taps(shift: Tensor) -> Tensor:
    """Weights [..., 7] with which values at -3..3 cells make the one at ``-shift`` [...].

    Lagrange's cubic: exact for polynomials of third degree. It blurs a Gaussian much less than
    linear interpolation does, and its peak lags less behind its mass than with a smoother cubic;
    both matter because a map is moved at every step.
    """
    offsets = torch.arange(-SHIFT_REACH, SHIFT_REACH + 1, dtype=shift.dtype, device=shift.device)
    t = (offsets - shift[..., None]).abs()
    near = ((0.5 * t - 1.0) * t - 0.5) * t + 1.0
    far = ((-t / 6.0 + 1.0) * t - 11.0 / 6.0) * t + 1.0
    return torch.where(t < 1.0, near, torch.where(t < 2.0, far, torch.zeros_like(t)))


def shift_heatmaps(heatmaps: Tensor, velocity: Tensor) -> Tensor:
    """Move each map by its velocity; what comes in from outside is zero.

    Args:
        heatmaps: [N, J, H, W].
        velocity: (x, y) in cells, [N, J, 2]; beyond :data:`MAX_VELOCITY` it is cut off.
    """
    taps = cubic_taps(velocity.clamp(-MAX_VELOCITY, MAX_VELOCITY)).flatten(0, 1).flip(-1)
    maps = heatmaps.reshape(1, -1, *heatmaps.shape[-2:])
    groups = maps.shape[1]
    maps = conv2d(maps, taps[:, 0].reshape(groups, 1, 1, -1), padding="same", groups=groups)
    maps = conv2d(maps, taps[:, 1].reshape(groups, 1, -1, 1), padding="same", groups=groups)
    return maps.reshape(heatmaps.shape)


class JointReadout(nn.Module):
    """A linear map from the features pooled around all joints to a few values per joint.

    A joint is read from all of them: where the whole body moves, as in a jump, thirteen places
    tell how fast far better than one.

    Args:
        features: pooled at each joint.
        outputs: values read per joint.
    """

    def __init__(self, features: int, outputs: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(NUM_JOINTS, outputs, NUM_JOINTS, features))

    def forward(self, pooled: Tensor) -> Tensor:
        """[N, J, features] -> [N, J, outputs]."""
        return torch.einsum("nif,jdif->njd", pooled, self.weight)


class MotionHead(nn.Module):
    """The joints' velocities from the ANN's activations around them.

    Args:
        channels: activation -> its channels; each is half as large as the one before or equal.
    """

    def __init__(self, channels: dict[str, int]) -> None:
        super().__init__()
        self.taps = tuple(channels)
        self.readout = JointReadout(sum(channels.values()), 2)

    def forward(
        self,
        heatmaps: Tensor,
        activations: dict[str, Tensor],
        halve: Callable[[Tensor], Tensor] = halve,
    ) -> Tensor:
        """Return the velocity in cells per step, [N, J, 2].

        Args:
            halve: does what :func:`halve` does, for exporters that do not know its operator.
        """
        where = attention(heatmaps.detach())
        pooled = []
        for tap in self.taps:
            features = activations[tap].to(where.dtype)
            while where.shape[-1] > features.shape[-1]:
                where = halve(where)
            pooled.append(pool(where, features))
        velocity: Tensor = self.readout(torch.cat(pooled, -1))
        return velocity


class VelocityUpdate(nn.Module):
    """How the spikes around the joints change their velocities.

    Without spikes a velocity keeps the share ``inertia`` at each step. Spikes push it, and take
    away from what is kept of the old one (or give to it), each by a factor of its own.

    Args:
        features: neurons per cell whose spikes are pooled.
    """

    def __init__(self, features: int) -> None:
        super().__init__()
        self.readout = JointReadout(features, 3)
        self.inertia_logit = nn.Parameter(torch.full((NUM_JOINTS, 1), _INERTIA).logit())

    @property
    def inertia(self) -> Tensor:
        """What is left of a joint's velocity after a step without spikes, [13, 1]."""
        return torch.sigmoid(self.inertia_logit)

    def forward(self, velocity: Tensor, pooled: Tensor) -> Tensor:
        """Return the velocity after a step, [N, J, 2], from the one before and [N, J, features].

        ``min(inertia * exp(-loss), 1) * velocity + push``, of which the spikes say ``push`` and
        ``loss``.
        """
        push, loss = self.readout(pooled).split((2, 1), -1)
        kept = (self.inertia * torch.exp(-loss)).clamp_max(1.0)
        return kept * velocity + push
