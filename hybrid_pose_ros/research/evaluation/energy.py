# SPDX-License-Identifier: Apache-2.0
"""Energy of a model by two proxies, from its operations and from what its neurons do.

A multiply-accumulate (MAC) costs 1.69 pJ and an accumulate (AC) 0.38 pJ, as in the paper. Memory
is free in both proxies, and no machine works like either: they compare models, not hardware.

The paper's proxy (section 4.3 there)::

    ANN run         MACs of all convolutions * 1.69 pJ
    initialisation  MACs of its convolutions * 1.69 pJ
    SNN step        sum over layers of
                        output spikes / neurons * dense MACs * 0.38 pJ

The readout has no neurons; the share of its inputs that are 1 stands in for their rate.

The extended proxy counts what a step does::

    ANN run         as above
    initialisation  as above, plus, in a network with motion, the first velocities: 2 MACs per
                    heatmap value, and for each activation 13 * channels * (height * width + 26)
    SNN step        sum over layers of
                        spikes that enter it * accumulates per spike * 0.38 pJ
                    + spikes of down3 that go straight to res2 * 0.38 pJ
                    + neurons * 1.69 pJ                 (leak and charge of each membrane)
                    + 4 * upsampled values * 1.69 pJ    (bilinear)
                    + heatmap values * 1.69 pJ          (decay of the accumulator)
                    + with motion: heatmap values * (2 attention + 14 shift) * 1.69 pJ
                                   + 13 * (spikes that enter the readout
                                           + 4 * spikes of up2) * 0.38 pJ
                                   + 13 * 13 * 3 * features * 1.69 pJ

A spike accumulates one weight per output channel and place of the kernel that falls inside the
image, which is counted exactly. Where a layer's inputs are not binary (raw counts, or spikes
upsampled before the convolution) each input that is not zero costs MACs instead. In the ANN
pooling, activations and upsampling, and everywhere the binning of events, are not counted.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import torch
from torch import Tensor, nn
from torch.nn.functional import conv_transpose2d

from hybrid_pose_ros.networks.config import SPIKING_LAYERS, SnnConfig
from hybrid_pose_ros.networks.costs import layer_costs
from hybrid_pose_ros.networks.hybrid import HybridPoseNetwork
from hybrid_pose_ros.networks.snn import SpikingUNet
from hybrid_pose_ros.skeleton import NUM_JOINTS

MAC_J: Final = 1.69e-12
AC_J: Final = 0.38e-12

READOUT: Final = "readout"

_BILINEAR_MACS = 4
_SHIFT_MACS = 14
_ATTENTION_MACS = 2
_MOTION_OUTPUTS = 3
_HALVED_CELLS = 4
_UPSAMPLED = ("up1", "up2", "up3")


@dataclass(frozen=True)
class Activity:
    """Operations of an SNN, summed over samples and steps.

    Attributes:
        steps: samples times steps.
        entered: layer (and readout) -> inputs of its convolution that were not zero.
        accumulated: likewise -> weights that these inputs added to currents.
        fired: layer -> spikes of its neurons.
    """

    steps: int
    entered: Mapping[str, float]
    accumulated: Mapping[str, float]
    fired: Mapping[str, float]


def total(activities: Iterable[Activity]) -> Activity:
    """Sum activities of one network."""
    parts = list(activities)

    def add(tables: list[Mapping[str, float]]) -> dict[str, float]:
        return {name: sum(table[name] for table in tables) for name in tables[0]}

    return Activity(
        sum(part.steps for part in parts),
        add([part.entered for part in parts]),
        add([part.accumulated for part in parts]),
        add([part.fired for part in parts]),
    )


class SpikeMeter:
    """Counts the spikes of a network while it is entered as a context.

    Args:
        snn: its convolutions and neurons are watched.
    """

    def __init__(self, snn: SpikingUNet) -> None:
        self._snn = snn
        self._binary = _binary_inputs(snn.config)
        self._places: dict[str, Tensor] = {}
        self._steps = 0
        self._entered = dict.fromkeys((*SPIKING_LAYERS, READOUT), 0.0)
        self._accumulated = dict(self._entered)
        self._fired = dict.fromkeys(SPIKING_LAYERS, 0.0)
        self._hooks: list[Any] = []

    @property
    def activity(self) -> Activity:
        """Counts so far."""
        return Activity(self._steps, self._entered, self._accumulated, self._fired)

    def __enter__(self) -> "SpikeMeter":
        for name, layer in (*self._snn.synapses.items(), (READOUT, self._snn.readout)):
            self._hooks.append(layer.register_forward_pre_hook(self._count_inputs(name)))
        for name, neurons in self._snn.neurons.items():
            self._hooks.append(neurons.register_forward_hook(self._count_spikes(name)))
        return self

    def __exit__(self, *_: object) -> None:
        for hook in self._hooks:
            hook.remove()
        self._hooks.clear()

    def _count_inputs(self, name: str) -> Any:
        def count(layer: nn.Module, inputs: tuple[Tensor, ...]) -> None:
            conv = layer.conv
            assert isinstance(conv, nn.Conv2d)
            entering = inputs[0].detach()
            values = entering if self._binary[name] else entering != 0
            busy = values.sum((0, 1)).double()
            if name not in self._places:
                self._places[name] = _places(conv, busy.shape)
            self._entered[name] += float(busy.sum())
            places = (busy * self._places[name]).sum()
            self._accumulated[name] += float(places) * conv.out_channels
            if name == READOUT:  # once per step
                self._steps += len(inputs[0])

        return count

    def _count_spikes(self, name: str) -> Any:
        def count(_: nn.Module, inputs: Any, output: tuple[Tensor, Tensor]) -> None:
            # single precision is exact up to 16 million spikes
            self._fired[name] += float(output[0].detach().sum())

        return count


def _binary_inputs(config: SnnConfig) -> dict[str, bool]:
    """Whether each convolution's inputs are 0 or 1: not raw counts, nor upsampled spikes."""
    binary = dict.fromkeys((*SPIKING_LAYERS, READOUT), True)
    binary["head"] = bool(config.levels)
    return binary | dict.fromkeys(_UPSAMPLED, not config.upsample_first)


def _places(conv: nn.Conv2d, size: Iterable[int]) -> Tensor:
    """How many outputs of a convolution each input place goes into, [H, W]."""
    height, width = size
    kernel, stride, pad = conv.kernel_size[0], conv.stride[0], conv.padding[0]
    assert isinstance(pad, int)
    sizes = [(length + 2 * pad - kernel) // stride + 1 for length in (height, width)]
    # the gradient of a convolution of ones: each output hands 1 to every input that it sees
    padded = conv_transpose2d(
        torch.ones(1, 1, *sizes, dtype=torch.float64),
        torch.ones(1, 1, kernel, kernel, dtype=torch.float64),
        stride=stride,
    )
    room = torch.zeros(height + 2 * pad, width + 2 * pad, dtype=torch.float64)
    room[: padded.shape[-2], : padded.shape[-1]] = padded[0, 0]
    return room[pad : pad + height, pad : pad + width]


@dataclass(frozen=True)
class Costs:
    """The operations of a network that do not depend on its input.

    Attributes:
        ann_macs, initialiser_macs: of the convolutions of one run.
        velocity_macs: of the first velocities; 0 without motion.
        dense_macs: layer (and readout) -> MACs of its convolution in one dense step.
        inputs: likewise -> number of inputs.
        neurons: layer -> number of neurons.
        binary: likewise -> whether the convolution's inputs are 0 or 1.
        upsampled: values that a step upsamples.
        heatmap_values: joints times cells.
        features: values pooled around each joint; 0 without motion.
        accumulate, motion: as in the configuration.
    """

    ann_macs: int
    initialiser_macs: int
    velocity_macs: int
    dense_macs: Mapping[str, int]
    inputs: Mapping[str, int]
    neurons: Mapping[str, int]
    binary: Mapping[str, bool]
    upsampled: int
    heatmap_values: int
    features: int
    accumulate: bool
    motion: bool

    @classmethod
    def of(cls, network: HybridPoseNetwork) -> "Costs":
        """Count the operations of a network in evaluation mode."""
        config, view = network.config, network.config.view
        height, width = view.grid_height, view.grid_width
        weight = network.snn.readout.conv.weight
        windows = weight.new_zeros(1, config.ann.input_planes, height, width)

        def once() -> None:
            _, state = network.initial_state(windows)
            network.snn(weight.new_zeros(1, 2, height, width), state)

        layers = layer_costs(network, once)
        snn = {
            cost.name.removeprefix("snn.").removeprefix("synapses.").removesuffix(".conv"): cost
            for cost in layers
            if cost.name.startswith("snn.")
        }
        sizes = network.snn.layer_sizes(height, width)
        channels = network.snn.layer_channels
        neurons = {name: channels[name] * h * w for name, (h, w) in sizes.items()}
        inputs = {name: cost.input_shape for name, cost in snn.items()}
        first = config.snn.upsample_first
        moves = config.snn.motion and config.snn.accumulate
        return cls(
            ann_macs=sum(cost.macs for cost in layers if cost.name.startswith("ann.")),
            initialiser_macs=sum(c.macs for c in layers if c.name.startswith("initialiser.")),
            velocity_macs=_velocity_macs(network) if moves else 0,
            dense_macs={name: cost.macs for name, cost in snn.items()},
            inputs={name: _product(shape[1:]) for name, shape in inputs.items()},
            neurons=neurons,
            binary=_binary_inputs(config.snn),
            upsampled=sum(
                _product(inputs[name][1:]) if first else neurons[name] for name in _UPSAMPLED
            ),
            heatmap_values=NUM_JOINTS * height * width,
            features=network.snn.motion.readout.weight.shape[-1] if moves else 0,
            accumulate=config.snn.accumulate,
            motion=moves,
        )

    def paper_step_j(self, activity: Activity) -> float:
        """Energy of one SNN step in joules by the paper's proxy."""
        rates = {**firing_rates(self, activity), READOUT: entering_rates(self, activity)[READOUT]}
        return AC_J * sum(rates[name] * macs for name, macs in self.dense_macs.items())

    def extended_step_j(self, activity: Activity) -> float:
        """Energy of one SNN step in joules by the extended proxy."""
        steps = activity.steps
        energy = sum(
            count / steps * (AC_J if self.binary[name] else MAC_J)
            for name, count in activity.accumulated.items()
        )
        energy += activity.fired["down3"] / steps * AC_J
        macs = sum(self.neurons.values()) + _BILINEAR_MACS * self.upsampled
        if self.accumulate:
            macs += self.heatmap_values
        if self.motion:
            macs += (_ATTENTION_MACS + _SHIFT_MACS) * self.heatmap_values
            macs += _MOTION_OUTPUTS * NUM_JOINTS**2 * self.features
            pooled = activity.entered[READOUT] + _HALVED_CELLS * activity.fired["up2"]
            energy += NUM_JOINTS * pooled / steps * AC_J
        return energy + macs * MAC_J


def firing_rates(costs: Costs, activity: Activity) -> dict[str, float]:
    """Spikes per neuron and step of each layer."""
    return {
        name: activity.fired[name] / (activity.steps * costs.neurons[name])
        for name in SPIKING_LAYERS
    }


def entering_rates(costs: Costs, activity: Activity) -> dict[str, float]:
    """Share of each layer's (and the readout's) inputs that are not zero."""
    return {
        name: count / (activity.steps * costs.inputs[name])
        for name, count in activity.entered.items()
    }


@dataclass(frozen=True)
class Duty:
    """How often a model does what, per second.

    Attributes:
        ann_hz: runs of the ANN.
        initialise_hz: initialisations of the membranes.
        velocity_hz: estimates of the first velocities.
        step_hz: SNN steps, those of replays included.
    """

    ann_hz: float = 0.0
    initialise_hz: float = 0.0
    velocity_hz: float = 0.0
    step_hz: float = 0.0


@dataclass(frozen=True)
class Power:
    """Power in watts by both proxies."""

    paper_w: float
    extended_w: float


def power(duty: Duty, costs: Costs, activity: Activity | None) -> Power:
    """Return a model's power; ``activity`` may be None only where no step is run."""
    macs_hz = duty.ann_hz * costs.ann_macs + duty.initialise_hz * costs.initialiser_macs
    paper = extended = macs_hz * MAC_J
    extended += duty.velocity_hz * costs.velocity_macs * MAC_J
    if duty.step_hz:
        assert activity is not None
        paper += duty.step_hz * costs.paper_step_j(activity)
        extended += duty.step_hz * costs.extended_step_j(activity)
    return Power(paper, extended)


def _product(shape: Iterable[int]) -> int:
    product = 1
    for length in shape:
        product *= length
    return product


def _velocity_macs(network: HybridPoseNetwork) -> int:
    """MACs of pooling the ANN's activations around the joints and reading velocities off them."""
    view = network.config.view
    height, width = view.grid_height, view.grid_width
    macs = _ATTENTION_MACS * NUM_JOINTS * height * width
    for tap in network.motion.taps:
        channels = network.ann.tap_channels[tap]
        macs += NUM_JOINTS * channels * (height * width + 2 * NUM_JOINTS)
        height, width = (height + 1) // 2, (width + 1) // 2
    return macs
