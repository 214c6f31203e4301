# SPDX-License-Identifier: Apache-2.0
"""Plays a source of events in a thread of its own, at its pace, once or over and over."""

import threading
from collections.abc import Callable
from dataclasses import dataclass

from hybrid_pose_ros.errors import UserError
from hybrid_pose_ros.events.array import EventArray
from hybrid_pose_ros.events.encodings import ENCODINGS
from hybrid_pose_ros.events.playback import MAX_EVENTS_PER_PACKET, Pacer, packetise
from hybrid_pose_ros.interfaces.topics import FRAME_ID
from hybrid_pose_ros.nodes.support.base import ManagedNode
from hybrid_pose_ros.nodes.support.boundary import RefusedError
from hybrid_pose_ros.nodes.support.event_source import LIVE_SOURCES
from hybrid_pose_ros.nodes.support.health import Level, Meter, Report
from hybrid_pose_ros.nodes.support.parameters import ParameterSpec
from hybrid_pose_ros.nodes.support.read_ahead import ReadAhead

PLAYBACK_PARAMETERS = (
    ParameterSpec(
        "rate",
        1.0,
        "speed (sensor seconds per host second) of recording, video, simulator; 0: no limit",
        limits=(0.0, 1000.0),
    ),
    ParameterSpec("loop", False, "start over at the end of the source"),
    ParameterSpec("exit_at_end", True, "end the process at the end of the source"),
    ParameterSpec(
        "packet_ms", 5.0, "length of a packet (ms of sensor time)", limits=(0.1, 1000.0)
    ),
    ParameterSpec("encoding", "mono", "encoding of the events", choices=ENCODINGS),
    ParameterSpec("frame_id", FRAME_ID, "frame of the camera, for the headers"),
)
"""Parameters that say how a source is played, and what its packets are like."""


@dataclass(frozen=True)
class PlayOptions:
    """How a source is played.

    Attributes:
        source: kind of the source, such as ``camera``.
        packet_ns: packets end at multiples of this (ns of sensor time).
        rate: sensor seconds per host second, of a source that is not live; 0: no limit.
        loop: start over at the end.
    """

    source: str
    packet_ns: int
    rate: float
    loop: bool


def play_options(node: ManagedNode) -> PlayOptions:
    """Return the options that a node's parameters give."""
    return PlayOptions(
        source=node.text("source"),
        packet_ns=round(node.number("packet_ms") * 1e6),
        rate=node.number("rate"),
        loop=node.flag("loop"),
    )


class SourcePlayer:
    """Opens, plays and closes a source.

    Args:
        open_source: opens the source, which ends when the event is set.
        await_listeners: called before the first packet, in the thread that plays; ends when the
            event is set.
        publish: called with each packet, in that thread.

    Attributes:
        source: the open source, or None.
        finished: whether the source has ended.
        trouble: why it cannot go on, or "".
        lost: what the source itself says that it lost, or "".
    """

    def __init__(
        self,
        open_source: Callable[[threading.Event], ReadAhead],
        await_listeners: Callable[[threading.Event], None],
        publish: Callable[[EventArray], None],
    ) -> None:
        self.source: ReadAhead | None = None
        self.finished = False
        self.trouble = ""
        self.lost = ""
        self._lost_reported = ""
        self._skipped = Meter()
        self._skipped_ns = 0
        self._open, self._await_listeners, self._publish = open_source, await_listeners, publish
        self._options: PlayOptions
        self._thread: threading.Thread | None = None
        self._stopping = threading.Event()
        self._going = threading.Event()
        self._going.set()
        self._again = self._has_published = False

    @property
    def is_started(self) -> bool:
        """Whether it was started, and not stopped since."""
        return self._thread is not None

    @property
    def is_over(self) -> bool:
        """Whether it was started, and plays no more."""
        return self._thread is not None and not self._thread.is_alive()

    def open(self) -> ReadAhead:
        """Open the source and return it; raises SourceError."""
        self.source = self._open(self._stopping)
        return self.source

    def close(self) -> None:
        """Close the source, if it is open."""
        if self.source is not None:
            self.source.close()
            self.source = None

    def start(self, options: PlayOptions) -> None:
        """Play from where the source stands."""
        self._options = options
        self._stopping.clear()
        self._going.set()
        self._again = self.finished = False
        self.trouble = self.lost = self._lost_reported = ""
        self._thread = threading.Thread(target=self._play, name="source", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Stop playing; may be called again."""
        self._stopping.set()
        self._going.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        if self.source is not None:
            self.source.pause()

    def pause(self, wanted: bool) -> str:
        """Pause, or go on; return what happens, or raise RefusedError."""
        self._require_playing("be paused")
        self._going.clear() if wanted else self._going.set()
        return "paused" if wanted else "goes on"

    def start_over(self) -> str:
        """Play from the beginning; return what happens, or raise RefusedError."""
        self._require_playing("start over")
        self._again = True
        self._going.set()
        return "starts over"

    def diagnose(self, report: Report, *, has_published: bool) -> None:
        """Add how the source does.

        Args:
            has_published: whether events came since the last report.
        """
        skipped, _ = self._skipped.take()
        lost, reported = self._account(), self._lost_reported
        self._lost_reported = lost
        report.values |= {"gaps skipped": str(self._skipped.total), "source lost": lost}
        if self.trouble:
            report.add(Level.ERROR, self.trouble)
        elif self.finished:
            report.add(Level.OK, "finished: the source has ended")
        elif not self._going.is_set():
            report.add(Level.WARN, "paused; ~/pause with false goes on")
        elif not has_published:
            report.add_missing("no events from the source", ever=self._has_published)
        if skipped:
            report.add(Level.WARN, f"{skipped} gaps skipped, {_gap(self._skipped_ns)}")
        if lost and (self.finished or lost != reported):
            report.add(Level.WARN, f"the source has losses: {lost}")

    def _account(self) -> str:
        """Return what the open source says that it lost; that of a closed one is kept."""
        source = self.source
        if source is not None and source.trouble:
            self.lost = source.trouble
        return self.lost

    def _require_playing(self, what: str) -> None:
        source = self._options.source
        if source in LIVE_SOURCES:
            raise RefusedError(
                f"a {source} cannot {what}: its time goes on; pause or reset the nodes that "
                "listen, or deactivate this one"
            )
        if self.finished:
            raise RefusedError(f"the source has ended and cannot {what}; configure the node anew")

    def _play(self) -> None:
        try:
            self._await_listeners(self._stopping)
            self._play_once()
            while (self._again or self._loops) and not self._stopping.is_set():
                self._again = False
                self.close()
                self.open()
                self._play_once()
        except UserError as error:
            self.trouble = str(error)
            return
        except Exception as error:
            self.trouble = f"playing broke off by an error: {type(error).__name__}: {error}"
            return
        finally:
            self._account()
        if self._stopping.is_set():
            return
        if self._options.source == "camera" and self.source is not None:
            self.trouble = f"{self.source.name}: no more events; is the camera still plugged in?"
        elif not self._has_published and self.source is not None:
            lost = f" ({self.lost})" if self.lost else ""
            self.trouble = f"{self.source.name}: it ended without an event{lost}; record it again"
        else:
            self.finished = True

    @property
    def _loops(self) -> bool:
        """Whether the source starts over at its end; one without events would do so at once."""
        return self._options.loop and self._has_published

    def _play_once(self) -> None:
        assert self.source is not None
        packet_ns = self._options.packet_ns
        pacer = Pacer(0.0 if self.source.live else self._options.rate, self._stopping)
        self.source.begin()
        for events in packetise(self.source, packet_ns):
            if self._stopping.is_set() or self._again:
                return
            if not len(events):
                continue
            # A camera would deliver a packet when its time is over.
            gap_ns = pacer.wait_until((int(events["t"][-1]) // packet_ns + 1) * packet_ns)
            if gap_ns:
                self._skipped_ns = gap_ns
                self._skipped.add()
            if not self._going.is_set():
                self._going.wait()
                pacer = Pacer(self._options.rate, self._stopping)
            if self._stopping.is_set() or self._again:
                return
            for first in range(0, len(events), MAX_EVENTS_PER_PACKET):
                self._publish(events[first : first + MAX_EVENTS_PER_PACKET])
            self._has_published = True


def _gap(gap_ns: int) -> str:
    """Return a gap in words, and what it comes of."""
    seconds = f"{abs(gap_ns) / 1e9:.3f} s"
    jump = f"the last of {seconds}" if gap_ns > 0 else f"at the last time went back by {seconds}"
    return f"{jump} of sensor time: a damaged time stamp, or a clock that was reset"
