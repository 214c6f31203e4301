# SPDX-License-Identifier: Apache-2.0
"""Figures of a stream of packets that diagnostics report, and what they tell, without ROS."""

from dataclasses import dataclass, replace
from typing import Final

from hybrid_pose_ros.events.losses import Losses
from hybrid_pose_ros.events.stream import PacketReader, Pushed, StepStream
from hybrid_pose_ros.nodes.support.health import Level, Meter, Report

BAD_SHARE: Final = 0.001
"""Share of single bad events from which on diagnostics say WARN."""

MANY: Final = 3
"""So many faults between two reports are no accident: nothing comes of the stream."""


@dataclass(frozen=True)
class Queue:
    """State of the way to a node.

    Attributes:
        publishers: of the topic.
        was_full: packets that came were dropped, because the node was too slow to take them.
    """

    publishers: int
    was_full: bool


class ReaderFigures:
    """Reports on packets that are missing or cannot be read.

    WARN: some packets lost or malformed, or more single bad events than :data:`BAD_SHARE`.
    ERROR: more packets lost than received, or :data:`MANY` malformed and none that could be read.
    """

    def __init__(self) -> None:
        self.packets, self.events = Meter(), Meter()
        self._malformed = self._lost = 0
        self._losses = Losses()

    def count(self, events: int) -> None:
        """Count a packet."""
        self.packets.add()
        self.events.add(events)

    def report(self, report: Report, reader: PacketReader, queue: Queue, *, wanted: bool) -> None:
        """Add the figures since the last report, and the faults that they show.

        Args:
            wanted: whether packets are listened to.
        """
        packets, packet_rate = self.packets.take()
        events, event_rate = self.events.take()
        malformed, self._malformed = reader.malformed - self._malformed, reader.malformed
        lost, self._lost = reader.lost - self._lost, reader.lost
        report.values |= {
            "packets per second": f"{packet_rate:.1f}",
            "events per second": f"{event_rate:.0f}",
            "packets received": str(self.packets.total),
            "events received": str(self.events.total),
            "packets lost": str(reader.lost),
            "packets malformed": str(reader.malformed),
            "events dropped": str(reader.losses.dropped),
            "events out of order": str(reader.losses.held),
        }
        if malformed:
            level = Level.ERROR if malformed >= MANY and not packets else Level.WARN
            reason = reader.malformed_reason
            report.add(level, f"{malformed} malformed packets dropped, the last: {reason}")
        elif wanted and not packets:
            report.add_missing("no packets on `events`", ever=self.packets.total)
        if lost:
            level = Level.ERROR if lost > packets else Level.WARN
            report.add(level, f"{lost} packets lost: {_way(queue)}")
        self._report_losses(report, reader.losses, events)

    def _report_losses(self, report: Report, losses: Losses, events: int) -> None:
        before = self._losses
        new = Losses(
            losses.outside - before.outside,
            losses.held - before.held,
            losses.skipped - before.skipped,
            losses.refused - before.refused,
            turned=losses.turned - before.turned,
        )
        self._losses = replace(losses)
        if new.dropped + new.held > BAD_SHARE * events:
            report.add(Level.WARN, f"bad events: {new.describe()}")


class StreamFigures:
    """Reports on packets that become steps.

    Beside what :class:`ReaderFigures` reports, WARN: sensor time went back; ERROR: it did so
    :data:`MANY` times.
    """

    def __init__(self) -> None:
        self._reader = ReaderFigures()
        self._binned, self._noise = Meter(), Meter()
        self._restarts = 0

    @property
    def packets(self) -> int:
        """Number of packets."""
        return self._reader.packets.total

    def count(self, pushed: Pushed) -> None:
        """Count a packet."""
        self._reader.count(pushed.events)
        self._binned.add(sum(step.events for step in pushed.steps))
        self._noise.add(sum(step.dropped for step in pushed.steps))

    def report(self, report: Report, stream: StepStream, queue: Queue, *, wanted: bool) -> None:
        """Add the figures since the last report, and the faults that they show."""
        self._reader.report(report, stream.reader, queue, wanted=wanted)
        (noise, _), (binned, _) = self._noise.take(), self._binned.take()
        restarts, self._restarts = stream.restarts - self._restarts, stream.restarts
        report.values |= {
            "share filtered out as noise": f"{noise / max(1, binned):.3f}",
            "sensor time restarts": str(stream.restarts),
        }
        if restarts:
            cause = (
                f"{queue.publishers} publishers on `events`"
                if queue.publishers > 1
                else "a recording started over, or the camera was reset"
            )
            level = Level.ERROR if restarts >= MANY else Level.WARN
            report.add(level, f"sensor time went back {restarts} times: {cause}")


def _way(queue: Queue) -> str:
    """Return where packets were lost, as far as it can be known."""
    if queue.was_full:
        return "this node is too slow to take them"
    if queue.publishers > 1:
        return f"or {queue.publishers} publishers on `events` count their own"
    return "between publisher and node; see docs/deployment.md"
