# SPDX-License-Identifier: Apache-2.0
"""Shared memory of killed nodes is cleared, and nobody else's."""

import fcntl
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from hybrid_pose_ros.interfaces import leftovers
from hybrid_pose_ros.interfaces.leftovers import clear_leftovers, record_folder

DEAD, HELD, ALIVE, OTHER = (f"fastrtps_{digit * 16}" for digit in "0123")


@pytest.fixture
def memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Stand-in for /dev/shm with a segment of each kind, and records of all but the last."""
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "run"))
    folder = tmp_path / "shm"
    folder.mkdir()
    monkeypatch.setattr(leftovers, "SHARED_MEMORY", folder)
    for name in (DEAD, HELD, ALIVE, OTHER):
        (folder / name).touch()
        (folder / f"{name}_el").touch()
    record_folder().mkdir(parents=True)
    pid, other_life = os.getpid(), "1"
    (record_folder() / f"{pid}-{other_life}").write_text(f"{DEAD}\n{HELD}\n../../etc/passwd\n")
    (record_folder() / f"{pid}-{leftovers._start_time(pid)}").write_text(ALIVE)
    return folder


def test_what_a_dead_process_recorded_is_cleared_and_nothing_else(memory: Path) -> None:
    with (memory / f"{HELD}_el").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert clear_leftovers() == [DEAD]
    left = {path.name for path in memory.iterdir()}
    assert left == {name + end for name in (HELD, ALIVE, OTHER) for end in ("", "_el")}
    assert len(list(record_folder().iterdir())) == 1  # of the one that lives


def test_without_records_nothing_is_done(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    assert clear_leftovers() == []


def test_segments_of_a_killed_node_are_cleared_at_the_next_start(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    shared_memory: Callable[[subprocess.Popen[str]], list[Path]],
) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    code = "from hybrid_pose_ros.nodes.visualizer import main; main()"

    def start() -> subprocess.Popen[str]:
        return subprocess.Popen([sys.executable, "-P", "-c", code], text=True)

    def records() -> list[Path]:
        return list(record_folder().iterdir()) if record_folder().exists() else []

    first = start()
    segments = shared_memory(first)
    deadline = time.monotonic() + 60
    while not records() and time.monotonic() < deadline:
        time.sleep(0.01)
    first.kill()
    first.wait()
    assert all(path.exists() for path in segments)
    second = start()
    try:
        shared_memory(second)
        assert not any(path.exists() for path in segments)
    finally:
        second.send_signal(signal.SIGINT)
        assert second.wait(60) == 0
    assert records() == []
