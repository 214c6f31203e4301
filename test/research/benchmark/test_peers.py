# SPDX-License-Identifier: Apache-2.0
"""Whatever is timed beside the engine computes the same spikes."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from hybrid_pose_ros.networks.checkpoint import Checkpoint
from hybrid_pose_ros.networks.lif import LIF, lif_step
from hybrid_pose_ros.networks.snn import SpikingUNet
from hybrid_pose_ros.research.benchmark.peers import PEERS, PeerMissingError, build_peer, folded
from hybrid_pose_ros.research.benchmark.steps import initialisations, steps_of
from hybrid_pose_ros.research.benchmark.streams import Stream


def spikes_of(snn: SpikingUNet) -> dict[str, Tensor]:
    """Return a table that holds the latest spikes of each layer from now on."""
    latest: dict[str, Tensor] = {}

    def keep(name: str) -> Callable[..., None]:
        def hook(module: object, inputs: object, output: tuple[Tensor, Tensor]) -> None:
            latest[name] = output[0]

        return hook

    for name, neurons in snn.neurons.items():
        neurons.register_forward_hook(keep(name))
    return latest


@pytest.mark.parametrize("name", PEERS)
def test_a_peer_fires_as_torch_does(name: str, checkpoint: Checkpoint, stream: Stream) -> None:
    pytest.importorskip(PEERS[name][0])
    ours, theirs = folded(checkpoint.network.snn), build_peer(name, checkpoint.network.snn)
    assert not any(isinstance(neurons, LIF) for neurons in theirs.neurons.values())
    expected, found = spikes_of(ours), spikes_of(theirs)
    steps = steps_of(checkpoint, stream)
    fired = 0
    with torch.inference_mode():
        states = initialisations(checkpoint, stream, steps)
        first = min(states)
        state = other = states[first]
        for step in steps[first : first + 10]:
            counts = torch.from_numpy(step.counts.astype("f4"))[None]
            _, state = ours(counts, state)
            _, other = theirs(counts, other)
            for layer, spikes in expected.items():
                assert torch.equal(found[layer], spikes), (step.index, layer)
                fired += int(spikes.sum())
            for layer, membrane in state.membranes.items():
                torch.testing.assert_close(other.membranes[layer], membrane, rtol=0, atol=1e-4)
    assert fired > 10_000


@pytest.mark.parametrize("name", PEERS)
def test_a_neuron_far_beyond_the_threshold_loses_one_spike_a_step(name: str) -> None:
    library = pytest.importorskip(PEERS[name][0])
    neuron = LIF(2, (2.0, 8.0), learned=True)
    wrapped = PEERS[name][1](library, neuron)
    membrane = torch.tensor([3.6, 2.3, -0.5, 0.9]).expand(1, 2, 1, 4).contiguous()
    current = torch.zeros(1, 2, 1, 4)
    with torch.inference_mode():
        for _ in range(4):
            expected = lif_step(current, membrane, neuron.leak)
            spikes, after = wrapped(current, membrane)
            assert torch.equal(spikes, expected[0])
            torch.testing.assert_close(after, expected[1])
            membrane = after


def test_a_missing_library_is_named_with_the_remedy(
    checkpoint: Checkpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(PEERS, "norse", ("no_such_library", PEERS["norse"][1]))
    with pytest.raises(PeerMissingError, match=r"no_such_library.*requirements-bench\.txt"):
        build_peer("norse", checkpoint.network.snn)
