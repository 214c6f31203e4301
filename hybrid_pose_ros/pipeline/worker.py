# SPDX-License-Identifier: Apache-2.0
"""A thread that works on what is given to it; of what waits, the newest wins."""

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

from hybrid_pose_ros.pipeline.scheduling import use_default_slice

T = TypeVar("T")

IsValid = Callable[[], bool]
"""Tells whether an item's work is still wanted: whether nothing was cancelled since it came."""


class Worker(Generic[T]):
    """Works on one item at a time, in a thread of its own.

    Args:
        work: is called with an item, and with what tells whether it is still wanted.
        name: of the thread.
    """

    def __init__(self, work: Callable[[T, IsValid], None], name: str) -> None:
        self._work = work
        self._changed = threading.Condition()
        self._waiting: tuple[T, int] | None = None
        self._generation = 0
        self._is_closed = False
        self._thread = threading.Thread(target=self._run, name=name)
        self._thread.start()

    def put(self, item: T) -> bool:
        """Leave an item; return whether it replaced one that nobody had begun with."""
        with self._changed:
            replaced = self._waiting is not None
            self._waiting = item, self._generation
            self._changed.notify()
            return replaced

    @property
    def is_behind(self) -> bool:
        """Whether an item waits."""
        return self._waiting is not None

    @property
    def has_failed(self) -> bool:
        """Whether the thread ended by an error, whose traceback is on stderr."""
        return not self._is_closed and not self._thread.is_alive()

    def cancel(self) -> None:
        """Make all void that was put so far, also what is being worked on."""
        self._generation += 1

    def close(self) -> None:
        """Let the work under way end; what waits is dropped."""
        with self._changed:
            self._is_closed = True
            self._changed.notify()
        self._thread.join()

    def _run(self) -> None:
        use_default_slice()
        while (item := self._take()) is not None:
            self._work(*item)

    def _take(self) -> tuple[T, IsValid] | None:
        with self._changed:
            self._changed.wait_for(lambda: self._waiting is not None or self._is_closed)
            if self._is_closed or self._waiting is None:
                return None
            (item, generation), self._waiting = self._waiting, None
        return item, lambda: generation == self._generation
