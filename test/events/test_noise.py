# SPDX-License-Identifier: Apache-2.0
"""The background-activity filter: what passes, whatever the packets, and how the window adapts."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from hybrid_pose_ros.events.array import EventArray, make_events
from hybrid_pose_ros.events.binning import GridView, StepBinner, merge_steps
from hybrid_pose_ros.events.noise import ADAPT_NS, NoiseFilter, NoiseMemory
from hybrid_pose_ros.networks.config import EDGE, ModelConfig

from .conftest import histogram

MS = 1_000_000
WIDTH, HEIGHT = 12, 9
VIEW = GridView.fit(WIDTH, HEIGHT, view=(WIDTH, HEIGHT), cell=1, crop=(0, 0, WIDTH, HEIGHT))
FIXED = NoiseFilter(support=2, noise_events=1.0, shortest_us=5_000, longest_us=5_000)
ADAPTIVE = replace(FIXED, shortest_us=1_000, longest_us=50_000)


def events_at(*events: tuple[int, int, int]) -> EventArray:
    """ON events of (t ns, x, y)."""
    t, x, y = zip(*events, strict=True)
    return make_events(t, x, y, True)


def passed(noise_filter: NoiseFilter | None, *events: tuple[int, int, int]) -> list[list[int]]:
    """Return (x, y) of the pixels in which events passed."""
    counts = np.zeros(VIEW.shape, np.uint16)
    VIEW.count_until(events_at(*events), 0, 10**18, counts, VIEW.noise_memory(noise_filter))
    return [[int(x), int(y)] for _, y, x in np.argwhere(counts)]


def passed_in_python(noise_filter: NoiseFilter, events: EventArray) -> list[bool]:
    """Say plainly which events pass a fixed window."""
    last: dict[tuple[int, int], int] = {}
    found = []
    for t, x, y in zip(
        events["t"].tolist(), events["x"].tolist(), events["y"].tolist(), strict=True
    ):
        around = [(x + dx, y + dy) for dx in (-1, 0, 1) for dy in (-1, 0, 1) if (dx, dy) != (0, 0)]
        near = sum(place in last and t - last[place] <= 5 * MS for place in around)
        found.append(near >= noise_filter.support)
        last[x, y] = t
    return found


def random_events(seed: int, number: int, end_ns: int) -> EventArray:
    rng = np.random.default_rng(seed)
    return make_events(
        np.sort(rng.integers(0, end_ns, number)),
        rng.integers(0, WIDTH, number),
        rng.integers(0, HEIGHT, number),
        rng.random(number) < 0.5,
    )


def noise_of(rate_hz: float, seconds: float, width: int, height: int) -> EventArray:
    rng = np.random.default_rng(3)
    number = rng.poisson(rate_hz * seconds * width * height)
    return make_events(
        np.sort(rng.integers(0, int(seconds * 1e9), number)),
        rng.integers(0, width, number),
        rng.integers(0, height, number),
        rng.random(number) < 0.5,
    )


# -- which events pass ---------------------------------------------------------------------------


def test_an_event_needs_so_many_neighbours() -> None:
    two, third = [(0, 4, 4), (1, 6, 4)], (2, 5, 5)
    assert passed(FIXED, *two, third) == [[5, 5]]
    assert passed(FIXED, two[0], third) == []
    assert passed(replace(FIXED, support=1), two[0], third) == [[5, 5]]
    assert passed(replace(FIXED, support=3), *two, third) == []


def test_without_a_filter_all_pass() -> None:
    assert passed(None, (0, 4, 4), (1, 9, 1)) == [[9, 1], [4, 4]]


def test_the_window_includes_its_ends() -> None:
    pair = [(0, 4, 4), (0, 6, 4)]
    assert passed(FIXED, *pair, (5 * MS, 5, 4)) == [[5, 4]]
    assert passed(FIXED, *pair, (5 * MS + 1, 5, 4)) == []


@pytest.mark.parametrize("place", [(3, 3), (4, 3), (5, 3), (3, 4), (5, 4), (3, 5), (4, 5), (5, 5)])
def test_each_of_the_eight_neighbours_supports(place: tuple[int, int]) -> None:
    single = replace(FIXED, support=1)
    assert passed(single, (0, *place), (1, 4, 4)) == [[4, 4]]


@pytest.mark.parametrize("place", [(2, 4), (6, 4), (4, 2), (4, 6), (4, 4)])
def test_other_pixels_and_the_pixel_itself_do_not(place: tuple[int, int]) -> None:
    assert passed(replace(FIXED, support=1), (0, *place), (1, 4, 4)) == []


def test_the_ends_of_rows_are_no_neighbours() -> None:
    single = replace(FIXED, support=1)
    assert passed(single, (0, WIDTH - 1, 3), (1, 0, 4), (2, 0, 3)) == [[0, 3]]
    assert passed(single, (0, WIDTH - 1, 3), (1, 0, 4)) == []


def test_a_hot_pixel_is_silenced() -> None:
    assert passed(replace(FIXED, support=1), *((k * MS, 5, 5) for k in range(1000))) == []


@given(seed=st.integers(0, 1000), support=st.integers(1, 8))
@settings(max_examples=30)
def test_a_plain_implementation_agrees(seed: int, support: int) -> None:
    noise_filter = replace(FIXED, support=support)
    events = random_events(seed, 1500, 50 * MS)
    expected = passed_in_python(noise_filter, events)
    (step, _) = StepBinner(VIEW, 50 * MS, noise_filter=noise_filter).push(
        np.concatenate((events, events_at((100 * MS, 0, 0))))
    )[:2]
    assert_array_equal(step.counts, histogram(VIEW, events[expected]))
    assert step.events == 1500 and step.dropped == 1500 - sum(expected)


# -- streams -------------------------------------------------------------------------------------


@given(
    seed=st.integers(0, 1000),
    cuts=st.lists(st.integers(0, 3000), max_size=12),
    step_ms=st.sampled_from([1, 7, 10, 150]),
)
@settings(max_examples=30)
def test_cuts_change_nothing(seed: int, cuts: list[int], step_ms: int) -> None:
    events = random_events(seed, 3000, 700 * MS)
    whole = StepBinner(VIEW, step_ms * MS, noise_filter=ADAPTIVE).push(events)
    pieces = StepBinner(VIEW, step_ms * MS, noise_filter=ADAPTIVE)
    found = [s for part in np.split(events, sorted(cuts)) for s in pieces.push(part)]
    assert [(s.index, s.events, s.dropped) for s in found] == [
        (s.index, s.events, s.dropped) for s in whole
    ]
    assert_array_equal([s.counts for s in found], [s.counts for s in whole])


def test_steps_of_another_length_hold_the_same_events() -> None:
    events = random_events(5, 3000, 700 * MS)
    long = StepBinner(VIEW, 70 * MS, noise_filter=ADAPTIVE).push(events)
    short = StepBinner(VIEW, 7 * MS, noise_filter=ADAPTIVE).push(events)
    for number, step in enumerate(long):
        merged = merge_steps(short[10 * number : 10 * number + 10])
        assert_array_equal(merged.counts, step.counts)
        assert (merged.events, merged.dropped) == (step.events, step.dropped)


def test_after_a_reset_nothing_has_happened() -> None:
    events = random_events(7, 3000, 700 * MS)
    binner = StepBinner(VIEW, 10 * MS, noise_filter=ADAPTIVE)
    first = binner.push(events)
    binner.reset()
    again = binner.push(events)
    assert_array_equal([s.counts for s in again], [s.counts for s in first])
    assert sum(s.dropped for s in first) > 0


# -- the window ----------------------------------------------------------------------------------


def window_after(noise_filter: NoiseFilter, events: EventArray, width: int, height: int) -> float:
    """Return the window in ms that holds at the end."""
    memory = NoiseMemory(noise_filter, width, height)
    view = GridView.fit(width, height)
    view.count_until(events, 0, 10**18, np.zeros(view.shape, np.uint16), memory)
    return memory.window_ns / MS


@pytest.mark.parametrize("rate_hz", [0.5, 1.0, 2.0, 4.0])
@pytest.mark.parametrize("size", [(128, 128), (346, 260)])
def test_the_window_follows_the_noise(rate_hz: float, size: tuple[int, int]) -> None:
    wide = NoiseFilter(support=3, noise_events=1.2, shortest_us=1_000, longest_us=2_000_000)
    found = window_after(wide, noise_of(rate_hz, 4.0, *size), *size)
    assert found == pytest.approx(1000 * 1.2 / 8 / rate_hz, rel=0.12)


def test_the_window_has_limits() -> None:
    short = replace(FIXED, shortest_us=20_000, longest_us=60_000)
    assert window_after(short, noise_of(50.0, 0.5, 128, 128), 128, 128) == 20
    assert window_after(short, noise_of(0.02, 4.0, 128, 128), 128, 128) == 60


def test_a_body_in_a_third_of_the_picture_hardly_shortens_it() -> None:
    noise = noise_of(1.0, 4.0, 128, 128)
    body = noise_of(100.0, 4.0, 42, 128)
    both = np.concatenate((noise, body))
    both = both[np.argsort(both["t"], kind="stable")]
    wide = NoiseFilter(support=3, noise_events=1.2, shortest_us=1_000, longest_us=2_000_000)
    alone, beside = (window_after(wide, events, 128, 128) for events in (noise, both))
    assert 0.6 * alone < beside < 1.02 * alone


def test_the_first_window_is_the_shortest() -> None:
    memory = NoiseMemory(ADAPTIVE, WIDTH, HEIGHT)
    assert memory.adapt(5) == ADAPT_NS
    assert memory.window_ns == MS


@pytest.mark.parametrize("rate_hz", [0.1, 0.35, 0.7, 2.0])
def test_little_noise_passes_the_filter_of_edge(rate_hz: float) -> None:
    events = noise_of(rate_hz, 3.0, 346, 260)
    steps = StepBinner(EDGE.view.fit(346, 260), EDGE.step_ns, noise_filter=EDGE.noise_filter).push(
        events
    )
    total, dropped = sum(s.events for s in steps), sum(s.dropped for s in steps)
    assert 1 - dropped / total < 0.1
    lit = np.mean([(s.counts.sum(0) > 0).mean() for s in steps])
    assert lit < 0.03


# -- settings ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"support": 0}, "support is 1 to 8 neighbours, not 0"),
        ({"support": 9}, "support is 1 to 8 neighbours, not 9"),
        ({"noise_events": 0.0}, "noise_events is more than 0, not 0.0"),
        ({"shortest_us": 0}, "not 0 to 5000 us"),
        ({"shortest_us": 6_000}, "not 6000 to 5000 us"),
    ],
)
def test_impossible_settings_are_refused(change: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        replace(FIXED, **change)  # type: ignore[arg-type]


def test_a_configuration_keeps_its_filter() -> None:
    assert ModelConfig.from_dict(EDGE.to_dict()) == EDGE
    without = EDGE.to_dict()
    del without["noise_filter"]
    assert ModelConfig.from_dict(without) == replace(EDGE, noise_filter=None)
