# SPDX-License-Identifier: Apache-2.0
"""Memory of processes over time, and how fast it grows."""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import numpy as np

MIN_SAMPLES: Final = 5
"""Fewer samples than this of one process give no slope."""


def resident_kb(pid: int) -> int:
    """Return the resident memory of a process in KB; 0 where it has ended."""
    try:
        text = Path(f"/proc/{pid}/status").read_text("utf-8")
    except (FileNotFoundError, ProcessLookupError):
        return 0
    line = next((line for line in text.splitlines() if line.startswith("VmRSS:")), "VmRSS: 0")
    return int(line.split()[1])


class MemoryLog:
    """Samples of the resident memory of processes, by the names of their nodes."""

    def __init__(self) -> None:
        self._samples: dict[str, list[tuple[float, int]]] = {}

    def sample(self, pids: Mapping[str, int]) -> None:
        """Note the memory of these processes now."""
        now_s = time.monotonic()
        for name, pid in pids.items():
            if kilobytes := resident_kb(pid):
                self.add(name, now_s, kilobytes)

    def add(self, name: str, at_s: float, kilobytes: int) -> None:
        """Note one sample."""
        self._samples.setdefault(name, []).append((at_s, kilobytes))

    def growth(self) -> dict[str, float]:
        """Return the slope of the straight line through each node's samples, in KB per minute."""
        growth = {}
        for name, samples in sorted(self._samples.items()):
            at_s, kilobytes = np.array(samples, np.float64).T
            if len(samples) >= MIN_SAMPLES:
                growth[name] = float(np.polyfit((at_s - at_s[0]) / 60.0, kilobytes, 1)[0])
        return growth
