# SPDX-License-Identifier: Apache-2.0
"""DHP19 in HDF5 with the events of each camera, as the authors of the hybrid network keep it.

`cam0_events` to `cam3_events` are groups with the columns `t` (us from the start of the
recording), `x`, `y` (counted from 1, upright and cleaned) and `p`. The labels lie in a file of
their own: group `XYZ` with `3d_poses`, [n, 3, 13] in mm, and `timestamps`, [n] in us.
The frames that the scripts of the data set itself make (`DVS`) hold no events.
Source: the data loaders of uzh-rpg/hybrid_ann_snn.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import h5py
import numpy as np
from numpy.typing import NDArray

from hybrid_pose_ros.events.array import EventArray, empty_events, make_events
from hybrid_pose_ros.events.dhp19.cleaning import CAMERAS, HEIGHT, WIDTH
from hybrid_pose_ros.events.dhp19.labels import LabelError
from hybrid_pose_ros.events.dhp19.recording import RecordingError
from hybrid_pose_ros.regular_files import find_obstacle

BLOCK: Final = 2**18
"""So many events of a camera are read at once."""


class DerivedRecording:
    """Reads the events of the four cameras in bounded memory.

    Raises:
        RecordingError: the file is missing, damaged or without such groups.
    """

    width, height = WIDTH, HEIGHT
    trouble = ""

    def __init__(self, path: Path) -> None:
        if obstacle := find_obstacle(path, "the HDF5 file of the events"):
            raise RecordingError(f"{path}: {obstacle}")
        try:
            self._file = h5py.File(path)
        except OSError as error:
            raise RecordingError(f"{path}: not HDF5, or damaged; copy it again") from error
        names = [f"cam{camera}_events" for camera in range(CAMERAS)]
        missing = [name for name in names if name not in self._file]
        if missing:
            frames = "; it holds frames, made of events that are gone" * ("DVS" in self._file)
            raise RecordingError(f"{path}: no events, {', '.join(missing)} are missing{frames}")
        self._path = path
        self._groups = [self._file[name] for name in names]
        self._total = sum(len(group["t"]) for group in self._groups)
        self._done = 0

    @property
    def progress(self) -> float:
        """Share of the events that was read, 0 to 1."""
        return self._done / self._total if self._total else 1.0

    def batches(self) -> Iterator[list[EventArray]]:
        """Yield the events of each camera up to the same moment, from one on to the next.

        Raises:
            RecordingError: the file is damaged, or has events outside the sensor.
        """
        cursors = [0] * CAMERAS
        held = [empty_events() for _ in range(CAMERAS)]
        while True:
            for camera, group in enumerate(self._groups):
                if not len(held[camera]) and cursors[camera] < len(group["t"]):
                    held[camera] = self._read(group, cursors[camera])
                    cursors[camera] += len(held[camera])
            ends = [events["t"][-1] for events in held if len(events)]
            if not ends:
                return
            cuts = [int(np.searchsorted(events["t"], min(ends), side="right")) for events in held]
            self._done += sum(cuts)
            yield [events[:cut] for events, cut in zip(held, cuts, strict=True)]
            held = [events[cut:] for events, cut in zip(held, cuts, strict=True)]

    def _read(self, group: Any, start: int) -> EventArray:
        part = slice(start, start + BLOCK)
        try:
            t, x, y, p = (np.asarray(group[name][part]) for name in "txyp")
        except (OSError, KeyError) as error:
            raise RecordingError(
                f"{self._path}: damaged at {group.name}; copy it again"
            ) from error
        if not ((x >= 1) & (x <= WIDTH) & (y >= 1) & (y <= HEIGHT)).all():
            raise RecordingError(
                f"{self._path}: {group.name} has events outside of {WIDTH}x{HEIGHT}, from 1 on"
            )
        times = np.maximum.accumulate(t.astype(np.int64))
        return make_events(times * 1000, x.astype(np.int64) - 1, y.astype(np.int64) - 1, p > 0)


def load_derived_labels(path: Path) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Read sensor time in ns, [n], and the joints in metres, [n, 13, 3].

    Raises:
        LabelError: the file is missing, damaged, or holds no labels.
    """
    if obstacle := find_obstacle(path, "the HDF5 file of the labels"):
        raise LabelError(f"{path}: {obstacle}")
    try:
        with h5py.File(path) as file:
            poses = np.asarray(file["XYZ/3d_poses"], float)
            times = np.asarray(file["XYZ/timestamps"])
    except (OSError, KeyError) as error:
        raise LabelError(f"{path}: no labels; HDF5 with XYZ/3d_poses is expected") from error
    if poses.ndim != 3 or poses.shape[1:] != (3, 13) or len(poses) != len(times):
        raise LabelError(f"{path}: XYZ/3d_poses is {poses.shape}, not [n, 3, 13]")
    return np.rint(times * 1000.0).astype(np.int64), poses.transpose(0, 2, 1) * 1e-3
