# SPDX-License-Identifier: Apache-2.0
"""What a node says about itself once a second, without ROS: a level, a sentence, figures."""

import time
from dataclasses import dataclass, field
from enum import IntEnum


class Level(IntEnum):
    """Levels of diagnostic_msgs/DiagnosticStatus."""

    OK = 0
    WARN = 1
    ERROR = 2


@dataclass
class Report:
    """A report under construction: the worst level wins, its sentences come first."""

    values: dict[str, str] = field(default_factory=dict)
    findings: list[tuple[Level, str]] = field(default_factory=list)

    def add(self, level: Level, sentence: str) -> None:
        """Add a finding."""
        self.findings.append((level, sentence))

    @property
    def level(self) -> Level:
        """The worst level among the findings."""
        return max((level for level, _ in self.findings), default=Level.OK)

    @property
    def message(self) -> str:
        """The findings of the worst level as one line."""
        return "; ".join(text for level, text in self.findings if level == self.level) or "ok"


class Meter:
    """Counts something, and says how fast it went since the last report."""

    def __init__(self) -> None:
        self.total = 0
        self._reported = 0
        self._since = time.monotonic()

    def add(self, amount: int = 1) -> None:
        """Count ``amount`` more."""
        self.total += amount

    def take(self) -> tuple[int, float]:
        """Return the growth since the last call and the growth per second."""
        now = time.monotonic()
        growth, seconds = self.total - self._reported, now - self._since
        self._reported, self._since = self.total, now
        return growth, growth / seconds if seconds > 0 else 0.0


class Durations:
    """Mean and maximum of durations since the last report."""

    def __init__(self) -> None:
        self._since_ns: list[int] = []

    def add(self, duration_ns: int) -> None:
        """Count one duration in ns."""
        self._since_ns.append(duration_ns)

    def take(self) -> str:
        """Return ``mean / max`` in milliseconds as text and start anew."""
        taken, self._since_ns = self._since_ns, []
        if not taken:
            return "-"
        return f"{sum(taken) / len(taken) / 1e6:.2f} / {max(taken) / 1e6:.2f}"
