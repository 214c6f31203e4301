# SPDX-License-Identifier: Apache-2.0
"""Compiled kernels of the sparse SNN's accumulator: motion, readout and decoding.

The 13 maps lie side by side: a cell is a vector of 16 float32, of which three are always zero. The
buffer is [H, W + 6, 16], flat: the three cells on both sides of a row stay zero, so that maps are
moved without a check for the border.
"""

import math
from typing import Final, NamedTuple

import numpy as np

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
    spikes_at,
)
from hybrid_pose_ros.networks.heatmap_motion import ATTENTION_FLOOR, MAX_VELOCITY, SHIFT_REACH
from hybrid_pose_ros.networks.heatmaps import LOG_FLOOR, MEAN_FLOOR, UNSURE
from hybrid_pose_ros.skeleton import NUM_JOINTS

_TAPS = 2 * SHIFT_REACH + 1

ROWS: Final = 16
"""Rows that a step holds between its two passes; at least 12."""


class Output(NamedTuple):
    """Inputs and outputs of a step of the accumulator.

    Attributes:
        a, b: the spikes that are read; those of ``b`` have the weights from ``first_b`` on.
        first_b: number of channels of ``a``.
        wide, first_wide: spikes on the grid of half the resolution and their first feature.
        cells: W.
        maps: changed in place.
        decay: that of each joint, [16].
        readout: [in, 16], flat.
        velocity: (x, y) in cells per step, [13, 2], changed in place; beyond the limit it is cut
            off. Without rows where nothing moves; then what follows is empty.
        inertia: what is left of the velocity of each joint without spikes, [13].
        weights: [features, 13, 3, 16], flat: what a feature around a joint says of all joints.
        sums: room for a row of the maps, [(W + 6) * 16].
        pooled: room for [features + 3, 16], flat; the last three for what was read.
        taps: room for those of x and y, [2, 7, 16], flat.
        rows: room for :data:`ROWS` rows moved along x, [ROWS, W, 16], flat: they are used up
            while they are in the nearest caches.
    """

    a: Spikes
    b: Spikes
    first_b: int
    wide: Spikes
    first_wide: int
    cells: int
    maps: F32
    decay: F32
    readout: F32
    velocity: F32
    inertia: F32
    weights: F32
    sums: F32
    pooled: F32
    taps: F32
    rows: F32


@inner
def _read_out(spikes: Spikes, first: int, weights: F32, y: int, row: F32, begin: int) -> None:
    """Add the spikes of row ``y``, whose weights begin at ``first``, each to its own cell."""
    for n in range(spikes.starts[y], spikes.starts[y + 1]):
        entry = np.int64(spikes.entries[n])
        cell, channel = entry >> COLUMN_SHIFT, first + (entry & CHANNEL_MASK)
        simd.add(row, begin + cell * LANES, weights, channel * LANES)


@inner
def _accumulate(output: Output) -> None:
    """Let the maps decay, where they are, and add the increment."""
    maps, decay = output.maps, output.decay
    length = (output.cells + 2 * SHIFT_REACH) * LANES
    for y in range(len(maps) // length):
        for x in range(length // LANES):
            for j in range(LANES):
                maps[y * length + x * LANES + j] *= decay[j]
        begin = y * length + SHIFT_REACH * LANES
        _read_out(output.a, 0, output.readout, y, maps, begin)
        _read_out(output.b, output.first_b, output.readout, y, maps, begin)


@inner
def _attend(spikes: Spikes, first: int, maps: F32, length: int, pooled: F32) -> None:
    """Add to the channels that fired how much of each joint lies where they did."""
    for y in range(len(spikes.starts) - 1):
        begin = y * length + SHIFT_REACH * LANES
        for n in range(spikes.starts[y], spikes.starts[y + 1]):
            entry = np.int64(spikes.entries[n])
            cell, channel = entry >> COLUMN_SHIFT, first + (entry & CHANNEL_MASK)
            simd.add_attention(pooled, channel * LANES, maps, begin + cell * LANES)


@inner
def _attend_halved(spikes: Spikes, first: int, maps: F32, length: int, pooled: F32) -> None:
    """The same for spikes on the grid of half the resolution, each of which has four cells."""
    for y in range(len(spikes.starts) - 1):
        for row in range(2 * y, min(2 * y + 2, len(maps) // length)):
            begin = row * length + SHIFT_REACH * LANES
            for n in range(spikes.starts[y], spikes.starts[y + 1]):
                entry = np.int64(spikes.entries[n])
                channel = first + (entry & CHANNEL_MASK)
                cell = begin + 2 * (entry >> COLUMN_SHIFT) * LANES
                simd.add_attention(pooled, channel * LANES, maps, cell)
                simd.add_attention(pooled, channel * LANES, maps, cell + LANES)


@inner
def _accelerate(output: Output) -> None:
    """Change the velocities by the spikes around the joints."""
    maps, weights, inertia = output.maps, output.weights, output.inertia
    velocity, sums, pooled = output.velocity, output.sums, output.pooled
    length = len(sums)
    simd.clear_run(sums, 0, length // LANES)
    for y in range(len(maps) // length):
        begin = y * length
        for i in range(0, length, LANES):
            simd.add_attention(sums, i, maps, begin + i)
    for i in range(LANES, length, LANES):
        simd.add_run(sums, 0, sums, i, 1)
    simd.clear_run(pooled, 0, len(pooled) // LANES)
    _attend(output.a, 0, maps, length, pooled)
    _attend(output.b, output.first_b, maps, length, pooled)
    _attend_halved(output.wide, output.first_wide, maps, length, pooled)
    read = len(pooled) - 3 * LANES
    for i in range(read):
        j = i % LANES
        if pooled[i] == 0.0 or j >= NUM_JOINTS:
            continue
        value = pooled[i] / (sums[j] + np.float32(ATTENTION_FLOOR))
        source = 3 * LANES * (i // LANES * NUM_JOINTS + j)
        for k in range(0, 3 * LANES, LANES):
            simd.add_scaled(pooled, read + k, weights, source + k, value)
    for j in range(NUM_JOINTS):
        loss = pooled[read + 2 * LANES + j]
        kept = min(inertia[j] * np.exp(-loss), np.float32(1.0))
        for axis in range(2):
            velocity[j, axis] = kept * velocity[j, axis] + pooled[read + axis * LANES + j]


@inner
def _shift_taps(velocity: F32, axis: int, taps: F32) -> bool:
    """Weights of a shift along an axis, as ``heatmap_motion.cubic_taps`` gives them.

    Args:
        velocity: in cells per step, [13, 2].
        axis: 0 for x, 1 for y.
        taps: [7, 16], flat; tap k is the weight of the value k - 3 cells further on.

    Returns:
        Whether the first and the last tap of a joint may differ from zero.
    """
    wide = False
    for j in range(NUM_JOINTS):
        shift = min(max(velocity[j, axis], np.float32(-MAX_VELOCITY)), np.float32(MAX_VELOCITY))
        wide |= abs(shift) > 1.0
        for k in range(_TAPS):
            t = abs(shift + np.float32(k - SHIFT_REACH))
            weight = 0.0
            if t < 1.0:
                weight = ((0.5 * t - 1.0) * t - 0.5) * t + 1.0
            elif t < 2.0:
                weight = ((-t / 6.0 + 1.0) * t - 11.0 / 6.0) * t + 1.0
            taps[k * LANES + j] = weight
    return wide


@inner
def _move(output: Output) -> None:
    """Move each map by its velocity, let it decay, and add the increment."""
    maps, velocity, decay, cells = output.maps, output.velocity, output.decay, output.cells
    taps, rows = output.taps, output.rows
    length, inner = (cells + 2 * SHIFT_REACH) * LANES, cells * LANES
    height = len(maps) // length
    blocks = inner // LANES
    columns = taps[_TAPS * LANES :]
    wide_x, wide_y = _shift_taps(velocity, 0, taps), _shift_taps(velocity, 1, columns)
    for k in range(_TAPS):
        for j in range(LANES):
            columns[k * LANES + j] *= decay[j]
    simd.clear_run(rows, 0, (_TAPS - 1) * blocks)
    place = _TAPS - 1  # where the next row goes
    for y in range(height + SHIFT_REACH):
        target = place * inner
        if y >= height:
            simd.clear_run(rows, target, blocks)
        elif wide_x:
            simd.convolve_7(rows, target, maps, y * length, taps, 0, LANES, cells)
        else:
            simd.convolve_5(rows, target, maps, y * length + LANES, taps, LANES, LANES, cells)
        row = y - SHIFT_REACH
        if row >= 0:
            target, source = row * length + SHIFT_REACH * LANES, (place - _TAPS + 1) * inner
            if wide_y:
                simd.convolve_7(maps, target, rows, source, columns, 0, inner, cells)
            else:
                simd.convolve_5(maps, target, rows, source + inner, columns, LANES, inner, cells)
            _read_out(output.a, 0, output.readout, row, maps, target)
            _read_out(output.b, output.first_b, output.readout, row, maps, target)
        place += 1
        if place == ROWS:  # go on at the top with the rows that are still needed
            place = _TAPS - 1
            simd.copy_run(rows, 0, rows, (ROWS - place) * inner, place * blocks)


@inner
def _output(plan: I64) -> Output:
    """The output whose parts a plan names."""
    return Output(
        spikes_at(plan, 0),
        spikes_at(plan, 3),
        plan[6, 0],
        spikes_at(plan, 7),
        plan[10, 0],
        plan[11, 0],
        floats_at(plan, 12),
        floats_at(plan, 13),
        floats_at(plan, 14),
        float_pairs_at(plan, 15),
        floats_at(plan, 16),
        floats_at(plan, 17),
        floats_at(plan, 18),
        floats_at(plan, 19),
        floats_at(plan, 20),
        floats_at(plan, 21),
    )


@compiled
def advance(plan: I64) -> None:
    """One step of the accumulator; ``plan`` [parts, 2] names its :class:`Output`."""
    output = _output(plan)
    if len(output.velocity):
        _accelerate(output)
        _move(output)
    else:
        _accumulate(output)


@inner
def _vertex(before: float, peak: float, after: float) -> float:
    """Offset of the top of the parabola through the logarithms of three values, one apart."""
    low = math.log(max(before, LOG_FLOOR))
    middle = math.log(max(peak, LOG_FLOOR))
    high = math.log(max(after, LOG_FLOOR))
    curvature = min(low - 2.0 * middle + high, -1e-6)
    return min(max(0.5 * (low - high) / curvature, -0.5), 0.5)


@inner
def _mean(maps: F32, best: F32, cells: int, length: int, peak: float) -> tuple[float, float]:
    """The mean (x, y) of where a joint may be.

    Args:
        maps: from its first cell on.
        best: the highest value in each column of cells, from the first on.
        cells: W.
        length: distance of two rows.
        peak: its highest value, above 0.
    """
    floor = MEAN_FLOOR * peak
    total = total_x = total_y = 0.0
    for x in range(cells):
        if best[x * LANES] <= floor:
            continue
        for y, i in enumerate(range(x * LANES, len(maps), length)):
            above = maps[i] - floor
            if above > 0.0:
                total += above
                total_x += above * x
                total_y += above * y
    return total_x / total, total_y / total


@compiled
def decode(maps: F32, cells: int, best: F32, points: F32, confidence: F32) -> None:
    """Find the joints: :func:`hybrid_pose_ros.networks.heatmaps.decode_heatmaps`.

    Args:
        maps: [H, W + 6, 16], flat.
        cells: W.
        best: room for a row of the maps, [(W + 6) * 16].
        points: receives (x, y) in cells, [13, 2].
        confidence: receives the highest values, clipped to [0, 1], [13].
    """
    length = len(best)
    height = len(maps) // length
    best.fill(-np.inf)
    for y in range(height):
        begin = y * length
        for i in range(0, length, LANES):
            simd.raise_to(best, i, maps, begin + i)
    for j in range(NUM_JOINTS):
        first = SHIFT_REACH * LANES + j
        peak = best[first]
        for x in range(1, cells):
            peak = max(peak, best[first + x * LANES])
        row, column = height, 0
        for x in range(cells):
            if best[first + x * LANES] != peak:
                continue
            for y in range(row):
                if maps[y * length + first + x * LANES] == peak:
                    row, column = y, x
                    break
        confidence[j] = min(max(peak, np.float32(0.0)), np.float32(1.0))
        if 0.0 < peak < UNSURE:
            points[j, 0], points[j, 1] = _mean(maps[first:], best[first:], cells, length, peak)
            continue
        i = row * length + first + column * LANES
        points[j, 0], points[j, 1] = column, row
        if 0 < column < cells - 1:
            points[j, 0] += _vertex(maps[i - LANES], peak, maps[i + LANES])
        if 0 < row < height - 1:
            points[j, 1] += _vertex(maps[i - length], peak, maps[i + length])
