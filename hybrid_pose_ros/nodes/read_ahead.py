# SPDX-License-Identifier: Apache-2.0
"""Reads an event source ahead in a thread of its own, so that a slow read delays no packet."""

import queue
import threading

from hybrid_pose_ros.events.array import EventArray, empty_events
from hybrid_pose_ros.events.sources import EventSource, SourceError

DEPTH = 4
"""Batches read ahead; the simulator's are 100 ms long."""

POLL_S = 0.05


class ReadAhead:
    """An event source in front of another one.

    Args:
        source: closed together with this one.
        stop: once set, reading ends as if the source had ended.
    """

    def __init__(self, source: EventSource, stop: threading.Event) -> None:
        self.width, self.height = source.width, source.height
        self.name, self.live = source.name, source.live
        self._source = source
        self._stop = stop
        self._closing = threading.Event()
        self._queue: queue.Queue[EventArray | SourceError | None] = queue.Queue(DEPTH)
        self._thread = threading.Thread(target=self._run, name="read ahead", daemon=True)
        self._thread.start()

    def read(self) -> EventArray | None:
        """Return the next batch, an empty one if there is none right now, or None at the end.

        Raises:
            SourceError: reading the source failed.
        """
        if self._stop.is_set():
            return None
        try:
            item = self._queue.get(timeout=POLL_S)
        except queue.Empty:
            if not self._thread.is_alive() and self._queue.empty():
                raise SourceError(f"{self.name}: reading ended by an error") from None
            return empty_events()
        if isinstance(item, SourceError):
            raise item
        return item

    def close(self) -> None:
        """Stop reading and close the source."""
        self._closing.set()
        self._thread.join()
        self._source.close()

    def _run(self) -> None:
        while not self._closing.is_set():
            try:
                item: EventArray | SourceError | None = self._source.read()
            except SourceError as error:
                item = error
            self._put(item)
            if item is None or isinstance(item, SourceError):
                return

    def _put(self, item: EventArray | SourceError | None) -> None:
        while not self._closing.is_set():
            try:
                self._queue.put(item, timeout=POLL_S)
            except queue.Full:
                continue
            return
