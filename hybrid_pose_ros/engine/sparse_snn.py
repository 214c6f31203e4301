# SPDX-License-Identifier: Apache-2.0
"""The SNN as it runs in use: the same function as the torch module, at the cost of its spikes.

A dense step spends most of its work on zeros. Here each spike adds its block of weights to the
currents that it reaches; BatchNorm and leak are folded into weights and bias; membranes and lists
of spikes live in buffers that are reused. Sums are formed in another order than in torch, so a
membrane that lies within rounding of the threshold may fire in one and not in the other.
"""

import copy
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from hybrid_pose_ros.engine import input_kernels, kernels
from hybrid_pose_ros.engine.accumulator import Accumulator
from hybrid_pose_ros.engine.kernels import Layer, Resampling, Synapses
from hybrid_pose_ros.engine.simd import LANES, aligned, zeros
from hybrid_pose_ros.engine.spikes import COLUMN, F32, Spikes, plan
from hybrid_pose_ros.networks.carry import CarryOver
from hybrid_pose_ros.networks.config import HEATMAPS, SPIKING_LAYERS, VELOCITY
from hybrid_pose_ros.networks.layers import ConvNorm, fold_batchnorm
from hybrid_pose_ros.networks.lif import LIF
from hybrid_pose_ros.networks.snn import INPUTS, SnnState, SpikingUNet
from hybrid_pose_ros.skeleton import SIDE_PAIRS


def _padded(channels: int) -> int:
    """The channels, filled up to whole vectors."""
    return -(-channels // LANES) * LANES


def _spikes(height: int, width: int, channels: int, *, valued: bool = False) -> Spikes:
    """An empty list with room for every neuron; pages are taken only as they are used."""
    capacity = height * width * channels
    return Spikes(
        np.zeros(height + 1, np.int32),
        np.empty(capacity, np.int32),
        np.empty(capacity if valued else 0, np.float32),
    )


def _axis(source: int, target: int) -> tuple[NDArray[np.int64], F32]:
    """The two source cells of each target cell and their weights, as torch has them."""
    position = np.maximum((np.arange(target) + 0.5) * (source / target) - 0.5, 0.0)
    low = np.minimum(position.astype(np.int64), source - 1)
    upper = (position - low).astype(np.float32)
    indices = np.stack((low, np.minimum(low + 1, source - 1)), -1)
    return indices, np.ascontiguousarray(np.stack((1 - upper, upper), -1))


def _resampling(source: tuple[int, int], target: tuple[int, int]) -> Resampling:
    return Resampling(*_axis(source[0], target[0]), *_axis(source[1], target[1]))


def _synapses(snn: SpikingUNet, name: str, width: int) -> Synapses:
    """The folded convolution of a layer; ``width`` of its output, in cells."""
    synapse, neuron = snn.synapses[name], snn.neurons[name]
    assert isinstance(synapse, ConvNorm) and isinstance(neuron, LIF)
    convolution = synapse.conv
    assert convolution.bias is not None
    kernel, stride = convolution.kernel_size[0], convolution.stride[0]
    with torch.no_grad():
        leak = neuron.leak.flatten()
        weight = convolution.weight * leak[:, None, None, None]
        bias = convolution.bias * leak
    columns = [k for phase in range(stride) for k in reversed(range(phase, kernel, stride))]
    fill = [(0, _padded(len(leak)) - len(leak))]
    weights = np.pad(weight.numpy().transpose(1, 2, 3, 0)[:, :, columns], [(0, 0)] * 3 + fill)
    return Synapses(
        weights=aligned(weights).ravel(),
        bias=aligned(np.tile(np.pad(bias.numpy(), fill), width + 2 * (kernel // 2))),
        kernel=kernel,
        stride=stride,
        channels=_padded(len(leak)),
    )


def _in_vectors(resampling: Resampling, synapses: Synapses) -> Resampling:
    """Columns by vector of a row of neurons, as places in a row of currents with margins."""
    vectors = np.arange(0, synapses.channels, LANES)
    cells = resampling.columns[:, None] + synapses.kernel // 2
    places = cells * synapses.channels + vectors[:, None]
    weights = np.repeat(resampling.column_weights, len(vectors), 0)
    return resampling._replace(columns=places.reshape(-1, 2), column_weights=weights)


class _Neurons(NamedTuple):
    """A spiking layer: its membranes [h, w, C], a view, their leak [C], and how it is computed."""

    membrane: F32
    leak: F32
    layer: Layer


_NOTHING = Spikes(np.zeros(0, np.int32), np.zeros(0, np.int32), zeros(0))
_UNCHANGED = Resampling(
    np.zeros((0, 2), np.int64), zeros(0, 2), np.zeros((0, 2), np.int64), zeros(0, 2)
)


class Memory(NamedTuple):
    """State to blend an initialisation with, as :class:`SnnState` has it.

    ``heatmaps``: [H, W, 13]. ``velocity``: [13, 2]. ``sides``: [6], zero where that has none.
    """

    heatmaps: F32
    velocity: F32
    sides: F32


class SparseSnn:
    """Runs a :class:`SpikingUNet` step by step on maps of one size.

    Args:
        snn: the trained network; it is copied.
        height, width: of the grid, in cells.
        carry: the state blending; None: initialisations replace the state.
    """

    def __init__(
        self, snn: SpikingUNet, height: int, width: int, carry: CarryOver | None = None
    ) -> None:
        snn = copy.deepcopy(snn).cpu().eval()
        fold_batchnorm(snn)
        sizes = snn.layer_sizes(height, width)
        synapses = {}
        for name in SPIKING_LAYERS:
            upsamples = name.startswith("up") and not snn.config.upsample_first
            cells = sizes[INPUTS[name][0] if upsamples else name][1]
            synapses[name] = _synapses(snn, name, cells)
        self._carry = carry
        self._build(snn, height, width, synapses)

    def _build(
        self, snn: SpikingUNet, height: int, width: int, synapses: dict[str, Synapses]
    ) -> None:
        """Make what changes from step to step, around weights that do not."""
        self._made_of = (snn, height, width, synapses)
        self._levels = np.array(snn.config.levels, np.int64)
        planes = snn.config.input_planes
        self._input = _spikes(height, width, planes, valued=not len(self._levels))
        sizes = snn.layer_sizes(height, width)
        self._layers: dict[str, _Neurons] = {}
        for name in SPIKING_LAYERS:
            self._layers[name] = self._neurons(snn, name, sizes, synapses[name])
        layers = [neurons.layer for neurons in self._layers.values()]
        self._plans = np.array([plan(layer) for layer in layers], np.int64)
        last = (self._layers["up3"].layer.out, self._layers["head"].layer.out)
        wide = self._layers["up2"].layer.out
        self._output = Accumulator(snn, height, width, last, wide)
        self._sides = zeros(len(SIDE_PAIRS))

    def twin(self) -> "SparseSnn":
        """Return a network with the same weights, which are shared, and a state of its own.

        The two may run in threads of their own. The new one is at rest.
        """
        twin = copy.copy(self)
        twin._build(*self._made_of)
        return twin

    def _neurons(
        self,
        snn: SpikingUNet,
        name: str,
        sizes: dict[str, tuple[int, int]],
        synapses: Synapses,
    ) -> _Neurons:
        height, width = sizes[name]
        neuron = snn.neurons[name]
        assert isinstance(neuron, LIF)
        with torch.no_grad():
            leak: F32 = neuron.leak.flatten().numpy()
        channels = len(leak)
        inputs, counts = [_NOTHING, _NOTHING], [0, 0]
        for i, below in enumerate(INPUTS[name]):
            inputs[i] = self._input if below == "input" else self._layers[below].layer.out
            counts[i] = snn.layer_channels.get(below, snn.config.input_planes)
        source = sizes.get(INPUTS[name][0], sizes[name])
        resamples = name.startswith("up")
        spikes_first = resamples and snn.config.upsample_first
        currents_first = resamples and not snn.config.upsample_first
        membrane = zeros(height, width, synapses.channels)
        fill = (0, synapses.channels - channels)
        keep = np.pad(1 - leak, fill)
        names = np.arange(width)[:, None] * COLUMN + np.arange(synapses.channels)
        resampling = _UNCHANGED
        upsampled = [_NOTHING, _NOTHING]
        if resamples:
            resampling = _resampling(source, sizes[name])
        if spikes_first:
            upsampled = [_spikes(height, width, count, valued=True) for count in counts]
        if currents_first:
            resampling = _in_vectors(resampling, synapses)
        layer = Layer(
            a=inputs[0],
            b=inputs[1],
            channels_a=counts[0],
            channels_b=counts[1],
            synapses=synapses,
            names=names.astype(np.int32).ravel(),
            keep=aligned(np.tile(keep, width)),
            membrane=membrane.ravel(),
            out=_spikes(height, width, channels),
            row=zeros(len(synapses.bias)),
            # in the residual block the second input is added to the currents
            skip=aligned(np.pad(leak, fill)) if name == "res2" else zeros(0),
            between=zeros(2 * width * synapses.channels if currents_first else 0),
            resampling=resampling,
            upsampled_a=upsampled[0],
            upsampled_b=upsampled[1],
            mixed=zeros(source[1] * max(counts) if spikes_first else 0),
        )
        return _Neurons(membrane[..., :channels], leak, layer)

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Shape of each part of the state: (channels, height, width), of velocities (13, 2)."""
        maps = {name: layer.membrane for name, layer in self._layers.items()}
        maps[HEATMAPS] = self._output.maps
        shapes: dict[str, tuple[int, ...]] = {
            name: (m.shape[2], m.shape[0], m.shape[1]) for name, m in maps.items()
        }
        if self._output.velocity is not None:
            shapes[VELOCITY] = self._output.velocity.shape
        return shapes

    @property
    def layers(self) -> dict[str, Layer]:
        """The spiking layers; every step writes over the lists of spikes in them."""
        return {name: neurons.layer for name, neurons in self._layers.items()}

    def load(self, state: SnnState) -> None:
        """Overwrite the whole state; ``state`` holds one sample."""
        for name, layer in self._layers.items():
            layer.membrane[:] = state.membranes[name][0].permute(1, 2, 0).numpy()
        self._output.maps[:] = state.heatmaps[0].permute(1, 2, 0).numpy()
        if self._output.velocity is not None:
            assert state.velocity is not None
            self._output.velocity[:] = state.velocity[0].numpy()
        self._sides[:] = 0.0 if state.sides is None else state.sides[0].numpy()

    def memory(self, into: Memory | None = None) -> Memory | None:
        """Return a copy of what an initialisation may leave; None in a network without.

        Args:
            into: an earlier copy that is not needed any more; it is written over and returned.
        """
        if self._carry is None or self._output.velocity is None:
            return None
        if into is None:
            return Memory(self._output.copy(), self._output.velocity.copy(), self._sides.copy())
        self._output.copy(into.heatmaps)
        into.velocity[:] = self._output.velocity
        into.sides[:] = self._sides
        return into

    def reload(self, state: SnnState, memory: Memory | None, silent: int = 0) -> None:
        """Overwrite the state as an initialisation does, which leaves a share of what was.

        Args:
            state: one sample.
            memory: from :meth:`memory`, of the moment that the state describes; None: the state
                is taken as it is.
            silent: steps of silence between the memory and the moment.
        """
        if self._carry is not None and memory is not None:
            heatmaps = memory.heatmaps * self._output.decay**silent
            own = SnnState(
                {},
                torch.from_numpy(heatmaps).permute(2, 0, 1)[None],
                torch.from_numpy(memory.velocity * self._output.inertia**silent)[None],
                sides=torch.from_numpy(memory.sides)[None],
            )
            with torch.inference_mode():
                state = self._carry(state, own)
        self.load(state)

    def rest(self) -> None:
        """Set every membrane, the accumulator and the velocities to zero."""
        for layer in self._layers.values():
            layer.membrane[:] = 0.0
        self._output.rest()
        self._sides[:] = 0.0

    def state(self) -> SnnState:
        """Return a copy of the state."""

        def tensor(array: F32) -> torch.Tensor:
            return torch.from_numpy(array.copy()).permute(2, 0, 1)[None].contiguous()

        membranes = {name: tensor(layer.membrane) for name, layer in self._layers.items()}
        velocity = None
        if self._output.velocity is not None:
            velocity = torch.from_numpy(self._output.velocity.copy())[None]
        sides = torch.from_numpy(self._sides.copy())[None]
        return SnnState(membranes, tensor(self._output.maps), velocity, sides=sides)

    def firing_rates(self) -> dict[str, float]:
        """Fraction of the neurons of each layer that fired in the last step."""
        return {
            name: int(neurons.layer.out.starts[-1]) / neurons.membrane.size
            for name, neurons in self._layers.items()
        }

    def silence(self, steps: int) -> None:
        """Leak for many steps without input or spikes, in closed form."""
        for layer in self._layers.values():
            np.multiply(layer.membrane, (1.0 - layer.leak) ** steps, out=layer.membrane)
        self._output.silence(steps)

    def step(self, counts: NDArray[np.uint16]) -> None:
        """Advance by one step with the event counts [2, height, width] (OFF, ON)."""
        if len(self._levels):
            input_kernels.encode_levels(counts, self._levels, self._input)
        else:
            input_kernels.encode_counts(counts, self._input)
        kernels.advance(self._plans)
        self._output.step()

    @property
    def velocity(self) -> F32 | None:
        """Velocities (x, y) of the joints in cells per step, [13, 2]; None without motion.

        The next step writes over them.
        """
        return self._output.velocity

    def decode(self) -> tuple[F32, F32]:
        """Return the joints in cells [13, 2] and their peaks in [0, 1], [13]."""
        return self._output.decode()
