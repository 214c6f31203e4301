# SPDX-License-Identifier: Apache-2.0
"""The vector operations, each against NumPy."""

import sys
from concurrent.futures import ThreadPoolExecutor

import numba
import numpy as np
from numpy.typing import NDArray

from hybrid_pose_ros.engine import simd

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
    simd.mix(target, 170, source, 1, np.float32(0.25), source, 2, np.float32(0.75))
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
    expected[170:186] = 0.25 * source[1:17] + 0.75 * source[2:18]
    expected[210:242] = 0.0
    sums(target, source)
    assert np.allclose(target, expected, rtol=1e-6, atol=1e-6)


@numba.njit
def firing(membrane: F32, keep: F32, current: F32) -> tuple[int, int, int, int]:
    wa, wb = np.float32(0.5), np.float32(1.5)
    return (
        simd.fire(membrane, 2, keep, 1, current, 3),
        simd.fire_between(membrane, 20, keep, 0, current, 4, wa, current, 9, wb),
        simd.fire_4(membrane, 40, keep, 2, current, 5),
        simd.fire_between_4(membrane, 110, keep, 3, current, 6, wa, current, 8, wb),
    )


def test_neurons_leak_charge_fire_and_are_reset() -> None:
    membrane, keep = np.abs(values(180, 2)), np.abs(values(70, 3)).clip(0, 1)
    current = values(80, 4)
    keep[1], membrane[2], current[3] = 0.5, 1.0, 0.5  # exactly at the threshold: fires
    keep[65], membrane[103], current[68] = 1.0, 2.0, 0.0  # the last of 64
    expected = membrane.copy()
    masks = []
    for place, kept, charge in (
        (slice(2, 18), keep[1:17], current[3:19]),
        (slice(20, 36), keep[:16], 0.5 * current[4:20] + 1.5 * current[9:25]),
        (slice(40, 104), keep[2:66], current[5:69]),
        (slice(110, 174), keep[3:67], 0.5 * current[6:70] + 1.5 * current[8:72]),
    ):
        charged = kept * expected[place] + charge
        fired = charged >= 1.0
        expected[place] = charged - fired
        masks.append(sum(1 << i for i, yes in enumerate(fired) if yes))
    assert tuple(mask % 2**64 for mask in firing(membrane, keep, current)) == tuple(masks)
    assert masks[0] & 1 and masks[2] >> 63 and all(masks)
    assert np.allclose(membrane, expected, atol=1e-6)


@numba.njit
def some(counts: NDArray[np.uint16], i: int) -> int:
    return simd.nonzero(counts, i)


def test_what_is_not_zero_in_32_counts() -> None:
    counts = np.zeros(40, np.uint16)
    counts[[2, 3, 7, 34, 35]] = 1, 9, 256, 65535, 1
    assert some(counts, 3) == 1 << 0 | 1 << 4 | 1 << 31


def test_vectors_begin_at_cache_lines() -> None:
    for size in (1, 5, 160):
        made = [simd.zeros(3, size) for _ in range(8)]
        copies = [simd.aligned(values(size, seed)) for seed in range(8)]
        assert all(array.ctypes.data % 64 == 0 for array in made + copies)
        assert all(array.flags.c_contiguous and array.shape == (3, size) for array in made)
        assert all(np.array_equal(copy, values(size, seed)) for seed, copy in enumerate(copies))


def test_threads_share_no_array() -> None:
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(4) as pool:
            made = [*pool.map(lambda _: simd.zeros(16), range(4000))]
    finally:
        sys.setswitchinterval(interval)
    assert len({array.ctypes.data for array in made}) == len(made)


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
