# SPDX-License-Identifier: Apache-2.0
"""All benchmarks in a row, and their figures as one table."""

import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import torch

from hybrid_pose_ros.networks.checkpoint import Checkpoint, load_checkpoint
from hybrid_pose_ros.pipeline.step_length import with_step
from hybrid_pose_ros.research.benchmark.ann_cost import measure_ann
from hybrid_pose_ros.research.benchmark.environment import describe_environment
from hybrid_pose_ros.research.benchmark.poses import measure_poses
from hybrid_pose_ros.research.benchmark.scaling import RATES_MEV_S, measure_scaling
from hybrid_pose_ros.research.benchmark.steps import measure_steps
from hybrid_pose_ros.research.benchmark.streams import Stream, at_rate, repeat, walking

FORMAT: Final = "hybrid_pose_ros/bench/3"

PARTS: Final = ("step", "ann", "pose", "system", "scaling")

RATES_HZ: Final = (100, 200, 500, 1000)
"""Poses per second at which the system is run."""

POSE_RATES_HZ: Final = (100, 500)
"""The ANN's share of a pose is ten times as large at 100 Hz as at 1000 Hz: it runs at 10 Hz."""

OVERLOAD_MEV_S: Final = 20.0
OVERLOAD_SLICE_S: Final = 0.2
"""Events for the overload are drawn for so long, and repeated."""
OVERLOAD_SETTLE_S: Final = 0.5
OVERLOAD_PACKET_MS: Final = 1.0
"""A packet of 20 Mev/s then has 160 kB, and there are a thousand per second."""

SOAK_HZ: Final = 500
SOAK_S: Final = 600.0

MEMORY_RATE: Final = 4.0
MEMORY_S: Final = 3600.0
"""Sensor time that is replayed, :data:`MEMORY_RATE` times as fast, while memory is watched."""


@dataclass(frozen=True)
class BenchPlan:
    """Parts to measure, and for how long.

    Attributes:
        model: checkpoint; None: the shipped one.
        parts: some of :data:`PARTS`.
        full: the long runs, too.
        stream_s: length of the simulated stream (s of sensor time).
        max_steps: steps that are timed at most.
        ann_runs: runs of the ANN that are timed in each way.
        ann_ways: in which ways; None: in all.
        rounds: periods of 100 ms in which poses are timed, at most.
        pose_rates_hz: poses per second whose CPU time is measured; the first is the one that
            ``cpu_ms_per_pose`` of the figures has.
        rates_hz: of the system.
        system_s: length of each run of the system (s), without settling.
        settle_s: how long it settles.
        echo_s: how long a bare echo is measured at the same rate, right after each run (s).
        scaling_s: sensor time at each event rate (s), at most ``stream_s``.
        rates_mev_s: event rates.
        overload_s: length of the run of the system under overload (s); 0: none.
    """

    model: Path | None = None
    parts: tuple[str, ...] = PARTS
    full: bool = False
    stream_s: float = 4.0
    max_steps: int = 400
    ann_runs: int = 60
    ann_ways: tuple[str, ...] | None = None
    rounds: int = 38
    pose_rates_hz: tuple[int, ...] = POSE_RATES_HZ
    rates_hz: tuple[int, ...] = RATES_HZ
    system_s: float = 20.0
    settle_s: float = 2.0
    echo_s: float = 5.0
    scaling_s: float = 1.0
    rates_mev_s: tuple[float, ...] = RATES_MEV_S
    overload_s: float = 3.5

    @property
    def command(self) -> str:
        """The command that measures and writes the page, without the places of one machine."""
        words = ["hybrid-pose research bench --json bench.json --page performance.md"]
        if self.model is not None:
            words.append(f"--model {self.model.name}")
        if self.parts != PARTS:
            words.append(f"--only {','.join(self.parts)}")
        if self.full:
            words.append("--full")
        return " ".join(words)


def run_suite(plan: BenchPlan, logs: Path, say: Callable[[str], None]) -> Iterator[dict[str, Any]]:
    """Measure part by part; after each, yield all figures so far.

    Args:
        plan: what to measure.
        logs: folder for the nodes' logs.
        say: called with what is being measured.

    Raises:
        CheckpointError: the model cannot be read.
        NotInstalledError: the package is not installed, which the parts with processes need.
        BenchError: a node failed.
    """
    torch.set_num_threads(1)
    checkpoint = load_checkpoint(plan.model)
    figures: dict[str, Any] = {
        "format": FORMAT,
        "command": plan.command,
        "environment": describe_environment(checkpoint),
        "missing": {},
    }
    say(f"simulating {plan.stream_s:g} s of walking")
    stream = walking(plan.stream_s)
    figures["stream_mev_s"] = stream.rate_mev_s
    if "step" in plan.parts:
        say("one step of the SNN: engine, torch and other libraries")
        steps = measure_steps(checkpoint, stream, plan.max_steps)
        figures["step_ms"] = steps.pop("step_ms")
        figures["missing"] = steps.pop("missing")
        figures["step"] = steps
        yield figures
    if "ann" in plan.parts:
        say("the ANN: torch, torch.compile, ONNX Runtime, OpenVINO")
        figures["ann"] = measure_ann(checkpoint, stream, plan.ann_runs, plan.ann_ways)
        yield figures
    if "pose" in plan.parts:
        say("from events to a pose: hybrid, ANN at every step, DHP19's CNN")
        figures["pose"] = {}
        for hz in plan.pose_rates_hz:
            retimed = with_step(checkpoint, 10**9 // hz)
            figures["pose"][str(hz)] = measure_poses(retimed, stream, plan.rounds)
        figures["cpu_ms_per_pose"] = figures["pose"][str(plan.pose_rates_hz[0])]["cpu_ms_per_pose"]
        yield figures
    if "scaling" in plan.parts:
        say("cost against events and spikes")
        figures["scaling"] = measure_scaling(checkpoint, stream, plan.scaling_s, plan.rates_mev_s)
        yield figures
    yield from _run_systems(plan, checkpoint, stream, logs, say, figures)


def _run_systems(
    plan: BenchPlan,
    checkpoint: Checkpoint,
    stream: Stream,
    logs: Path,
    say: Callable[[str], None],
    figures: dict[str, Any],
) -> Iterator[dict[str, Any]]:
    # these bring ROS with them, which the other parts do without
    from hybrid_pose_ros.events.aedat4 import write_aedat4
    from hybrid_pose_ros.installation import find_prefix
    from hybrid_pose_ros.research.benchmark.system import (
        Run,
        echo_p99_ms,
        measure_system,
        memory_of,
        run_system,
    )

    own_hz = round(1e9 / checkpoint.config.step_ns)
    with tempfile.TemporaryDirectory(prefix="hybrid-pose-bench-") as folder:

        def record(events: Stream, seconds: float) -> Path:
            path = Path(folder, "events.aedat4")
            write_aedat4(path, repeat(events, seconds), events.width, events.height)
            return path

        def play(name: str, run: Run) -> dict[str, Any]:
            return measure_system(run, find_prefix(), logs / name)

        if "system" in plan.parts:
            recording = record(stream, plan.settle_s + plan.system_s)
            figures |= {"system": {}, "system_one_process": {}}
            for hz in plan.rates_hz:
                say(f"the running system at {hz} Hz")
                run = Run(recording, hz, plan.model, plan.settle_s)
                apart = play(f"{hz}hz", run)
                floor = {"echo_p99_ms": echo_p99_ms(hz, plan.echo_s)}
                say(f"the same in one process at {hz} Hz")
                together = play(f"{hz}hz-one-process", replace(run, one_process=True))
                figures["system"][str(hz)] = apart | floor
                figures["system_one_process"][str(hz)] = together | floor
                yield figures
        if "scaling" in plan.parts and plan.overload_s:
            say(f"the running system at {OVERLOAD_MEV_S:g} million events per second")
            dense = at_rate(stream, OVERLOAD_MEV_S, min(OVERLOAD_SLICE_S, plan.stream_s))
            settle_s = min(OVERLOAD_SETTLE_S, plan.settle_s)
            recording = record(dense, settle_s + plan.overload_s)
            run = Run(recording, own_hz, plan.model, settle_s, packet_ms=OVERLOAD_PACKET_MS)
            figures["scaling"]["overload"] = {"mev_s": OVERLOAD_MEV_S, **play("overload", run)}
            yield figures
        if plan.full:
            say(f"ten minutes at {SOAK_HZ} Hz")
            recording = record(stream, plan.settle_s + SOAK_S)
            run = Run(recording, SOAK_HZ, plan.model, plan.settle_s)
            figures["soak"] = {str(SOAK_HZ): play("soak", run)}
            yield figures
            say(f"memory over an hour of sensor time, {MEMORY_RATE:g} times as fast")
            seconds = MEMORY_S / MEMORY_RATE
            recording = record(stream, 60.0)
            run = Run(
                recording, own_hz, plan.model, plan.settle_s, rate=MEMORY_RATE, seconds=seconds
            )
            heard = run_system(run, find_prefix(), logs / "memory")
            figures["memory"] = {
                "sensor_s": MEMORY_S,
                "host_s": seconds,
                "poses": len(heard.poses),
                "nodes": memory_of(run, heard),
            }
            yield figures
