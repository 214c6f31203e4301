# SPDX-License-Identifier: Apache-2.0
"""Compiled kernels of the sparse SNN: their cost follows the spikes.

Maps are float32 in channels-last order [height, width, channels]. Every kernel writes into arrays
that its caller owns and allocates nothing.
"""

import numba
import numpy as np
from numpy.typing import NDArray

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
