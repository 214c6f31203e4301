# SPDX-License-Identifier: Apache-2.0
"""The time of a bag that is being played."""

import threading
import time
from collections.abc import Callable


class PlayClock:
    """Time of a bag as it is played; every method may be called from any thread.

    Args:
        rate: bag seconds per host second; 0: no limit, everything is due at once.
        now_ns: the host's monotonic clock.
    """

    def __init__(self, rate: float, now_ns: Callable[[], int] = time.monotonic_ns) -> None:
        self.rate = rate
        self._now_ns = now_ns
        self._lock = threading.Lock()
        self._bag_ns = 0  # at the host's time _since_ns
        self._since_ns: int | None = now_ns()  # None: the bag's time is held
        self._paused = False

    @property
    def paused(self) -> bool:
        """Whether time stands still."""
        return self._paused

    def hold(self, bag_ns: int) -> None:
        """Set the time; it stands still until the next :meth:`jump`."""
        with self._lock:
            self._bag_ns, self._since_ns = bag_ns, None

    def jump(self, bag_ns: int) -> None:
        """Set the time: at the start, and where the bag starts over."""
        with self._lock:
            self._bag_ns, self._since_ns = bag_ns, self._now_ns()

    def pause(self) -> None:
        """Stop time."""
        with self._lock:
            if not self._paused:
                self._bag_ns = self._bag_time_ns()
                self._paused = True

    def resume(self) -> None:
        """Let time go on."""
        with self._lock:
            if self._paused:
                self._paused = False
                if self._since_ns is not None:
                    self._since_ns = self._now_ns()

    def toggle(self) -> None:
        """Pause or resume."""
        self.resume() if self._paused else self.pause()

    def due_in_s(self, bag_ns: int) -> float:
        """Return the host seconds until a moment of the bag, at most 0 when it is past.

        Infinite while time stands still. Without limit of speed, time is taken to that moment.
        """
        with self._lock:
            if self._paused:
                return float("inf")
            if self.rate == 0.0:
                self._bag_ns = max(self._bag_ns, bag_ns)
                return 0.0
            return (bag_ns - self._bag_time_ns()) / self.rate * 1e-9

    def bag_ns(self) -> int:
        """Return the time of the bag, in ns since 1970."""
        with self._lock:
            return self._bag_time_ns()

    def _bag_time_ns(self) -> int:
        if self._paused or self._since_ns is None or self.rate == 0.0:
            return self._bag_ns
        return self._bag_ns + round((self._now_ns() - self._since_ns) * self.rate)
