# SPDX-License-Identifier: Apache-2.0
"""Plays a recording through the real nodes, and watches."""

import signal
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Final

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rosbags.typesys.store import Typestore

from hybrid_pose_ros.bags.bag import make_typestore
from hybrid_pose_ros.demo.recorder import Recorder, RecorderEnd
from hybrid_pose_ros.demo.report import Measurements, NodeHealth
from hybrid_pose_ros.demo.table import live_table
from hybrid_pose_ros.graph.processes import START_TIMEOUT_S, Supervisor
from hybrid_pose_ros.graph.specs import DRIVER, NodeSpec, Value
from hybrid_pose_ros.graph.watched import watched_graph
from hybrid_pose_ros.installation import share_directory
from hybrid_pose_ros.interfaces.topics import camera_topics
from hybrid_pose_ros.simulation.recording import Truth, truth_path
from hybrid_pose_ros.stop_signals import STOP_SIGNALS, handle_stop_signals

NAMESPACE: Final = "/cam0"
REFRESH_S: Final = 0.5

SETTLE_S: Final = 4.0
"""After the end the nodes' last reports are waited for, but not longer."""

QUIET_NS: Final = 200_000_000
"""A report that is younger than the last packet by this much counts all packets."""

POLL_S: Final = 0.1


@dataclass(frozen=True)
class DemoPlan:
    """Settings of a demonstration.

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
    """Outcome of a demonstration.

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


def play(plan: DemoPlan, prefix: Path, console: Console) -> Outcome:
    """Play a recording until it ends, the time is over, a required node dies, or Ctrl-C.

    Args:
        prefix: where the package is installed.

    Raises:
        GraphError: an argument is wrong or the installation is incomplete.
        RecorderError: the recorder does not start.
    """
    share = share_directory(prefix)
    nodes = graph_of(plan, share)
    outcome = Outcome(Measurements(NAMESPACE), make_typestore(share))
    whole = [topic for topic in outcome.measured.topics if topic != f"{NAMESPACE}/events"]
    console.print("starting the nodes ...", style="dim")
    with ExitStack() as stack:
        labels = truth_path(plan.recording) if plan.truth is not None else None
        recorder = stack.enter_context(Recorder(NAMESPACE, plan.bag, share, whole, labels))
        # The driver comes last: on a busy machine it would not wait long enough.
        supervisor = Supervisor(nodes, prefix, held={DRIVER}, log_dir=plan.logs)
        session = _DemoRun(plan, outcome, recorder, supervisor, console)
        stack.enter_context(session.note_signals())
        stack.enter_context(supervisor)
        session.await_nodes()
        if session.goes_on:
            supervisor.launch(DRIVER)
            session.watch()
        if outcome.interrupted:
            console.print("interrupted; writing what was measured ...")
        session.look_after_processes()
        session.settle()
    session.collect()
    outcome.recorder = recorder.end
    return outcome


def graph_of(plan: DemoPlan, share: Path) -> list[NodeSpec]:
    """Return the nodes, the driver last, with what the demonstration needs of them."""
    parameters: dict[str, dict[str, Value]] = {
        "snn": {},
        "ann": {},
        "visualizer": {"scale": 1},
        DRIVER: {"loop": plan.loop, "wait_for_subscribers": 4},  # the others and the recorder
    }
    return watched_graph(
        plan.recording, parameters, share, namespace=NAMESPACE, rate=plan.rate, model=plan.model
    )


class _DemoRun:
    """A run under way: gathers what arrives, and looks after the processes."""

    def __init__(
        self,
        plan: DemoPlan,
        outcome: Outcome,
        recorder: Recorder,
        supervisor: Supervisor,
        console: Console,
    ) -> None:
        self.plan, self.outcome, self.recorder, self.console = plan, outcome, recorder, console
        self.measured = outcome.measured
        self.supervisor = supervisor

    @contextmanager
    def note_signals(self) -> Iterator[None]:
        """Let Ctrl-C and SIGTERM end the run between two polls; the second one ends it at once.

        An exception out of the middle of :meth:`collect` would lose what it had taken.
        """

        def note(number: int, frame: FrameType | None) -> None:
            if self.outcome.interrupted:
                raise KeyboardInterrupt
            self.outcome.interrupted = True

        before = [signal.getsignal(number) for number in STOP_SIGNALS]
        handle_stop_signals(note)
        try:
            yield
        finally:
            for number, handler in zip(STOP_SIGNALS, before, strict=True):
                signal.signal(number, handler)

    @property
    def goes_on(self) -> bool:
        """Whether nothing has happened that ends the run."""
        return self.outcome.fatal is None and not self.outcome.interrupted

    def await_nodes(self) -> None:
        """Wait until each node is at work, or has ended."""
        nodes = self.supervisor.specs.keys() - {DRIVER}
        deadline = time.monotonic() + START_TIMEOUT_S
        while self.goes_on:
            time.sleep(POLL_S)
            self.collect()
            self.look_after_processes()
            at_work = {name for name, health in self.measured.health.items() if health.values}
            waiting = sorted(nodes - at_work - self.outcome.failed.keys())
            if not waiting:
                return
            if time.monotonic() > deadline:
                self.outcome.fatal = (
                    f"{waiting[0]} was not ready within {START_TIMEOUT_S:g} s; "
                    f"see {self.supervisor.log(waiting[0])}"
                )

    def watch(self) -> None:
        """Show the live table until the end."""
        start = time.monotonic()
        with Live(console=self.console, auto_refresh=False, transient=True) as live:
            while self.goes_on and not self._is_over():
                time.sleep(REFRESH_S)
                self.collect()
                self.look_after_processes()
                live.update(self._table(), refresh=self.console.is_terminal)
                if not self.measured.packets and time.monotonic() - start > START_TIMEOUT_S:
                    self.outcome.fatal = (
                        f"no events came within {START_TIMEOUT_S:g} s; see the logs in "
                        f"{self.plan.logs}"
                    )

    def settle(self) -> None:
        """End the driver, and wait until the SNN has told what it received."""
        processes = self.supervisor.processes
        if DRIVER not in processes or not self.measured.packets:
            return
        processes[DRIVER].send_signal(signal.SIGINT)
        deadline = time.monotonic() + SETTLE_S
        while time.monotonic() < deadline and processes["snn"].poll() is None:
            time.sleep(POLL_S)
            self.collect()
            reported_ns = self.measured.health.get("snn", NodeHealth()).stamp_ns
            if (
                processes[DRIVER].poll() is not None
                and reported_ns > self.measured.packets[-1] + QUIET_NS
            ):
                return

    def collect(self) -> None:
        """Take what has arrived."""
        for received in self.recorder.take():
            if received.topic in self.measured.topics:
                kind, data = _TYPES[received.topic], received.data
                message = self.outcome.store.deserialize_cdr(data, kind) if data else None
                self.measured.add(received.topic, received.stamp_ns, message)

    def look_after_processes(self) -> None:
        """Note which processes have ended that should not."""
        outcome = self.outcome
        for end in self.supervisor.new_ends():
            code = end.code
            how = f"killed by signal {-code}" if code < 0 else f"ended with code {code}"
            outcome.failed[end.name] = f"{how}: {self.supervisor.last_words(end.name)}"
            if end.required:
                outcome.fatal = f"{end.name} {outcome.failed[end.name]}"
        if self.recorder.end is not None:
            outcome.fatal = self.recorder.end.failure or "the recorder ended early"

    def _is_over(self) -> bool:
        driver = self.measured.health.get(DRIVER)
        if not self.measured.packets or driver is None:
            return False
        played_ns = time.time_ns() - self.measured.packets[0]
        if self.plan.seconds is not None and played_ns > self.plan.seconds * 1e9:
            return True
        return driver.values.get("finished") == "true"

    def _table(self) -> Table:
        return live_table(
            self.measured,
            self.plan.truth,
            title=f"{self.plan.recording.name}, {self.plan.rate:g}x",
            ended=list(self.outcome.failed),
        )


_TYPES: Final = {topic.name: topic.type for topic in camera_topics(NAMESPACE)}
