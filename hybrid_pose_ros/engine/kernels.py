# SPDX-License-Identifier: Apache-2.0
"""Compiled kernels of the sparse SNN: their cost follows the spikes.

Spikes are lists (:class:`Spikes`). A layer is computed row by row: the weights of all spikes that
reach a row are added up in a buffer that stays in the nearest cache, and then the row's neurons
leak, charge and fire at once, 64 at a time, and append to the layer's own list. Maps are float32
in channels-last order, their channels filled up to a multiple of 16 with neurons that never fire.
Every kernel writes into arrays that its caller owns and allocates nothing.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hybrid_pose_ros.engine import simd
from hybrid_pose_ros.engine.simd import LANES
from hybrid_pose_ros.engine.spikes import (
    CHANNEL_MASK,
    COLUMN_SHIFT,
    F32,
    I64,
    Spikes,
    compiled,
    float_pairs_at,
    floats_at,
    inner,
    integers_at,
    pairs_at,
    spikes_at,
)

_NEURONS = 4 * LANES
"""Neurons that are advanced in one go, as many as bits in the mask of those that fired."""


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


class Layer(NamedTuple):
    """Inputs and outputs of a layer.

    Attributes:
        a, b: the inputs; that of a layer with one input has no rows.
        channels_a, channels_b: their numbers of channels.
        synapses: from both, one after the other, to the layer.
        names: the entry of each neuron of a row, [w * C].
        keep: 1 - leak of each, [w * C].
        membrane: flat [h, w, C].
        out: the layer's spikes.
        row: room for a row of currents, with margins of k // 2 cells, or of what is resampled.
        skip: what a spike of ``b`` adds to the one neuron that it reaches, [C], where it is not
            convolved; else empty.
        between: room for two rows of currents that are upsampled along x alone, [2 * w * C];
            empty where they are not.
        resampling: of the currents; its columns are, for each 16 neurons of a row, where in
            ``row`` the two vectors of currents begin. Or of the spikes. Empty where nothing is.
        upsampled_a, upsampled_b: room for the inputs once they are upsampled; without rows where
            they are not.
        mixed: room for a row of the inputs, at their resolution.
    """

    a: Spikes
    b: Spikes
    channels_a: int
    channels_b: int
    synapses: Synapses
    names: NDArray[np.int32]
    keep: F32
    membrane: F32
    out: Spikes
    row: F32
    skip: F32
    between: F32
    resampling: Resampling
    upsampled_a: Spikes
    upsampled_b: Spikes
    mixed: F32


@inner
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


@inner
def _skip(spikes: Spikes, skip: F32, y: int, row: F32, begin: int) -> None:
    """Add the spikes of row ``y``, each to its own neuron."""
    for n in range(spikes.starts[y], spikes.starts[y + 1]):
        entry = np.int64(spikes.entries[n])
        channel = entry & CHANNEL_MASK
        row[begin + (entry >> COLUMN_SHIFT) * len(skip) + channel] += skip[channel]


@inner
def _append(out: Spikes, n: int, names: NDArray[np.int32], first: int, fired: int) -> int:
    """Append the neurons of a mask to spikes, of which there are ``n``; return their number."""
    while fired:
        out.entries[n] = names[first + simd.lowest_bit(fired)]
        n += 1
        fired &= fired - 1
    return n


@inner
def _fire(layer: Layer, a: Spikes, b: Spikes) -> None:
    """One step of a layer whose inputs have its own resolution, or with stride 2 twice that."""
    synapses, names, keep = layer.synapses, layer.names, layer.keep
    membrane, row, out = layer.membrane, layer.row, layer.out
    margin = synapses.kernel // 2 * synapses.channels
    whole = len(keep) - len(keep) % _NEURONS
    n = 0
    out.starts[0] = 0
    for y in range(len(out.starts) - 1):
        simd.copy_run(row, 0, synapses.bias, 0, len(row) // LANES)
        _collect(a, 0, synapses, y, row, 0)
        if len(layer.skip):
            _skip(b, layer.skip, y, row, margin)
        else:
            _collect(b, layer.channels_a, synapses, y, row, 0)
        begin = y * len(keep)
        for i in range(0, whole, _NEURONS):
            fired = simd.fire_4(membrane, begin + i, keep, i, row, margin + i)
            n = _append(out, n, names, i, fired)
        for i in range(whole, len(keep), LANES):
            fired = simd.fire(membrane, begin + i, keep, i, row, margin + i)
            n = _append(out, n, names, i, fired)
        out.starts[y + 1] = n


@inner
def _widen(layer: Layer, y: int) -> None:
    """Make row ``y`` of the currents that are upsampled, and upsample it along x."""
    synapses, row, between = layer.synapses, layer.row, layer.between
    resampling = layer.resampling
    simd.copy_run(row, 0, synapses.bias, 0, len(row) // LANES)
    _collect(layer.a, 0, synapses, y, row, 0)
    _collect(layer.b, layer.channels_a, synapses, y, row, 0)
    begin = (y & 1) * len(layer.keep)
    for block in range(len(resampling.columns)):
        left, right = resampling.columns[block, 0], resampling.columns[block, 1]
        wl, wr = resampling.column_weights[block, 0], resampling.column_weights[block, 1]
        simd.mix(between, begin + block * LANES, row, left, wl, row, right, wr)


@inner
def _fire_upsampled(layer: Layer) -> None:
    """One step of a layer whose currents are upsampled."""
    names, keep, membrane, out = layer.names, layer.keep, layer.membrane, layer.out
    between, resampling = layer.between, layer.resampling
    whole = len(keep) - len(keep) % _NEURONS
    ready = n = 0
    out.starts[0] = 0
    for y in range(len(out.starts) - 1):
        upper, lower = resampling.rows[y, 0], resampling.rows[y, 1]
        while ready <= lower:
            _widen(layer, ready)
            ready += 1
        top, bottom = (upper & 1) * len(keep), (lower & 1) * len(keep)
        wt, wb = resampling.row_weights[y, 0], resampling.row_weights[y, 1]
        begin = y * len(keep)
        for i in range(0, whole, _NEURONS):
            fired = simd.fire_between_4(
                membrane, begin + i, keep, i, between, top + i, wt, between, bottom + i, wb
            )
            n = _append(out, n, names, i, fired)
        for i in range(whole, len(keep), LANES):
            fired = simd.fire_between(
                membrane, begin + i, keep, i, between, top + i, wt, between, bottom + i, wb
            )
            n = _append(out, n, names, i, fired)
        out.starts[y + 1] = n


@inner
def _upsample(
    spikes: Spikes, channels: int, resampling: Resampling, row: F32, out: Spikes
) -> None:
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
        row.fill(0.0)
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


@inner
def _layer(plan: I64) -> Layer:
    """The layer whose parts a plan names."""
    weights, bias = floats_at(plan, 8), floats_at(plan, 9)
    synapses = Synapses(weights, bias, plan[10, 0], plan[11, 0], plan[12, 0])
    resampling = Resampling(
        pairs_at(plan, 22), float_pairs_at(plan, 23), pairs_at(plan, 24), float_pairs_at(plan, 25)
    )
    return Layer(
        spikes_at(plan, 0),
        spikes_at(plan, 3),
        plan[6, 0],
        plan[7, 0],
        synapses,
        integers_at(plan, 13),
        floats_at(plan, 14),
        floats_at(plan, 15),
        spikes_at(plan, 16),
        floats_at(plan, 19),
        floats_at(plan, 20),
        floats_at(plan, 21),
        resampling,
        spikes_at(plan, 26),
        spikes_at(plan, 29),
        floats_at(plan, 32),
    )


@compiled
def advance(plans: I64) -> None:
    """One step of all layers.

    Args:
        plans: [layers, parts, 2], from :func:`hybrid_pose_ros.engine.spikes.plan` of each
            :class:`Layer`.
    """
    for i in range(len(plans)):
        layer = _layer(plans[i])
        if len(layer.between):
            _fire_upsampled(layer)
            continue
        a, b = layer.a, layer.b
        if len(layer.upsampled_a.starts):
            _upsample(a, layer.channels_a, layer.resampling, layer.mixed, layer.upsampled_a)
            _upsample(b, layer.channels_b, layer.resampling, layer.mixed, layer.upsampled_b)
            a, b = layer.upsampled_a, layer.upsampled_b
        _fire(layer, a, b)
