# SPDX-License-Identifier: Apache-2.0
"""What a node says about itself once a second, without ROS: a level, a sentence, figures."""

import time
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Final


class Level(IntEnum):
    """Levels of diagnostic_msgs/DiagnosticStatus."""

    OK = 0
    WARN = 1
    ERROR = 2


@dataclass
class Report:
    """A report under construction: the worst level wins, its sentences come first.

    Attributes:
        settling: the node has just been activated, and its peers may still be starting.
    """

    values: dict[str, str] = field(default_factory=dict)
    findings: list[tuple[Level, str]] = field(default_factory=list)
    settling: bool = False

    def add(self, level: Level, sentence: str) -> None:
        """Add a finding."""
        self.findings.append((level, sentence))

    def add_missing(self, sentence: str, *, ever: object, level: Level = Level.WARN) -> None:
        """Add that something does not come; while the node settles it is only waited for.

        Args:
            ever: whether it has come before: then it is missing at once.
        """
        if self.settling and not ever:
            self.add(Level.OK, f"starting: {sentence}")
        else:
            self.add(level, sentence)

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
        self._count = self._sum_ns = self._max_ns = 0

    def add(self, duration_ns: int) -> None:
        """Count one duration in ns."""
        self._max_ns = max(self._max_ns, duration_ns) if self._count else duration_ns
        self._count += 1
        self._sum_ns += duration_ns

    def take(self) -> str:
        """Return ``mean / max`` in milliseconds as text and start anew."""
        count, sum_ns, max_ns = self._count, self._sum_ns, self._max_ns
        self._count = self._sum_ns = self._max_ns = 0
        return f"{sum_ns / count / 1e6:.2f} / {max_ns / 1e6:.2f}" if count else "-"


MAX_LATENCY_NS: Final = 60 * 10**9
"""A stamp this far from the node's clock is one of another clock, not of a late message."""


class Latency:
    """Time from a message's stamp to its use, where both are of one clock."""

    def __init__(self) -> None:
        self._durations = Durations()
        self._other_clock_ns = 0

    def add(self, latency_ns: int) -> None:
        """Count one latency in ns."""
        if abs(latency_ns) <= MAX_LATENCY_NS:
            self._durations.add(latency_ns)
        else:
            self._other_clock_ns = latency_ns

    def report(self, report: Report) -> None:
        """Add the latency since the last report, or that it cannot be known."""
        report.values["latency ms, mean / max"] = self._durations.take()
        other_ns, self._other_clock_ns = self._other_clock_ns, 0
        if other_ns:
            order = "behind" if other_ns > 0 else "ahead of"
            report.add(
                Level.WARN,
                f"latency unknown: stamps are {abs(other_ns) / 1e9:.0f} s {order} this node's "
                "clock; give this node and the source of the events the same use_sim_time",
            )


class Incidents:
    """Counts what came and was refused, and errors that nothing accounts for."""

    def __init__(self) -> None:
        self._refused, self._refusal = Meter(), ""
        self._faults, self._fault = Meter(), ""

    @property
    def refused(self) -> int:
        """Number of messages and requests refused."""
        return self._refused.total

    def refuse(self, sentence: str) -> None:
        """Count a message or request that cannot be used, and remember why."""
        self._refused.add()
        self._refusal = sentence

    def survive(self, sentence: str) -> None:
        """Count an error of the node's own, and remember it."""
        self._faults.add()
        self._fault = sentence

    def report(self, report: Report) -> None:
        """Add the figures, and what has come since the last report."""
        refused, _ = self._refused.take()
        faults, _ = self._faults.take()
        report.values |= {
            "messages refused": str(self._refused.total),
            "unexpected errors": str(self._faults.total),
        }
        if refused:
            report.add(Level.WARN, f"{refused} messages refused, the last: {self._refusal}")
        if faults:
            report.add(Level.ERROR, f"{faults} unexpected errors, the last: {self._fault}")
