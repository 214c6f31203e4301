# SPDX-License-Identifier: Apache-2.0
"""A trained SNN for steps of another length."""

import torch
from torch import nn

from hybrid_pose_ros.networks.hybrid import HybridPoseNetwork
from hybrid_pose_ros.networks.layers import ConvNorm
from hybrid_pose_ros.networks.lif import LIF


def retime(network: HybridPoseNetwork, factor: float) -> None:
    """Convert, in place, what is counted in steps to steps ``factor`` times as long.

    Time constants, the decay of the accumulator and of the velocities, and the velocities
    themselves keep their values in seconds; an event or spike charges a membrane as much as
    before. Only the spikes that skip to ``res2`` have no weight to say so.
    """
    with torch.no_grad():
        for neuron in network.snn.neurons.values():
            assert isinstance(neuron, LIF)
            tau = 1.0 / (neuron.leak * factor)
            neuron.leak_logit.copy_(-torch.log((tau - 1.0).clamp_min(1e-3)))
        for synapse in network.snn.synapses.values():
            assert isinstance(synapse, ConvNorm)
            synapse.conv.weight.div_(factor)  # the leak scales what arrives
        _power(network.snn.decay_logit, factor)
        if network.config.snn.motion:
            _power(network.snn.inertia_logit, factor)
            network.snn.motion.weight.mul_(factor)
            network.motion.readout.weight.mul_(factor)


def _power(logit: nn.Parameter | torch.Tensor, factor: float) -> None:
    """Raise a probability given by its logit to a power."""
    logit.copy_(torch.logit(torch.sigmoid(logit) ** factor))
