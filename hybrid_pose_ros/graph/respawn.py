# SPDX-License-Identifier: Apache-2.0
"""When a node that died is started again."""

from typing import Final

FIRST_DELAY_S: Final = 1.0
"""From the death of a node to its new start; doubled by every further death ..."""

MAX_DELAY_S: Final = 30.0
"""... up to this, until ..."""

STABLE_S: Final = 60.0
"""... it has lived for so long."""

START_S: Final = 30.0
"""A node that gives up within this time of its first start cannot start at all."""

RESPAWNED: Final = ("ann", "snn", "visualizer")
"""Nodes that go on where they were. A source of events would begin anew, so it is none of them."""

_GAVE_UP: Final = (1, 2)
"""Exit codes of a node that could not start, or whose arguments cannot be read."""


class BackOff:
    """Decides on the deaths of one node."""

    def __init__(self) -> None:
        self._deaths = 0

    def delay_s(self, code: int, lived_s: float) -> float | None:
        """Return the time (s) from a death to the new start; None: it is not started again.

        Args:
            code: exit code; negative: the number of the signal that killed it. A node that ended
                in order (0) was told to, or has no more to do.
            lived_s: time from its start.
        """
        if code == 0 or (code in _GAVE_UP and not self._deaths and lived_s < START_S):
            return None
        if lived_s >= STABLE_S:
            self._deaths = 0
        self._deaths += 1
        return min(MAX_DELAY_S, FIRST_DELAY_S * 2.0 ** min(self._deaths - 1, 10))


def death_notice(name: str, code: int, delay_s: float) -> str:
    """Return a sentence on a node that is started again."""
    reason = f"was killed by signal {-code}" if code < 0 else f"died with code {code}"
    return f"{name} {reason}; it is started again in {delay_s:g} s (respawn: false turns this off)"
