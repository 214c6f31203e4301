# SPDX-License-Identifier: Apache-2.0
"""The same SNN on the neurons of other libraries.

Each peer is a copy of the torch network with the same weights, BatchNorm folded, whose layers of
neurons are the library's own: PLIF of spikingjelly, Leaky of snnTorch, LIFBox of Norse. All of
them compute ``v <- v + leak * (x - v)``, fire from 1 on and subtract 1, as
:mod:`hybrid_pose_ros.networks.lif` does; sums may round differently. A membrane at exactly 1
fires in spikingjelly and here, and does not in the other two.
"""

import copy
import importlib
from collections.abc import Callable
from typing import Any, Final

import torch
from torch import Tensor, nn

from hybrid_pose_ros.networks.layers import fold_batchnorm
from hybrid_pose_ros.networks.lif import LIF, THRESHOLD
from hybrid_pose_ros.networks.snn import SpikingUNet


class PeerMissingError(RuntimeError):
    """A library is not installed or does not work here; the message says why."""


def folded(snn: SpikingUNet) -> SpikingUNet:
    """Return a copy for inference, with BatchNorm folded."""
    twin = copy.deepcopy(snn).cpu().eval()
    fold_batchnorm(twin)
    return twin.requires_grad_(False)


def build_peer(name: str, snn: SpikingUNet) -> SpikingUNet:
    """Return the network on the neurons of a library, one of :data:`PEERS`.

    Raises:
        PeerMissingError: the library cannot be imported.
    """
    twin = folded(snn)
    module, wrap = PEERS[name]
    try:
        library = importlib.import_module(module)
    except ImportError as error:
        raise PeerMissingError(
            f"{module} cannot be imported ({error}); install it with "
            "`pip install --no-deps -r requirements-bench.txt`"
        ) from error
    for layer in list(twin.neurons):
        neuron = twin.neurons[layer]
        assert isinstance(neuron, LIF)
        twin.neurons[layer] = wrap(library, neuron)
    return twin.eval().requires_grad_(False)


class _SpikingJelly(nn.Module):
    """PLIF, whose leak is the logistic function of its parameter, as ours is."""

    def __init__(self, library: Any, neuron: LIF) -> None:
        super().__init__()
        self.cell = library.ParametricLIFNode(
            init_tau=2.0, decay_input=True, v_threshold=THRESHOLD, v_reset=None
        )
        self.cell.w = nn.Parameter(neuron.leak_logit.detach().clone())

    def forward(self, current: Tensor, membrane: Tensor) -> tuple[Tensor, Tensor]:
        self.cell.v = membrane
        spikes = self.cell(current)
        return spikes, self.cell.v


class _SnnTorch(nn.Module):
    """Leaky without its own reset, and the spike subtracted after it.

    The library's reset comes a step later, or takes but one spike from a membrane beyond 2.
    """

    leak: Tensor

    def __init__(self, library: Any, neuron: LIF) -> None:
        super().__init__()
        leak = neuron.leak.detach()
        self.register_buffer("leak", leak)
        self.cell = library.Leaky(beta=1.0 - leak, threshold=THRESHOLD, reset_mechanism="none")

    def forward(self, current: Tensor, membrane: Tensor) -> tuple[Tensor, Tensor]:
        spikes, charged = self.cell(self.leak * current, membrane)
        return spikes, charged - spikes


class _Norse(nn.Module):
    """LIFBox, the neuron without a synaptic current, with the library's reset by subtraction."""

    def __init__(self, library: Any, neuron: LIF) -> None:
        super().__init__()
        lif_box = importlib.import_module("norse.torch.functional.lif_box")
        reset = importlib.import_module("norse.torch.functional.reset")
        self._state = lif_box.LIFBoxFeedForwardState
        parameters = lif_box.LIFBoxParameters(
            tau_mem_inv=neuron.leak.detach(),
            v_th=torch.tensor(THRESHOLD),
            reset_method=reset.reset_subtract,
        )
        self.cell = library.LIFBoxCell(parameters, dt=1.0)

    def forward(self, current: Tensor, membrane: Tensor) -> tuple[Tensor, Tensor]:
        spikes, state = self.cell(current, self._state(membrane))
        return spikes, state.v


PEERS: Final[dict[str, tuple[str, Callable[[Any, LIF], nn.Module]]]] = {
    "spikingjelly": ("spikingjelly.activation_based.neuron", _SpikingJelly),
    "snntorch": ("snntorch", _SnnTorch),
    "norse": ("norse.torch.module.lif_box", _Norse),
}
"""Library -> the module of its neurons, and what makes them a layer of ours."""
