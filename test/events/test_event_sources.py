# SPDX-License-Identifier: Apache-2.0
"""Sources: files, cameras and network streams, and what they say when there is nothing."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import dv_processing as dv
import numpy as np
import pytest

from hybrid_pose_ros.events.aedat4 import write_aedat4
from hybrid_pose_ros.events.array import check_events, make_events
from hybrid_pose_ros.events.sources import (
    Aedat4Source,
    CameraSource,
    EventSource,
    NetworkSource,
    SourceError,
)

# A writer that ends in the process of its reader waits for it forever: it has its own.
SERVER = """
import socket, sys
import dv_processing as dv
with socket.socket() as free:
    free.bind(("127.0.0.1", 0))
    port = free.getsockname()[1]
stream = dv.io.Stream.EventStream(0, "events", "camera", (320, 240))
writer = dv.io.NetworkWriter("127.0.0.1", port, stream)
print(port, flush=True)
for line in sys.stdin:
    store = dv.EventStore()
    for i in range(1000):
        store.push_back(1000 + i, i % 320, i % 240, i % 2 == 0)
    writer.writeEvents(store)
"""


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    index = np.arange(25_000)
    path = tmp_path / "events.aedat4"
    write_aedat4(
        path, [make_events(index * 1000, index % 346, index % 260, index % 2 == 0)], 346, 260
    )
    return path


@pytest.fixture
def server() -> Iterator[tuple[int, subprocess.Popen[str]]]:
    """A server on loopback that sends a thousand events for every line it is given."""
    command = [sys.executable, "-P", "-c", SERVER]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) as process:
        assert process.stdout is not None
        yield int(process.stdout.readline()), process
        process.kill()


def test_a_recording_is_read_in_batches_in_order(recording: Path) -> None:
    source: EventSource = Aedat4Source(recording)
    assert (source.width, source.height, source.live) == (346, 260, False)
    assert source.name == str(recording)
    sizes, last = [], -1
    while (batch := source.read()) is not None:
        check_events(batch, 346, 260)
        assert batch["t"][0] > last
        sizes.append(len(batch))
        last = batch["t"][-1]
    assert sum(sizes) == 25_000
    assert max(sizes) <= 10_000  # memory is bounded by the file's own packets
    assert source.read() is None


def test_a_closed_recording_has_ended(recording: Path) -> None:
    source = Aedat4Source(recording)
    source.close()
    source.close()
    assert source.read() is None


def test_a_recording_of_a_real_camera() -> None:
    folder = os.environ.get("HYBRID_POSE_DATA")
    if folder is None:
        pytest.skip("HYBRID_POSE_DATA is not set")
    source = Aedat4Source(Path(folder) / "events" / "person_dvxplorerlite_320x240.aedat4")
    assert (source.width, source.height) == (320, 240)
    batches = []
    while (batch := source.read()) is not None:
        batches.append(batch)
    events = np.concatenate(batches)
    check_events(events, 320, 240)
    assert len(events) == 111_954
    assert 0.5e9 < events["t"][-1] - events["t"][0] < 0.6e9


def test_files_that_cannot_be_played(tmp_path: Path, recording: Path) -> None:
    cut_off = tmp_path / "cut_off.aedat4"
    cut_off.write_bytes(recording.read_bytes()[:20_000])
    other = tmp_path / "other.aedat4"
    other.write_text("not a recording")
    old = tmp_path / "old.aedat"
    old.write_bytes(b"#!AER-DAT2.0\r\n")
    for path, reason in (
        (tmp_path / "missing.aedat4", "no such file"),
        (tmp_path, "a folder"),
        (cut_off, "damaged, cut off, or not AEDAT4"),
        (other, "damaged, cut off, or not AEDAT4"),
        (old, "not an AEDAT4 file"),
    ):
        with pytest.raises(SourceError, match=reason) as caught:
            Aedat4Source(path)
        assert str(path) in str(caught.value)
        assert "\n" not in str(caught.value)


def test_a_recording_without_events(tmp_path: Path) -> None:
    path = tmp_path / "frames.aedat4"
    config = dv.io.MonoCameraWriter.FrameOnlyConfig("camera", (8, 6))
    dv.io.MonoCameraWriter(str(path), config)
    with pytest.raises(SourceError, match="holds no events"):
        Aedat4Source(path)


def read_until(source: EventSource, count: int) -> int:
    found, deadline = 0, time.monotonic() + 10.0
    while found < count and time.monotonic() < deadline:
        batch = source.read()
        assert batch is not None
        found += len(batch)
    return found


def test_a_network_stream(server: tuple[int, "subprocess.Popen[str]"]) -> None:
    port, process = server
    source = NetworkSource("127.0.0.1", port)
    assert (source.width, source.height, source.live) == (320, 240, True)
    batch = source.read()
    assert batch is not None and len(batch) == 0
    for _ in range(2):
        assert process.stdin is not None
        process.stdin.write("send\n")
        process.stdin.flush()
        # the times of the second thousand lie before the first's end: a jump, passed on
        assert read_until(source, 1000) == 1000
    source.close()
    assert source.read() is None


def test_a_network_stream_ends_with_its_server(
    server: tuple[int, "subprocess.Popen[str]"],
) -> None:
    port, process = server
    source = NetworkSource("127.0.0.1", port)
    process.kill()
    deadline = time.monotonic() + 10.0
    while source.read() is not None:
        assert time.monotonic() < deadline, "the source did not notice"


def test_nothing_listens() -> None:
    with pytest.raises(SourceError, match=r"127\.0\.0\.1:1: no event stream there"):
        NetworkSource("127.0.0.1", 1)


def attach(monkeypatch: pytest.MonkeyPatch, *serials: str) -> None:
    devices = [SimpleNamespace(serialNumber=serial) for serial in serials]
    monkeypatch.setattr(dv.io.camera, "discover", lambda: devices)


class FakeCamera:
    """What of a dv camera is used."""

    def __init__(self, serial: str) -> None:
        self.serial = serial
        self.broken = False

    def isEventStreamAvailable(self) -> bool:  # noqa: N802
        return True

    def getEventResolution(self) -> tuple[int, int]:  # noqa: N802
        return (640, 480)

    def getCameraName(self) -> str:  # noqa: N802
        return f"DVXplorer_{self.serial}"

    def isRunning(self) -> bool:  # noqa: N802
        return True

    def getNextEventBatch(self) -> None:  # noqa: N802
        if self.broken:
            raise RuntimeError("libusb: no device")


@pytest.mark.parametrize(("wanted", "serial"), [("", "A1"), ("B2", "B2"), ("DVXplorer_B2", "B2")])
def test_a_camera_is_chosen(monkeypatch: pytest.MonkeyPatch, wanted: str, serial: str) -> None:
    attach(monkeypatch, "A1", "B2")
    monkeypatch.setattr(dv.io.camera, "open", FakeCamera)
    source = CameraSource(wanted)
    assert source.name == f"DVXplorer_{serial}"
    assert (source.width, source.height, source.live) == (640, 480, True)


def test_a_camera_that_is_pulled_out(monkeypatch: pytest.MonkeyPatch) -> None:
    attach(monkeypatch, "A1")
    camera = FakeCamera("A1")
    monkeypatch.setattr(dv.io.camera, "open", lambda serial: camera)
    source = CameraSource()
    batch = source.read()
    assert batch is not None and len(batch) == 0
    camera.broken = True
    with pytest.raises(SourceError, match="DVXplorer_A1: the connection broke"):
        source.read()


def test_cameras_that_cannot_be_opened(monkeypatch: pytest.MonkeyPatch) -> None:
    attach(monkeypatch)
    with pytest.raises(SourceError, match="no event camera found; plug one in"):
        CameraSource()
    attach(monkeypatch, "A1", "B2")
    with pytest.raises(SourceError, match="camera DAVIS_C3: not found; there are A1, B2"):
        CameraSource("DAVIS_C3")

    def refuse(serial: str) -> None:
        raise RuntimeError("LIBUSB_ERROR_ACCESS\nStacktrace: ...")

    monkeypatch.setattr(dv.io.camera, "open", refuse)
    with pytest.raises(SourceError, match="camera B2: cannot be opened") as caught:
        CameraSource("B2")
    assert "\n" not in str(caught.value)
