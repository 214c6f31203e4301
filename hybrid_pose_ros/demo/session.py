# SPDX-License-Identifier: Apache-2.0
"""Plays a recording through the real nodes, and watches."""

import signal
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.live import Live
from rosbags.typesys.store import Typestore

from hybrid_pose_ros.demo.bag import make_typestore
from hybrid_pose_ros.demo.recorder import Recorder, RecorderEnd
from hybrid_pose_ros.demo.report import Measurements, NodeHealth
from hybrid_pose_ros.demo.table import live_table
from hybrid_pose_ros.demo.topics import graph_topics
from hybrid_pose_ros.nodes.graph import NodeSpec, Value, pose_graph, share_directory
from hybrid_pose_ros.nodes.processes import Graph
from hybrid_pose_ros.simulation.recording import Truth

NAMESPACE: Final = "/cam0"
REFRESH_S: Final = 0.5

START_TIMEOUT_S: Final = 60.0
"""If no packet has come by then, none will."""

SETTLE_S: Final = 4.0
"""After the end the nodes' last reports are waited for, but not longer."""

QUIET_NS: Final = 200_000_000
"""A report that is younger than the last packet by this much counts all packets."""

POLL_S: Final = 0.1

START_DELAY_S: Final = 1.0
"""From the moment at which all listen to events to the first packet: the other topics' time to
find each other."""


@dataclass(frozen=True)
class Plan:
    """What is to be played.

    Attributes:
        recording: AEDAT4 file.
        truth: its labels, if there are any.
        model: checkpoint; None for the shipped one.
        rate: sensor seconds per host second; 0 for no limit.
        loop: start over at the recording's end.
        seconds: stop after so many seconds of host time; None: at the recording's end.
        folder: gets the bag and the nodes' logs.
    """

    recording: Path
    truth: Truth | None
    model: Path | None
    rate: float
    loop: bool
    seconds: float | None
    folder: Path

    @property
    def bag(self) -> Path:
        """The bag's folder."""
        return self.folder / "bag"

    @property
    def logs(self) -> Path:
        """The folder of the nodes' logs."""
        return self.folder / "logs"


@dataclass
class Outcome:
    """What came of it.

    Attributes:
        interrupted: the user stopped it.
        failed: exit code and last words of each node that ended too early.
        fatal: why it ended early, or None.
        recorder: how recording ended.
    """

    measured: Measurements
    store: Typestore
    interrupted: bool = False
    failed: dict[str, str] = field(default_factory=dict)
    fatal: str | None = None
    recorder: RecorderEnd | None = None


def play(plan: Plan, prefix: Path, console: Console) -> Outcome:
    """Play a recording until it ends, the time is over, a required node dies, or Ctrl-C.

    Args:
        prefix: where the package is installed.

    Raises:
        GraphError: an argument is wrong or the installation is incomplete.
        RecorderError: the recorder does not start.
    """
    share = share_directory(prefix)
    outcome = Outcome(Measurements(NAMESPACE), make_typestore(share))
    whole = [topic for topic in outcome.measured.topics if topic != f"{NAMESPACE}/events"]
    recorder = Recorder(NAMESPACE, plan.bag, share, whole)
    console.print("starting the nodes ...", style="dim")
    with recorder, Graph(graph_of(plan, share), prefix, log_dir=plan.logs) as graph:
        try:
            _watch(plan, graph, recorder, outcome, console)
        except KeyboardInterrupt:
            outcome.interrupted = True
            console.print("interrupted; writing what was measured ...")
        _settle(graph, recorder, outcome)
    _collect(recorder, outcome)
    outcome.recorder = recorder.end
    return outcome


def graph_of(plan: Plan, share: Path) -> list[NodeSpec]:
    """Return the nodes, with what the demonstration needs of them."""
    specs = pose_graph(
        {
            "source": "recording",
            "recording": str(plan.recording),
            "rate": str(plan.rate),
            "model": str(plan.model or ""),
            "namespace": NAMESPACE,
        },
        share,
    )
    listeners = len(specs) - 1 + 1  # all but the driver, and the recorder
    extra: Mapping[str, Mapping[str, Value]] = {
        "event_driver": {
            "exit_at_end": False,
            "loop": plan.loop,
            "wait_for_subscribers": listeners,
            "start_delay_s": START_DELAY_S,
        },
        "visualizer": {"scale": 1},
    }
    return [
        replace(spec, parameters={**spec.parameters, **extra.get(spec.name, {})}) for spec in specs
    ]


def last_words(log: Path) -> str:
    """Return the last line of a node's log that says anything."""
    lines = log.read_text(encoding="utf-8", errors="replace").split("\n") if log.is_file() else []
    return next((line.strip() for line in reversed(lines) if line.strip()), "it said nothing")


def _watch(
    plan: Plan, graph: Graph, recorder: Recorder, outcome: Outcome, console: Console
) -> None:
    measured = outcome.measured
    title = f"{plan.recording.name}, {plan.rate:g}x"
    start = time.monotonic()

    with Live(console=console, auto_refresh=False, transient=True) as live:
        while True:
            time.sleep(REFRESH_S)
            _collect(recorder, outcome)
            _note_ended(plan, graph, outcome)
            table = live_table(measured, plan.truth, title=title, ended=list(outcome.failed))
            live.update(table, refresh=console.is_terminal)
            if recorder.end is not None:
                outcome.fatal = recorder.end.failure or "the recorder ended early"
            if outcome.fatal is not None or _is_over(plan, measured):
                return
            if not measured.packets and time.monotonic() - start > START_TIMEOUT_S:
                outcome.fatal = (
                    f"no events came within {START_TIMEOUT_S:g} s; see the logs in {plan.logs}"
                )
                return


def _note_ended(plan: Plan, graph: Graph, outcome: Outcome) -> None:
    for name, code in graph.poll().items():
        if name in outcome.failed:
            continue
        how = f"killed by signal {-code}" if code < 0 else f"ended with code {code}"
        outcome.failed[name] = f"{how}: {last_words(plan.logs / f'{name}.log')}"
        if graph.specs[name].required:
            outcome.fatal = f"{name} {outcome.failed[name]}"


def _is_over(plan: Plan, measured: Measurements) -> bool:
    driver = measured.health.get("event_driver")
    if not measured.packets or driver is None:
        return False
    if plan.seconds is not None and time.time_ns() - measured.packets[0] > plan.seconds * 1e9:
        return True
    return driver.values.get("finished") == "true"


def _settle(graph: Graph, recorder: Recorder, outcome: Outcome) -> None:
    """End the driver, and wait until the SNN has told what it received."""
    graph.processes["event_driver"].send_signal(signal.SIGINT)
    deadline = time.monotonic() + SETTLE_S
    while time.monotonic() < deadline:
        time.sleep(POLL_S)
        _collect(recorder, outcome)
        ended = graph.poll()
        if "snn" in ended or not outcome.measured.packets:
            return
        reported_ns = outcome.measured.health.get("snn", NodeHealth()).stamp_ns
        if "event_driver" in ended and reported_ns > outcome.measured.packets[-1] + QUIET_NS:
            return


def _collect(recorder: Recorder, outcome: Outcome) -> None:
    for received in recorder.take():
        if received.topic not in outcome.measured.topics:
            continue
        message = (
            outcome.store.deserialize_cdr(received.data, _TYPES[received.topic])
            if received.data
            else None
        )
        outcome.measured.add(received.topic, received.stamp_ns, message)


_TYPES: Final = {topic.name: topic.type_name for topic in graph_topics(NAMESPACE)}
