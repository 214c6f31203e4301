# SPDX-License-Identifier: Apache-2.0
"""A mailbox with one slot between two threads: the newest content wins."""

import threading
from typing import Generic, TypeVar

T = TypeVar("T")


class Mailbox(Generic[T]):
    """One thread puts, another takes; what was not taken in time is replaced."""

    def __init__(self) -> None:
        self._condition = threading.Condition()
        self._item: T | None = None
        self._closed = False

    def put(self, item: T) -> bool:
        """Leave an item; return whether it replaced one that nobody took."""
        with self._condition:
            replaced = self._item is not None
            self._item = item
            self._condition.notify()
            return replaced

    @property
    def is_full(self) -> bool:
        """Whether there is an item in it."""
        return self._item is not None

    def take(self) -> T | None:
        """Wait for an item and take it out; None once the mailbox is closed."""
        with self._condition:
            self._condition.wait_for(lambda: self._item is not None or self._closed)
            item, self._item = self._item, None
            return None if self._closed else item

    def close(self) -> None:
        """End all waiting; what is inside is dropped."""
        with self._condition:
            self._closed = True
            self._condition.notify_all()
