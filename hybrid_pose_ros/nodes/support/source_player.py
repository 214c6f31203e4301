# SPDX-License-Identifier: Apache-2.0
"""Plays a source of events in a thread of its own, at its pace, once or over and over."""

import threading
from collections.abc import Callable
from dataclasses import dataclass

from hybrid_pose_ros.errors import UserError
from hybrid_pose_ros.events.array import EventArray
from hybrid_pose_ros.events.playback import MAX_EVENTS_PER_PACKET, Pacer, packetise
from hybrid_pose_ros.nodes.support.base import RefusedError
from hybrid_pose_ros.nodes.support.event_source import LIVE_SOURCES
from hybrid_pose_ros.nodes.support.health import Level, Report
from hybrid_pose_ros.nodes.support.read_ahead import ReadAhead


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
        self._open, self._await_listeners, self._publish = open_source, await_listeners, publish
        self._options: PlayOptions
        self._thread: threading.Thread | None = None
        self._stopping = threading.Event()
        self._going = threading.Event()
        self._going.set()
        self._again = False

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
        self.trouble = ""
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
        """Add how the source does."""
        if self.trouble:
            report.add(Level.ERROR, self.trouble)
        elif self.finished:
            report.add(Level.OK, "finished: the source has ended")
        elif not self._going.is_set():
            report.add(Level.WARN, "paused; ~/pause with false goes on")
        elif not has_published:
            report.add(Level.WARN, "no events from the source")

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
            while (self._again or self._options.loop) and not self._stopping.is_set():
                self._again = False
                self.close()
                self.open()
                self._play_once()
        except UserError as error:
            self.trouble = str(error)
            return
        if self._stopping.is_set():
            return
        if self._options.source == "camera" and self.source is not None:
            self.trouble = f"{self.source.name}: no more events; is the camera still plugged in?"
        else:
            self.finished = True

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
            pacer.wait_until((int(events["t"][-1]) // packet_ns + 1) * packet_ns)
            if not self._going.is_set():
                self._going.wait()
                pacer = Pacer(self._options.rate, self._stopping)
            if self._stopping.is_set() or self._again:
                return
            for first in range(0, len(events), MAX_EVENTS_PER_PACKET):
                self._publish(events[first : first + MAX_EVENTS_PER_PACKET])
