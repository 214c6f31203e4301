# SPDX-License-Identifier: Apache-2.0
"""Reads and filters a source ahead in its own thread, so that a slow read delays no packet."""

import queue
import threading

from hybrid_pose_ros.events.array import EventArray, empty_events
from hybrid_pose_ros.events.filters import FilterChain
from hybrid_pose_ros.events.sources import EventSource, SourceError

DEPTH = 4
"""Batches read ahead; the simulator's are 100 ms long."""

POLL_S = 0.05

CLOSE_S = 0.5
"""Longest wait for a read under way when closing; a simulated batch may take longer."""

LIVE_POLL_S = 0.002
"""A live source is asked this often; it is no use to know later that it is silent."""


class ReadAhead:
    """An event source in front of another one.

    A live source is read from the start on, or its own buffers would fill up; but what it gives
    before :meth:`begin` is past by then, and dropped.

    Args:
        source: closed with this one, as soon as the read under way is done.
        filters: applied to each batch.
        stop: once set, reading ends as if the source had ended.

    Attributes:
        ready: set once the source has given its first batch, or has ended.
    """

    def __init__(self, source: EventSource, filters: FilterChain, stop: threading.Event) -> None:
        self.width, self.height = source.width, source.height
        self.name, self.live = source.name, source.live
        self._source = source
        self._filters = filters
        self._stop = stop
        self._closing = threading.Event()
        self._wanted = threading.Event()
        self.ready = threading.Event()
        self._queue: queue.Queue[EventArray | SourceError | None] = queue.Queue(DEPTH)
        self._thread = threading.Thread(target=self._run, name="read ahead", daemon=True)
        self._thread.start()

    def begin(self) -> None:
        """Deliver from now on."""
        while self.live:
            try:
                item = self._queue.get_nowait()
            except queue.Empty:
                break
            if item is None or isinstance(item, SourceError):
                self._queue.put(item)
                break
        self._wanted.set()

    @property
    def trouble(self) -> str:
        """The source's own account of what was lost of the part read so far, or ""."""
        return str(getattr(self._source, "trouble", ""))  # only recordings and videos have one

    @property
    def is_delivering(self) -> bool:
        """Whether it delivers."""
        return self._wanted.is_set()

    def pause(self) -> None:
        """Deliver nothing until :meth:`begin`."""
        self._wanted.clear()

    def read(self) -> EventArray | None:
        """Return the next batch, an empty one if there is none right now, or None at the end.

        The end is read again and again.

        Raises:
            SourceError: reading the source failed.
        """
        if self._stop.is_set():
            return None
        try:
            item = self._queue.get(timeout=LIVE_POLL_S if self.live else POLL_S)
        except queue.Empty:
            if not self._thread.is_alive() and self._queue.empty():
                raise SourceError(f"{self.name}: reading ended by an error") from None
            return empty_events()
        if item is None or isinstance(item, SourceError):
            self._queue.put(item)  # nothing comes after it
        if isinstance(item, SourceError):
            raise item
        return item

    def close(self) -> None:
        """Stop reading and close the source; may be called again."""
        if self._closing.is_set():
            return
        self._closing.set()
        self._thread.join(CLOSE_S)

    def _run(self) -> None:
        try:
            self._read_all()
        finally:
            self._source.close()

    def _read_all(self) -> None:
        while not self._closing.is_set():
            item: EventArray | SourceError | None
            try:
                batch = item = self._source.read()
                if batch is not None and len(batch):
                    item = passed = self._filters.apply(batch)
                    if not len(passed):
                        continue
            except SourceError as error:
                item = error
            except Exception as error:
                item = SourceError(
                    f"{self.name}: reading broke off by an unexpected error: "
                    f"{type(error).__name__}: {error}"
                )
            if item is None or isinstance(item, SourceError):
                self._put(item)
                self._closing.wait()  # a source that has ended stays open until it is closed
                return
            if len(item):
                self._put(item)
            else:
                self._closing.wait(LIVE_POLL_S)

    def _put(self, item: EventArray | SourceError | None) -> None:
        self.ready.set()
        while not self._closing.is_set():
            if self._is_past(item):
                return
            try:
                self._queue.put(item, timeout=POLL_S)
            except queue.Full:
                continue
            return

    def _is_past(self, item: EventArray | SourceError | None) -> bool:
        is_events = item is not None and not isinstance(item, SourceError)
        return is_events and self.live and not self._wanted.is_set()
