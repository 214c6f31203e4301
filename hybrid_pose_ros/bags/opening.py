# SPDX-License-Identifier: Apache-2.0
"""Opens a recording of any kind that this package reads: files of cameras, DHP19, and bags."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Final, Protocol

import numpy as np

from hybrid_pose_ros.bags.bag import BagError, installed_typestore
from hybrid_pose_ros.bags.contents import inspect_bag
from hybrid_pose_ros.bags.event_topic import EventTopic
from hybrid_pose_ros.events.aedat2 import Aedat2Error, Aedat2Reader
from hybrid_pose_ros.events.array import EventArray, empty_events, join_events
from hybrid_pose_ros.events.dhp19.cleaning import Cleaning
from hybrid_pose_ros.events.dhp19.derived import DerivedRecording
from hybrid_pose_ros.events.dhp19.recording import Dhp19Recording, RecordingError
from hybrid_pose_ros.events.sources import FileSource, SourceError, open_source
from hybrid_pose_ros.events.sources.files import SUFFIXES
from hybrid_pose_ros.installation import NotInstalledError
from hybrid_pose_ros.interfaces.topics import EVENTS

BAG_SUFFIXES: Final = (".mcap", ".db3")
HDF5_SUFFIXES: Final = (".h5", ".hdf5")


class Origin(Protocol):
    """Source of the events of a recording."""

    @property
    def trouble(self) -> str:
        """Losses in the part read so far, or ""."""


class Recording:
    """Gives the events of one camera, batch by batch in order of time, once.

    Args:
        origin: gives its account of what was lost.
        batches: the events.

    Attributes:
        name: of the file.
        width, height: of the sensor in pixels.
    """

    def __init__(
        self, name: str, size: tuple[int, int], origin: Origin, batches: Iterator[EventArray]
    ) -> None:
        self.name = name
        self.width, self.height = size
        self._origin, self._batches = origin, batches

    @property
    def trouble(self) -> str:
        """Losses in the part read so far in a sentence, or ""."""
        return self._origin.trouble

    def __iter__(self) -> Iterator[EventArray]:
        """Yield the batches.

        Raises:
            SourceError: the file is damaged.
        """
        with _one_error():
            yield from self._batches

    def read_all(self, start_s: float = 0.0, end_s: float = float("inf")) -> EventArray:
        """Return the events of a part of the recording, in seconds after its first event.

        Raises:
            SourceError: the file is damaged.
        """
        kept: list[EventArray] = []
        first_ns: int | None = None
        for events in self:
            if not len(events):
                continue
            if first_ns is None:
                first_ns = int(events["t"][0])
            seconds = (events["t"] - first_ns) * 1e-9
            start, end = np.searchsorted(seconds, (start_s, end_s)).tolist()
            kept.append(events[start:end])
            if end < len(events):
                break
        return join_events(kept) if kept else empty_events()


def open_recording(path: Path | str, *, camera: int = 0) -> Recording:
    """Open a recording: `.aedat4`, `.aedat`, `.raw`, `.npz`, DHP19's `.h5`, or a bag.

    Args:
        path: the file, or the folder of a bag.
        camera: which one of several, from 0; the topics of a bag count in order of their names.

    Raises:
        SourceError: there is no such file or camera, or the file cannot be read.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    with _one_error():
        if path.is_dir() or suffix in BAG_SUFFIXES:
            return _open_bag(path, camera)
        if suffix in HDF5_SUFFIXES:
            return _open_dhp19(path, DerivedRecording(path), camera)
        if suffix == ".aedat" and path.is_file() and _is_dhp19(path):
            return _open_dhp19(path, Dhp19Recording(path, Cleaning()), camera)
        if suffix not in SUFFIXES and path.is_file():
            kinds = ", ".join(f"*{own}" for own in (*SUFFIXES, *HDF5_SUFFIXES, *BAG_SUFFIXES))
            raise SourceError(f"{path}: no recording that can be read ({kinds}, folders of bags)")
        _check_camera(path, camera, 1)
        source = open_source(path)
        size = (source.width, source.height)
        return Recording(source.name, size, source, _batches(source))


@contextlib.contextmanager
def _one_error() -> Iterator[None]:
    try:
        yield
    except (Aedat2Error, BagError, NotInstalledError, RecordingError) as error:
        raise SourceError(str(error)) from error


def _batches(source: FileSource) -> Iterator[EventArray]:
    while (events := source.read()) is not None:
        yield events


def _open_bag(path: Path, camera: int) -> Recording:
    cameras = inspect_bag(path).cameras
    if not cameras:
        raise SourceError(f"{path}: the bag holds no events")
    _check_camera(path, camera, len(cameras))
    store = installed_typestore()
    topic = EventTopic(path, EVENTS.under(cameras[camera]).name, store)
    size = (topic.width, topic.height)
    return Recording(f"{path}, {cameras[camera]}", size, topic, topic.events())


def _is_dhp19(path: Path) -> bool:
    return "multi" in Aedat2Reader(path).header.chip.lower()


def _open_dhp19(
    path: Path, recording: Dhp19Recording | DerivedRecording, camera: int
) -> Recording:
    _check_camera(path, camera, 4)
    batches = (batch[camera] for batch in recording.batches())
    size = (recording.width, recording.height)
    return Recording(f"{path}, camera {camera}", size, recording, batches)


def _check_camera(path: Path, camera: int, count: int) -> None:
    if not 0 <= camera < count:
        raise SourceError(f"{path}: no camera {camera}; there are {count}, counted from 0")
