# SPDX-License-Identifier: Apache-2.0
"""The arithmetic of the benchmarks: turns, percentiles, medians of pairs, straight lines."""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hybrid_pose_ros.errors import UserError


class BenchError(UserError):
    """Something could not be measured; the message says why."""


PERCENTILES = {"p50_ms": 50.0, "p99_ms": 99.0, "p999_ms": 99.9}
"""Key of a latency in the figures -> percent of all that are not above it."""


def latency_percentiles(delays_ns: NDArray[np.int64]) -> dict[str, float | None]:
    """Return :data:`PERCENTILES` of delays in ns; None each where there are no delays."""
    if not len(delays_ns):
        return dict.fromkeys(PERCENTILES)
    values = np.percentile(delays_ns * 1e-6, list(PERCENTILES.values())).tolist()
    return dict(zip(PERCENTILES, values, strict=True))


def paired_ratios(times: Mapping[str, Sequence[float]], base: str) -> dict[str, float]:
    """Return for every other name the median of its times over those of ``base``, run by run.

    Args:
        times: name -> duration of each run; the runs of all names are made in turn, so that
            whatever slows the machine down slows both parts of a pair.
    """
    reference = np.asarray(times[base])
    return {
        name: float(np.median(np.asarray(values) / reference))
        for name, values in times.items()
        if name != base
    }


class Stopwatch:
    """Times several ways to do a thing, in turn, so that nobody always runs after the same one.

    Attributes:
        times: name -> seconds of each run.
        cpu_times: likewise seconds of CPU time.
    """

    def __init__(self, names: Iterable[str]) -> None:
        self._order = list(names)
        self.times: dict[str, list[float]] = {name: [] for name in self._order}
        self.cpu_times: dict[str, list[float]] = {name: [] for name in self._order}

    def turn(self, runs: Mapping[str, Callable[[], object]]) -> None:
        """Run and time each way once."""
        for name in self._order:
            run = runs[name]
            start, cpu_start = time.perf_counter(), time.process_time()
            run()
            cpu_end, end = time.process_time(), time.perf_counter()
            self.times[name].append(end - start)
            self.cpu_times[name].append(cpu_end - cpu_start)
        self._order.append(self._order.pop(0))


@dataclass(frozen=True)
class Line:
    """``y = constant + slope * x``, by least squares.

    Attributes:
        r2: share of the variance of y that the line explains.
    """

    constant: float
    slope: float
    r2: float

    def at(self, x: float) -> float:
        """Return y."""
        return self.constant + self.slope * x


def fit_line(x: Sequence[float], y: Sequence[float]) -> Line:
    """Fit a line to points.

    Raises:
        ValueError: there are no two different x.
    """
    xs, ys = np.asarray(x, np.float64), np.asarray(y, np.float64)
    dx, dy = xs - xs.mean(), ys - ys.mean()
    spread = float(dx @ dx)
    if spread == 0.0:
        raise ValueError("a line needs points at two places")
    slope = float(dx @ dy) / spread
    variance = float(dy @ dy)
    residual = dy - slope * dx
    r2 = 1.0 - float(residual @ residual) / variance if variance else 1.0
    return Line(float(ys.mean() - slope * xs.mean()), slope, r2)
