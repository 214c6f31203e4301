# SPDX-License-Identifier: Apache-2.0
"""Recordings in AEDAT4, through dv-processing in a process of its own."""

import fcntl
import json
import os
import re
import subprocess
import sys
import weakref
from pathlib import Path
from typing import Final

import numpy as np

from hybrid_pose_ros.events import aedat4_child
from hybrid_pose_ros.events.aedat4_child import DAMAGED, END, ROWS, Opening
from hybrid_pose_ros.events.array import (
    EventArray,
    MalformedEventsError,
    check_sensor,
    empty_events,
)
from hybrid_pose_ros.events.encodings import MalformedPacketError
from hybrid_pose_ros.events.encodings.packet import assemble
from hybrid_pose_ros.events.losses import Losses
from hybrid_pose_ros.events.sources.base import SourceError
from hybrid_pose_ros.regular_files import find_obstacle

_REMEDY: Final = "record or copy it again"

_MAGIC: Final = b"#!AER-DAT4.0\r\n"
_MAX_HEADER: Final = 2**20
_ATTRIBUTE: Final = re.compile(rb'key="(typeIdentifier|source)"[^<>]{0,200}>([^<]{0,1000})<')
_PIPE_BYTES: Final = 2**20
_MAX_BATCH: Final = 2**26
"""Events; a batch of a camera has thousands."""


class Aedat4Source:
    """Reads the events of an AEDAT4 file batch by batch, in bounded memory.

    Args:
        path: the file.
        camera: which one of several: its name, or its number from 0 on.

    Attributes:
        losses: single events of the part read so far that were dropped or mended.

    Raises:
        SourceError: there is no such file, or it cannot be read, is not AEDAT4, damaged, cut off,
            without events, or has several cameras and none or no such one was chosen.
    """

    live = False

    def __init__(self, path: Path, camera: str = "") -> None:
        if obstacle := find_obstacle(path, "an AEDAT4 recording"):
            raise SourceError(f"{path}: {obstacle}")
        if path.suffix.lower() != ".aedat4":
            raise SourceError(f"{path}: not an AEDAT4 file (*.aedat4); convert it first")
        try:
            str(path).encode()
        except UnicodeEncodeError:
            raise SourceError(f"{path}: the name is not UTF-8; rename it") from None
        cameras = _find_cameras(path)
        self.name = str(path)
        self.losses = Losses()
        self._child = _start_child(path, _choose(path, cameras, camera))
        self._close = weakref.finalize(self, _end, self._child)
        opening = self._open()
        self.width, self.height = opening.width, opening.height
        self._range_us = (opening.first_us, opening.last_us)
        self._latest_us = opening.first_us

    @property
    def progress(self) -> float:
        """Share of the recording's time that was read, 0 to 1."""
        first, last = self._range_us
        if last <= first:
            return 1.0
        return min(max((self._latest_us - first) / (last - first), 0.0), 1.0)

    @property
    def trouble(self) -> str:
        """The source's own account of what was lost of the part read so far, or ""."""
        return self.losses.describe()

    def read(self) -> EventArray | None:
        """Return the next batch as it was recorded, or None at the end and once closed.

        Raises:
            SourceError: the file is damaged from here on.
        """
        if not self._close.alive:
            return None
        count = int.from_bytes(self._receive(8), "little")
        if count == END:
            self.close()
            return None
        if count == DAMAGED or count > _MAX_BATCH:
            self._fail(f"damaged data; {_REMEDY}")
        rows = np.frombuffer(self._receive(count * ROWS.itemsize), ROWS)
        self._latest_us = int(rows["us"][-1])
        try:
            size = (self.width, self.height)
            t_ns = 1000 * rows["us"]
            return assemble(
                "aedat4", size, t_ns, rows["x"], rows["y"], rows["polarity"], self.losses
            )
        except MalformedPacketError:
            self.losses.refused += count
            return empty_events()

    def close(self) -> None:
        """Release the file and end the process that reads it; may be called again."""
        self._close()

    def _open(self) -> Opening:
        assert self._child.stdout is not None
        if self._child.stdout.readline() != b"\n":
            self._fail("the process that reads AEDAT4 does not start; is dv-processing installed?")
        line = self._child.stdout.readline()
        if not line.endswith(b"\n"):
            self._give_up()
        answer = json.loads(line)
        if answer.get("error") == "empty":
            self._fail("the recording holds no events")
        if "error" in answer:
            self._fail(f"damaged, cut off, or not AEDAT4; {_REMEDY}")
        try:
            check_sensor(answer["width"], answer["height"])
        except MalformedEventsError as error:
            self._fail(f"damaged ({error}); {_REMEDY}")
        return Opening(**answer)

    def _receive(self, size: int) -> bytearray:
        assert self._child.stdout is not None
        data = bytearray(size)
        done, view = 0, memoryview(data)
        while done < size:
            received = self._child.stdout.readinto(view[done:])  # type: ignore[attr-defined]
            if not received:
                self._give_up()
            done += received
        return data

    def _give_up(self) -> None:
        """Say that the child ended without a word: by its watchdog, or with dv-processing."""
        limit = f"{aedat4_child.LIMIT_S:.0f} s"
        self._fail(f"damaged: dv-processing broke off, or gave nothing for {limit}; {_REMEDY}")

    def _fail(self, reason: str) -> None:
        self.close()
        raise SourceError(f"{self.name}: {reason}")


def _find_cameras(path: Path) -> list[str]:
    """Return the names of the cameras with events, in the order of the file."""
    try:
        with path.open("rb") as file:
            begin = file.read(len(_MAGIC) + 4)
            if not begin.startswith(_MAGIC):
                raise SourceError(f"{path}: damaged, cut off, or not AEDAT4; {_REMEDY}")
            size = int.from_bytes(begin[len(_MAGIC) :], "little")
            header = file.read(min(size, _MAX_HEADER))
    except OSError as error:
        raise SourceError(f"{path}: cannot be read ({error.strerror})") from error
    names, kind = [], b""
    for key, value in _ATTRIBUTE.findall(header):
        if key == b"typeIdentifier":
            kind = kind or value  # the source that comes next is that of this stream
        elif kind:
            names += [value.decode("utf-8", "replace")] * (kind == b"EVTS")
            kind = b""
    return list(dict.fromkeys(names))


def _choose(path: Path, cameras: list[str], wanted: str) -> str:
    """Return the name of the camera that is wanted; "" leaves the only one to dv-processing."""
    if wanted in cameras:
        return wanted
    if wanted.isdecimal() and int(wanted) < len(cameras):
        return cameras[int(wanted)]
    listed = ", ".join(f"{number}: {name}" for number, name in enumerate(cameras))
    if wanted:
        raise SourceError(f"{path}: no camera {wanted}; there are {listed or 'none'}")
    if len(cameras) > 1:
        raise SourceError(
            f"{path}: events of several cameras; choose one by name or number ({listed})"
        )
    return ""


def _start_child(path: Path, camera: str) -> "subprocess.Popen[bytes]":
    root = str(Path(aedat4_child.__file__).parents[2])
    paths = [*filter(None, [os.environ.get("PYTHONPATH")]), root]
    child = subprocess.Popen(
        [
            *(sys.executable, "-P", "-m", aedat4_child.__name__, str(path)),
            *([camera] if camera else []),
        ],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
        bufsize=2**16,
    )
    assert child.stdout is not None
    fcntl.fcntl(child.stdout, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
    return child


def _end(child: "subprocess.Popen[bytes]") -> None:
    child.kill()
    assert child.stdout is not None
    child.stdout.close()
    child.wait()
