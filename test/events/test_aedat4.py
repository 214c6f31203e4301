# SPDX-License-Identifier: Apache-2.0
"""AEDAT4 files: what is written is read."""

from pathlib import Path

import numpy as np
import pytest

from hybrid_pose_ros.events.aedat4 import write_aedat4
from hybrid_pose_ros.events.array import EventArray, MalformedEventsError, make_events
from hybrid_pose_ros.events.sources import Aedat4Source


def some_events(count: int) -> EventArray:
    rng = np.random.default_rng(count)
    times = np.sort(rng.integers(0, 10**9, count)) * 1000
    x, y = rng.integers(0, 346, count), rng.integers(0, 260, count)
    return make_events(times, x, y, rng.random(count) < 0.5)


def read_all(path: Path) -> EventArray:
    source = Aedat4Source(path)
    batches = []
    while (batch := source.read()) is not None:
        batches.append(batch)
    source.close()
    return np.concatenate(batches)


@pytest.mark.parametrize("batches", [1, 7])
def test_events_come_back(tmp_path: Path, batches: int) -> None:
    events = some_events(25_000)
    path = tmp_path / "events.aedat4"
    assert write_aedat4(path, iter(np.array_split(events, batches)), 346, 260) == 25_000
    np.testing.assert_array_equal(read_all(path), events)


def test_times_are_floored_to_microseconds_and_empty_batches_skipped(tmp_path: Path) -> None:
    events = make_events([1_000, 1_999, 2_000], [0, 345, 7], [259, 0, 8], [True, False, True])
    path = tmp_path / "events.aedat4"
    assert write_aedat4(path, [events[:0], events[:2], events[2:]], 346, 260) == 3
    back = read_all(path)
    assert back["t"].tolist() == [1_000, 1_000, 2_000]
    for name in ("x", "y", "polarity"):
        np.testing.assert_array_equal(back[name], events[name])


def test_the_sensor_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "events.aedat4"
    write_aedat4(path, [some_events(10)], 346, 260)
    source = Aedat4Source(path)
    assert (source.width, source.height) == (346, 260)


def test_batches_out_of_order_are_refused(tmp_path: Path) -> None:
    events = some_events(100)
    with pytest.raises(MalformedEventsError, match="before the end of the one before it"):
        write_aedat4(tmp_path / "events.aedat4", [events[50:], events[:50]], 346, 260)


def test_events_outside_the_sensor_are_refused(tmp_path: Path) -> None:
    with pytest.raises(MalformedEventsError, match="outside the sensor of 100x100"):
        write_aedat4(tmp_path / "events.aedat4", [some_events(100)], 100, 100)


def test_names_and_folders_that_do_not_do(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"ends in \.aedat4"):
        write_aedat4(tmp_path / "events.raw", [], 346, 260)
    with pytest.raises(FileNotFoundError):
        write_aedat4(tmp_path / "missing" / "events.aedat4", [], 346, 260)
