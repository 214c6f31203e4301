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


class _LifStep(torch.autograd.Function):
    """The three equations at once; backwards, the spike is an arctangent.

    One function with its gradient written out needs half the memory traffic of the same chain of
    operations under autograd, and training a small SNN is bound by that.
    """

    @staticmethod
    def forward(
        ctx: Any, current: Tensor, membrane: Tensor, leak: Tensor
    ) -> tuple[Tensor, Tensor]:
        charged = torch.lerp(membrane, current, leak)
        spikes = (charged >= THRESHOLD).to(charged.dtype)
        ctx.save_for_backward(charged, current, membrane, leak)
        return spikes, charged - spikes * THRESHOLD

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Any) -> tuple[Tensor, Tensor, Tensor | None]:
        charged, current, membrane, leak = ctx.saved_tensors
        grad_spikes, grad_membrane = grad_outputs
        # d spikes / d charged = (alpha / 2) / (1 + (pi / 2 * alpha * (charged - threshold))^2)
        slope = (charged - THRESHOLD).mul_(0.5 * math.pi * SURROGATE_ALPHA).square_().add_(1.0)
        through_spikes = (grad_spikes - THRESHOLD * grad_membrane).div_(slope)
        grad = through_spikes.mul_(0.5 * SURROGATE_ALPHA).add_(grad_membrane)
        grad_leak = None
        if ctx.needs_input_grad[2]:
            grad_leak = (grad * (current - membrane)).sum_to_size(leak.shape)
        grad_current = grad * leak
        return grad_current, grad - grad_current, grad_leak


def lif_step(current: Tensor, membrane: Tensor, leak: Tensor) -> tuple[Tensor, Tensor]:
    """Advance the neurons by one step.

    Args:
        current: synaptic input, shape [N, C, H, W].
        membrane: potentials before the step, same shape.
        leak: ``1 / tau``, in (0, 1], [C, 1, 1].

    Returns:
        ``(spikes, membrane)``: spikes 0 or 1, and the potentials after the reset.
    """
    result: tuple[Tensor, Tensor] = _LifStep.apply(current, membrane, leak)  # type: ignore[no-untyped-call]
    return result


class LIF(nn.Module):
    """A layer of LIF neurons whose membrane is passed in and out.

    Args:
        channels: number of channels.
        tau: shortest and longest time constant in steps, > 1; the channels are spread evenly (in
            the logarithm) between them.
        learned: the time constants are trained; otherwise they are fixed.
    """

    def __init__(self, channels: int, tau: tuple[float, float], *, learned: bool) -> None:
        super().__init__()
        if min(tau) <= 1.0:
            raise ValueError(f"tau must be more than one step, got {min(tau)}")
        taus = torch.logspace(math.log10(tau[0]), math.log10(tau[1]), channels)
        logit = -torch.log(taus - 1.0).view(channels, 1, 1)
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
