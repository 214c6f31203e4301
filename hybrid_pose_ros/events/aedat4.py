# SPDX-License-Identifier: Apache-2.0
"""Writing AEDAT4, the file format of iniVation's tools, through dv-processing."""

from collections.abc import Iterable
from pathlib import Path

import dv_processing as dv

from hybrid_pose_ros.events.array import EventArray, MalformedEventsError, check_events
from hybrid_pose_ros.events.dv_events import to_store

CAMERA_NAME = "hybrid_pose_ros"


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
        writer.writeEvents(to_store(events))
        written += len(events)
    return written
