# SPDX-License-Identifier: Apache-2.0
"""The DVS model on frames whose events can be counted by hand."""

import numpy as np
import pytest

from hybrid_pose_ros.events.array import check_events
from hybrid_pose_ros.simulation.sensor import DynamicVisionSensor, SensorConfig

IDEAL = SensorConfig(
    threshold_on=0.25,
    threshold_off=0.2,
    mismatch=0.0,
    refractory_us=1.0,
    noise_hz=0.0,
    hot_pixels=0,
)
FULL = np.array((0, 0, 8, 6), np.int64)


def ideal(first: np.ndarray, **changes: float) -> DynamicVisionSensor:
    config = SensorConfig(**{**IDEAL.__dict__, **changes})
    return DynamicVisionSensor(config, first, np.random.default_rng(0))


def frame(value: float) -> np.ndarray:
    return np.full((6, 8), value, np.float32)


def test_a_static_scene_is_silent() -> None:
    sensor = ideal(frame(0.3))
    for start in range(0, 10_000, 1000):
        sensor.see(frame(0.3), FULL, start, 1000)
    assert len(sensor.collect(0, 10_000)) == 0


@pytest.mark.parametrize(("change", "polarity", "threshold"), [(1.6, 1, 0.25), (-1.6, 0, 0.2)])
def test_a_change_makes_as_many_events_as_thresholds_fit(
    change: float, polarity: int, threshold: float
) -> None:
    sensor = ideal(frame(0.0))
    sensor.see(frame(change), FULL, 5000, 1000)
    events = sensor.collect(0, 10_000)
    counts = np.zeros((6, 8), int)
    np.add.at(counts, (events["y"], events["x"]), 1)
    # the start lies anywhere within half a threshold of the reference
    expected = abs(change) / threshold
    assert np.all(np.abs(counts - expected) <= 1.0)
    assert counts.mean() == pytest.approx(expected - 0.5, abs=0.2)
    assert np.all(events["polarity"] == polarity)
    assert np.all((events["t"] >= 5_000_000) & (events["t"] < 6_000_000))
    check_events(events, 8, 6)


def test_events_are_spread_over_the_time_of_the_change() -> None:
    sensor = ideal(frame(0.0))
    sensor.see(frame(10.0), FULL, 0, 10_000)
    events = sensor.collect(0, 10_000)
    one = np.sort(events["t"][(events["x"] == 3) & (events["y"] == 2)])
    assert np.diff(one) == pytest.approx(250_000, abs=2000)  # 0.25 of 10 in 10 ms


def test_only_the_box_is_looked_at() -> None:
    sensor = ideal(frame(0.0))
    sensor.see(frame(1.0), np.array((2, 1, 4, 3), np.int64), 0, 1000)
    events = sensor.collect(0, 1000)
    assert set(zip(events["x"].tolist(), events["y"].tolist(), strict=True)) == {
        (2, 1),
        (3, 1),
        (2, 2),
        (3, 2),
    }


def test_a_pixel_is_silent_for_its_refractory_period() -> None:
    sensor = ideal(frame(0.0), refractory_us=2000.0)
    for step in range(20):
        sensor.see(frame(0.5 * (step + 1)), FULL, 500 * step, 500)
    events = sensor.collect(0, 10_000)
    for x in range(8):
        times = events["t"][(events["x"] == x) & (events["y"] == 0)]
        assert len(times) >= 3
        assert np.diff(times).min() >= 2_000_000


def test_noise_has_the_configured_rate() -> None:
    sensor = DynamicVisionSensor(
        SensorConfig(mismatch=0.0, noise_hz=2.0, hot_pixels=3, hot_hz=100.0),
        np.zeros((60, 80), np.float32),
        np.random.default_rng(1),
    )
    events = sensor.collect(0, 10_000_000)
    check_events(events, 80, 60)
    counts = np.zeros((60, 80), int)
    np.add.at(counts, (events["y"], events["x"]), 1)
    hot = counts > 200
    assert hot.sum() == 3
    background, expected = counts[~hot].sum(), 2.0 * 10 * (4800 - 3)
    assert abs(background - expected) < 4 * np.sqrt(expected)
    assert abs(counts[hot].sum() - 3060) < 4 * np.sqrt(3060)


def test_thresholds_differ_from_pixel_to_pixel() -> None:
    sensor = DynamicVisionSensor(
        SensorConfig(mismatch=0.05, noise_hz=0.0, hot_pixels=0, refractory_us=1.0),
        np.zeros((60, 80), np.float32),
        np.random.default_rng(1),
    )
    sensor.see(np.full((60, 80), 20.0, np.float32), np.array((0, 0, 80, 60), np.int64), 0, 10_000)
    events = sensor.collect(0, 10_000)
    counts = np.zeros((60, 80), int)
    np.add.at(counts, (events["y"], events["x"]), 1)
    assert np.std(20.0 / counts) == pytest.approx(0.05, abs=0.01)
