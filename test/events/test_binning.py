# SPDX-License-Identifier: Apache-2.0
"""Views of sensors, and steps that do not depend on how a stream is cut."""

from collections import Counter
from fractions import Fraction
from itertools import pairwise
from math import floor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from hybrid_pose_ros.events.array import EventArray, empty_events, make_events
from hybrid_pose_ros.events.binning import (
    GridView,
    Step,
    StepBinner,
    TimeJumpError,
    merge_steps,
)

from .conftest import histogram

STEP_NS = 1000
PAPER_VIEW = {"cell": 1, "crop": (34, 2, 256, 256)}
SENSORS = [
    (346, 260),
    (320, 240),
    (240, 180),
    (640, 480),
    (1280, 720),
    (480, 640),
    (64, 300),
    (1, 1),
]


def small_view() -> GridView:
    return GridView.fit(8, 6, view=(8, 6), cell=2, crop=(0, 0, 4, 3))


def at(*times: int, x: int = 0, y: int = 0) -> EventArray:
    return make_events(times, [x] * len(times), [y] * len(times), [True] * len(times))


# -- views ---------------------------------------------------------------------------------------


def test_a_sensor_like_the_view_maps_by_whole_numbers() -> None:
    view = GridView.fit(346, 260)
    assert view.scale == 1.0
    assert_array_equal(view.columns, np.arange(346) // 4)
    assert_array_equal(view.rows, np.arange(260) // 4)
    assert view.columns[-1] == 86 and view.rows[-1] == 64


def test_the_crop_of_the_paper() -> None:
    view = GridView.fit(346, 260, **PAPER_VIEW)
    x, y = np.arange(346), np.arange(260)
    assert_array_equal(view.columns, np.where((x >= 34) & (x < 290), x - 34, -1))
    assert_array_equal(view.rows, np.where((y >= 2) & (y < 258), y - 2, -1))


def test_a_wider_sensor_gets_bars_above_and_below() -> None:
    # 320x240 grows by 346/320 = 1.08125 to 346x259.5, a quarter of a pixel from the top
    view = GridView.fit(320, 240)
    assert view.scale == 1.08125
    # (x + 0.5) * 1.08125 = 0.54 1.62 2.70 3.78 4.87 5.95 7.03 8.11 ...
    assert view.columns[:8].tolist() == [0, 0, 0, 0, 1, 1, 1, 2]
    assert view.columns[-1] == 86
    # (y + 0.5) * 1.08125 + 0.25 = 0.79 1.87 2.95 4.03 5.12 ...
    assert view.rows[:5].tolist() == [0, 0, 0, 1, 1]
    assert view.rows[-1] == 64
    # the middle of the sensor is the middle of the view
    assert_allclose(view.to_grid(np.array((159.5, 119.5))), ((346 / 2) / 4 - 0.5, 260 / 8 - 0.5))


def test_a_higher_sensor_gets_bars_left_and_right() -> None:
    # 130x260 stands in the middle of 346x260: 108 pixels of view at each side
    view = GridView.fit(130, 260)
    assert view.scale == 1.0
    assert view.columns[0] == 27 and view.columns[-1] == (108 + 129) // 4


def test_a_large_sensor_fills_cells_with_more_pixels() -> None:
    view = GridView.fit(692, 520)
    assert view.scale == 0.5
    assert_array_equal(view.columns, np.arange(692) // 8)
    events = make_events(range(64), [i % 8 for i in range(64)], [i // 8 for i in range(64)], True)
    assert histogram(view, events)[1, 0, 0] == 64


@pytest.mark.parametrize(("column", "x"), [(0, 1.5), (1, 5.5), (86, 345.5)])
def test_the_centre_of_a_cell_in_pixels(column: int, x: float) -> None:
    view = GridView.fit(346, 260)
    assert_array_equal(view.to_sensor(np.array((column, 2))), (x, 9.5))
    assert_array_equal(view.to_grid(np.array((x, 9.5))), (column, 2))


def test_the_centre_of_a_pixel_of_the_paper() -> None:
    view = GridView.fit(346, 260, **PAPER_VIEW)
    assert_array_equal(view.to_sensor(np.array((0, 0))), (34, 2))
    assert_array_equal(view.to_grid(np.array((289, 257))), (255, 255))


@pytest.mark.parametrize("sensor", SENSORS)
@pytest.mark.parametrize("geometry", [{}, PAPER_VIEW])
@settings(max_examples=15)
@given(points=st.lists(st.tuples(*[st.floats(-1e3, 1e4)] * 2), min_size=1, max_size=5))
def test_the_mappings_are_inverse(
    sensor: tuple[int, int], geometry: dict[str, object], points: list[tuple[float, float]]
) -> None:
    view = GridView.fit(*sensor, **geometry)  # type: ignore[arg-type]
    array = np.array(points)
    assert_allclose(view.to_sensor(view.to_grid(array)), array, atol=1e-6)
    assert_allclose(view.to_grid(view.to_sensor(array)), array, atol=1e-6)


@pytest.mark.parametrize("sensor", SENSORS)
@pytest.mark.parametrize("geometry", [{}, PAPER_VIEW])
def test_lookups_and_keypoints_agree(sensor: tuple[int, int], geometry: dict[str, object]) -> None:
    """A pixel is counted in the cell whose centre lies nearest to it."""
    view = GridView.fit(*sensor, **geometry)  # type: ignore[arg-type]
    for axis, lookup, cells in (
        (0, view.columns, view.grid_width),
        (1, view.rows, view.grid_height),
    ):
        points = np.zeros((len(lookup), 2))
        points[:, axis] = np.arange(len(lookup))
        position = view.to_grid(points)[:, axis]
        inside = lookup >= 0
        assert_array_equal(inside, (position > -0.5 - 1e-6) & (position < cells - 0.5 - 1e-6))
        assert (np.abs(position - lookup)[inside] <= 0.5 + 1e-6).all()
        assert (np.diff(lookup[inside]) >= 0).all()


@pytest.mark.parametrize(("width", "height"), [*SENSORS, (480, 390), (519, 240), (173, 720)])
@pytest.mark.parametrize("cell", [1, 2, 4])
def test_lookups_are_exact(width: int, height: int, cell: int) -> None:
    """As with fractions: rounding moves no pixel that lies at a border."""
    view = GridView.fit(width, height, cell=cell, crop=(0, 0, 999, 999))
    scale = min(Fraction(346, width), Fraction(260, height))
    shift = (346 - width * scale) / 2
    expected = [floor(((x + Fraction(1, 2)) * scale + shift) / cell) for x in range(width)]
    assert view.columns.tolist() == expected


def test_views_of_one_sensor_are_equal() -> None:
    assert GridView.fit(320, 240) == GridView.fit(320, 240)
    assert GridView.fit(320, 240) != GridView.fit(320, 241)
    with pytest.raises(ValueError, match="0x240"):
        GridView.fit(0, 240)


# -- histograms ----------------------------------------------------------------------------------


def test_a_histogram_counts_per_polarity_and_cell() -> None:
    events = make_events([1, 2, 3, 4], [0, 1, 7, 6], [1, 0, 5, 4], [True, True, False, True])
    counts = histogram(small_view(), events)
    assert counts.dtype == np.uint16
    expected = np.zeros((2, 3, 4))
    expected[1, 0, 0], expected[0, 2, 3], expected[1, 2, 3] = 2, 1, 1
    assert_array_equal(counts, expected)


def test_events_outside_the_crop_are_not_counted() -> None:
    view = GridView.fit(8, 6, view=(8, 6), cell=2, crop=(2, 2, 2, 1))
    x, y = np.meshgrid(np.arange(8), np.arange(6))
    events = make_events(np.arange(48), x.ravel(), y.ravel(), np.ones(48))
    assert_array_equal(histogram(view, events), [[[0, 0]], [[4, 4]]])


def test_counts_saturate() -> None:
    counts = histogram(small_view(), at(*[0] * 70_000))
    assert counts[1, 0, 0] == 65_535
    assert counts.sum() == 65_535


def test_an_event_outside_the_sensor_is_an_error() -> None:
    with pytest.raises(IndexError):
        histogram(small_view(), at(0, x=8))


# -- steps ---------------------------------------------------------------------------------------

times_st = st.lists(
    st.one_of(st.integers(0, 300), st.integers(900, 1100), st.integers(0, 9_000)), max_size=40
)
start_st = st.one_of(
    st.integers(-5000, 5000), st.sampled_from([-(2**62), 2**62 - 10**6, 0, STEP_NS, -STEP_NS])
)


def stream(gaps: list[int], start: int, seed: int = 0) -> EventArray:
    t = start + np.cumsum(np.array(gaps, np.int64))
    rng = np.random.default_rng(seed)
    n = len(t)
    return make_events(t, rng.integers(0, 8, n), rng.integers(0, 6, n), rng.integers(0, 2, n))


def summary(steps: list[Step]) -> list[tuple[object, ...]]:
    return [(s.index, s.events, s.merged, s.counts.tobytes()) for s in steps]


@given(times_st, start_st, st.lists(st.integers(0, 40), max_size=8), st.integers(0, 6))
def test_steps_do_not_depend_on_the_packets(
    gaps: list[int], start: int, cuts: list[int], max_gap: int
) -> None:
    events = stream(gaps, start)
    whole = StepBinner(small_view(), STEP_NS, max_gap_steps=max_gap)
    pieces = StepBinner(small_view(), STEP_NS, max_gap_steps=max_gap)
    steps = []
    for piece in np.split(events, sorted(min(cut, len(events)) for cut in cuts)):
        steps += pieces.push(piece)
    assert summary(steps) == summary(whole.push(events))


@given(times_st, start_st, st.integers(0, 6))
def test_steps_hold_the_events_of_their_bins(gaps: list[int], start: int, max_gap: int) -> None:
    events = stream(gaps, start)
    steps = StepBinner(small_view(), STEP_NS, max_gap_steps=max_gap).push(events)
    bins = [int(t) // STEP_NS for t in events["t"]]
    if not bins:
        assert steps == []
        return
    sizes = Counter(bins)
    used = sorted(sizes)
    expected = []
    for index, following in pairwise(used):
        expected.append(index)
        if following - index - 1 <= max_gap:
            expected += range(index + 1, following)
    assert [step.index for step in steps] == expected
    for step in steps:
        inside = events[np.array(bins) == step.index]
        assert step.events == len(inside)
        assert_array_equal(step.counts, histogram(small_view(), inside))


def test_an_event_at_the_edge_belongs_to_the_next_bin() -> None:
    binner = StepBinner(small_view(), STEP_NS)
    assert binner.push(at(0, 999)) == []
    (step,) = binner.push(at(1000))
    assert (step.index, step.events, step.end_ns(STEP_NS)) == (0, 2, 1000)
    (step,) = binner.push(at(2000))
    assert (step.index, step.events) == (1, 1)


def test_negative_times_are_binned_downwards() -> None:
    steps = StepBinner(small_view(), STEP_NS).push(at(-1001, -1000, -1, 0))
    assert [(step.index, step.events) for step in steps] == [(-2, 1), (-1, 2)]


def test_a_gap_is_filled_up_to_its_limit() -> None:
    fill = StepBinner(small_view(), STEP_NS, max_gap_steps=3).push(at(0, 4000))
    assert [(step.index, step.events) for step in fill] == [(0, 1), (1, 0), (2, 0), (3, 0)]
    assert not fill[1].counts.any()
    assert fill[1].counts is not fill[2].counts
    skip = StepBinner(small_view(), STEP_NS, max_gap_steps=3).push(at(0, 5000, 6000))
    assert [step.index for step in skip] == [0, 5]


def test_a_gap_of_years_costs_nothing() -> None:
    steps = StepBinner(small_view(), STEP_NS).push(at(0, 2**62))
    assert [step.index for step in steps] == [0]


def test_time_that_goes_back_is_reported_until_reset() -> None:
    binner = StepBinner(small_view(), STEP_NS)
    binner.push(at(5100, 5900))
    for _ in range(2):
        with pytest.raises(TimeJumpError, match=r"at 4999 ns .* begins at 5000 ns"):
            binner.push(at(4999, 7000))
    # nothing of the refused events was taken, and the open bin is as it was
    (step,) = binner.push(at(6000))
    assert (step.index, step.events) == (5, 2)
    binner.reset()
    (step,) = binner.push(at(200, 1300))
    assert (step.index, step.events) == (0, 1)


def test_time_may_go_back_inside_the_open_bin() -> None:
    binner = StepBinner(small_view(), STEP_NS)
    binner.push(at(5900))
    binner.push(at(5100))
    binner.push(at(5000))
    (step,) = binner.push(at(6000))
    assert step.events == 3


def test_no_events_no_steps() -> None:
    assert StepBinner(small_view(), STEP_NS).push(empty_events()) == []


def test_steps_keep_their_counts_when_the_input_is_reused() -> None:
    binner = StepBinner(small_view(), STEP_NS)
    events = at(0, 1, 2)
    binner.push(events)
    events["x"] = 7
    (step,) = binner.push(at(1000))
    assert step.counts[1, 0, 0] == 3


def test_events_outside_the_grid_count_as_events_only() -> None:
    view = GridView.fit(8, 6, view=(8, 6), cell=2, crop=(2, 2, 2, 1))
    (step,) = StepBinner(view, STEP_NS).push(at(0, 1000))
    assert step.events == 1
    assert not step.counts.any()


def test_merged_steps_add_up() -> None:
    steps = StepBinner(small_view(), STEP_NS).push(stream([100] * 40, 0))
    merged = merge_steps(steps)
    assert (merged.index, merged.merged) == (steps[-1].index, len(steps))
    assert merged.events == sum(step.events for step in steps)
    assert_array_equal(merged.counts, np.sum([step.counts for step in steps], axis=0))
    assert merge_steps([merged, steps[0]]).merged == len(steps) + 1


def test_merged_counts_saturate() -> None:
    full = Step(3, np.full((2, 1, 1), 60_000, np.uint16), 120_000)
    assert_array_equal(merge_steps([full, full]).counts, np.full((2, 1, 1), 65_535))
