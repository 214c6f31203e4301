# SPDX-License-Identifier: Apache-2.0
"""Packets of equal sensor time, at the right moments."""

import threading
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hybrid_pose_ros.events.array import EventArray, empty_events, make_events
from hybrid_pose_ros.events.playback import MAX_GAP_NS, Pacer, packetise

PACKET_NS = 100


class ListSource:
    """A source that was filled beforehand."""

    name, width, height = "list", 1000, 1

    def __init__(self, batches: list[EventArray], *, live: bool = False) -> None:
        self.live = live
        self._batches = iter(batches)

    def read(self) -> EventArray | None:
        return next(self._batches, None)

    def close(self) -> None:
        pass


def at(*times: int) -> EventArray:
    return make_events(times, np.arange(len(times)), [0] * len(times), [True] * len(times))


def times_of(packets: list[EventArray]) -> list[list[int]]:
    return [packet["t"].tolist() for packet in packets]


def test_cuts_lie_at_multiples_and_an_event_on_one_begins_the_next_packet() -> None:
    source = ListSource([at(0, 99, 100, 199), at(199, 200, 750)])
    packets = list(packetise(source, PACKET_NS))
    assert times_of(packets) == [[0, 99], [100, 199, 199], [200], [750]]


@given(
    st.lists(st.integers(0, 2000), min_size=1, max_size=60).map(sorted),
    st.lists(st.integers(0, 60), max_size=8).map(sorted),
)
def test_packets_do_not_depend_on_the_batches(times: list[int], cuts: list[int]) -> None:
    events = at(*times)
    whole = list(packetise(ListSource([events]), PACKET_NS))
    parts = list(packetise(ListSource(np.split(events, np.minimum(cuts, len(events)))), PACKET_NS))
    parts = [packet for packet in parts if len(packet)]
    assert times_of(parts) == times_of(whole)
    np.testing.assert_array_equal(np.concatenate(whole), events)
    numbers = [set((packet["t"] // PACKET_NS).tolist()) for packet in whole]
    assert all(len(number) == 1 for number in numbers)
    assert len(set.union(*numbers)) == len(whole)


def test_a_gap_of_years_costs_nothing() -> None:
    years = 50 * 365 * 86_400 * 10**9
    packets = list(packetise(ListSource([at(0, 99, years, years + 150)]), PACKET_NS))
    assert times_of(packets) == [[0, 99], [years], [years + 150]]


def test_a_packet_comes_with_the_first_later_event() -> None:
    source = ListSource([at(10), at(20), at(110), at(120)])
    packets = packetise(source, PACKET_NS)
    assert next(packets)["t"].tolist() == [10, 20]
    assert source.read()["t"].tolist() == [120]  # type: ignore[index]  # not read ahead


def test_a_live_source_that_is_silent_holds_nothing_back() -> None:
    batches = [at(10, 20), empty_events(), at(30)]
    assert times_of(list(packetise(ListSource(batches, live=True), PACKET_NS))) == [
        [10, 20],
        [],
        [30],
    ]
    assert times_of(list(packetise(ListSource(batches), PACKET_NS))) == [[], [10, 20, 30]]


class Clock:
    """A host clock that waiting moves, and that is late by ``late`` after every wait."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, late: int = 0) -> None:
        self.now = 5_000_000
        self.late = late
        self.stop = threading.Event()
        monkeypatch.setattr(time, "monotonic_ns", lambda: self.now)
        monkeypatch.setattr(self.stop, "wait", self.wait)

    def wait(self, seconds: float) -> None:
        self.now += round(seconds * 1e9) + self.late


@pytest.mark.parametrize("rate", [0.25, 1.0, 4.0])
def test_pace_does_not_drift(monkeypatch: pytest.MonkeyPatch, rate: float) -> None:
    clock = Clock(monkeypatch, late=300)
    pacer = Pacer(rate, clock.stop)
    start = clock.now
    for sensor in range(7_000, 7_000 + 1_000_000, 10_000):
        pacer.wait_until(sensor)
        elapsed = clock.now - start
        assert abs(elapsed - (sensor - 7_000) / rate) <= 301


@pytest.mark.parametrize("rate", [0.5, 1.0])
def test_time_lost_is_caught_up_without_a_burst(
    monkeypatch: pytest.MonkeyPatch, rate: float
) -> None:
    """At twice the rate, however much is late: queues of any length would overrun else."""
    clock = Clock(monkeypatch)
    pacer = Pacer(rate, clock.stop)
    start = clock.now
    pacer.wait_until(0)
    clock.now += round(5_000 / rate)  # 5,000 ns of sensor time
    released = []
    for sensor in range(1_000, 13_000, 1_000):
        pacer.wait_until(sensor)
        released.append((clock.now - start) * rate)
    assert released == [*range(5_000, 9_000, 500), *range(9_000, 13_000, 1_000)]


@pytest.mark.parametrize("rate", [0.0, 1.0])
@pytest.mark.parametrize("damaged_ns", [285 * 10**9, 54 * 365 * 86_400 * 10**9, MAX_GAP_NS + 2000])
def test_a_gap_that_no_camera_makes_is_named_and_skipped(
    monkeypatch: pytest.MonkeyPatch, damaged_ns: int, rate: float
) -> None:
    """Forwards and back again: of all that, nothing is waited for, and the pace is kept."""
    clock = Clock(monkeypatch)
    pacer = Pacer(rate, clock.stop)
    start = clock.now
    skipped = [pacer.wait_until(t) for t in (0, 1000, damaged_ns, 2000, 3000)]
    assert skipped == [0, 0, damaged_ns - 1000, 2000 - damaged_ns, 0]
    assert clock.now - start == 2000 * rate


def test_a_quiet_scene_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch)
    pacer = Pacer(1.0, clock.stop)
    start = clock.now
    assert [pacer.wait_until(t) for t in (0, MAX_GAP_NS)] == [0, 0]
    assert clock.now - start == MAX_GAP_NS


def test_rate_zero_never_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch)
    pacer = Pacer(0.0, clock.stop)
    start = clock.now
    for sensor in (0, 10**12):
        pacer.wait_until(sensor)
    assert clock.now == start


def test_stopping_ends_a_wait() -> None:
    stop = threading.Event()
    pacer = Pacer(1.0, stop)
    pacer.wait_until(0)
    waiting = threading.Thread(target=pacer.wait_until, args=(MAX_GAP_NS,), daemon=True)
    waiting.start()
    stop.set()
    waiting.join(10.0)
    assert not waiting.is_alive()
