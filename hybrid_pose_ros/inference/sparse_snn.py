# SPDX-License-Identifier: Apache-2.0
"""The SNN as it runs in use: the same function as the torch module, at the cost of its spikes.

A dense step spends most of its work on zeros. Here each spike adds its block of weights to the
currents that it reaches; BatchNorm is folded into weights and bias; membranes, currents and spikes
live in buffers that are reused. Sums are formed in another order than in torch, so a membrane that
lies within rounding of the threshold may fire in one and not in the other.
"""

import copy
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from hybrid_pose_ros.inference import kernels
from hybrid_pose_ros.inference.kernels import F32
from hybrid_pose_ros.inference.sparse_motion import SparseMotion
from hybrid_pose_ros.inference.state import HEATMAPS, VELOCITY
from hybrid_pose_ros.networks.carry import CarryOver
from hybrid_pose_ros.networks.config import SPIKING_LAYERS
from hybrid_pose_ros.networks.heatmaps import decode_heatmaps
from hybrid_pose_ros.networks.layers import ConvNorm, fold_batchnorm
from hybrid_pose_ros.networks.lif import LIF
from hybrid_pose_ros.networks.snn import SnnState, SpikingUNet
from hybrid_pose_ros.skeleton import NUM_JOINTS

_INPUTS = {
    "head": ("input",),
    "down1": ("head",),
    "down2": ("down1",),
    "down3": ("down2",),
    "res1": ("down3",),
    "res2": ("res1",),
    "up1": ("res2", "down3"),
    "up2": ("up1", "down2"),
    "up3": ("up2", "down1"),
}


def _zeros(*shape: int) -> F32:
    return np.zeros(shape, np.float32)


class _Resampling:
    """Bilinear interpolation between two sizes, as torch does without aligned corners."""

    def __init__(self, source: tuple[int, int], target: tuple[int, int]) -> None:
        self.rows, self.row_weights = self._axis(source[0], target[0])
        self.columns, self.column_weights = self._axis(source[1], target[1])

    @staticmethod
    def _axis(source: int, target: int) -> tuple[NDArray[np.int64], F32]:
        position = np.maximum((np.arange(target) + 0.5) * (source / target) - 0.5, 0.0)
        low = np.minimum(position.astype(np.int64), source - 1)
        upper = (position - low).astype(np.float32)
        indices = np.stack((low, np.minimum(low + 1, source - 1)), -1)
        return indices, np.ascontiguousarray(np.stack((1 - upper, upper), -1))

    def __call__(self, source: F32, out: F32) -> None:
        kernels.upsample(
            source, self.rows, self.row_weights, self.columns, self.column_weights, out
        )


@dataclass(frozen=True)
class _Layer:
    """A spiking layer: its weights, its buffers and where its inputs come from."""

    weights: F32
    bias: F32
    leak: F32
    stride: int
    current: F32
    membrane: F32
    spikes: F32


def _weights(convolution: ConvNorm) -> F32:
    """[out, in, k, k] as [in, k, k, out]."""
    return np.ascontiguousarray(convolution.conv.weight.detach().numpy().transpose(1, 2, 3, 0))


class Memory(NamedTuple):
    """What an initialisation may leave: ``heatmaps`` [H, W, 13], ``velocity`` [13, 2]."""

    heatmaps: F32
    velocity: F32


class SparseSnn:
    """Runs a :class:`SpikingUNet` step by step on maps of one size.

    Args:
        snn: the trained network; it is copied.
        height, width: of the grid, in cells.
        carry: what an initialisation leaves of the SNN's own state; None: nothing.
    """

    def __init__(
        self, snn: SpikingUNet, height: int, width: int, carry: CarryOver | None = None
    ) -> None:
        snn = copy.deepcopy(snn).cpu().eval()
        fold_batchnorm(snn)
        self._upsample_first = snn.config.upsample_first
        self._levels = np.array(snn.config.levels, np.int64)
        sizes = snn.layer_sizes(height, width)
        self._layers = {name: self._layer(snn, name, sizes[name]) for name in SPIKING_LAYERS}
        self._readout = _weights(snn.readout)
        with torch.no_grad():
            self._decay: F32 = snn.decay.flatten().numpy()
        self._accumulate = snn.config.accumulate
        self._motion = SparseMotion(snn, height, width) if snn.config.motion else None
        self._keep: Memory | None = None
        if carry is not None:
            with torch.no_grad():
                self._keep = Memory(carry.heatmaps.numpy(), carry.velocity[:, None].numpy())
        self._heatmaps = _zeros(height, width, NUM_JOINTS)
        self._input = _zeros(height, width, snn.config.input_planes)
        # what an up layer resamples: its inputs' spikes (upsample first), or its currents
        self._resampling: dict[str, _Resampling] = {}
        self._low: dict[str, list[F32]] = {}
        for name in ("up1", "up2", "up3"):
            source = sizes[_INPUTS[name][0]]
            self._resampling[name] = _Resampling(source, sizes[name])
            if self._upsample_first:
                channels = [snn.layer_channels[below] for below in _INPUTS[name]]
                self._low[name] = [_zeros(*sizes[name], count) for count in channels]
            else:
                self._low[name] = [_zeros(*source, snn.layer_channels[name])]

    @staticmethod
    def _layer(snn: SpikingUNet, name: str, size: tuple[int, int]) -> _Layer:
        synapse, neuron = snn.synapses[name], snn.neurons[name]
        assert isinstance(synapse, ConvNorm) and isinstance(neuron, LIF)
        assert synapse.conv.bias is not None
        channels = snn.layer_channels[name]
        with torch.no_grad():
            leak = neuron.leak.flatten().numpy()
        return _Layer(
            weights=_weights(synapse),
            bias=synapse.conv.bias.detach().numpy(),
            leak=leak,
            stride=synapse.conv.stride[0],
            current=_zeros(*size, channels),
            membrane=_zeros(*size, channels),
            spikes=_zeros(*size, channels),
        )

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Shape of each part of the state: (channels, height, width), of velocities (13, 2)."""
        maps = {name: layer.membrane for name, layer in self._layers.items()}
        maps[HEATMAPS] = self._heatmaps
        shapes: dict[str, tuple[int, ...]] = {
            name: (m.shape[2], m.shape[0], m.shape[1]) for name, m in maps.items()
        }
        if self._motion is not None:
            shapes[VELOCITY] = self._motion.velocity.shape
        return shapes

    def load(self, state: SnnState) -> None:
        """Overwrite the whole state; ``state`` holds one sample."""
        for name, layer in self._layers.items():
            layer.membrane[:] = state.membranes[name][0].permute(1, 2, 0).numpy()
        self._heatmaps[:] = state.heatmaps[0].permute(1, 2, 0).numpy()
        if self._motion is not None:
            assert state.velocity is not None
            self._motion.velocity[:] = state.velocity[0].numpy()

    def memory(self) -> Memory | None:
        """Return a copy of what an initialisation may leave; None in a network without."""
        if self._keep is None or self._motion is None:
            return None
        return Memory(self._heatmaps.copy(), self._motion.velocity.copy())

    def reload(self, state: SnnState, memory: Memory | None, silent: int = 0) -> None:
        """Overwrite the state as an initialisation does, which leaves a share of what was.

        Args:
            state: one sample.
            memory: from :meth:`memory`, of the moment that the state describes; None: the state
                is taken as it is.
            silent: steps of silence between the memory and the moment.
        """
        if self._keep is None or self._motion is None or memory is None:
            self.load(state)
            return
        own = Memory(
            memory.heatmaps * self._decay**silent,
            memory.velocity * self._motion.inertia**silent,
        )
        self.load(state)
        self._heatmaps += self._keep.heatmaps * (own.heatmaps - self._heatmaps)
        velocity = self._motion.velocity
        velocity += self._keep.velocity * (own.velocity - velocity)

    def rest(self) -> None:
        """Set every membrane, the accumulator and the velocities to zero."""
        for layer in self._layers.values():
            layer.membrane[:] = 0.0
        self._heatmaps[:] = 0.0
        if self._motion is not None:
            self._motion.velocity[:] = 0.0

    def state(self) -> SnnState:
        """Return a copy of the state."""

        def tensor(array: F32) -> torch.Tensor:
            return torch.from_numpy(array.copy()).permute(2, 0, 1)[None].contiguous()

        membranes = {name: tensor(layer.membrane) for name, layer in self._layers.items()}
        velocity = None
        if self._motion is not None:
            velocity = torch.from_numpy(self._motion.velocity.copy())[None]
        return SnnState(membranes, tensor(self._heatmaps), velocity)

    def firing_rates(self) -> dict[str, float]:
        """Fraction of the neurons of each layer that fired in the last step."""
        return {name: float(layer.spikes.mean()) for name, layer in self._layers.items()}

    def silence(self, steps: int) -> None:
        """Leak for many steps without input or spikes, in closed form."""
        for layer in self._layers.values():
            np.multiply(layer.membrane, (1.0 - layer.leak) ** steps, out=layer.membrane)
        self._heatmaps *= self._decay**steps
        if self._motion is not None:
            self._motion.silence(steps)

    def step(self, counts: NDArray[np.uint16]) -> None:
        """Advance by one step with the event counts [2, height, width] (OFF, ON)."""
        if len(self._levels):
            kernels.encode_levels(counts, self._levels, self._input)
        else:
            kernels.encode_counts(counts, self._input)
        for name, layer in self._layers.items():
            self._drive(name, layer)
            kernels.integrate(layer.current, layer.bias, layer.leak, layer.membrane, layer.spikes)
        spikes = (self._layers["up3"].spikes, self._layers["head"].spikes)
        if self._motion is not None:
            self._motion.step(spikes, self._heatmaps)
            return
        if self._accumulate:
            self._heatmaps *= self._decay
        else:
            self._heatmaps[:] = 0.0
        first = 0
        for fired in spikes:
            kernels.scatter(fired, self._readout, first, 1, self._heatmaps)
            first += fired.shape[2]

    def _drive(self, name: str, layer: _Layer) -> None:
        """Compute the currents of a layer from the spikes of its inputs."""
        inputs = [
            self._input if below == "input" else self._layers[below].spikes
            for below in _INPUTS[name]
        ]
        current = layer.current
        resample = self._resampling.get(name)
        if resample is not None and self._upsample_first:
            for spikes, upsampled in zip(inputs, self._low[name], strict=True):
                resample(spikes, upsampled)
            inputs = self._low[name]
        elif resample is not None:
            (current,) = self._low[name]
        current[:] = 0.0
        first = 0
        for spikes in inputs:
            kernels.scatter(spikes, layer.weights, first, layer.stride, current)
            first += spikes.shape[2]
        if name == "res2":
            current += self._layers["down3"].spikes
        if resample is not None and not self._upsample_first:
            resample(current, layer.current)

    def decode(self) -> tuple[F32, F32]:
        """Return the joints in cells [13, 2] and their peaks in [0, 1], [13]."""
        maps = torch.from_numpy(self._heatmaps).permute(2, 0, 1)
        points, confidence = decode_heatmaps(maps)
        return points.numpy(), confidence.numpy()
