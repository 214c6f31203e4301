# SPDX-License-Identifier: Apache-2.0
"""Nodes as processes: how they end."""

import contextlib
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from hybrid_pose_ros import stop_signals
from hybrid_pose_ros.graph.processes import STOP_TIMEOUT_S
from hybrid_pose_ros.stop_signals import StopSignals

SharedMemory = Callable[[subprocess.Popen[str]], list[Path]]


def start(node: str, folder: Path, *arguments: str) -> subprocess.Popen[str]:
    code = f"from hybrid_pose_ros.nodes.start import start_node; start_node({node!r})"
    return subprocess.Popen(
        [sys.executable, "-P", "-c", code, "--ros-args", *arguments],
        cwd=folder,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


@pytest.mark.parametrize(
    "numbers",
    [(signal.SIGINT,), (signal.SIGTERM,), (signal.SIGINT, signal.SIGTERM)],
    ids=["SIGINT", "SIGTERM", "both at once"],
)
def test_a_signal_ends_a_node_in_order(
    tmp_path: Path, numbers: tuple[signal.Signals, ...], shared_memory: SharedMemory
) -> None:
    process = start("visualizer", tmp_path, "-p", "autostart:=false", "--log-level", "debug")
    assert process.stderr is not None
    try:
        for line in process.stderr:  # the executor's first words: the node is up
            if "visualizer" in line:
                break
        memory = shared_memory(process)
        begin = time.monotonic()
        for number in numbers:
            process.send_signal(number)
        assert process.wait(60) == 0
        assert time.monotonic() - begin < STOP_TIMEOUT_S, "it would have been killed"
        assert "Traceback" not in process.stderr.read()
        assert not [path for path in memory if path.exists()]
    finally:
        process.kill()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("-p", "checkpoint:=/no/such/file"), "/no/such/file: no such checkpoint; train one"),
        (("-p", "threads:=0"), "threads"),
        (("-p", "step_ms:=7.0"), "a step of 7 ms does not fit the model"),
    ],
)
def test_a_wrong_start_is_one_clear_line(
    tmp_path: Path, arguments: tuple[str, ...], message: str
) -> None:
    process = start("snn", tmp_path, *arguments)
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 1
    [line] = errors.strip().splitlines()
    assert message in line


def test_arguments_that_cannot_be_read_are_code_2(tmp_path: Path) -> None:
    process = start("visualizer", tmp_path, "--no-such-option")
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 2
    assert errors.splitlines()[-1].startswith("error: the ROS arguments cannot be read: ")
    assert "--no-such-option" in errors


@pytest.mark.parametrize("node", ["event_driver", "ann", "snn", "visualizer"])
def test_a_signal_ends_a_working_node_at_any_moment(tmp_path: Path, node: str) -> None:
    """While modules are imported, while the model is loaded, and at work."""
    for seconds in (0.0, 0.7, 3.7):
        process = start(node, tmp_path)
        assert process.stderr is not None
        try:
            while not catches(process.pid, signal.SIGTERM):
                assert process.poll() is None
                time.sleep(0.001)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(seconds)
            assert process.poll() is None
            process.send_signal(signal.SIGINT)
            code = process.wait(60)
            errors = process.stderr.read()
            assert code == 0, f"after {seconds} s: {errors}"
            assert "Traceback" not in errors
        finally:
            process.kill()


BROKEN_OFF = """
import os, signal, sys, time
from hybrid_pose_ros.nodes.support.base import ManagedNode
from hybrid_pose_ros.nodes.support.running import run_node

class Node(ManagedNode):
    def configure(self):
        try:
            if "signal" in sys.argv:
                os.kill(os.getpid(), signal.SIGINT)
                time.sleep(60)
        finally:
            raise RuntimeError("half done")

sys.exit(run_node(lambda: Node("broken_off")))
"""


@pytest.mark.parametrize(("words", "code"), [(["signal"], 0), ([], 1)])
def test_a_start_that_a_signal_breaks_off_is_no_failure_whatever_it_raises(
    tmp_path: Path, words: list[str], code: int
) -> None:
    """Libraries turn what breaks them off into errors of their own."""
    command = [sys.executable, "-P", "-c", BROKEN_OFF, *words]
    ended = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert "half done" in ended.stderr
    assert ended.returncode == code, ended.stderr


def catches(pid: int, number: signal.Signals) -> bool:
    """Return whether a process has a handler for a signal, as `start_node` sets it first."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("SigCgt:"):
            return bool(int(line.split()[1], 16) >> (number - 1) & 1)
    return False


def test_the_driver_has_room_for_its_packets(tmp_path: Path, shared_memory: SharedMemory) -> None:
    process = start("event_driver", tmp_path, "-p", "autostart:=false")
    try:
        sizes = [path.stat().st_size for path in shared_memory(process)]
        assert max(sizes) > 1 << 24
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 0
    finally:
        process.kill()


def test_signals_within_a_second_are_one_wish(monkeypatch: pytest.MonkeyPatch) -> None:
    times = iter((100.0, 100.3, 100.9, 101.1, 150.0))
    monkeypatch.setattr(stop_signals.time, "monotonic", lambda: next(times))
    signals = StopSignals()
    assert [signals.is_repeated() for _ in range(5)] == [False, True, True, False, False]
