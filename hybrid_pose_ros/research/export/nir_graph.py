# SPDX-License-Identifier: Apache-2.0
"""The SNN as a graph of NIR, the Neuromorphic Intermediate Representation (Pedersen et al., 2024).

NIR's own LIF neuron resets to a value; ours subtracts the threshold from what it has reached. Each
spiking layer is therefore written out: a leaky integrator (LI), a threshold, and spikes that come
back one step later, scaled, as a current. With leak ``a = 1 / tau`` and potentials ``u`` that are
not reset::

    u[t+1] = u[t] + a (x[t+1] + w s[t] - u[t])        w = -(1 - a) / a

``u`` is what a neuron with soft reset reaches before it fires. NIR has no bilinear upsampling
either; along each axis it is a convolution that lays all shifts of its input into channels of
their own, a scale that gives each its weight at each place, and a convolution that adds them up.

One step is one unit of time. The velocities that move the heatmaps are not part of the graph: no
spike depends on them. Its output is the readout, the increment of the heatmaps.
"""

import copy
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from torch.nn.functional import interpolate

from hybrid_pose_ros.arrays import F32
from hybrid_pose_ros.errors import UserError
from hybrid_pose_ros.networks.checkpoint import Checkpoint
from hybrid_pose_ros.networks.config import SPIKING_LAYERS
from hybrid_pose_ros.networks.lif import THRESHOLD
from hybrid_pose_ros.networks.snn import INPUTS, SpikingUNet
from hybrid_pose_ros.skeleton import NUM_JOINTS

Shape = tuple[int, int]

JUST_BELOW: Final = float(np.nextafter(np.float32(THRESHOLD), np.float32(0)))
"""NIR's threshold fires above a value, ours at it."""


class ExportError(UserError):
    """A network cannot be exported; the message says why and the remedy."""


def nir_module() -> Any:
    """Return the package nir; raises ExportError if it is not installed."""
    try:
        import nir
    except ImportError as error:
        raise ExportError(
            "NIR cannot be written: install it with `pip install -r requirements-export.txt`"
        ) from error
    return nir


def write_nir(checkpoint: Checkpoint, path: Path) -> None:
    """Write the SNN of a checkpoint to a file of NIR (HDF5).

    Read it with ``nir.read(path, type_check=False)``: the check of nir 1.0 takes kernels for
    square and convolutions for ungrouped.

    Raises:
        ExportError: nir is not installed, or the network upsamples spikes instead of currents.
        OSError: the file cannot be written.
    """
    nir = nir_module()
    nir.write(path, nir_graph(checkpoint))


def nir_graph(checkpoint: Checkpoint) -> Any:
    """Return the SNN as an ``nir.NIRGraph``.

    Its input are the counts of events of a step, [2, H, W] (OFF, ON). Names of nodes begin with
    the layer's; ``<layer>.spikes`` gives its spikes.

    Raises:
        ExportError: as :func:`write_nir`.
    """
    return _Writer(checkpoint).graph()


class _Writer:
    """Collects nodes and edges."""

    def __init__(self, checkpoint: Checkpoint) -> None:
        self._nir = nir_module()
        config = checkpoint.config
        if config.snn.upsample_first or not config.snn.levels:
            raise ExportError(
                f"the model {config.name} upsamples spikes or takes raw counts; only networks "
                "with binary inputs to every convolution, such as edge, can be written as NIR"
            )
        self._snn: SpikingUNet = checkpoint.network.snn
        self._grid = config.view.grid_height, config.view.grid_width
        self._sizes = self._snn.layer_sizes(*self._grid)
        self._nodes: dict[str, Any] = {}
        self._edges: list[tuple[str, str]] = []
        self._metadata = {
            "model": f"{config.name} {checkpoint.digest}",
            "step_ns": config.step_ns,
            "accumulator_decay": _array(self._snn.decay).ravel(),
        }

    def graph(self) -> Any:
        height, width = self._grid
        self._nodes["input"] = self._nir.Input(np.array([2, height, width]))
        self._encode()
        for layer in SPIKING_LAYERS:
            self._layer(layer)
        last = np.array([NUM_JOINTS, height, width])
        self._nodes["output"] = self._nir.Output(last)
        weights = _array(self._snn.readout.conv.weight)
        split = self._snn.layer_channels["up3"]
        for source, part in (("up3", weights[:, :split]), ("head", weights[:, split:])):
            self._convolution(f"readout.{source}", part, f"{source}.spikes", "output")
        return self._nir.NIRGraph(
            self._nodes, self._edges, metadata=self._metadata, type_check=False
        )

    def _encode(self) -> None:
        """Write the thermometer code: one threshold per level."""
        for level in self._snn.config.levels:
            threshold = np.full((2, *self._grid), level - 0.5, np.float32)
            self._node(f"input.{level}", self._nir.Threshold(threshold), "input")

    def _layer(self, layer: str) -> None:
        """Write a layer's convolutions, its upsampling and its neurons."""
        weights, bias = folded(self._snn.synapses[layer])
        membrane = f"{layer}.membrane"
        target = membrane
        if layer.startswith("up"):
            source = self._sizes[INPUTS[layer][0]]
            target = self._upsample(layer, weights.shape[0], source, self._sizes[layer])
        stride = 2 if layer.startswith("down") else 1
        at = 0
        for source_name, channels in self._sources(layer):
            part = weights[:, at : at + channels]
            name = f"{layer}.from_{source_name.removesuffix('.spikes')}"
            self._convolution(name, part, source_name, target, bias if not at else None, stride)
            at += channels
        if layer == "res2":
            self._edges.append(("down3.spikes", membrane))
        self._neurons(layer)

    def _sources(self, layer: str) -> list[tuple[str, int]]:
        """Return the nodes that a layer's weights are applied to, with their channels."""
        if layer == "head":
            return [(f"input.{level}", 2) for level in self._snn.config.levels]
        sources = ("res1",) if layer == "res2" else INPUTS[layer]
        return [(f"{name}.spikes", self._snn.layer_channels[name]) for name in sources]

    def _neurons(self, layer: str) -> None:
        """Write leaky integrators with thresholds and the reset of the step before."""
        shape = (self._snn.layer_channels[layer], *self._sizes[layer])
        neurons: Any = self._snn.neurons[layer]
        tau = np.broadcast_to(1.0 / _array(neurons.leak), shape).copy()
        ones, zeros = np.ones(shape, np.float32), np.zeros(shape, np.float32)
        membrane, spikes, reset = (f"{layer}.{part}" for part in ("membrane", "spikes", "reset"))
        self._nodes[membrane] = self._nir.LI(tau=tau, r=ones, v_leak=zeros)
        self._node(spikes, self._nir.Threshold(ones * np.float32(JUST_BELOW)), membrane)
        self._node(reset, self._nir.Scale(1.0 - tau), spikes)  # -(1 - a) / a
        self._edges.append((reset, membrane))

    def _upsample(self, layer: str, channels: int, source: Shape, target: Shape) -> str:
        """Write bilinear upsampling of a layer's currents; return the node that takes them."""
        width = (source[0], target[1])
        first = self._stretch(f"{layer}.columns", channels, source, width, axis=1)
        second = self._stretch(f"{layer}.rows", channels, width, target, axis=0)
        self._edges.append((f"{layer}.columns.sum", second))
        self._edges.append((f"{layer}.rows.sum", f"{layer}.membrane"))
        return first

    def _stretch(self, name: str, channels: int, source: Shape, target: Shape, axis: int) -> str:
        """Write linear resampling of one axis; return its first node, its last is `<name>.sum`."""
        masks = _shifts(source[axis], target[axis])  # [shifts, target]
        shifts = len(masks)
        kernel = (shifts, 1) if axis == 0 else (1, shifts)
        padding = (shifts - 1, 0) if axis == 0 else (0, shifts - 1)
        # with padding by shifts - 1, tap number k shifts by shifts - 1 - k
        taps = np.eye(shifts, dtype=np.float32)[::-1].reshape(shifts, 1, *kernel)
        zeros = np.zeros(channels * shifts, np.float32)
        self._nodes[f"{name}.shifts"] = self._conv2d(
            np.tile(taps, (channels, 1, 1, 1)), zeros, source, padding=padding, groups=channels
        )
        mask = masks[:, :, None] if axis == 0 else masks[:, None, :]
        scale = np.broadcast_to(mask, (shifts, *target))
        scale = np.tile(scale, (channels, 1, 1))
        self._node(f"{name}.weights", self._nir.Scale(scale), f"{name}.shifts")
        ones = np.ones((channels, shifts, 1, 1), np.float32)
        add = self._conv2d(ones, np.zeros(channels, np.float32), target, groups=channels)
        self._node(f"{name}.sum", add, f"{name}.weights")
        return f"{name}.shifts"

    def _convolution(
        self,
        name: str,
        weights: F32,
        source: str,
        target: str,
        bias: F32 | None = None,
        stride: int = 1,
    ) -> None:
        layer = source.partition(".")[0]
        size = self._grid if layer == "input" else self._sizes[layer]
        bias = np.zeros(len(weights), np.float32) if bias is None else bias
        padding = (weights.shape[-1] // 2,) * 2
        node = self._conv2d(np.ascontiguousarray(weights), bias, size, stride, padding)
        self._node(name, node, source)
        self._edges.append((name, target))

    def _conv2d(
        self,
        weights: F32,
        bias: F32,
        size: Shape,
        stride: int = 1,
        padding: Shape = (0, 0),
        groups: int = 1,
    ) -> Any:
        return self._nir.Conv2d(
            input_shape=size,
            weight=weights,
            stride=(stride, stride),
            padding=padding,
            dilation=(1, 1),
            groups=groups,
            bias=bias,
        )

    def _node(self, name: str, node: Any, source: str) -> None:
        self._nodes[name] = node
        self._edges.append((source, name))


def _shifts(source: int, target: int) -> F32:
    """Return linear resampling of an axis as shifts of its input, each weighted at each place.

    Returns:
        weights [shifts, target]: place ``j`` of the result is the sum over ``d`` of
        ``weights[d, j] * input[j - d]``.
    """
    unit = torch.eye(source, dtype=torch.float64).view(source, 1, 1, source)
    stretched = interpolate(unit, size=(1, target), mode="bilinear", align_corners=False)
    matrix = stretched.view(source, target).numpy()  # [from, to]
    masks = np.zeros((target - source + 1, target), np.float32)
    for start, end in zip(*np.nonzero(matrix), strict=True):
        masks[end - start, end] = matrix[start, end]
    return masks


def folded(synapses: Any) -> tuple[F32, F32]:
    """Return the weights and the bias of a ConvNorm with its BatchNorm in them."""
    convolution = copy.deepcopy(synapses)
    convolution.fold()
    weights, bias = convolution.conv.weight, convolution.conv.bias
    zeros = np.zeros(len(weights), np.float32)
    return _array(weights), zeros if bias is None else _array(bias)


def _array(tensor: Any) -> F32:
    return np.asarray(tensor.detach().cpu().numpy(), np.float32)
