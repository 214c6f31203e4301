# SPDX-License-Identifier: Apache-2.0
"""Compiled kernels of the sparse SNN: their cost follows the spikes.

Spikes are lists (:class:`Spikes`). A layer is computed row by row: the weights of all spikes that
reach a row are added up in a buffer that stays in the nearest cache, and then the row's neurons
leak, charge and fire at once, 16 at a time, and append to the layer's own list. Maps are float32
in channels-last order, their channels filled up to a multiple of 16 with neurons that never fire.
Every kernel writes into arrays that its caller owns and allocates nothing.
"""

from typing import Final, NamedTuple

import numba
import numpy as np
from numpy.typing import NDArray

from hybrid_pose_ros.inference import simd
from hybrid_pose_ros.inference.simd import LANES

F32 = NDArray[np.float32]
I64 = NDArray[np.int64]

compiled = numba.njit(cache=True, fastmath={"contract", "nsz"})

COLUMN_SHIFT: Final = 16
COLUMN: Final = 1 << COLUMN_SHIFT
CHANNEL_MASK: Final = COLUMN - 1


class Spikes(NamedTuple):
    """What is not zero in a map, in order of rows.

    Attributes:
        starts: [h + 1]; the entries of row y are those from ``starts[y]`` to ``starts[y + 1]``.
        entries: [capacity]; column * 2**16 + channel of each.
        values: [capacity] where they differ; [0] where all are 1.
    """

    starts: NDArray[np.int32]
    entries: NDArray[np.int32]
    values: F32


class Synapses(NamedTuple):
    """A 'same' convolution with BatchNorm, scaled by the leak of the neurons that it feeds.

    Attributes:
        weights: flat [in, k, k * C]: for each row of the kernel the weights that an input adds to
            neighbouring cells, from left to right. With stride 2 an input reaches every other
            column of the kernel: first come those of one phase, then those of the other.
        bias: [(w + 2 * (k // 2)) * C], that of every cell of a row and of its margins.
        kernel, stride, channels: k, 1 or 2, and C, a multiple of 16.
    """

    weights: F32
    bias: F32
    kernel: int
    stride: int
    channels: int


class Resampling(NamedTuple):
    """Bilinear interpolation from [h, w] to [H, W].

    ``rows`` [H, 2] and ``row_weights`` [H, 2] name the two source rows of each row and their
    weights; likewise the columns.
    """

    rows: I64
    row_weights: F32
    columns: I64
    column_weights: F32


@compiled
def encode_levels(counts: NDArray[np.uint16], levels: I64, out: Spikes) -> None:
    """Thermometer code of counts [2, H, W]: channels OFF, ON of each level."""
    n = 0
    out.starts[0] = 0
    for y in range(counts.shape[1]):
        for polarity in range(2):
            for x in range(counts.shape[2]):
                count = counts[polarity, y, x]
                if count == 0:
                    continue
                for i in range(len(levels)):
                    if count >= levels[i]:
                        out.entries[n] = (x << COLUMN_SHIFT) + 2 * i + polarity
                        n += 1
        out.starts[y + 1] = n


@compiled
def encode_counts(counts: NDArray[np.uint16], out: Spikes) -> None:
    """Counts [2, H, W] as values of two channels."""
    n = 0
    out.starts[0] = 0
    for y in range(counts.shape[1]):
        for polarity in range(2):
            for x in range(counts.shape[2]):
                count = counts[polarity, y, x]
                if count:
                    out.entries[n] = (x << COLUMN_SHIFT) + polarity
                    out.values[n] = count
                    n += 1
        out.starts[y + 1] = n


@compiled
def _collect(spikes: Spikes, first: int, synapses: Synapses, y: int, row: F32, begin: int) -> None:
    """Add to a row of currents what spikes say.

    Args:
        spikes: the input; its channels are those from ``first`` of the weights.
        synapses: between the two.
        y: number of the output row.
        row: holds it from ``begin`` on, with k // 2 cells of margin on both sides.
    """
    kernel, stride, channels = synapses.kernel, synapses.stride, synapses.channels
    weights, pad = synapses.weights, kernel // 2
    length = kernel * channels
    near = (kernel - 1) // stride + 1  # cells that an input of phase 0 reaches
    valued = len(spikes.values) > 0
    for ky in range(kernel):
        below = y * stride + ky - pad
        if below < 0 or below >= len(spikes.starts) - 1:
            continue
        for n in range(spikes.starts[below], spikes.starts[below + 1]):
            entry = np.int64(spikes.entries[n])
            x = entry >> COLUMN_SHIFT
            source = ((first + (entry & CHANNEL_MASK)) * kernel + ky) * length
            target, run = begin + x * channels, length // LANES
            if stride == 2:
                phase = (x + pad) & 1
                cells = kernel - near if phase else near
                last = phase + 2 * (cells - 1)
                target = begin + (((x + pad - last) >> 1) + pad) * channels
                source += phase * near * channels
                run = cells * channels // LANES
            if valued:
                for i in range(run):
                    k = i * LANES
                    simd.add_scaled(row, target + k, weights, source + k, spikes.values[n])
            else:
                simd.add_run(row, target, weights, source, run)


@compiled
def fire(
    a: Spikes,
    b: Spikes,
    first_b: int,
    synapses: Synapses,
    names: NDArray[np.int32],
    keep: F32,
    membrane: F32,
    row: F32,
    out: Spikes,
) -> None:
    """One step of a layer whose inputs have its own resolution, or with stride 2 twice that.

    Args:
        a, b: the inputs; the channels of ``b`` begin at ``first_b``.
        synapses: from both to the layer.
        names: the entry of each neuron of a row, [w * C].
        keep: 1 - leak of each, [w * C].
        membrane: flat [h, w, C].
        row: room for a row of currents, [(w + 2 * (k // 2)) * C].
        out: the layer's spikes.
    """
    margin = synapses.kernel // 2 * synapses.channels
    n = 0
    out.starts[0] = 0
    for y in range(len(out.starts) - 1):
        simd.copy_run(row, 0, synapses.bias, 0, len(row) // LANES)
        _collect(a, 0, synapses, y, row, 0)
        _collect(b, first_b, synapses, y, row, 0)
        begin = y * len(keep)
        for block in range(len(keep) // LANES):
            i = block * LANES
            fired = simd.fire(membrane, begin + i, keep, i, row, margin + i)
            while fired:
                out.entries[n] = names[i + simd.lowest_bit(fired)]
                n += 1
                fired &= fired - 1
        out.starts[y + 1] = n


@compiled
def fire_upsampled(
    a: Spikes,
    b: Spikes,
    first_b: int,
    synapses: Synapses,
    names: NDArray[np.int32],
    keep: F32,
    membrane: F32,
    low: F32,
    mixed: F32,
    resampling: Resampling,
    out: Spikes,
) -> None:
    """One step of a layer whose currents are upsampled.

    Args:
        a, b, first_b, synapses, names, keep, membrane, out: as for :func:`fire`; the convolution
            runs at the resolution of the inputs [h, w].
        low: room for the currents there, [h * (w + 2 * (k // 2)) * C].
        mixed: room for a row of them, [(w + 2 * (k // 2)) * C].
        resampling: its columns are, for each 16 neurons of a row, where in ``mixed`` the two
            vectors of currents begin.
    """
    length = len(mixed)
    for y in range(len(low) // length):
        simd.copy_run(low, y * length, synapses.bias, 0, length // LANES)
        _collect(a, 0, synapses, y, low, y * length)
        _collect(b, first_b, synapses, y, low, y * length)
    n = 0
    out.starts[0] = 0
    for y in range(len(out.starts) - 1):
        top, bottom = resampling.rows[y, 0] * length, resampling.rows[y, 1] * length
        wt, wb = resampling.row_weights[y, 0], resampling.row_weights[y, 1]
        simd.mix_run(mixed, 0, low, top, wt, low, bottom, wb, length // LANES)
        begin = y * len(keep)
        for block in range(len(keep) // LANES):
            i = block * LANES
            left, right = resampling.columns[block, 0], resampling.columns[block, 1]
            wl, wr = resampling.column_weights[block, 0], resampling.column_weights[block, 1]
            fired = simd.fire_between(
                membrane, begin + i, keep, i, mixed, left, wl, mixed, right, wr
            )
            while fired:
                out.entries[n] = names[i + simd.lowest_bit(fired)]
                n += 1
                fired &= fired - 1
        out.starts[y + 1] = n


@compiled
def upsample(spikes: Spikes, channels: int, resampling: Resampling, row: F32, out: Spikes) -> None:
    """Upsample spikes of value 1 to values.

    Args:
        spikes: of ``channels`` channels at [h, w].
        row: room for one of their rows, [w * channels].
        out: the result at [H, W].
    """
    columns, column_weights = resampling.columns, resampling.column_weights
    n = 0
    out.starts[0] = 0
    for y in range(len(out.starts) - 1):
        row[:] = 0.0
        for side in range(2):
            source, weight = resampling.rows[y, side], resampling.row_weights[y, side]
            for k in range(spikes.starts[source], spikes.starts[source + 1]):
                entry = np.int64(spikes.entries[k])
                row[(entry >> COLUMN_SHIFT) * channels + (entry & CHANNEL_MASK)] += weight
        for x in range(len(columns)):
            left, right = columns[x, 0] * channels, columns[x, 1] * channels
            wl, wr = column_weights[x, 0], column_weights[x, 1]
            for c in range(channels):
                value = wl * row[left + c] + wr * row[right + c]
                if value != 0.0:
                    out.entries[n] = (x << COLUMN_SHIFT) + c
                    out.values[n] = value
                    n += 1
        out.starts[y + 1] = n
