# SPDX-License-Identifier: Apache-2.0
"""The DVS model on frames whose events can be counted by hand."""

from dataclasses import replace

import numpy as np
import pytest

from hybrid_pose_ros.events.array import check_events
from hybrid_pose_ros.simulation.sensor import DynamicVisionSensor, Polarity, SensorConfig

IDEAL = SensorConfig(
    threshold_on=0.25,
    threshold_off=0.2,
    mismatch=0.0,
    refractory_us=1.0,
    cutoff_hz=1e9,
    leak_hz=0.0,
    shot_hz=0.0,
    hot_pixels=0,
)
"""A sensor without faults, whose photoreceptors follow at once."""


def ideal(first: np.ndarray, **changes: float) -> DynamicVisionSensor:
    config = SensorConfig(**{**IDEAL.__dict__, **changes})
    return DynamicVisionSensor(config, first, np.random.default_rng(0))


def frame(value: float) -> np.ndarray:
    return np.full((6, 8), value, np.float32)


def test_a_static_scene_is_silent() -> None:
    sensor = ideal(frame(0.3))
    for start in range(0, 10_000, 1000):
        sensor.see(frame(0.3), start, 1000)
    assert len(sensor.collect(0, 10_000)) == 0


@pytest.mark.parametrize(("change", "polarity", "threshold"), [(1.6, 1, 0.25), (-1.6, 0, 0.2)])
def test_a_change_makes_as_many_events_as_thresholds_fit(
    change: float, polarity: int, threshold: float
) -> None:
    sensor = ideal(frame(0.0))
    sensor.see(frame(change), 5000, 1000)
    events = sensor.collect(0, 10_000)
    counts = np.zeros((6, 8), int)
    np.add.at(counts, (events["y"], events["x"]), 1)
    # the start lies anywhere within half a threshold of the reference
    expected = abs(change) / threshold
    assert np.all(np.abs(counts - expected) <= 1.5)
    assert counts.mean() == pytest.approx(expected - 0.5, abs=0.2)
    assert np.all(events["polarity"] == polarity)
    assert np.all((events["t"] >= 5_000_000) & (events["t"] < 6_000_000))
    check_events(events, 8, 6)


def test_events_are_spread_over_the_time_of_the_change() -> None:
    sensor = ideal(frame(0.0))
    sensor.see(frame(10.0), 0, 10_000)
    events = sensor.collect(0, 10_000)
    one = np.sort(events["t"][(events["x"] == 3) & (events["y"] == 2)])
    assert np.diff(one) == pytest.approx(250_000, abs=2000)  # 0.25 of 10 in 10 ms


def test_a_pixel_is_silent_for_its_dead_time() -> None:
    sensor = ideal(frame(0.0), refractory_us=2000.0)
    for step in range(20):
        sensor.see(frame(0.5 * (step + 1)), 500 * step, 500)
    events = sensor.collect(0, 10_000)
    for x in range(8):
        times = events["t"][(events["x"] == x) & (events["y"] == 0)]
        assert len(times) >= 3
        assert np.diff(times).min() >= 2_000_000


def test_what_changes_during_the_dead_time_is_lost() -> None:
    sensor = ideal(frame(0.0), refractory_us=3000.0)
    sensor.see(frame(0.6), 0, 1000)  # one event, then dead until after 3 ms
    sensor.see(frame(5.0), 1000, 1000)
    sensor.see(frame(5.0), 2000, 3000)
    assert len(sensor.collect(0, 5000)) == 48
    sensor.see(frame(5.2), 5000, 1000)  # less than a threshold from where it woke up
    assert len(sensor.collect(5000, 6000)) == 0
    sensor.see(frame(5.3), 6000, 1000)
    assert len(sensor.collect(6000, 7000)) == 48


def test_a_photoreceptor_follows_more_slowly_in_the_dark() -> None:
    first = frame(0.0)
    first[:, 4:] = -2.0
    sensor = ideal(first, cutoff_hz=20.0)
    sensor.see(first + 2.0, 0, 2000)
    for step in range(1, 50):
        sensor.see(first + 2.0, 2000 * step, 2000)
    events = sensor.collect(0, 100_000)
    bright, dark = events["t"][events["x"] < 4], events["t"][events["x"] >= 4]
    assert len(bright) == pytest.approx(len(dark), rel=0.1)  # in the end both have followed
    assert np.median(dark) > 3 * np.median(bright)


def test_fast_changes_are_smoothed_away() -> None:
    sensor = ideal(frame(0.0), cutoff_hz=10.0)
    for step in range(100):
        sensor.see(frame(0.5 * (step % 2)), 1000 * step, 1000)
    slow = len(sensor.collect(0, 100_000))
    quick = ideal(frame(0.0))
    for step in range(100):
        quick.see(frame(0.5 * (step % 2)), 1000 * step, 1000)
    assert slow < 0.05 * len(quick.collect(0, 100_000))


def test_a_flickering_lamp_is_seen_where_it_shines() -> None:
    depth = frame(0.0)
    depth[2, 3] = 0.5
    sensor = DynamicVisionSensor(IDEAL, frame(0.0), np.random.default_rng(0), depth)
    for step in range(20):
        sensor.see(frame(0.0), 1000 * step, 1000, float(np.sin(np.pi * step / 5)))
    events = sensor.collect(0, 20_000)
    assert len(events) > 8
    assert set(events["x"]) == {3} and set(events["y"]) == {2}


def test_no_event_is_lost_however_many_there_are() -> None:
    first = np.zeros((60, 80), np.float32)
    sensor = ideal(first)
    sensor.see(first + 50.0, 0, 10_000)
    # after each threshold of 0.25 comes a microsecond, 0.005, that is lost
    assert len(sensor.collect(0, 10_000)) == pytest.approx(60 * 80 * 50 / 0.255, rel=0.01)


def test_noise_has_the_configured_rate() -> None:
    sensor = DynamicVisionSensor(
        SensorConfig(mismatch=0.0, leak_hz=1.5, shot_hz=0.5, hot_pixels=3, hot_hz=100.0),
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
    # the leak makes ON events only, shot noise both
    cold = ~hot[events["y"], events["x"]]
    assert events["polarity"][cold].mean() == pytest.approx(1.75 / 2.0, abs=0.01)


def test_thresholds_differ_from_pixel_to_pixel() -> None:
    sensor = DynamicVisionSensor(
        SensorConfig(**{**IDEAL.__dict__, "mismatch": 0.05}),
        np.zeros((60, 80), np.float32),
        np.random.default_rng(1),
    )
    sensor.see(np.full((60, 80), 20.0, np.float32), 0, 10_000)
    events = sensor.collect(0, 10_000)
    counts = np.zeros((60, 80), int)
    np.add.at(counts, (events["y"], events["x"]), 1)
    assert np.std(20.0 / counts) == pytest.approx(0.05, abs=0.01)


def test_shot_noise_is_higher_in_the_dark_with_the_same_mean() -> None:
    first = np.zeros((60, 80), np.float32)
    first[:, 40:] = -1.0
    config = replace(IDEAL, shot_hz=1.0, shot_in_dark=0.5)
    sensor = DynamicVisionSensor(config, first, np.random.default_rng(1))
    events = sensor.collect(0, 20_000_000)
    expected = 20 * first.size
    assert abs(len(events) - expected) < 6 * np.sqrt(expected)
    dark = np.sum(events["x"] >= 40)
    assert dark / (len(events) - dark) == pytest.approx(np.exp(0.5), rel=0.05)


@pytest.mark.parametrize(
    ("polarity", "share"), [("kept", 1.0), ("swapped", 0.0), ("on", 1.0), ("off", 0.0)]
)
def test_polarity_is_reported_as_configured(polarity: Polarity, share: float) -> None:
    sensor = DynamicVisionSensor(
        replace(IDEAL, polarity=polarity), frame(0.0), np.random.default_rng(0)
    )
    sensor.see(frame(2.0), 0, 1000)
    events = sensor.collect(0, 1000)
    assert len(events) > 100
    assert events["polarity"].mean() == share


def test_random_polarity_tells_nothing() -> None:
    config = replace(IDEAL, polarity="random")
    sensor = DynamicVisionSensor(config, frame(0.0), np.random.default_rng(0))
    sensor.see(frame(5.0), 0, 10_000)
    assert sensor.collect(0, 10_000)["polarity"].mean() == pytest.approx(0.5, abs=0.08)


def test_drawn_sensors_span_the_ranges_of_real_ones() -> None:
    rng = np.random.default_rng(0)
    sensors = [SensorConfig.sample_wide(rng) for _ in range(400)]
    ranges = {
        "threshold_on": (0.08, 0.45),
        "threshold_off": (0.08, 0.45),
        "refractory_us": (100.0, 3000.0),
        "cutoff_hz": (10.0, 2000.0),
        "leak_hz": (0.0, 0.3),
        "shot_hz": (0.003, 2.5),
        "hot_pixels": (0, 20),
    }
    for name, (low, high) in ranges.items():
        values = np.array([getattr(sensor, name) for sensor in sensors])
        assert low <= values.min() <= low + 0.1 * (high - low), name
        assert high - 0.15 * (high - low) <= values.max() <= high, name
    ratio = np.array([sensor.threshold_on / sensor.threshold_off for sensor in sensors])
    assert 0.69 < ratio.min() < 0.8 and 1.25 < ratio.max() < 1.41
    share = np.array(
        [
            sensor.mismatch / np.sqrt(sensor.threshold_on * sensor.threshold_off)
            for sensor in sensors
        ]
    )
    assert 0.04 < share.min() < 0.08 and 0.22 < share.max() < 0.31
    davis = [SensorConfig.sample(rng) for _ in range(100)]
    assert max(sensor.threshold_off for sensor in davis) <= 0.14
    assert max(sensor.shot_hz for sensor in davis) <= 0.1
