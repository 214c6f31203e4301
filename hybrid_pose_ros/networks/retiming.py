# SPDX-License-Identifier: Apache-2.0
"""A trained SNN for steps of another length.

A neuron fires at most once per step, so in shorter steps it may fire more often in the same time.
What would be exact without that overdrives the layers above and the readouts; two exponents,
fitted on simulated movements that are not in the test, take most of it back.
"""

from typing import Final

import torch
from torch import nn

from hybrid_pose_ros.networks.hybrid import HybridPoseNetwork
from hybrid_pose_ros.networks.layers import ConvNorm
from hybrid_pose_ros.networks.lif import LIF

SPIKE_EXPONENT: Final = 1 / 5
"""A spike that enters a layer counts for the ratio of step lengths to this power."""

READOUT_EXPONENT: Final = 1 / 3
"""Likewise what it says to heatmaps and velocities."""


def retime(network: HybridPoseNetwork, factor: float) -> None:
    """Convert, in place, what is counted in steps to steps ``factor`` times as long.

    Membranes, heatmaps and velocities leak, decay and move as far in a second as before. An event
    charges a membrane as much as before, a spike by ``factor ** SPIKE_EXPONENT`` of it; only the
    spikes that skip to ``res2`` have no weight to say so.
    """
    with torch.no_grad():
        for name, synapse in network.snn.synapses.items():
            neuron = network.snn.neurons[name]
            assert isinstance(neuron, LIF) and isinstance(synapse, ConvNorm)
            before = neuron.leak.clone()
            after = 1.0 - (1.0 - before) ** factor
            neuron.leak_logit.copy_(torch.logit(after))
            gain = 1.0 if name == "head" else factor**SPIKE_EXPONENT
            synapse.conv.weight.mul_(gain * (before / after)[:, None])  # the leak scales it
        network.snn.readout.conv.weight.mul_(factor**READOUT_EXPONENT)
        _power(network.snn.decay_logit, factor)
        if network.config.snn.motion:
            _power(network.snn.motion.inertia_logit, factor)
            network.snn.motion.readout.weight.mul_(factor**READOUT_EXPONENT)
            network.snn.motion.readout.weight[:, :2].mul_(factor)
            network.motion.readout.weight.mul_(factor)


def _power(logit: nn.Parameter | torch.Tensor, factor: float) -> None:
    """Raise a probability given by its logit to a power."""
    logit.copy_(torch.logit(torch.sigmoid(logit) ** factor))
