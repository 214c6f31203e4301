# SPDX-License-Identifier: Apache-2.0
"""Which figures of a node make its diagnostics WARN or ERROR, and the cause that they name."""

import importlib.metadata
import re
from types import SimpleNamespace
from typing import Any

import pytest

from hybrid_pose_ros.events.losses import Losses
from hybrid_pose_ros.events.stream import PacketReader, Pushed
from hybrid_pose_ros.nodes.support import packet_inbox
from hybrid_pose_ros.nodes.support.health import Durations, Incidents, Latency, Level, Report
from hybrid_pose_ros.nodes.support.stream_figures import Queue, ReaderFigures, StreamFigures

ONE_PUBLISHER = Queue(publishers=1, was_full=False)


def report_of(packets: int, queue: Queue = ONE_PUBLISHER, **counts: Any) -> Report:
    """Report on so many packets of 1000 events of a reader with these counts."""
    figures, reader, report = ReaderFigures(), PacketReader(), Report()
    for name, value in counts.items():
        setattr(reader, name, value)
    for _ in range(packets):
        figures.count(1000)
    figures.report(report, reader, queue, wanted=True)
    # the second report tells what is new: nothing
    again = Report()
    figures.count(1000)
    figures.report(again, reader, queue, wanted=True)
    assert (again.level, again.message) == (Level.OK, "ok")
    return report


@pytest.mark.parametrize(
    ("packets", "counts", "level", "words"),
    [
        (100, {}, Level.OK, "ok"),
        (100, {"lost": 1}, Level.WARN, "1 packets lost: between publisher and node"),
        (100, {"lost": 101}, Level.ERROR, "101 packets lost"),
        (1, {"malformed": 9, "malformed_reason": "why"}, Level.WARN, "9 malformed.*why"),
        (0, {"malformed": 9, "malformed_reason": "why"}, Level.ERROR, "9 malformed.*why"),
        (0, {"malformed": 2}, Level.WARN, "2 malformed"),
        (0, {}, Level.WARN, "no packets on `events`"),
        (10, {"losses": Losses(outside=10)}, Level.OK, "ok"),
        (10, {"losses": Losses(outside=11)}, Level.WARN, "bad events: 11 events outside"),
        (10, {"losses": Losses(held=11)}, Level.WARN, "bad events: 11 events out of order"),
    ],
)
def test_levels_of_a_reader(
    packets: int, counts: dict[str, Any], level: Level, words: str
) -> None:
    report = report_of(packets, **counts)
    assert report.level == level
    assert re.match(words, report.message)


@pytest.mark.parametrize(
    ("queue", "words"),
    [
        (Queue(1, was_full=True), "this node is too slow to take them"),
        (Queue(2, was_full=False), "or 2 publishers on `events` count their own"),
    ],
)
def test_the_cause_of_lost_packets_is_named(queue: Queue, words: str) -> None:
    assert report_of(100, queue, lost=3).message == f"3 packets lost: {words}"


@pytest.mark.parametrize(
    ("restarts", "publishers", "level", "words"),
    [
        (0, 1, Level.OK, "ok"),
        (1, 1, Level.WARN, "went back 1 times: a recording started over, or the camera was reset"),
        (2, 2, Level.WARN, "went back 2 times: 2 publishers on `events`"),
        (3, 2, Level.ERROR, "went back 3 times: 2 publishers on `events`"),
    ],
)
def test_levels_of_restarts(restarts: int, publishers: int, level: Level, words: str) -> None:
    figures, report = StreamFigures(), Report()
    figures.count(Pushed([], 10))
    stream: Any = SimpleNamespace(reader=PacketReader(), restarts=restarts)
    figures.report(report, stream, Queue(publishers, was_full=False), wanted=True)
    assert report.level == level
    assert words in report.message


def test_what_has_not_come_yet_is_no_fault_while_a_node_settles() -> None:
    for settling, ever, level in (
        (True, False, Level.OK),
        (True, True, Level.ERROR),
        (False, False, Level.ERROR),
    ):
        report = Report(settling=settling)
        report.add_missing("no poses", ever=ever, level=Level.ERROR)
        assert report.level == level
        assert "no poses" in report.message


@pytest.mark.parametrize(
    ("latency_ns", "words"),
    [
        (1_800_000_000 * 10**9, "1800000000 s behind this node's clock"),
        (-1_800_000_000 * 10**9, "1800000000 s ahead of this node's clock"),
    ],
)
def test_stamps_of_another_clock_are_no_latency(latency_ns: int, words: str) -> None:
    latency, report = Latency(), Report()
    latency.add(latency_ns)
    latency.report(report)
    assert report.values["latency ms, mean / max"] == "-"
    assert report.level == Level.WARN
    assert words in report.message
    latency.add(3_000_000)
    latency.add(5_000_000)
    latency.report(good := Report())
    assert good.values["latency ms, mean / max"] == "4.00 / 5.00"
    assert good.level == Level.OK


def test_durations_start_anew_with_each_report() -> None:
    durations = Durations()
    assert durations.take() == "-"
    for duration in (-3_000_000, -1_000_000):
        durations.add(duration)
    assert durations.take() == "-2.00 / -1.00"
    assert durations.take() == "-"


def test_incidents_are_told_once() -> None:
    incidents, report, again = Incidents(), Report(), Report()
    incidents.refuse("pose: damaged")
    incidents.survive("a timer: KeyError: 3")
    incidents.report(report)
    assert report.level == Level.ERROR
    assert report.message == "1 unexpected errors, the last: a timer: KeyError: 3"
    assert (Level.WARN, "1 messages refused, the last: pose: damaged") in report.findings
    incidents.report(again)
    assert again.level == Level.OK
    assert again.values == {"messages refused": "1", "unexpected errors": "1"}


def test_the_inbox_is_right_for_the_rclpy_that_is_installed() -> None:
    version = importlib.metadata.version("rclpy")
    assert version.rpartition(".")[0] in packet_inbox.RCLPY_VERSIONS, (
        f"read what PacketInbox takes hold of in rclpy {version}, then add it"
    )
