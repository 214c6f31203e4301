# SPDX-License-Identifier: Apache-2.0
"""Confidence against error."""

import numpy as np
import pytest

from hybrid_pose_ros.metrics.reliability import reliability


def test_bins_hold_counts_mean_errors_and_shares_found() -> None:
    confidence = np.array((0.0, 0.05, 0.1, 0.55, 0.58, 1.0))
    error = np.array((30.0, 50.0, 20.0, 8.0, 14.0, 10.0))
    bins = reliability(confidence, error).bins
    assert [b.count for b in bins] == [2, 1, 0, 0, 0, 2, 0, 0, 0, 1]
    assert bins[0].mean_error_px == pytest.approx(40.0)
    assert bins[5].found == pytest.approx(0.5)
    assert bins[5].mean_confidence == pytest.approx(0.565)
    assert bins[9].found == pytest.approx(1.0)  # 10 px is near enough
    assert np.isnan(bins[2].mean_error_px)
    assert [b.low for b in bins] == pytest.approx(np.arange(10) / 10)


def test_confidence_in_the_order_of_the_errors_is_perfect() -> None:
    error = np.linspace(1, 40, 50)
    judged = reliability(1 / (1 + error), error)
    assert judged.auc == pytest.approx(1.0)
    assert judged.rank_correlation == pytest.approx(-1.0)
    assert reliability(error / 50, error).auc == pytest.approx(0.0)


def test_confidence_that_knows_nothing() -> None:
    rng = np.random.default_rng(0)
    judged = reliability(rng.random(20_000), rng.exponential(10, 20_000))
    assert judged.auc == pytest.approx(0.5, abs=0.02)
    assert judged.rank_correlation == pytest.approx(0.0, abs=0.03)
    # one confidence for all: ties count a half
    assert reliability(np.full(4, 0.5), np.array((1.0, 2, 30, 40))).auc == 0.5


def test_nothing_to_tell_apart_is_nan() -> None:
    assert np.isnan(reliability(np.array((0.1, 0.9)), np.array((1.0, 2.0))).auc)
    assert np.isnan(reliability(np.array((0.5, 0.5)), np.array((1.0, 2.0))).rank_correlation)
