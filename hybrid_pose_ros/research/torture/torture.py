# SPDX-License-Identifier: Apache-2.0
"""Runs the table of faults against a running graph, then watches it at rest."""

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from hybrid_pose_ros.research.torture.faults import Fault
from hybrid_pose_ros.research.torture.memory import MemoryLog
from hybrid_pose_ros.research.torture.running_graph import (
    CAMERAS,
    START_TIMEOUT_S,
    NotSurvivedError,
    RunningGraph,
)
from hybrid_pose_ros.research.torture.traffic import simulate_scene

WARM_UP_S: Final = 20.0
"""After the last fault, before memory is watched."""

SAMPLE_S: Final = 2.0

MIN_CALM_S: Final = 40.0
"""Memory is watched at least for so long."""


@dataclass(frozen=True)
class Outcome:
    """What came of a fault.

    Attributes:
        name: of the fault.
        survived: whether all followed that must.
        seconds: from the end of the fault until poses flowed again; None: they did not.
        trouble: what followed that must not, or "".
    """

    name: str
    survived: bool
    seconds: float | None
    trouble: str


def torture(
    prefix: Path,
    faults: Sequence[Fault],
    *,
    model: str,
    folder: Path,
    rate: float,
    limit_s: float,
    minutes: float,
    tell: Callable[[str], None],
) -> dict[str, Any]:
    """Inject the faults one after the other; return the figures as JSON values.

    Args:
        prefix: where the package is installed.
        model: checkpoint; "" for the shipped one.
        folder: gets the logs.
        rate: sensor seconds per second.
        limit_s: what must follow a fault follows within this time (s).
        minutes: at least so long; what the faults leave of it, memory and losses are watched.
        tell: gets a line for each fault.

    Raises:
        NotSurvivedError: no poses come even before the first fault.
    """
    start_s = time.monotonic()
    scenes = [simulate_scene(camera) for camera in range(len(CAMERAS))]
    graph = RunningGraph(prefix, scenes, model=model, folder=folder, rate=rate, limit_s=limit_s)
    with graph:
        graph.await_poses(max(START_TIMEOUT_S, limit_s))
        outcomes = []
        for fault in faults:
            outcome = inject(graph, fault)
            outcomes.append(outcome)
            tell(_line(outcome))
        left_s = minutes * 60.0 - (time.monotonic() - start_s)
        calm = watch(graph, max(left_s, MIN_CALM_S if minutes else 0.0))
        return {
            "faults": [asdict(outcome) for outcome in outcomes],
            "messages": graph.messages,
            **calm,
            "minutes": (time.monotonic() - start_s) / 60.0,
            "rate": rate,
            "limit_s": limit_s,
            "load": os.getloadavg()[2],
        }


def inject(graph: RunningGraph, fault: Fault) -> Outcome:
    """Inject a fault and see what follows; what has ended by it is started again."""
    troubles, seconds = [], None
    try:
        fault.inject(graph)
    except NotSurvivedError as error:
        troubles.append(str(error))
    troubles += graph.heal(fault.killed)
    try:
        seconds = graph.await_poses()
    except NotSurvivedError as error:
        troubles.append(str(error))
    troubles += graph.heal(())
    return Outcome(fault.name, not troubles, seconds, "; ".join(troubles))


def watch(graph: RunningGraph, seconds: float) -> dict[str, Any]:
    """Watch the graph at rest; return its losses and the growth of its memory.

    The first :data:`WARM_UP_S` do not count.
    """
    end_s = time.monotonic() + seconds
    time.sleep(min(WARM_UP_S, seconds / 2))
    before, log = _lost(graph), MemoryLog()
    while time.monotonic() < end_s:
        processes = graph.supervisor.processes
        log.sample({name: process.pid for name, process in processes.items()})
        time.sleep(SAMPLE_S)
    return {
        "packets_lost": sum(
            max(0, lost - before.get(name, 0)) for name, lost in _lost(graph).items()
        ),
        "rss_kb_per_min": log.growth(),
        "calm_seconds": seconds,
    }


def _lost(graph: RunningGraph) -> dict[str, int]:
    """Return the packets that each node has missed so far."""
    return {
        name: int(values["packets lost"])
        for name, values in graph.figures.items()
        if "packets lost" in values
    }


def _line(outcome: Outcome) -> str:
    if outcome.survived:
        return f"survived ({outcome.seconds:.1f} s): {outcome.name}"
    return f"NOT SURVIVED: {outcome.name}: {outcome.trouble}"
