# SPDX-License-Identifier: Apache-2.0
"""The line in which `hybrid-pose run` says how fast events, poses and initialisations come."""

import shutil
import sys
import threading
from collections.abc import Mapping
from typing import TextIO

from hybrid_pose_ros.interfaces.diagnostics import NodeReport

_LEVELS = ("", "warning", "error")


class RunStatus:
    """Listens to the nodes' diagnostics in a thread of its own and renews a line every second.

    A context manager; where the output is no terminal it does nothing.
    """

    def __init__(self, out: TextIO = sys.stderr) -> None:
        self._out = out
        self._reports: dict[str, NodeReport] = {}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._listen, name="status", daemon=True)

    def __enter__(self) -> "RunStatus":
        if self._out.isatty():
            self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(2.0)
            self._out.write("\x1b[2K")

    def _listen(self) -> None:
        from hybrid_pose_ros.interfaces.listener import hear_reports

        try:
            hear_reports("run_status", self._take, until=self._stop.is_set)
        except RuntimeError as error:  # of the middleware; the nodes have words for it themselves
            self._out.write(f"no line of rates: {error}\n")

    def _take(self, reports: Mapping[str, NodeReport]) -> None:
        self._reports |= reports
        if any(name.endswith("/snn") for name in reports):
            # the cursor stays at the line's beginning, so that what nodes log replaces it
            self._out.write(f"\x1b[2K{status_line(self._reports)[: self._width()]}\r")
            self._out.flush()

    @staticmethod
    def _width() -> int:
        return shutil.get_terminal_size().columns - 1


def status_line(reports: Mapping[str, NodeReport]) -> str:
    """Return the rates of a graph, summed over its cameras, and the worst that a node reports.

    Args:
        reports: full name of a node -> its last report.
    """

    def total(node: str, figure: str) -> float:
        values = [r.values.get(figure, "") for n, r in reports.items() if n.endswith(f"/{node}")]
        return sum(float(value) for value in values if value)

    parts = []
    if any(name.endswith("/event_driver") for name in reports):
        rate = total("event_driver", "events per second")
        parts.append(f"{rate / 1e6:.2f} Mev/s")
    parts.append(f"{total('snn', 'poses per second'):.0f} poses/s")
    parts.append(f"{total('ann', 'inferences per second'):.0f} inits/s")
    latencies = [
        report.values["latency ms, mean / max"]
        for name, report in reports.items()
        if name.endswith("/snn") and "/" in report.values.get("latency ms, mean / max", "")
    ]
    if latencies:
        parts.append(f"latency {max(latencies, key=_mean)} ms")
    worst = max(reports.items(), key=lambda item: item[1].level, default=None)
    if worst is not None and (level := worst[1].level):
        parts.append(f"{_LEVELS[min(level, 2)]} of {worst[0]}: {worst[1].message}")
    return ", ".join(parts)


def _mean(latency: str) -> float:
    return float(latency.partition("/")[0])
