# SPDX-License-Identifier: Apache-2.0
"""Filters: what passes, exactly."""

import numpy as np
import pytest

from hybrid_pose_ros.events.array import EventArray, MalformedEventsError, make_events
from hybrid_pose_ros.events.filters import FilterChain, FilterConfig


def noise(count: int, seed: int = 0) -> EventArray:
    rng = np.random.default_rng(seed)
    times = np.sort(rng.integers(0, 2_000_000, count)) * 1000
    return make_events(
        times, rng.integers(0, 64, count), rng.integers(0, 48, count), rng.random(count) < 0.5
    )


def test_without_filters_events_pass_untouched() -> None:
    events = noise(100)
    events["t"] += 123
    assert FilterChain(FilterConfig(), 64, 48).apply(events) is events


def test_the_region_keeps_what_lies_inside() -> None:
    events = noise(5000)
    kept = FilterChain(FilterConfig(region=(10, 5, 20, 8)), 64, 48).apply(events)
    x, y = events["x"], events["y"]
    inside = (x >= 10) & (x < 30) & (y >= 5) & (y < 13)
    assert np.array_equal(kept, events[inside])


@pytest.mark.parametrize("region", [(-1, 0, 5, 5), (60, 0, 5, 5), (0, 44, 5, 5), (0, 0, 0, 5)])
def test_a_region_outside_the_sensor_is_refused(region: tuple[int, int, int, int]) -> None:
    with pytest.raises(ValueError, match="does not lie inside a sensor of 64x48"):
        FilterChain(FilterConfig(region=region), 64, 48)


def test_hot_pixels_are_silenced_after_the_learning_time() -> None:
    times = np.arange(2000) * 1_000_000  # 1 kHz for 2 s
    hot = make_events(times, np.full(2000, 7), np.full(2000, 9), np.ones(2000))
    events = np.concatenate((hot, noise(2000)))
    events = events[np.argsort(events["t"], kind="stable")]
    chain = FilterChain(FilterConfig(hot_pixel_hz=500.0, hot_pixel_learn_s=0.5), 64, 48)
    kept = np.concatenate([chain.apply(part) for part in np.array_split(events, 200)])
    is_hot = (kept["x"] == 7) & (kept["y"] == 9)
    assert 0.45e9 < kept["t"][is_hot].max() < 0.55e9
    others = (events["x"] != 7) | (events["y"] != 9)
    assert (~is_hot).sum() == others.sum()


def test_background_activity_is_removed_and_dense_events_stay() -> None:
    steps = np.arange(400)
    dense = make_events(steps * 50_000, 20 + steps % 3, 20 + steps // 3 % 3, np.ones(400))
    chain = FilterChain(FilterConfig(background_activity_us=1000), 64, 48)
    assert len(chain.apply(dense)) > 380
    sparse = noise(500, seed=1)
    sparse["t"] += 10**9
    assert len(chain.apply(sparse)) < 25


def test_what_passes_keeps_its_nanoseconds() -> None:
    rng = np.random.default_rng(3)
    events = noise(3000)
    events["t"] = np.sort(rng.integers(0, 3_000_000, 3000))  # several events per us
    kept = FilterChain(FilterConfig(region=(10, 5, 20, 8)), 64, 48).apply(events)
    x, y = events["x"], events["y"]
    assert np.array_equal(kept, events[(x >= 10) & (x < 30) & (y >= 5) & (y < 13)])
    assert (kept["t"] % 1000).any()


def test_events_that_differ_in_nanoseconds_only_are_told_apart() -> None:
    events = make_events([1000, 1001, 1002, 1003], [5, 40, 5, 5], [5] * 4, [True] * 4)
    kept = FilterChain(FilterConfig(region=(0, 0, 20, 20)), 64, 48).apply(events)
    assert kept["t"].tolist() == [1000, 1002, 1003]


def test_filters_begin_anew_when_time_jumps_back() -> None:
    config = FilterConfig(background_activity_us=1000, hot_pixel_hz=500.0, hot_pixel_learn_s=0.5)
    times = np.arange(1, 1001) * 1_000_000
    hot = make_events(times, np.full(1000, 7), np.full(1000, 9), np.ones(1000))
    pair = make_events([1000, 2000], [30, 31], [20, 20], [True, True])
    chain = FilterChain(config, 64, 48)
    chain.apply(hot)
    kept = chain.apply(np.concatenate((pair, hot)))  # the hot pixel stays silenced
    assert kept["x"].tolist() in ([30, 31], [31])


def test_events_outside_the_sensor_are_refused() -> None:
    chain = FilterChain(FilterConfig(background_activity_us=1000), 64, 48)
    with pytest.raises(MalformedEventsError, match=r"\(64, 3\), outside the sensor of 64x48"):
        chain.apply(make_events([0], [64], [3], [True]))
