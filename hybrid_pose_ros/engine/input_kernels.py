# SPDX-License-Identifier: Apache-2.0
"""Compiled kernels that turn event counts into the spikes that the sparse SNN takes in."""

import numpy as np
from numpy.typing import NDArray

from hybrid_pose_ros.engine import simd
from hybrid_pose_ros.engine.simd import LANES
from hybrid_pose_ros.engine.spikes import COLUMN_SHIFT, I64, Spikes, compiled

_COUNTS = 2 * LANES
"""Counts that are looked at in one go."""


@compiled
def encode_levels(counts: NDArray[np.uint16], levels: I64, out: Spikes) -> None:
    """Thermometer code of counts [2, H, W], H * W >= 16: channels OFF, ON of each level."""
    height, width = counts.shape[1], counts.shape[2]
    flat = counts.reshape(-1)
    n = 0
    out.starts[0] = 0
    for y in range(height):
        for polarity in range(2):
            begin = (polarity * height + y) * width
            for first in range(0, width, _COUNTS):
                # the last block of a row may reach into the next, and must not leave the map
                place = min(begin + first, len(flat) - _COUNTS)
                some = simd.nonzero(flat, place)
                while some:
                    x = place + simd.lowest_bit(some) - begin
                    some &= some - 1
                    if x < first or x >= width:
                        continue
                    for i in range(len(levels)):
                        if flat[begin + x] >= levels[i]:
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
