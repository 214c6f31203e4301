# SPDX-License-Identifier: Apache-2.0
"""AEDAT4: whatever dv-processing does in its process, the reader says one sentence in time."""

import gc
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import dv_processing as dv
import numpy as np
import pytest

from hybrid_pose_ros.events import aedat4_child
from hybrid_pose_ros.events.aedat4 import write_aedat4
from hybrid_pose_ros.events.array import check_events, make_events
from hybrid_pose_ros.events.sources import Aedat4Source, SourceError, open_source

INDEX = np.arange(20_000)
EVENTS = make_events(INDEX * 1000, INDEX % 346, INDEX % 260, INDEX % 2 == 0)

LIBRARY = """
import ctypes, os
class EventStore: pass
class _Io:
    class MonoCameraRecording:
        def __init__(self, path, *camera):
            {opening}
        def isEventStreamAvailable(self): return True
        def getEventResolution(self): return (346, 260)
        def getTimeRange(self): return (0, 1)
        def getNextEventBatch(self):
            {batch}
io = _Io
"""

HANG = "ctypes.PyDLL(None).sleep(1000)  # and nothing else of the interpreter runs"


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    path = tmp_path / "events.aedat4"
    write_aedat4(path, np.array_split(EVENTS, 20), 346, 260)
    return path


def replace_library(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, opening: str = "pass", batch: str = "pass"
) -> None:
    """Let the process that reads find another dv-processing."""
    folder = tmp_path / "library"
    folder.mkdir()
    (folder / "dv_processing.py").write_text(LIBRARY.format(opening=opening, batch=batch))
    old = os.environ.get("PYTHONPATH", "")
    monkeypatch.setenv("PYTHONPATH", f"{folder}{os.pathsep}{old}")


def check_sentence(error: Exception, name: str) -> None:
    assert name in str(error) and "\n" not in str(error)


def has_ended(pid: int) -> bool:
    return not Path(f"/proc/{pid}").exists()


def test_a_batch_that_never_comes_is_given_up(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, recording: Path
) -> None:
    replace_library(monkeypatch, tmp_path, batch=HANG)
    source = Aedat4Source(recording)
    start = time.monotonic()
    with pytest.raises(SourceError, match=r"gave nothing for 2 s; record or copy it") as caught:
        source.read()
    assert 1.5 < time.monotonic() - start < 6.0
    assert str(recording) in str(caught.value)
    assert has_ended(source._child.pid)
    assert source.read() is None


def test_a_file_that_never_opens_is_given_up(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, recording: Path
) -> None:
    """An index is made anew of large files only."""
    replace_library(monkeypatch, tmp_path, opening=HANG)
    start = time.monotonic()
    with pytest.raises(SourceError, match=r"gave nothing for 2 s; record or copy it"):
        Aedat4Source(recording)
    assert 1.5 < time.monotonic() - start < 6.0


@pytest.mark.parametrize(
    ("opening", "batch"),
    [
        ("os.abort()", "pass"),
        ("raise TypeError('Unregistered type')", "pass"),
        ("pass", "os.abort()"),
        ("pass", "raise TypeError('Unregistered type')"),
        ("pass", "raise MemoryError"),
        ("pass", "return 5"),
    ],
)
def test_a_library_that_fails_in_any_way_is_damage(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, recording: Path, opening: str, batch: str
) -> None:
    replace_library(monkeypatch, tmp_path, opening, batch)
    with pytest.raises(SourceError, match="damaged") as caught:
        Aedat4Source(recording).read()
    assert "\n" not in str(caught.value)


def test_flipped_bits_end_in_events_or_one_sentence(tmp_path: Path, recording: Path) -> None:
    content = recording.read_bytes()
    rng = np.random.default_rng(3)
    damaged = tmp_path / "damaged.aedat4"
    for _ in range(8):
        changed = bytearray(content)
        changed[int(rng.integers(len(changed)))] ^= 1 << int(rng.integers(8))
        damaged.write_bytes(changed)
        start = time.monotonic()
        try:
            source = Aedat4Source(damaged)
            while (events := source.read()) is not None:
                check_events(events, source.width, source.height)
        except SourceError as error:
            check_sentence(error, str(damaged))
        assert time.monotonic() - start < 10.0


def test_the_process_ends_with_its_source(recording: Path) -> None:
    source = Aedat4Source(recording)
    pid = source._child.pid
    source.close()
    assert has_ended(pid)
    source = Aedat4Source(recording)
    pid = source._child.pid
    del source
    gc.collect()
    assert has_ended(pid)


READ_FOREVER = """
import signal, sys, time
from pathlib import Path
signal.signal(signal.SIGINT, signal.default_int_handler)  # a background job ignores it
from hybrid_pose_ros.events.sources import Aedat4Source
source = Aedat4Source(Path(sys.argv[1]))
print(source._child.pid, flush=True)
time.sleep(100)
"""


@pytest.mark.parametrize("blow", [signal.SIGINT, signal.SIGKILL])
def test_the_process_ends_with_its_reader(tmp_path: Path, blow: signal.Signals) -> None:
    """Also when it waits to be read, or the reader cannot end it any more."""
    path = tmp_path / "long.aedat4"
    index = np.arange(150_000)  # more than the pipe holds
    write_aedat4(path, [make_events(index * 1000, index % 346, index % 260, True)], 346, 260)
    command = [sys.executable, "-P", "-c", READ_FOREVER, str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as reader:
        assert reader.stdout is not None
        pid = int(reader.stdout.readline())
        assert not has_ended(pid)
        reader.send_signal(blow)
        reader.wait(10.0)
    deadline = time.monotonic() + 10.0
    while not has_ended(pid) and Path(f"/proc/{pid}/stat").read_text().split()[2] != "Z":
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_recording_without_events_is_told(tmp_path: Path) -> None:
    path = tmp_path / "nothing.aedat4"
    assert write_aedat4(path, [], 346, 260) == 0
    with pytest.raises(SourceError, match=r"nothing\.aedat4: the recording holds no events"):
        Aedat4Source(path)


@pytest.fixture
def two_cameras(tmp_path: Path) -> Path:
    path = tmp_path / "two.aedat4"
    configs = [
        dv.io.MonoCameraWriter.EventOnlyConfig(name, size)
        for name, size in (("left_A1", (346, 260)), ("right_B2", (320, 240)))
    ]
    writer = dv.io.StereoCameraWriter(str(path), *configs)
    for own, x in ((writer.left, 3), (writer.right, 7)):
        store = dv.EventStore()
        store.push_back(1, x, 4, True)
        own.writeEvents(store)
    return path


@pytest.mark.parametrize(
    ("camera", "width", "x"),
    [("left_A1", 346, 3), ("right_B2", 320, 7), ("0", 346, 3), ("1", 320, 7)],
)
def test_one_of_several_cameras_is_chosen(
    two_cameras: Path, camera: str, width: int, x: int
) -> None:
    source = open_source(two_cameras, camera=camera)
    events = source.read()
    assert events is not None
    assert (source.width, events["x"].tolist()) == (width, [x])


def test_cameras_are_listed_where_none_or_another_is_chosen(two_cameras: Path) -> None:
    with pytest.raises(SourceError, match=r"choose one .* \(0: left_A1, 1: right_B2\)"):
        open_source(two_cameras)
    for camera in ("2", "C3"):
        with pytest.raises(SourceError, match=f"no camera {camera}; there are 0: left_A1, 1: r"):
            open_source(two_cameras, camera=camera)
    raw = two_cameras.with_suffix(".raw")
    raw.write_bytes(b"% evt 2.0\n")
    with pytest.raises(SourceError, match="a file of one camera"):
        open_source(raw, camera="1")


def test_the_watchdog_leaves_good_files_alone(recording: Path) -> None:
    assert aedat4_child.LIMIT_S == 2.0
    source = Aedat4Source(recording)
    parts = []
    while (events := source.read()) is not None:
        parts.append(events)
    np.testing.assert_array_equal(np.concatenate(parts), EVENTS)
    assert (source.progress, source.trouble) == (1.0, "")
