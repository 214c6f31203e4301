# SPDX-License-Identifier: Apache-2.0
"""The running system: driver, ANN and SNN in processes of their own or in one, heard by this one.

Latency is the arrival of a pose here minus its stamp: the publication of the packet that
completed its step. Both are host time of one machine.
"""

import gc
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np

from hybrid_pose_ros.bags.bag import make_typestore
from hybrid_pose_ros.graph.processes import START_TIMEOUT_S, Supervisor
from hybrid_pose_ros.graph.specs import DRIVER, NodeSpec, Value, in_one_process
from hybrid_pose_ros.graph.watched import watched_graph
from hybrid_pose_ros.installation import share_directory
from hybrid_pose_ros.interfaces.diagnostics import node_reports
from hybrid_pose_ros.interfaces.echo import measure_echo
from hybrid_pose_ros.interfaces.lifecycle import StateClient
from hybrid_pose_ros.interfaces.listener import listen
from hybrid_pose_ros.interfaces.messages import stamp_to_ns
from hybrid_pose_ros.interfaces.topics import DIAGNOSTICS, POSE
from hybrid_pose_ros.research.benchmark.process_usage import Usage, usage_of
from hybrid_pose_ros.research.benchmark.statistics import BenchError, latency_percentiles

NAMESPACE: Final = "/bench"

QUIET_S: Final = 3.5
"""Without a pose for so long, the recording is over and every node has reported since."""

SAMPLE_S: Final = 1.0
"""Time between samples of CPU and memory."""


@dataclass(frozen=True)
class Run:
    """One run of the system.

    Attributes:
        recording: what is played, AEDAT4.
        hz: poses per second of sensor time.
        model: checkpoint; None: the shipped one.
        settle_s: time from the first pose on that is not measured.
        rate: sensor seconds per host second.
        seconds: end after so many seconds of host time, the recording being played over and over;
            None: at its end.
        packet_ms: length of a packet (ms of sensor time); None: a packet per step.
        one_process: the nodes share a process.
    """

    recording: Path
    hz: int
    model: Path | None
    settle_s: float
    rate: float = 1.0
    seconds: float | None = None
    packet_ms: float | None = None
    one_process: bool = False


@dataclass
class Heard:
    """Messages that came, and the usage of the processes meanwhile.

    Attributes:
        poses: host time of arrival in ns, and the message as bytes.
        reports: likewise the diagnostics.
        samples: (poses so far, node -> usage), one per second from the first pose on.
    """

    poses: list[tuple[int, bytes]] = field(default_factory=list)
    reports: list[tuple[int, bytes]] = field(default_factory=list)
    samples: list[tuple[int, dict[str, Usage]]] = field(default_factory=list)


def graph_of(run: Run, share: Path) -> list[NodeSpec]:
    """Return the nodes: SNN, ANN and, last, the driver; there is no visualizer."""
    step_ms = 1000.0 / run.hz
    parameters: dict[str, dict[str, Value]] = {
        "snn": {"step_ms": step_ms, "max_replay_steps": max(100, run.hz)},
        "ann": {"step_ms": step_ms, "rate_hz": 10.0},
        DRIVER: {
            "packet_ms": run.packet_ms or step_ms,
            "loop": run.seconds is not None,
            "wait_for_subscribers": 2,
            "autostart": not run.one_process,  # there it cannot be launched after the others
        },
    }
    nodes = watched_graph(
        run.recording, parameters, share, namespace=NAMESPACE, rate=run.rate, model=run.model
    )
    return in_one_process(nodes) if run.one_process else nodes


def run_system(run: Run, prefix: Path, logs: Path) -> Heard:
    """Start the nodes, listen until the end, and stop them.

    Raises:
        GraphError, NotInstalledError: the installation is incomplete.
        BenchError: a node did not start or ended too early; the message names its log.
    """
    nodes = graph_of(run, share_directory(prefix))
    with Supervisor(nodes, prefix, held={DRIVER}, log_dir=logs) as supervisor:
        session = _BenchRun(run, supervisor, logs, prefix)
        # a pose that is missing here shall be one that was not published
        topics = [POSE.under(NAMESPACE).keeping(1000), DIAGNOSTICS]
        gc.collect()
        gc.disable()  # a collection would look like latency
        try:
            listen("bench", topics, session.receive, ready=session.meet, until=session.is_over)
        finally:
            gc.enable()
    return session.heard


class _BenchRun:
    """Decides what comes next while messages arrive; it does next to nothing in between."""

    def __init__(self, run: Run, supervisor: Supervisor, logs: Path, prefix: Path) -> None:
        self.heard = Heard()
        self._supervisor = supervisor
        self._run, self._logs = run, logs
        self._store = make_typestore(share_directory(prefix))
        self._waiting = {"snn", "ann"}
        self._driver: StateClient | None = None
        self._is_started = False
        self._last_s = self._began_s = time.monotonic()
        self._sample_s = 0.0

    def meet(self, node: Any) -> None:
        """Take note of the node of rclpy that listens."""
        if self._run.one_process:
            self._driver = StateClient(node, f"{NAMESPACE}/{DRIVER}")

    def receive(self, topic: str, stamp_ns: int, data: bytes) -> None:
        if topic != DIAGNOSTICS.name:
            self.heard.poses.append((stamp_ns, data))
            return
        self.heard.reports.append((stamp_ns, data))
        if self._waiting:
            self._waiting -= {
                name for name, values in _values(self._store, data).items() if values
            }

    def _start_driver(self) -> bool:
        """Start the driver if the others have found this process, so that no pose is missed."""
        if self._waiting:
            return False
        if self._driver is None:
            self._supervisor.launch(DRIVER)
        elif not self._driver.is_ready():
            return False
        else:
            self._driver.start()
        self._began_s = time.monotonic()
        return True

    def is_over(self) -> bool:
        self._is_started = self._is_started or self._start_driver()
        now_s = time.monotonic()
        if now_s < self._sample_s:
            return False
        self._sample_s = now_s + SAMPLE_S
        for end in self._supervisor.new_ends():
            raise BenchError(f"{end}; see {self._supervisor.log(end.name)}")
        if not self.heard.poses:
            if now_s - self._began_s > START_TIMEOUT_S:
                raise BenchError(
                    f"no pose came within {START_TIMEOUT_S:g} s; see the logs in {self._logs}"
                )
            return False
        if not self.heard.samples:
            self._began_s = now_s
        usage = {
            name: usage_of(process.pid) for name, process in self._supervisor.processes.items()
        }
        if not self.heard.samples or len(self.heard.poses) > self.heard.samples[-1][0]:
            self._last_s = now_s
        self.heard.samples.append((len(self.heard.poses), usage))
        if self._run.seconds is not None:
            return now_s - self._began_s > self._run.seconds
        return now_s - self._last_s > QUIET_S


def measure_system(run: Run, prefix: Path, logs: Path) -> dict[str, Any]:
    """Run the system and return its figures; see :func:`figures_of`."""
    heard = run_system(run, prefix, logs)
    return figures_of(run, heard, share_directory(prefix))


def figures_of(run: Run, heard: Heard, share: Path) -> dict[str, Any]:
    """Return what a run did.

    ``published``: packets of the driver; ``packets_lost``: those of them that the SNN did not
    get; ``poses_lost``: steps within the run without a pose, and not merged into another;
    ``lost``: both together; ``merged``: steps that the SNN merged into others under load;
    ``cpu_ms_per_pose``: node -> ms. Latencies and CPU leave out the first ``settle_s`` seconds.
    """
    store = make_typestore(share)
    stamps, arrivals, times = (np.empty(len(heard.poses), np.int64) for _ in range(3))
    for i, (arrival_ns, data) in enumerate(heard.poses):
        message: Any = store.deserialize_cdr(data, POSE.type)
        stamps[i] = stamp_to_ns(message.header.stamp)
        arrivals[i], times[i] = arrival_ns, message.sensor_time
    settled = stamps >= stamps[0] + round(run.settle_s * 1e9)
    latest: dict[str, dict[str, str]] = {}
    for _, data in heard.reports:
        latest |= _values(store, data)
    driver, snn, ann = (latest.get(name, {}) for name in (DRIVER, "snn", "ann"))
    merged = int(snn["steps merged"])
    published = int(driver["packets published"])
    packets_lost = published - int(snn["packets received"])
    poses_lost = max(0, _missing(times, round(1e9 / run.hz)) - merged)
    return {
        **latency_percentiles((arrivals - stamps)[settled]),
        "lost": packets_lost + poses_lost,
        "packets_lost": packets_lost,
        "poses_lost": poses_lost,
        "merged": merged,
        "published": published,
        "poses": len(times),
        "poses_measured": int(settled.sum()),
        "seconds": float(times[-1] - times[0]) * 1e-9,
        "events": int(driver["events published"]),
        "initialisations": int(snn["initialisations accepted"]),
        "initialisations_refused": int(snn["initialisations refused"]),
        "inferences_skipped": int(ann["inferences skipped"]),
        "cpu_ms_per_pose": _cpu(run, heard),
    }


def echo_p99_ms(hz: int, seconds: float) -> float | None:
    """Return the 99th percentile of a bare echo's delays at a rate, in ms: the machine's floor."""
    try:
        return latency_percentiles(measure_echo(hz, seconds))["p99_ms"]
    except TimeoutError as error:
        raise BenchError(f"bare echo: {error}") from error


def memory_of(run: Run, heard: Heard) -> dict[str, dict[str, float]]:
    """Return for each node what it held after ``settle_s`` seconds and at the end, in MB."""
    samples = [usage for _, usage in heard.samples]
    first = samples[min(round(run.settle_s / SAMPLE_S), len(samples) - 1)]
    return {
        name: {"first_mb": first[name].memory_mb, "last_mb": samples[-1][name].memory_mb}
        for name in samples[-1]
    }


def _cpu(run: Run, heard: Heard) -> dict[str, float]:
    """CPU time per pose of each node, from the settling to the last second with poses."""
    first, *rest = heard.samples[round(run.settle_s / SAMPLE_S) :]
    busy = [b for a, b in zip([first, *rest], rest, strict=False) if b[0] > a[0]]
    if not busy:
        return {}
    last = busy[-1]
    return {
        name: 1e3 * (last[1][name].cpu_s - first[1][name].cpu_s) / (last[0] - first[0])
        for name in last[1]
    }


def _missing(times_ns: Any, step_ns: int) -> int:
    """Steps without a pose between poses; where sensor time goes back, a new count begins."""
    gaps = np.diff(times_ns)
    return int((gaps[gaps > 0] // step_ns - 1).sum())


def _values(store: Any, data: bytes) -> dict[str, dict[str, str]]:
    """Return the figures of each node in a report."""
    reports = node_reports(store.deserialize_cdr(data, DIAGNOSTICS.type))
    return {name.rpartition("/")[2]: report.values for name, report in reports}
