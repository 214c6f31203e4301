# SPDX-License-Identifier: Apache-2.0
"""Steps of another length: the same time constants, decay and speed in seconds."""

import pytest
import torch

from hybrid_pose_ros.networks.config import EDGE, variant_of
from hybrid_pose_ros.networks.hybrid import HybridPoseNetwork
from hybrid_pose_ros.networks.retiming import retime


def random_network(seed: int = 0) -> HybridPoseNetwork:
    torch.manual_seed(seed)
    network = HybridPoseNetwork(EDGE).eval()
    with torch.no_grad():
        for neuron in network.snn.neurons.values():
            neuron.leak_logit.uniform_(-3.0, -1.0)  # tau of 3.7 to 21 steps
        network.snn.decay_logit.uniform_(1.0, 4.0)
        network.snn.motion.inertia_logit.uniform_(1.0, 4.0)
        network.snn.motion.readout.weight.normal_()
        network.motion.readout.weight.normal_()
        network.ann.head.conv.bias.fill_(0.3)
    return network


@pytest.mark.parametrize("factor", [0.5, 2.0])
def test_what_is_counted_in_steps_keeps_its_value_in_seconds(factor: float) -> None:
    network, original = random_network(), random_network().snn
    retime(network, factor)
    for name, neuron in network.snn.neurons.items():
        left = (1.0 - neuron.leak) ** (1 / factor)  # of a membrane after one of the old steps
        assert torch.allclose(left, 1.0 - original.neurons[name].leak, rtol=1e-4), name
    # as much is left after the same time
    assert torch.allclose(network.snn.decay ** (1 / factor), original.decay, rtol=1e-5)
    inertia = network.snn.motion.inertia
    assert torch.allclose(inertia ** (1 / factor), original.motion.inertia, rtol=1e-5)


def test_joints_begin_at_the_same_speed() -> None:
    network, original = random_network(), random_network()
    retime(network, 0.5)
    windows = torch.poisson(torch.ones(1, EDGE.ann.input_planes, 65, 87))
    with torch.no_grad():
        _, state = original.initial_state(windows)
        _, retimed = network.initial_state(windows)
    assert state.velocity is not None and retimed.velocity is not None
    assert state.velocity.all()
    assert torch.allclose(2 * retimed.velocity, state.velocity)  # in half the time, half as far
    assert torch.equal(retimed.heatmaps, state.heatmaps)


def test_events_charge_as_before_and_spikes_less_in_shorter_steps() -> None:
    network, original = random_network(), random_network().snn
    retime(network, 0.5)
    push, loss = network.snn.motion.readout.weight.split((2, 1), 1)
    before_push, before_loss = original.motion.readout.weight.split((2, 1), 1)
    assert torch.allclose(loss, 0.5 ** (1 / 3) * before_loss)
    assert torch.allclose(push, 0.5 * 0.5 ** (1 / 3) * before_push)  # half as far in half a step
    readout = network.snn.readout.conv.weight
    assert torch.allclose(readout, 0.5 ** (1 / 3) * original.readout.conv.weight)
    for name, synapse in network.snn.synapses.items():
        charge = network.snn.neurons[name].leak[0] * synapse.conv.weight[0]
        before = original.neurons[name].leak[0] * original.synapses[name].conv.weight[0]
        share = 1.0 if name == "head" else 0.5**0.2
        assert torch.allclose(charge, share * before, rtol=1e-4), name


def test_there_and_back_again() -> None:
    network, original = random_network(), random_network()
    retime(network, 0.5)
    retime(network, 2.0)
    for name, value in original.state_dict().items():
        assert torch.allclose(network.state_dict()[name], value, atol=1e-4), name


def test_longer_steps_leak_more_but_never_all() -> None:
    network = random_network()
    with torch.no_grad():
        network.snn.neurons["head"].leak_logit.fill_(0.0)  # a half
    retime(network, 4.0)
    assert torch.allclose(network.snn.neurons["head"].leak, torch.tensor(1 - 0.5**4))


def test_a_model_without_motion_is_retimed_too() -> None:
    network = HybridPoseNetwork(variant_of(EDGE, "no_delta"))
    retime(network, 0.5)
    assert torch.allclose(network.snn.decay, torch.full((13, 1, 1), EDGE.snn.decay**0.5))
