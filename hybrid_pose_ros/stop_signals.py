# SPDX-License-Identifier: Apache-2.0
"""Signals that ask a process to stop, of which more than one may mean the same wish."""

import signal
import time
from collections.abc import Callable
from types import FrameType
from typing import Final

STOP_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)

REPEAT_S: Final = 1.0
"""systemd, launch and a terminal may each send one: within this time (s) it is the same wish."""


class StopSignals:
    """Tells repeated signals from a second wish."""

    def __init__(self) -> None:
        self._first_s: float | None = None

    def is_repeated(self) -> bool:
        """Return whether the signal that has come repeats the first one."""
        now = time.monotonic()
        if self._first_s is None:
            self._first_s = now
            return False
        return now - self._first_s < REPEAT_S


def handle_stop_signals(handler: Callable[[int, FrameType | None], object]) -> None:
    """Let a function handle all signals that ask to stop; for the main thread."""
    for number in STOP_SIGNALS:
        signal.signal(number, handler)
