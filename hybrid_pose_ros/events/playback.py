# SPDX-License-Identifier: Apache-2.0
"""From a source to packets at the right moments."""

import threading
import time
from collections.abc import Iterator
from typing import Final

import numpy as np

from hybrid_pose_ros.events.array import EventArray, join_events
from hybrid_pose_ros.events.sources.base import EventSource

MAX_EVENTS_PER_PACKET: Final = 40_000
"""Larger packets are split: at up to 8 bytes per event this stays below the 450 kB that Fast DDS
delivers best-effort with its default settings."""

MAX_GAP_NS: Final = 20 * 10**9
"""Noise alone makes an event camera fire several times a second: so long without any event is no
quiet scene."""

CATCH_UP: Final = 2
"""Highest speed of a late playback, as a multiple of its rate."""


def packetise(source: EventSource, packet_ns: int) -> Iterator[EventArray]:
    """Cut a source's events into packets at absolute multiples of ``packet_ns`` of sensor time.

    A packet comes as soon as a later event was read, or the source has ended; no event is lost.
    When a live source has nothing right now, what there is of the open packet comes at once, so
    that a quiet scene delays nothing; and an empty packet, so that the caller may look around.

    Raises:
        SourceError: the source failed.
    """
    held: list[EventArray] = []
    while (batch := source.read()) is not None:
        if not len(batch):
            if source.live and held:
                yield join_events(held)
                held = []
            yield batch
            continue
        first, last = (int(batch["t"][i]) // packet_ns for i in (0, -1))
        if held and held[0]["t"][0] // packet_ns != first:
            yield join_events(held)
            held = []
        # In order of time an edge is found faster than every event divided, but in a long gap
        # there is an edge for each packet without events.
        if last - first <= len(batch):
            edges = np.arange(first + 1, last + 1) * packet_ns
            cuts = np.unique(np.searchsorted(batch["t"], edges))
        else:
            cuts = np.flatnonzero(np.diff(batch["t"] // packet_ns)) + 1
        *complete, rest = np.split(batch, cuts)
        for part in complete:
            yield join_events([*held, part])
            held = []
        held.append(rest)
    if held:
        yield join_events(held)


class Pacer:
    """Maps sensor time to the host's monotonic clock.

    The first moment waited for is the present; all others follow from it, so that no delay adds
    up. When playback has fallen behind it goes at most :data:`CATCH_UP` times as fast until it has
    caught up: a burst of all that is late would overrun the queues of those who listen. A gap
    that no camera makes (:data:`MAX_GAP_NS`), or time that goes back, comes of a damaged time
    stamp or a clock that was reset: it is skipped, and the moment after it is the present.

    Args:
        rate: sensor seconds per host second; 0 for no limit.
        stop: once set, every wait ends at once.
    """

    def __init__(self, rate: float, stop: threading.Event) -> None:
        self._rate = rate
        self._stop = stop
        self._origin: tuple[int, int] | None = None  # sensor time, host time
        self._last_ns: int | None = None
        self._released = 0  # host time

    def wait_until(self, sensor_ns: int) -> int:
        """Wait for a moment of sensor time (ns).

        Returns:
            the gap that was skipped in ns of sensor time, to be named; negative where time went
            back, 0 where nothing was skipped.
        """
        last_ns, self._last_ns = self._last_ns, sensor_ns
        gap_ns = 0 if last_ns is None else sensor_ns - last_ns
        skipped = not 0 <= gap_ns <= MAX_GAP_NS
        if self._rate == 0.0:
            return gap_ns * skipped
        now = time.monotonic_ns()
        if self._origin is None or skipped:
            self._origin = (sensor_ns, now)
            self._released = now
            return gap_ns * skipped
        due = self._origin[1] + (sensor_ns - self._origin[0]) / self._rate
        due = max(due, self._released + gap_ns / (CATCH_UP * self._rate))
        if due > now:
            self._stop.wait((due - now) * 1e-9)
        self._released = max(now, round(due))
        return 0
