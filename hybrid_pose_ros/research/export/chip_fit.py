# SPDX-License-Identifier: Apache-2.0
"""Whether the SNN fits neuromorphic chips: neurons, fan-in, weights and bits, layer by layer."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from hybrid_pose_ros.networks.checkpoint import Checkpoint
from hybrid_pose_ros.networks.config import SPIKING_LAYERS
from hybrid_pose_ros.networks.snn import INPUTS
from hybrid_pose_ros.research.evaluation.markdown import table
from hybrid_pose_ros.research.export.nir_graph import folded

MAX_WEIGHT_ERROR: Final = 0.01
"""Error of rounded weights, as a share of their root mean square, that counts as none."""

MAX_BITS: Final = 16


@dataclass(frozen=True)
class Chip:
    """Limits of a chip; None: none that is known.

    Attributes:
        layers: convolutions that it holds.
        side: rows or columns of a layer's output.
        channels: of a layer's output.
        kernel: side of a kernel.
        targets: layers that a layer sends its spikes to.
        neurons: on the chip.
        synapses: on the chip, if each neuron has its own.
        weight_bits: of a weight.
        source: of these figures.
    """

    name: str
    neurons: int
    weight_bits: int
    source: str
    layers: int | None = None
    side: int | None = None
    channels: int | None = None
    kernel: int | None = None
    targets: int | None = None
    synapses: int | None = None


CHIPS: Final = (
    Chip(
        "Speck 2e",
        neurons=328_000,
        weight_bits=8,
        source="SynSense, documentation of samna; open-neuromorphic.org",
        layers=9,
        side=64,
        channels=1024,
        kernel=16,
        targets=2,
    ),
    Chip(
        "Loihi 2",
        neurons=1_000_000,
        weight_bits=8,
        source="open-neuromorphic.org (weights: 8 bits of at most 32 are assumed)",
        synapses=120_000_000,
    ),
)


@dataclass(frozen=True)
class LayerFit:
    """What a spiking layer needs.

    Attributes:
        shape: channels, rows, columns.
        fan_in: weights that enter a neuron.
        targets: layers that its spikes go to, with the readout.
        weights: of its convolution.
        weight_bits: with which rounding changes the weights by less than MAX_WEIGHT_ERROR.
    """

    name: str
    shape: tuple[int, int, int]
    kernel: int
    fan_in: int
    targets: int
    weights: int
    weight_bits: int

    @property
    def neurons(self) -> int:
        """Number of neurons."""
        return int(np.prod(self.shape))


def layer_fits(checkpoint: Checkpoint) -> list[LayerFit]:
    """Return what each spiking layer of a model needs."""
    snn, view = checkpoint.network.snn, checkpoint.config.view
    sizes = snn.layer_sizes(view.grid_height, view.grid_width)
    fits = []
    for name in SPIKING_LAYERS:
        weights, _ = folded(snn.synapses[name])
        targets = sum(name in inputs for inputs in INPUTS.values())
        fits.append(
            LayerFit(
                name,
                (snn.layer_channels[name], *sizes[name]),
                kernel=weights.shape[-1],
                fan_in=int(np.prod(weights.shape[1:])),
                targets=targets + (name in ("head", "up3")),
                weights=weights.size,
                weight_bits=bits_of(weights),
            )
        )
    return fits


def bits_of(weights: np.ndarray) -> int:
    """Return the bits of a weight with which rounding errs by less than MAX_WEIGHT_ERROR.

    Rounding is to whole multiples of one step per layer, symmetric about zero.
    """
    size = np.sqrt(np.mean(weights.astype(np.float64) ** 2))
    for bits in range(2, MAX_BITS):
        step = np.abs(weights).max() / (2 ** (bits - 1) - 1)
        error = np.sqrt(np.mean((np.round(weights / step) * step - weights) ** 2))
        if error < MAX_WEIGHT_ERROR * size:
            return bits
    return MAX_BITS


def misfits(fits: Sequence[LayerFit], chip: Chip) -> list[str]:
    """Return what of a network exceeds a chip's limits, one phrase each; none: it fits."""
    found = []
    neurons = sum(fit.neurons for fit in fits)
    synapses = sum(fit.neurons * fit.fan_in for fit in fits)
    for what, need, limit in (
        ("layers", len(fits), chip.layers),
        ("neurons", neurons, chip.neurons),
        ("synapses, unshared", synapses, chip.synapses),
    ):
        if limit is not None and need > limit:
            found.append(f"{need:,} {what} of {limit:,}")
    for fit in fits:
        for what, need, limit in (
            ("rows or columns", max(fit.shape[1:]), chip.side),
            ("channels", fit.shape[0], chip.channels),
            ("kernel", fit.kernel, chip.kernel),
            ("targets", fit.targets, chip.targets),
            ("bits of a weight", fit.weight_bits, chip.weight_bits),
        ):
            if limit is not None and need > limit:
                found.append(f"{fit.name}: {need} {what} of {limit}")
    return found


def fit_page(checkpoint: Checkpoint) -> str:
    """Return tables of what the layers need and of how that fits the chips, as Markdown."""
    fits = layer_fits(checkpoint)
    rows = [
        (
            fit.name,
            "x".join(map(str, fit.shape)),
            f"{fit.neurons:,}",
            str(fit.kernel),
            str(fit.fan_in),
            str(fit.targets),
            f"{fit.weights:,}",
            str(fit.weight_bits),
        )
        for fit in fits
    ]
    total = (sum(fit.neurons for fit in fits), sum(fit.weights for fit in fits))
    rows.append(("all", "", f"{total[0]:,}", "", "", "", f"{total[1]:,}", ""))
    heads = ("layer", "shape", "neurons", "kernel", "fan-in", "targets", "weights", "weight bits")
    chips = [(chip.name, "; ".join(misfits(fits, chip)) or "fits", chip.source) for chip in CHIPS]
    return "\n\n".join(
        [
            f"SNN of the model {checkpoint.config.name} {checkpoint.digest}",
            table(heads, rows, text=(0, 1)),
            table(("chip", "what exceeds its limits", "limits from"), chips, text=range(3)),
            f"Weight bits: rounding changes the weights by less than {MAX_WEIGHT_ERROR:.0%}. Not "
            "compared: upsampling of currents, the soft reset, a leak per channel, and the "
            "velocities of the joints.",
        ]
    )
