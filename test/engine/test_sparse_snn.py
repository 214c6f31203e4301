# SPDX-License-Identifier: Apache-2.0
"""The sparse SNN is the same function as the torch module."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from hybrid_pose_ros.engine.sparse_snn import SparseSnn
from hybrid_pose_ros.events.array import EventArray
from hybrid_pose_ros.events.binning import StepBinner
from hybrid_pose_ros.networks.carry import CarryOver
from hybrid_pose_ros.networks.checkpoint import load_checkpoint, load_variant
from hybrid_pose_ros.networks.config import (
    EDGE,
    PAPER,
    SPIKING_LAYERS,
    VARIANTS,
    ModelConfig,
    variant_of,
)
from hybrid_pose_ros.networks.heatmaps import decode_heatmaps, draw_heatmaps
from hybrid_pose_ros.networks.snn import SnnState, SpikingUNet
from hybrid_pose_ros.simulation.recording import simulate_recording
from hybrid_pose_ros.simulation.source import sample_scene

NARROW_PAPER = replace(
    PAPER, snn=replace(PAPER.snn, downs=((16, 5), (16, 5), (16, 5)), ups=((8, 5), (8, 5), (8, 5)))
)
NO_ACCUMULATOR = variant_of(EDGE, "no_delta")
SHORT_STEPS = replace(EDGE, snn=replace(EDGE.snn, tau=(6.0, 80.0), decay=0.995))


def random_snn(config: ModelConfig) -> SpikingUNet:
    torch.manual_seed(3)
    snn = SpikingUNet(config.snn)
    with torch.no_grad():
        for synapse in snn.synapses.values():
            synapse.norm.running_mean.normal_(std=0.1)
            synapse.norm.running_var.uniform_(0.2, 0.5)
            synapse.norm.weight.uniform_(0.5, 3.0)
            synapse.norm.bias.uniform_(-0.5, 2.0)
        if config.snn.learned_decay:
            snn.decay_logit.normal_(mean=2.0)
        if config.snn.motion:
            snn.motion.readout.weight.normal_(std=0.05)
            snn.motion.inertia_logit.normal_(mean=2.0)
    return snn.eval()


def random_state(snn: SpikingUNet, height: int, width: int, charge: float = 1.2) -> SnnState:
    """Charged membranes, noisy maps with a peak each, and velocities up to beyond the limit."""
    torch.manual_seed(4)
    rest = snn.rest(1, height, width)
    points = torch.rand(1, 13, 2) * torch.tensor([width - 1.0, height - 1.0])
    drawn = draw_heatmaps(points, torch.ones(1, 13, dtype=torch.bool), height, width, 1.5)
    velocity = None
    if rest.velocity is not None:
        velocity = torch.randn_like(rest.velocity)
        velocity[0, :3] = torch.tensor([[0.0, 0.0], [1.0, -2.0], [3.5, -4.5]])
    return SnnState(
        {name: charge * torch.rand_like(v) for name, v in rest.membranes.items()},
        drawn + 0.05 * torch.randn_like(drawn),
        velocity,
    )


def tensors(state: SnnState) -> dict[str, torch.Tensor]:
    found = {**state.membranes, "heatmaps": state.heatmaps}
    return found if state.velocity is None else found | {"velocity": state.velocity}


@pytest.mark.parametrize(
    "config",
    [EDGE, NARROW_PAPER, NO_ACCUMULATOR, SHORT_STEPS],
    ids=["edge", "paper", "no accumulator", "short steps"],
)
@pytest.mark.parametrize("size", [(65, 87), (32, 48)])
def test_it_follows_the_torch_network(config: ModelConfig, size: tuple[int, int]) -> None:
    """Each step from the same state, so that a spike at the threshold's edge does not add up."""
    snn = random_snn(config)
    sparse = SparseSnn(snn, *size)
    rng = np.random.default_rng(0)
    state = random_state(snn, *size)
    for _ in range(8):
        counts = rng.poisson(0.2, (2, *size)).astype(np.uint16)
        sparse.load(state)
        sparse.step(counts)
        with torch.no_grad():
            _, state = snn(torch.from_numpy(counts.astype(np.float32))[None], state)
        found = sparse.state()
        for name in SPIKING_LAYERS:
            difference = (found.membranes[name] - state.membranes[name]).abs()
            assert (difference < 1e-3).float().mean() > 0.9999, name
        difference = (found.heatmaps - state.heatmaps).abs()
        assert (difference < 1e-4).float().mean() > 0.999
        assert difference.max() < 0.1  # where a spike more or less was read
        if config.snn.motion:
            assert found.velocity is not None and state.velocity is not None
            assert torch.allclose(found.velocity, state.velocity, atol=1e-4)
    rates = sparse.firing_rates()
    assert all(0.01 < rate < 0.9 for rate in rates.values()), rates


def test_every_step_changes_the_velocities() -> None:
    """Otherwise the comparison above would compare little."""
    snn = random_snn(EDGE)
    sparse = SparseSnn(snn, 65, 87)
    state = random_state(snn, 65, 87)
    sparse.load(state)
    sparse.step(np.ones((2, 65, 87), np.uint16))
    found = sparse.state().velocity
    assert found is not None and state.velocity is not None
    with torch.no_grad():
        assert ((found - snn.motion.inertia * state.velocity).abs() > 1e-3).float().mean() > 0.9


@pytest.mark.parametrize("config", [EDGE, NARROW_PAPER], ids=lambda config: config.name)
def test_state_round_trip_rest_and_shapes(config: ModelConfig) -> None:
    snn = random_snn(config)
    sparse = SparseSnn(snn, 65, 87)
    state = tensors(random_state(snn, 65, 87))
    sparse.load(random_state(snn, 65, 87))
    found = tensors(sparse.state())
    assert found.keys() == state.keys() == sparse.shapes.keys()
    for name, value in state.items():
        assert torch.equal(found[name], value), name
        assert sparse.shapes[name] == value.shape[1:], name
    sparse.rest()
    assert not any(value.any() for value in tensors(sparse.state()).values())


def test_silence_equals_many_steps_without_input_spikes_or_bias() -> None:
    snn = SpikingUNet(EDGE.snn).eval()  # untrained: no bias, so nothing fires from below 1
    sparse, stepped = SparseSnn(snn, 65, 87), SparseSnn(snn, 65, 87)
    state = random_state(snn, 65, 87, charge=0.9)
    assert state.velocity is not None
    state = state._replace(velocity=torch.zeros_like(state.velocity))  # silence moves nothing
    sparse.load(state)
    stepped.load(state)
    sparse.silence(7)
    for _ in range(7):
        stepped.step(np.zeros((2, 65, 87), np.uint16))
    found, expected = tensors(sparse.state()), tensors(stepped.state())
    for name, value in expected.items():
        assert torch.allclose(found[name], value, atol=1e-6), name


@pytest.mark.parametrize("config", [EDGE, NARROW_PAPER], ids=lambda config: config.name)
def test_silence_is_that_of_the_torch_network(config: ModelConfig) -> None:
    snn = random_snn(config)
    sparse = SparseSnn(snn, 32, 48)
    state = random_state(snn, 32, 48)
    sparse.load(state)
    sparse.silence(5)
    with torch.no_grad():
        expected = tensors(snn.silence(state, 5))
    for name, value in tensors(sparse.state()).items():
        assert torch.allclose(value, expected[name], atol=1e-6), name


def test_slow_joints_are_moved_as_fast_ones() -> None:
    """Up to a cell per step the outermost taps are left out."""
    snn = random_snn(EDGE)
    sparse = SparseSnn(snn, 65, 87)
    state = random_state(snn, 65, 87)
    assert state.velocity is not None
    with torch.no_grad():
        snn.motion.readout.weight.zero_()
        for limit in (1.0, 1.01):
            sparse = SparseSnn(snn, 65, 87)
            velocity = (state.velocity / snn.motion.inertia).clamp(-limit, limit)
            velocity[0, 0] = torch.tensor([limit, -limit])
            start = state._replace(velocity=velocity / snn.motion.inertia)
            sparse.load(start)
            counts = np.ones((2, 65, 87), np.uint16)
            sparse.step(counts)
            _, expected = snn(torch.from_numpy(counts.astype(np.float32))[None], start)
            assert (sparse.state().heatmaps - expected.heatmaps).abs().median() < 1e-6


def test_decoding_is_that_of_the_torch_network() -> None:
    """Peaks everywhere: inside, on the border, in the corners, none, low ones, several alike."""
    snn = random_snn(EDGE)
    sparse = SparseSnn(snn, 65, 87)
    state = random_state(snn, 65, 87)
    maps = state.heatmaps[0]
    maps[0] = 0.0
    maps[1] = -1.0
    for joint, (row, column) in enumerate([(0, 0), (64, 86), (0, 40), (30, 86), (64, 0)], 2):
        maps[joint, row, column] = 2.0
    maps[7, 5:8, 3:9] = 3.0
    maps[8, 20, 70] = maps[8, 40, 10] = 3.0
    for joint, peak in enumerate((0.299, 0.301, 1e-3, 1e-20), 9):
        maps[joint] *= peak / maps[joint].max()
    sparse.load(state)
    points, confidence = sparse.decode()
    expected_points, expected_confidence = decode_heatmaps(maps)
    assert np.allclose(points, expected_points.numpy(), atol=1e-4)
    assert np.array_equal(confidence, expected_confidence.numpy())


def test_an_initialisation_leaves_what_the_trained_module_leaves() -> None:
    snn, carry = random_snn(EDGE), CarryOver()
    with torch.no_grad():
        carry.heatmaps_logit.normal_()
        carry.velocity_logit.normal_()
    sparse = SparseSnn(snn, 65, 87, carry)
    own, init = random_state(snn, 65, 87), random_state(snn, 65, 87, charge=0.5)
    init = init._replace(heatmaps=init.heatmaps.flip(-1))
    sparse.load(own)
    memory = sparse.memory()
    sparse.step(np.ones((2, 65, 87), np.uint16))  # does not change the memory
    sparse.reload(init, memory)
    with torch.no_grad():
        once = carry(init, own)
    found = sparse.state()
    for name, value in tensors(found).items():
        assert torch.allclose(value, tensors(once)[name], atol=1e-6), name
    assert found.sides is not None and once.sides is not None and once.sides.any()
    assert torch.equal(found.sides, once.sides)
    assert sparse.memory(memory) is memory  # written over
    sparse.rest()
    sparse.reload(init, memory)
    with torch.no_grad():
        twice = carry(init, once)
    found = sparse.state()
    for name, value in tensors(found).items():
        assert torch.allclose(value, tensors(twice)[name], atol=1e-6), name
    assert found.sides is not None and twice.sides is not None
    assert torch.allclose(found.sides, twice.sides, atol=1e-6)
    assert not torch.equal(twice.sides, once.sides)
    sparse.rest()
    rest = sparse.state().sides
    assert rest is not None and not rest.any()


@pytest.fixture(scope="module")
def walk() -> EventArray:
    return simulate_recording(sample_scene("walking", 0.6, seed=2), 0.6).events


@pytest.mark.parametrize("name", [None, *VARIANTS])
def test_trained_networks_find_the_same_poses(name: str | None, walk: EventArray) -> None:
    """Each step from the same state, on events of a walking person."""
    checkpoint = load_checkpoint()
    network = checkpoint.network if name is None else load_variant(name, checkpoint)
    if network is None:
        pytest.skip(f"no weights of the variant {name} are shipped")
    snn, config = network.snn, network.config
    steps = StepBinner(config.view.fit(346, 260), config.step_ns).push(walk)
    sparse = SparseSnn(snn, 65, 87)
    state = snn.rest(1, 65, 87)
    fired = other = 0  # steps in which any neuron did, or did otherwise than in torch
    for step in steps:
        sparse.load(state)
        sparse.step(step.counts)
        points, _ = sparse.decode()
        with torch.no_grad():
            _, state = snn(torch.from_numpy(step.counts.astype(np.float32))[None], state)
            expected, _ = decode_heatmaps(state.heatmaps[0])
        found = sparse.state().membranes
        alike = all(
            bool(((found[layer] - membrane).abs() < 1e-3).all())
            for layer, membrane in state.membranes.items()
        )
        other += not alike
        held = state.heatmaps[0].amax((-2, -1)).numpy() > 0.01  # a map without a peak has no place
        apart = np.abs(points - expected.numpy())[held] * config.view.cell
        assert (apart < 0.05).all() or not alike
        fired += sum(sparse.firing_rates().values()) > 0
    assert fired > 0.8 * len(steps)
    # A neuron within rounding of the threshold; where no event is, with all of its channel.
    assert other <= 0.1 * len(steps)
