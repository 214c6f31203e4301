# SPDX-License-Identifier: Apache-2.0
"""What is no regular file: each reader says so at once, in one sentence, and never blocks."""

import os
import socket
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from hybrid_pose_ros.events.aedat2 import Aedat2Error, Aedat2Reader
from hybrid_pose_ros.events.dhp19.derived import DerivedRecording, load_derived_labels
from hybrid_pose_ros.events.dhp19.labels import LabelError, load_labels
from hybrid_pose_ros.events.dhp19.recording import RecordingError
from hybrid_pose_ros.events.prophesee_raw import RawFileError, RawReader
from hybrid_pose_ros.events.sources import Aedat4Source, SourceError, open_source
from hybrid_pose_ros.geometry.calibration import read_calibration
from hybrid_pose_ros.geometry.cameras import CameraError, load_dhp19_cameras
from hybrid_pose_ros.networks.checkpoint import CheckpointError, load_checkpoint

READERS: dict[str, tuple[Callable[[Path], object], type[Exception]]] = {
    "a.aedat4": (open_source, SourceError),
    "a.AEDAT4": (Aedat4Source, SourceError),
    "a.aedat": (open_source, SourceError),
    "b.aedat": (Aedat2Reader, Aedat2Error),
    "a.raw": (open_source, SourceError),
    "b.raw": (RawReader, RawFileError),
    "a.dat": (open_source, SourceError),
    "a.h5": (DerivedRecording, RecordingError),
    "a.mat": (load_labels, LabelError),
    "b.h5": (load_derived_labels, LabelError),
    "a.yaml": (lambda path: read_calibration(path, ["cam0"]), CameraError),
    "P4.npy": (lambda path: load_dhp19_cameras(path.parent), CameraError),
    "a.safetensors": (load_checkpoint, CheckpointError),
}


def make_fifo(path: Path) -> None:
    os.mkfifo(path)


def make_folder(path: Path) -> None:
    path.mkdir()


def make_device(path: Path) -> None:
    path.symlink_to("/dev/zero")


def make_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        here = Path.cwd()
        os.chdir(path.parent)  # the whole path is too long for the address of a socket
        try:
            server.bind(path.name)
        finally:
            os.chdir(here)


def make_loop(path: Path) -> None:
    path.symlink_to(path)


def make_empty(path: Path) -> None:
    path.touch()


def make_nothing(path: Path) -> None:
    pass


OBSTACLES = {
    make_fifo: "pipe",
    make_folder: "folder",
    make_device: "device",
    make_socket: "socket",
    make_loop: "cannot be read",
    make_empty: "empty",
    make_nothing: "no such",
}


@pytest.mark.parametrize("make", OBSTACLES, ids=lambda make: make.__name__)
@pytest.mark.parametrize("name", READERS)
def test_what_is_no_file_is_refused_at_once(
    tmp_path: Path, name: str, make: Callable[[Path], None]
) -> None:
    if (name, make) == ("a.yaml", make_folder):
        pytest.skip("a folder of matrices is a calibration")
    path = tmp_path / name
    make(path)
    read, kind = READERS[name]
    start = time.perf_counter()
    with pytest.raises(kind, match=OBSTACLES[make]) as caught:
        read(path)
    assert time.perf_counter() - start < 1.0
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)
