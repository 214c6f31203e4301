# SPDX-License-Identifier: Apache-2.0
"""Leaky integrate-and-fire neurons with soft reset, as a pure function and as a layer.

Per step, with input current ``x``, membrane potential ``v`` and leak ``a = 1 / tau``::

    v <- v + a * (x - v)
    s  = 1 if v >= 1 else 0
    v <- v - s

The spike's derivative is replaced by that of an arctangent (Fang et al., ICCV 2021).
"""

import math
from typing import Any

import torch
from torch import Tensor, nn

THRESHOLD = 1.0
SURROGATE_ALPHA = 2.0


class _AtanSpike(torch.autograd.Function):
    """Heaviside step forwards; d/dx arctan(pi/2 * alpha * x) / pi backwards."""

    @staticmethod
    def forward(ctx: Any, excess: Tensor) -> Tensor:
        ctx.save_for_backward(excess)
        return (excess >= 0).to(excess.dtype)

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Any) -> Tensor:
        (excess,) = ctx.saved_tensors
        slope = (0.5 * math.pi * SURROGATE_ALPHA) * excess
        grad: Tensor = grad_outputs[0]
        return grad * (0.5 * SURROGATE_ALPHA) / (1 + slope * slope)


def lif_step(current: Tensor, membrane: Tensor, leak: Tensor) -> tuple[Tensor, Tensor]:
    """Advance the neurons by one step.

    Args:
        current: synaptic input, shape [N, C, H, W].
        membrane: potentials before the step, same shape.
        leak: ``1 / tau``, in (0, 1], broadcastable to ``current``.

    Returns:
        ``(spikes, membrane)``: spikes 0 or 1, and the potentials after the reset.
    """
    membrane = torch.lerp(membrane, current, leak)
    spikes: Tensor = _AtanSpike.apply(membrane - THRESHOLD)  # type: ignore[no-untyped-call]
    return spikes, membrane - spikes * THRESHOLD


class LIF(nn.Module):
    """A layer of LIF neurons whose membrane is passed in and out.

    Args:
        channels: number of channels.
        tau: time constant in steps, > 1.
        learned: one trainable time constant per channel that starts at ``tau``; otherwise fixed.
    """

    def __init__(self, channels: int, tau: float, *, learned: bool) -> None:
        super().__init__()
        if tau <= 1.0:
            raise ValueError(f"tau must be more than one step, got {tau}")
        logit = torch.full((channels, 1, 1), -math.log(tau - 1.0))
        if learned:
            self.leak_logit = nn.Parameter(logit)
        else:
            self.register_buffer("leak_logit", logit, persistent=False)

    @property
    def leak(self) -> Tensor:
        """``1 / tau`` per channel, shape [C, 1, 1]."""
        return torch.sigmoid(self.leak_logit)

    def forward(self, current: Tensor, membrane: Tensor) -> tuple[Tensor, Tensor]:
        """See :func:`lif_step`."""
        return lif_step(current, membrane, self.leak)
