# SPDX-License-Identifier: Apache-2.0
"""Shared memory of killed nodes is cleared, and nobody else's."""

import fcntl
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from hybrid_pose_ros.interfaces import leftovers
from hybrid_pose_ros.interfaces.leftovers import (
    SegmentRecord,
    clear_leftovers,
    own_segments,
    record_folder,
)

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


@pytest.mark.parametrize("name", [ALIVE, "fastdds_0123456789abcdef"])
def test_own_segments_are_those_whose_lock_is_held(memory: Path, name: str) -> None:
    (memory / name).touch()
    assert own_segments(os.getpid()) == []
    with (memory / f"{name}_el").open("w"), (memory / f"{OTHER}").open() as only_mapped:
        assert own_segments(os.getpid()) == [memory / name]
        assert only_mapped.fileno()
    with (memory / "fastrtps_port7411_el").open("w"):  # a port is everybody's
        assert own_segments(os.getpid()) == []


def test_a_lock_that_is_held_for_a_moment_does_not_save_a_segment(
    memory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leftovers, "_TRIES", 3000)
    lock = (memory / f"{DEAD}_el").open()
    fcntl.flock(lock, fcntl.LOCK_EX)
    timer = threading.Timer(0.02, lock.close)
    timer.start()
    assert DEAD in clear_leftovers()
    timer.join()


def test_a_record_is_there_as_a_whole_or_not_at_all(
    memory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = set(record_folder().iterdir())
    written: list[set[Path]] = []
    replace = Path.replace

    def watched(path: Path, target: Path) -> Path:
        written.append(set(record_folder().iterdir()) - before)
        return replace(path, target)

    monkeypatch.setattr(Path, "replace", watched)
    monkeypatch.setattr(leftovers, "_start_time", lambda pid: "77")
    assert SegmentRecord().write() == ""
    [partial] = written
    assert {path.name for path in partial} == {f"{os.getpid()}-77.partial"}
    assert set(record_folder().iterdir()) - before == {record_folder() / f"{os.getpid()}-77"}


def test_without_records_nothing_is_done(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    assert clear_leftovers() == []


def start_visualizer() -> subprocess.Popen[str]:
    code = "from hybrid_pose_ros.nodes.visualizer import main; main()"
    return subprocess.Popen([sys.executable, "-P", "-c", code], text=True)


def test_of_two_nodes_that_hear_each_other_each_owns_its_own_segment() -> None:
    nodes = [start_visualizer(), start_visualizer()]
    try:
        deadline = time.monotonic() + 60
        while True:  # until each has the other's in its memory map as well
            assert time.monotonic() < deadline
            assert all(node.poll() is None for node in nodes)
            own = [own_segments(node.pid) for node in nodes]
            maps = [Path(f"/proc/{node.pid}/maps").read_text() for node in nodes]
            segments = [str(segment) for found in own for segment in found]
            if len(segments) == 2 and all(name in text for name in segments for text in maps):
                break
            time.sleep(0.01)
        assert len(own[0]) == len(own[1]) == 1
        nodes[0].send_signal(signal.SIGINT)
        assert nodes[0].wait(60) == 0
        assert [path.exists() for path in own[0] + own[1]] == [False, True]
    finally:
        for node in nodes:
            node.send_signal(signal.SIGINT)
            assert node.wait(60) == 0


def test_segments_of_a_killed_node_are_cleared_at_the_next_start(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    shared_memory: Callable[[subprocess.Popen[str]], list[Path]],
) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))

    def records() -> list[Path]:
        return list(record_folder().iterdir()) if record_folder().exists() else []

    first = start_visualizer()
    segments = shared_memory(first)
    deadline = time.monotonic() + 60
    while not any(path.suffix == "" for path in records()) and time.monotonic() < deadline:
        time.sleep(0.01)
    first.kill()
    first.wait()
    assert all(path.exists() for path in segments)
    second = start_visualizer()
    try:
        shared_memory(second)
        assert not any(path.exists() for path in segments)
    finally:
        second.send_signal(signal.SIGINT)
        assert second.wait(60) == 0
    assert records() == []
