# SPDX-License-Identifier: Apache-2.0
"""The networks, layer by layer, against the published numbers and the budget."""

import json
from dataclasses import replace

import pytest
import torch

from hybrid_pose_ros.networks.config import (
    EDGE,
    PAPER,
    SPIKING_LAYERS,
    VARIANTS,
    ModelConfig,
    in_parts,
    variant_of,
)
from hybrid_pose_ros.networks.costs import count_parameters, layer_costs
from hybrid_pose_ros.networks.hybrid import HybridPoseNetwork
from hybrid_pose_ros.networks.layers import fold_batchnorm
from hybrid_pose_ros.networks.snn import SnnState, SpikingUNet


def ann_input(config: ModelConfig) -> torch.Tensor:
    view = config.view
    return torch.zeros(1, config.ann.input_planes, view.grid_height, view.grid_width)


def snn_costs(network: HybridPoseNetwork, counts: torch.Tensor):  # type: ignore[no-untyped-def]
    rest = network.snn.rest(1, *counts.shape[-2:])
    return layer_costs(network.snn, lambda: network.snn(counts, rest))


@pytest.fixture(scope="module")
def paper() -> HybridPoseNetwork:
    return HybridPoseNetwork(PAPER).eval()


@pytest.fixture(scope="module")
def edge() -> HybridPoseNetwork:
    torch.manual_seed(1)
    return HybridPoseNetwork(EDGE).eval()


def test_paper_parameters(paper: HybridPoseNetwork) -> None:
    assert count_parameters(paper.ann) == 19_818_669
    assert count_parameters(paper.snn) == 4_410_112
    assert count_parameters(paper.initialiser) == 552_064


def test_paper_ann_layers(paper: HybridPoseNetwork) -> None:
    with torch.device("meta"):
        ann = HybridPoseNetwork(PAPER).ann
        costs = layer_costs(ann, lambda: ann(ann_input(PAPER).to("meta")))
    down = [32, 32, 64, 64, 128, 128, 256, 256, 512, 512, 512, 512]
    up = [512, 512, 256, 256, 128, 128, 64, 64, 32, 32, 13]
    sides = [256, 256, 128, 128, 64, 64, 32, 32, 16, 16, 8, 8]
    sides += [16, 16, 32, 32, 64, 64, 128, 128, 256, 256, 256]
    assert [cost.output_shape[1:] for cost in costs] == [
        (channels, side, side) for channels, side in zip(down + up, sides, strict=True)
    ]
    assert sum(cost.macs for cost in costs) == 22_601_007_104


def test_paper_snn_layers() -> None:
    with torch.device("meta"):
        snn = SpikingUNet(PAPER.snn)
        rest = snn.rest(1, 256, 256)
        costs = layer_costs(snn, lambda: snn(torch.zeros(1, 2, 256, 256), rest))
    expected = {
        "head": (2, 32, 256, 25),
        "down1": (32, 64, 128, 25),
        "down2": (64, 128, 64, 25),
        "down3": (128, 256, 32, 25),
        "res1": (256, 256, 32, 9),
        "res2": (256, 256, 32, 9),
        "up1": (512, 128, 64, 25),
        "up2": (256, 64, 128, 25),
        "up3": (128, 32, 256, 25),
        "readout": (64, 13, 256, 1),
    }
    assert [
        (cost.input_shape[1], cost.output_shape[1], cost.output_shape[2]) for cost in costs
    ] == [shape[:3] for shape in expected.values()]
    assert [cost.macs for cost in costs] == [
        cin * cout * side * side * taps for cin, cout, side, taps in expected.values()
    ]
    assert round(sum(cost.macs for cost in costs) / 1e9, 1) == 24.0


def test_edge_budget(edge: HybridPoseNetwork) -> None:
    counts = torch.zeros(1, 2, 65, 87)
    assert sum(cost.macs for cost in snn_costs(edge, counts)) <= 80e6
    windows = ann_input(EDGE)
    assert (
        sum(cost.macs for cost in layer_costs(edge, lambda: edge.initial_state(windows))) <= 0.7e9
    )


def test_every_edge_convolution_of_the_snn_has_binary_inputs(edge: HybridPoseNetwork) -> None:
    seen: dict[str, torch.Tensor] = {}
    convolutions = {**edge.snn.synapses, "readout": edge.snn.readout}
    hooks = [
        module.conv.register_forward_hook(
            lambda _m, inputs, _o, name=name: seen.__setitem__(name, inputs[0])
        )
        for name, module in convolutions.items()
    ]
    state = edge.snn.rest(1, 65, 87)
    state = state._replace(
        membranes={k: v + 2.5 * torch.rand_like(v) for k, v in state.membranes.items()}
    )
    with torch.no_grad():
        edge.snn(torch.poisson(torch.full((1, 2, 65, 87), 1.0)), state)
    for hook in hooks:
        hook.remove()
    assert seen.keys() == convolutions.keys()
    for name, spikes in seen.items():
        assert set(spikes.unique().tolist()) <= {0.0, 1.0}, name
        assert spikes.any(), name


def test_thermometer_code_of_the_counts(edge: HybridPoseNetwork) -> None:
    counts = torch.tensor([0.0, 1.0, 3.0, 9.0]).reshape(1, 1, 1, 4).expand(1, 2, 1, 4)
    planes = edge.snn.encode(counts)  # (level 1: OFF, ON), (level 3: OFF, ON)
    assert planes[0, :, 0].tolist() == [[0, 1, 1, 1], [0, 1, 1, 1], [0, 0, 1, 1], [0, 0, 1, 1]]


@pytest.mark.parametrize("config", [EDGE, PAPER], ids=lambda config: config.name)
def test_the_initialiser_fills_every_membrane(config: ModelConfig) -> None:
    with torch.device("meta"):
        network = HybridPoseNetwork(config)
        heatmaps, state = network.initial_state(ann_input(config))
        rest = network.snn.rest(1, config.view.grid_height, config.view.grid_width)
    assert tuple(state.membranes) == SPIKING_LAYERS
    assert {k: v.shape for k, v in state.membranes.items()} == {
        k: v.shape for k, v in rest.membranes.items()
    }
    assert heatmaps.shape == state.heatmaps.shape == rest.heatmaps.shape
    assert (state.velocity is None) == (rest.velocity is None) == (config is PAPER)


def charged(snn: SpikingUNet) -> SnnState:
    """A state from which a step makes spikes."""
    rest = snn.rest(1, 65, 87)
    membranes = {name: membrane + 1.5 for name, membrane in rest.membranes.items()}
    return SnnState(membranes, torch.rand_like(rest.heatmaps), rest.velocity)


def test_the_accumulator_decays_and_adds(edge: HybridPoseNetwork) -> None:
    state = charged(edge.snn)  # its joints stand still, and untrained spikes do not push them
    with torch.no_grad():
        delta, after = edge.snn(torch.ones(1, 2, 65, 87), state)
    assert torch.allclose(after.heatmaps, edge.snn.decay * state.heatmaps + delta, atol=1e-6)
    assert torch.allclose(edge.snn.decay, torch.full((13, 1, 1), EDGE.snn.decay))
    assert delta.abs().max() > 0
    assert after.velocity is not None and not after.velocity.any()


def test_without_an_accumulator_the_increment_is_the_heatmaps() -> None:
    snn = SpikingUNet(variant_of(EDGE, "no_delta").snn).eval()
    with torch.no_grad():
        delta, after = snn(torch.ones(1, 2, 65, 87), charged(snn))
    assert delta.abs().max() > 0
    assert torch.equal(after.heatmaps, delta)
    assert after.velocity is None


@pytest.mark.parametrize("name", ["snn", "no_init"])
def test_the_ann_begins_membranes_heatmaps_and_velocities(name: str) -> None:
    torch.manual_seed(0)
    network = HybridPoseNetwork(variant_of(EDGE, name)).eval()
    with torch.no_grad():
        network.ann.head.conv.bias.fill_(0.3)
        network.motion.readout.weight.normal_()
        heatmaps, state = network.initial_state(
            torch.poisson(torch.ones(2, EDGE.ann.input_planes, 65, 87))
        )
    assert torch.equal(state.heatmaps, heatmaps)
    assert state.velocity is not None and state.velocity.shape == (2, 13, 2)
    assert state.velocity.all()
    assert all(v.any() == (name == "snn") for v in state.membranes.values())


def test_a_trace_holds_every_state_in_turn(edge: HybridPoseNetwork) -> None:
    counts = torch.poisson(torch.ones(3, 1, 2, 65, 87))
    start = charged(edge.snn)
    with torch.no_grad():
        states = edge.trace(start, counts)
        heatmaps = edge.run(start, counts)
        expected = start
        for step, state, maps in zip(counts, states, heatmaps, strict=True):
            _, expected = edge.snn(step, expected)
            assert torch.equal(state.heatmaps, expected.heatmaps)
            assert torch.equal(maps, expected.heatmaps)
            assert torch.equal(state.membranes["up3"], expected.membranes["up3"])


def test_folding_batchnorm_changes_nothing_but_rounding(edge: HybridPoseNetwork) -> None:
    network = HybridPoseNetwork(EDGE)
    windows = torch.poisson(torch.full((2, EDGE.ann.input_planes, 65, 87), 0.5))
    with torch.no_grad():
        network.motion.readout.weight.normal_()
        network.train().initial_state(windows)  # gives BatchNorm statistics other than 0 and 1
        before, state = network.eval().initial_state(windows)
        fold_batchnorm(network)
        after, folded = network.initial_state(windows)
    assert not [m for m in network.modules() if isinstance(m, torch.nn.BatchNorm2d)]
    assert torch.allclose(before, after, atol=1e-5)
    assert state.velocity is not None and folded.velocity is not None
    assert state.velocity.any()
    assert torch.allclose(state.velocity, folded.velocity, atol=1e-4)
    for name, membrane in state.membranes.items():
        assert torch.allclose(membrane, folded.membranes[name], atol=1e-4), name


def test_configuration_survives_json() -> None:
    for config in (EDGE, PAPER, *(variant_of(EDGE, name) for name in VARIANTS)):
        assert ModelConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config
    with pytest.raises(ValueError, match="not a model configuration"):
        ModelConfig.from_dict({"name": "edge"})


def test_variants_differ_in_what_they_are_named_after() -> None:
    assert variant_of(EDGE, "snn") == replace(EDGE, carry=False)
    assert variant_of(EDGE, "no_init") == replace(EDGE, init_membranes=False)
    bare = variant_of(EDGE, "no_delta")
    assert bare.snn == replace(EDGE.snn, accumulate=False, motion=False) and not bare.carry
    with pytest.raises(ValueError, match="no variant is called 'other'; there are snn, no_init"):
        variant_of(EDGE, "other")


def test_shorter_steps_span_the_same_time() -> None:
    fast = in_parts(EDGE, 2)
    assert fast.step_ns == 5_000_000
    spans = [[n * c.step_ns for n in c.ann.window_steps] for c in (EDGE, fast)]
    assert spans[0] == spans[1]  # the ANN sees the same span of time
    assert fast.snn.tau[1] * fast.step_ns == EDGE.snn.tau[1] * EDGE.step_ns
    assert fast.snn.decay**2 == pytest.approx(EDGE.snn.decay)


@pytest.mark.parametrize("name", VARIANTS)
def test_a_variant_can_share_the_ann(name: str, edge: HybridPoseNetwork) -> None:
    network = HybridPoseNetwork(variant_of(EDGE, name))
    network.ann.load_state_dict(edge.ann.state_dict())
