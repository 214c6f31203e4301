# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest

from hybrid_pose_ros.research.benchmark.statistics import (
    fit_line,
    latency_percentiles,
    paired_ratios,
)


def test_percentiles_are_those_of_the_delays_in_milliseconds():
    delays_ns = np.arange(1001) * 1_000_000  # 0 to 1000 ms
    found = latency_percentiles(np.random.default_rng(0).permutation(delays_ns))
    assert found == pytest.approx({"p50_ms": 500.0, "p99_ms": 990.0, "p999_ms": 999.0})


def test_without_delays_there_are_no_percentiles():
    empty = np.empty(0, np.int64)
    assert latency_percentiles(empty) == {"p50_ms": None, "p99_ms": None, "p999_ms": None}


def test_ratios_are_taken_pair_by_pair():
    # the machine was ten times slower in the second run: the medians alone would say 2.5
    times = {"ours": [1.0, 10.0, 1.0, 2.0], "theirs": [3.0, 30.0, 3.0, 6.0]}
    assert paired_ratios(times, "ours") == {"theirs": 3.0}


def test_a_line_is_found_exactly():
    line = fit_line([0.0, 1.0, 2.0, 10.0], [0.5, 2.5, 4.5, 20.5])
    assert (line.constant, line.slope, line.r2) == pytest.approx((0.5, 2.0, 1.0))


def test_a_line_through_scatter_is_that_of_least_squares():
    # worked by hand: means 1 and 2; slope 3/2; residuals 1/2, -1, 1/2 of a total of 6
    line = fit_line([0.0, 1.0, 2.0], [1.0, 1.0, 4.0])
    assert (line.constant, line.slope, line.r2) == pytest.approx((0.5, 1.5, 0.75))


def test_points_at_one_place_make_no_line():
    with pytest.raises(ValueError, match="two places"):
        fit_line([1.0, 1.0], [2.0, 3.0])
