# SPDX-License-Identifier: Apache-2.0
"""DHP19 in HDF5 with the events of each camera, as the authors of the hybrid network keep it.

`cam0_events` to `cam3_events` are groups with the columns `t` (us from the start of the
recording), `x`, `y` (counted from 1, upright and cleaned) and `p`. The labels lie in a file of
their own: group `XYZ` with `3d_poses`, [n, 3, 13] in mm, and `timestamps`, [n] in us.
The frames that the scripts of the data set itself make (`DVS`) hold no events.
Source: the data loaders of uzh-rpg/hybrid_ann_snn.
"""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import h5py
import numpy as np
from numpy.typing import NDArray

from hybrid_pose_ros.events.array import EventArray, empty_events
from hybrid_pose_ros.events.dhp19.cleaning import CAMERAS, HEIGHT, WIDTH
from hybrid_pose_ros.events.dhp19.hdf5 import check_stored
from hybrid_pose_ros.events.dhp19.labels import LabelError, checked_metres, real_numbers
from hybrid_pose_ros.events.dhp19.recording import RecordingError
from hybrid_pose_ros.events.encodings import MalformedPacketError
from hybrid_pose_ros.events.encodings.packet import (
    MAX_TIME_BASE_NS,
    assemble,
    nanoseconds_of,
    pixels_of,
)
from hybrid_pose_ros.events.losses import Losses
from hybrid_pose_ros.geometry.ranges import RangeError, check_range
from hybrid_pose_ros.regular_files import find_obstacle

BLOCK: Final = 2**18
"""So many events of a camera are read at once."""


class DerivedRecording:
    """Reads the events of the four cameras in bounded memory.

    Attributes:
        losses: single events of the part read so far that were dropped or mended.

    Raises:
        RecordingError: the file is missing, damaged or without such groups.
    """

    width, height = WIDTH, HEIGHT

    def __init__(self, path: Path) -> None:
        if obstacle := find_obstacle(path, "the HDF5 file of the events"):
            raise RecordingError(f"{path}: {obstacle}")
        self.losses = Losses()
        self._path = path
        names = [f"cam{camera}_events" for camera in range(CAMERAS)]
        with _reading(path):
            self._file = h5py.File(path)
            missing = [name for name in names if name not in self._file]
            if missing:
                frames = "; it holds frames, made of events that are gone" * ("DVS" in self._file)
                raise RecordingError(
                    f"{path}: no events, {', '.join(missing)} are missing{frames}"
                )
            self._groups = [self._columns(name) for name in names]
        self._total = sum(len(columns[0]) for columns in self._groups)
        self._done = 0

    @property
    def progress(self) -> float:
        """Share of the events that was read, 0 to 1."""
        return self._done / self._total if self._total else 1.0

    @property
    def trouble(self) -> str:
        """Losses of the part read so far in a sentence, or ""."""
        return self.losses.describe()

    def batches(self) -> Iterator[list[EventArray]]:
        """Yield the events of each camera up to the same moment, from one on to the next.

        Raises:
            RecordingError: the file is damaged, or most of its events make no sense.
        """
        cursors, latest_ns = [0] * CAMERAS, [0] * CAMERAS
        held = [empty_events() for _ in range(CAMERAS)]
        while True:
            for camera, columns in enumerate(self._groups):
                while not len(held[camera]) and cursors[camera] < len(columns[0]):
                    held[camera] = self._read(columns, cursors[camera], latest_ns[camera])
                    cursors[camera] += BLOCK
                if len(held[camera]):
                    latest_ns[camera] = int(held[camera]["t"][-1])
            ends = [events["t"][-1] for events in held if len(events)]
            if not ends:
                return
            cuts = [int(np.searchsorted(events["t"], min(ends), side="right")) for events in held]
            self._done += sum(cuts)
            yield [events[:cut] for events, cut in zip(held, cuts, strict=True)]
            held = [events[cut:] for events, cut in zip(held, cuts, strict=True)]

    def _columns(self, name: str) -> list[Any]:
        """Return t, x, y and p of a camera."""
        columns = [self._file[f"{name}/{column}"] for column in "txyp"]
        for column in columns:
            if column.ndim != 1 or column.dtype.kind not in "biuf":
                raise RecordingError(f"{self._path}: {column.name} is no column of numbers")
            check_stored(column)
        if len({len(column) for column in columns}) > 1:
            raise RecordingError(f"{self._path}: the columns of {name} differ in length")
        return columns

    def _read(self, columns: list[Any], start: int, latest_ns: int) -> EventArray:
        with _reading(self._path):
            t, x, y, p = (np.asarray(column[start : start + BLOCK]) for column in columns)
        size = WIDTH, HEIGHT
        try:
            x, y = pixels_of(x - 1.0, WIDTH), pixels_of(y - 1.0, HEIGHT)
            events = assemble("h5", size, nanoseconds_of(t), x, y, p > 0, self.losses)
        except MalformedPacketError as error:
            raise RecordingError(f"{self._path}: {columns[0].parent.name}: {error}") from error
        self.losses.held += int((events["t"] < latest_ns).sum())
        events["t"] = np.maximum(events["t"], latest_ns)
        return events


@contextlib.contextmanager
def _reading(path: Path) -> Iterator[None]:
    """Turn whatever h5py raises in the block into an error that names the file."""
    try:
        yield
    except RecordingError:
        raise
    except Exception as error:
        words = " ".join(str(error).split())
        raise RecordingError(f"{path}: not HDF5, or damaged ({words}); copy it again") from error


def load_derived_labels(path: Path) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Read sensor time in ns, [n], and the joints in metres, [n, 13, 3].

    Raises:
        LabelError: the file is missing, damaged, or holds no labels.
    """
    if obstacle := find_obstacle(path, "the HDF5 file of the labels"):
        raise LabelError(f"{path}: {obstacle}")
    try:
        with h5py.File(path) as file:
            poses = real_numbers(file["XYZ/3d_poses"])
            times = real_numbers(file["XYZ/timestamps"])
    except Exception as error:  # whatever h5py raises of damaged bytes
        raise LabelError(
            f"{path}: damaged, or no labels; HDF5 with XYZ/3d_poses is expected"
        ) from error
    if poses.ndim != 3 or poses.shape != (*times.shape, 3, 13) or not len(poses):
        raise LabelError(
            f"{path}: XYZ/3d_poses is {poses.shape} and XYZ/timestamps {times.shape}, not "
            "[n, 3, 13] and [n]"
        )
    try:
        check_range("time of a label (us)", times, 0, MAX_TIME_BASE_NS / 1000)
    except RangeError as error:
        raise LabelError(f"{path}: damaged ({error}); copy it again") from error
    times_ns = np.rint(times * 1000.0).astype(np.int64)
    if (np.diff(times_ns) <= 0).any():
        raise LabelError(f"{path}: XYZ/timestamps are not in order; copy it again")
    joints = checked_metres(path, poses.transpose(0, 2, 1) * 1e-3)
    return times_ns, joints
