# SPDX-License-Identifier: Apache-2.0
"""Writing AEDAT4, the file format of iniVation's tools, through dv-processing."""

import os
import resource
from collections.abc import Iterable
from errno import EFBIG, ENOSPC
from pathlib import Path
from typing import Final

import dv_processing as dv

from hybrid_pose_ros.events.array import EventArray, MalformedEventsError, check_events
from hybrid_pose_ros.events.dv_events import to_store

CAMERA_NAME = "hybrid_pose_ros"

SPARE_BYTES: Final = 16 * 2**20
"""Bytes that dv-processing holds back and writes late, and the index at the end of the file."""


def write_aedat4(path: Path, batches: Iterable[EventArray], width: int, height: int) -> int:
    """Write events in order of time; returns how many.

    AEDAT4 stores whole microseconds: times are floored.

    Args:
        path: file to write; its name ends in ``.aedat4``.
        batches: event arrays, each not older than the one before.
        width, height: of the sensor in pixels.

    Raises:
        OSError: the file cannot be written.
        ValueError: the name does not end in ``.aedat4``.
        MalformedEventsError: events outside the sensor or out of order, also between batches.
            What came before them is in the file.
    """
    if path.suffix != ".aedat4":
        raise ValueError(f"{path}: an AEDAT4 file's name ends in .aedat4")
    with path.open("wb"):  # dv-processing's own errors name its sources instead of the reason
        pass
    room = _Room(path)
    room.check(0)
    config = dv.io.MonoCameraWriter.EventOnlyConfig(CAMERA_NAME, (width, height))
    writer = dv.io.MonoCameraWriter(str(path), config)
    written, last_ns = 0, None
    for events in batches:
        if not len(events):
            continue
        check_events(events, width, height)
        if last_ns is not None and events["t"][0] < last_ns:
            raise MalformedEventsError(
                f"{path}: a batch begins at {events['t'][0]} ns, before the end of the one before "
                f"it ({last_ns} ns)"
            )
        last_ns = events["t"][-1]
        room.check(events.nbytes)
        writer.writeEvents(to_store(events))
        written += len(events)
    return written


class _Room:
    """Looks for room before each batch: where a write fails, dv-processing aborts the process."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def check(self, size: int) -> None:
        """Raise OSError unless so many bytes more can be written."""
        needed = size + SPARE_BYTES
        disk = os.statvfs(self._path.parent)
        if disk.f_bavail * disk.f_frsize < needed:
            raise OSError(ENOSPC, os.strerror(ENOSPC), str(self._path))
        limit, _ = resource.getrlimit(resource.RLIMIT_FSIZE)
        if limit != resource.RLIM_INFINITY and self._path.stat().st_size + needed > limit:
            raise OSError(EFBIG, os.strerror(EFBIG), str(self._path))
