# SPDX-License-Identifier: Apache-2.0
"""Compiled kernels of the sparse SNN: their cost follows the spikes.

Maps are float32 in channels-last order [height, width, channels]. Every kernel writes into arrays
that its caller owns and allocates nothing.
"""

import numba
import numpy as np
from numpy.typing import NDArray

from hybrid_pose_ros.networks.motion import SHIFT_REACH
from hybrid_pose_ros.skeleton import NUM_JOINTS

F32 = NDArray[np.float32]

compiled = numba.njit(cache=True, fastmath={"contract", "nsz"})


@compiled
def encode_levels(counts: NDArray[np.uint16], levels: NDArray[np.int64], out: F32) -> None:
    """Thermometer code of counts [2, H, W] into [H, W, 2 * levels] (OFF, ON of each level)."""
    for y in range(counts.shape[1]):
        for x in range(counts.shape[2]):
            for polarity in range(2):
                count = counts[polarity, y, x]
                for i in range(len(levels)):
                    out[y, x, 2 * i + polarity] = 1.0 if count >= levels[i] else 0.0


@compiled
def encode_counts(counts: NDArray[np.uint16], out: F32) -> None:
    """Counts [2, H, W] into [H, W, 2]."""
    for y in range(counts.shape[1]):
        for x in range(counts.shape[2]):
            out[y, x, 0] = counts[0, y, x]
            out[y, x, 1] = counts[1, y, x]


@compiled
def scatter(spikes: F32, weights: F32, first_channel: int, stride: int, out: F32) -> None:
    """Add the weights of each non-zero input to the outputs it reaches ('same' convolution).

    Args:
        spikes: [h, w, C]; zeros cost one comparison.
        weights: [in, k, k, out]; the inputs are the C channels from ``first_channel``.
        stride: 1 or 2.
        out: [ceil(h / stride), ceil(w / stride), out], added to.
    """
    height, width, channels = spikes.shape
    out_height, out_width, out_channels = out.shape
    kernel = weights.shape[1]
    pad = kernel // 2
    for y in range(height):
        for x in range(width):
            for c in range(channels):
                value = spikes[y, x, c]
                if value == 0.0:
                    continue
                for ky in range(kernel):
                    row = y + pad - ky
                    if row < 0 or row % stride or row // stride >= out_height:
                        continue
                    for kx in range(kernel):
                        column = x + pad - kx
                        if column < 0 or column % stride or column // stride >= out_width:
                            continue
                        target = out[row // stride, column // stride]
                        weight = weights[first_channel + c, ky, kx]
                        for o in range(out_channels):
                            target[o] += value * weight[o]


@compiled
def integrate(current: F32, bias: F32, leak: F32, membrane: F32, spikes: F32) -> None:
    """One step of LIF neurons with soft reset; all maps [h, w, C], ``bias``, ``leak`` [C]."""
    height, width, channels = membrane.shape
    for y in range(height):
        for x in range(width):
            for c in range(channels):
                v = membrane[y, x, c]
                v += leak[c] * (current[y, x, c] + bias[c] - v)
                spike = np.float32(1.0) if v >= np.float32(1.0) else np.float32(0.0)
                spikes[y, x, c] = spike
                membrane[y, x, c] = v - spike


@compiled
def upsample(
    source: F32,
    rows: NDArray[np.int64],
    row_weights: F32,
    columns: NDArray[np.int64],
    column_weights: F32,
    out: F32,
) -> None:
    """Bilinear resampling of [h, w, C] to [H, W, C].

    ``rows`` [H, 2] and ``row_weights`` [H, 2] name the two source rows of each output row and
    their weights; likewise the columns.
    """
    height, width, channels = out.shape
    for y in range(height):
        top, bottom = source[rows[y, 0]], source[rows[y, 1]]
        wt, wb = row_weights[y, 0], row_weights[y, 1]
        for x in range(width):
            left, right = columns[x, 0], columns[x, 1]
            w00, w01 = wt * column_weights[x, 0], wt * column_weights[x, 1]
            w10, w11 = wb * column_weights[x, 0], wb * column_weights[x, 1]
            for c in range(channels):
                out[y, x, c] = (
                    w00 * top[left, c]
                    + w01 * top[right, c]
                    + w10 * bottom[left, c]
                    + w11 * bottom[right, c]
                )


@compiled
def attend(heatmaps: F32, weight: F32, total: F32) -> None:
    """Write the squared positive part of maps [H, W, 13] and add its sums to ``total`` [13]."""
    height, width = heatmaps.shape[:2]
    for y in range(height):
        for x in range(width):
            for j in range(NUM_JOINTS):
                positive = max(heatmaps[y, x, j], np.float32(0.0))
                weight[y, x, j] = positive * positive
                total[j] += positive * positive


@compiled
def read_out(
    spikes: F32, weights: F32, first_channel: int, around: F32, delta: F32, pooled: F32
) -> None:
    """Add what the spikes say to each joint: at their cell, and in sum around the joint.

    Args:
        spikes: [H, W, C].
        weights: [channels, 13]; the C channels of ``spikes`` are those from ``first_channel``.
        around: how much a spike in a cell concerns a joint, [H, W, 13].
        delta: [H, W, 13], the weights of each cell's spikes are added to it.
        pooled: [channels, 13], ``around`` is added to the rows of the channels that fired.
    """
    height, width, channels = spikes.shape
    for y in range(height):
        for x in range(width):
            for c in range(channels):
                if spikes[y, x, c] == 0.0:
                    continue
                weight, sums = weights[first_channel + c], pooled[first_channel + c]
                for j in range(NUM_JOINTS):
                    delta[y, x, j] += weight[j]
                    sums[j] += around[y, x, j]


@compiled
def shift_taps(velocity: F32, out: F32) -> None:
    """Weights of a shift along one axis: :func:`hybrid_pose_ros.networks.motion.cubic_taps`.

    Args:
        velocity: in cells, [13].
        out: [7, W, 13]; tap k is the weight of the value k - 3 cells further along the axis, that
            of each joint, repeated for every cell of a row.
    """
    taps, width = out.shape[:2]
    for k in range(taps):
        for j in range(NUM_JOINTS):
            t = abs(velocity[j] + (k - SHIFT_REACH))
            weight = 0.0
            if t < 1.0:
                weight = ((0.5 * t - 1.0) * t - 0.5) * t + 1.0
            elif t < 2.0:
                weight = ((-t / 6.0 + 1.0) * t - 11.0 / 6.0) * t + 1.0
            for x in range(width):
                out[k, x, j] = weight


@compiled
def shift_rows(maps: F32, taps: F32, padded: F32, out: F32) -> None:
    """Shift maps along their rows, each joint's by its own taps.

    Args:
        maps: [H, W * 13].
        taps: those of x, [7, W * 13].
        padded: room for a row, [(W + 6) * 13], whose first and last three cells are zero.
        out: [H, W * 13].
    """
    height, length = maps.shape
    margin = SHIFT_REACH * NUM_JOINTS
    for y in range(height):
        for i in range(length):
            padded[margin + i] = maps[y, i]
        for i in range(length):
            out[y, i] = (
                taps[0, i] * padded[i]
                + taps[1, i] * padded[i + NUM_JOINTS]
                + taps[2, i] * padded[i + 2 * NUM_JOINTS]
                + taps[3, i] * padded[i + 3 * NUM_JOINTS]
                + taps[4, i] * padded[i + 4 * NUM_JOINTS]
                + taps[5, i] * padded[i + 5 * NUM_JOINTS]
                + taps[6, i] * padded[i + 6 * NUM_JOINTS]
            )


@compiled
def shift_columns(rows: F32, taps: F32, decay: F32, delta: F32, out: F32) -> None:
    """Shift along the columns, decay, and add the increment.

    Args:
        rows: [H + 6, W * 13], whose first and last three rows are zero.
        taps: those of y, [7, W * 13].
        decay: of each joint, repeated for every cell of a row, [W * 13].
        delta, out: [H, W * 13].
    """
    height, length = out.shape
    for y in range(height):
        for i in range(length):
            moved = (
                taps[0, i] * rows[y, i]
                + taps[1, i] * rows[y + 1, i]
                + taps[2, i] * rows[y + 2, i]
                + taps[3, i] * rows[y + 3, i]
                + taps[4, i] * rows[y + 4, i]
                + taps[5, i] * rows[y + 5, i]
                + taps[6, i] * rows[y + 6, i]
            )
            out[y, i] = decay[i] * moved + delta[y, i]
