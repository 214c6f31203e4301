# SPDX-License-Identifier: Apache-2.0
"""The vector operations, each against NumPy."""

import numba
import numpy as np
from numpy.typing import NDArray

from hybrid_pose_ros.inference import simd

F32 = NDArray[np.float32]
N = 16


def values(count: int, seed: int) -> F32:
    return np.random.default_rng(seed).normal(size=count).astype(np.float32)


@numba.njit
def sums(target: F32, source: F32) -> None:
    simd.add(target, 1, source, 3)
    simd.add_scaled(target, 20, source, 5, np.float32(2.5))
    simd.add_attention(target, 40, source, 7)
    simd.raise_to(target, 60, source, 9)
    simd.add_run(target, 80, source, 11, 3)
    simd.copy_run(target, 130, source, 13, 2)
    simd.mix_run(target, 170, source, 1, np.float32(0.25), source, 2, np.float32(0.75), 2)
    simd.clear_run(target, 210, 2)


def test_sums_change_their_own_values_only() -> None:
    target, source = values(250, 0), values(80, 1)
    expected = target.copy()
    expected[1:17] += source[3:19]
    expected[20:36] += np.float32(2.5) * source[5:21]
    expected[40:56] += np.maximum(source[7:23], 0) ** 2
    expected[60:76] = np.maximum(expected[60:76], source[9:25])
    expected[80:128] += source[11:59]
    expected[130:162] = source[13:45]
    expected[170:202] = 0.25 * source[1:33] + 0.75 * source[2:34]
    expected[210:242] = 0.0
    sums(target, source)
    assert np.allclose(target, expected, rtol=1e-6, atol=1e-6)


@numba.njit
def firing(membrane: F32, keep: F32, current: F32) -> tuple[int, int]:
    plain = simd.fire(membrane, 2, keep, 1, current, 3)
    wa, wb = np.float32(0.5), np.float32(1.5)
    between = simd.fire_between(membrane, 20, keep, 0, current, 4, wa, current, 9, wb)
    return plain, between


def test_neurons_leak_charge_fire_and_are_reset() -> None:
    membrane, keep = np.abs(values(40, 2)), np.abs(values(17, 3)).clip(0, 1)
    current = values(30, 4)
    keep[1], membrane[2], current[3] = 0.5, 1.0, 0.5  # exactly at the threshold: fires
    expected = membrane.copy()
    masks = []
    for place, kept, charge in (
        (slice(2, 18), keep[1:17], current[3:19]),
        (slice(20, 36), keep[:16], 0.5 * current[4:20] + 1.5 * current[9:25]),
    ):
        charged = kept * expected[place] + charge
        fired = charged >= 1.0
        expected[place] = charged - fired
        masks.append(int(sum(1 << i for i, yes in enumerate(fired) if yes)))
    assert firing(membrane, keep, current) == tuple(masks)
    assert masks[0] & 1 and masks[1]
    assert np.allclose(membrane, expected, atol=1e-6)


@numba.njit
def convolution(target: F32, source: F32, taps: F32) -> None:
    simd.convolve_5(target, 1, source, 2, taps, 16, 16, 3)
    simd.convolve_7(target, 50, source, 3, taps, 0, 20, 2)


def test_each_of_the_16_has_its_own_taps() -> None:
    target, source, taps = np.zeros(100, np.float32), values(200, 5), values(7 * N, 6)
    convolution(target, source, taps)
    expected = np.zeros(100, np.float32)
    own = taps.reshape(7, N)
    for x in range(3):
        for t in range(5):
            start = 2 + 16 * (x + t)
            expected[1 + 16 * x :][:N] += own[t + 1] * source[start : start + N]
    for x in range(2):
        for t in range(7):
            start = 3 + 16 * x + 20 * t
            expected[50 + 16 * x :][:N] += own[t] * source[start : start + N]
    assert np.allclose(target, expected, atol=1e-5)


@numba.njit
def bits(mask: int) -> int:
    return simd.lowest_bit(mask)


def test_lowest_bit() -> None:
    assert [bits(mask) for mask in (1, 2, 12, 1 << 15, 0b1010000)] == [0, 1, 2, 15, 4]
