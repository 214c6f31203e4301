# SPDX-License-Identifier: Apache-2.0
"""A graph of NIR, written, read and run by a small interpreter, spikes as the SNN does."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn.functional import conv2d, interpolate

from hybrid_pose_ros.networks.checkpoint import Checkpoint, load_checkpoint
from hybrid_pose_ros.networks.config import PAPER, SPIKING_LAYERS
from hybrid_pose_ros.networks.hybrid import HybridPoseNetwork
from hybrid_pose_ros.research.export.nir_graph import ExportError, nir_graph, write_nir
from hybrid_pose_ros.research.export.nir_graph import _shifts as shifts

STEPS = 10


@pytest.fixture(scope="module")
def model() -> Checkpoint:
    return load_checkpoint()


@pytest.fixture(scope="module")
def counts(model: Checkpoint) -> Tensor:
    """Events of a bar that crosses the view, in a little noise: [steps, 1, 2, H, W]."""
    view = model.config.view
    rng = np.random.default_rng(0)
    events = rng.poisson(0.03, (STEPS, 1, 2, view.grid_height, view.grid_width))
    for step in range(STEPS):
        events[step, 0, step % 2, 10:50, 20 + 2 * step : 26 + 2 * step] += 3
    return torch.from_numpy(events.astype(np.float64))


class Interpreter:
    """Runs a graph in float64, a step at a time; what a node sent is there for all that follow.

    A cycle is cut where it returns to a leaky integrator: that spike comes one step later.
    """

    def __init__(self, graph: Any) -> None:
        self._nodes = graph.nodes
        self._sources: dict[str, list[str]] = {name: [] for name in graph.nodes}
        for source, target in graph.edges:
            self._sources[target].append(source)
        self._potentials: dict[str, Tensor] = {}
        self._last: dict[str, Tensor] = {}

    def step(self, counts: Tensor) -> dict[str, Tensor]:
        now = {"input": counts}

        def value(name: str) -> Tensor:
            if name not in now:
                now[name] = self._compute(name, value)
            return now[name]

        for name in self._nodes:
            value(name)
        self._last = now
        return now

    def _compute(self, name: str, value: Any) -> Tensor:
        node = self._nodes[name]
        kind = type(node).__name__
        delayed = [s for s in self._sources[name] if s.endswith(".reset")]
        inputs = [value(source) for source in self._sources[name] if source not in delayed]
        inputs += [self._last[source] for source in delayed if source in self._last]
        total = sum(inputs[1:], inputs[0])
        if kind == "Output":
            return total
        if kind == "Threshold":
            return (total > double(node.threshold)).double()
        if kind == "Scale":
            return total * double(node.scale)
        if kind == "LI":
            before = self._potentials.get(name, torch.zeros_like(total))
            rate = 1.0 / double(node.tau)
            after = before + rate * (double(node.v_leak) - before + double(node.r) * total)
            self._potentials[name] = after
            return after
        assert kind == "Conv2d"
        return conv2d(
            total,
            double(node.weight),
            double(node.bias),
            tuple(int(n) for n in node.stride),
            tuple(int(n) for n in node.padding),
            tuple(int(n) for n in node.dilation),
            int(node.groups),
        )


def double(array: Any) -> Tensor:
    return torch.from_numpy(np.asarray(array, np.float64))


@torch.no_grad()
def test_the_graph_spikes_as_the_network_does(
    model: Checkpoint, counts: Tensor, tmp_path: Path
) -> None:
    nir = pytest.importorskip("nir")
    path = tmp_path / "edge.nir"
    write_nir(model, path)
    graph = nir.read(path, type_check=False)
    assert {type(node).__name__ for node in graph.nodes.values()} == {
        *("Input", "Output", "Conv2d", "LI", "Scale", "Threshold")
    }
    assert graph.metadata["step_ns"] == model.config.step_ns

    network = HybridPoseNetwork(model.config).eval()
    network.load_state_dict(model.network.state_dict())
    snn = network.snn.double()
    spikes: dict[str, Tensor] = {}
    for name, neurons in snn.neurons.items():
        neurons.register_forward_hook(
            lambda _, __, output, name=name: spikes.__setitem__(name, output[0])
        )
    state = snn.rest(1, *counts.shape[-2:])
    simulator = Interpreter(graph)
    fired = dict.fromkeys(SPIKING_LAYERS, 0.0)
    for step in counts:
        delta, state = snn(step, state)
        found = simulator.step(step)
        for layer in SPIKING_LAYERS:
            assert torch.equal(found[f"{layer}.spikes"], spikes[layer]), layer
            fired[layer] += float(spikes[layer].sum())
        torch.testing.assert_close(found["output"], delta, rtol=1e-5, atol=1e-6)
    assert all(fired.values())


@pytest.mark.parametrize(("source", "target"), [(9, 17), (44, 87), (33, 65)])
def test_shifts_add_up_to_bilinear_upsampling(source: int, target: int) -> None:
    values = np.random.default_rng(source).normal(size=source)
    result = np.zeros(target)
    for shift, weights in enumerate(shifts(source, target)):
        for place in np.flatnonzero(weights):
            result[place] += weights[place] * values[place - shift]
    line = torch.from_numpy(values).view(1, 1, 1, source)
    expected = interpolate(line, size=(1, target), mode="bilinear", align_corners=False)
    np.testing.assert_allclose(result, expected.numpy().ravel(), atol=1e-6)


def test_a_network_that_upsamples_spikes_is_refused() -> None:
    pytest.importorskip("nir")
    paper = Checkpoint(HybridPoseNetwork(PAPER).eval(), "0", {})
    with pytest.raises(ExportError, match="upsamples spikes"):
        nir_graph(paper)
