# SPDX-License-Identifier: Apache-2.0
"""The source for a recording, by the name of its file."""

from pathlib import Path
from typing import Protocol

from hybrid_pose_ros.events.sources.aedat2 import Aedat2Source
from hybrid_pose_ros.events.sources.aedat4 import Aedat4Source
from hybrid_pose_ros.events.sources.base import EventSource, SourceError
from hybrid_pose_ros.events.sources.npz import NpzSource
from hybrid_pose_ros.events.sources.raw import RawSource


class FileSource(EventSource, Protocol):
    """A recording."""

    @property
    def progress(self) -> float:
        """Share of the file that was read, 0 to 1."""

    @property
    def trouble(self) -> str:
        """What of the file could not be read so far, or ""."""


def open_source(path: Path) -> FileSource:
    """Return a source for AEDAT4, AEDAT 2.0 (`.aedat`), Prophesee RAW or `.npz`.

    Raises:
        SourceError: the file is of no such kind, or cannot be read.
    """
    if not path.is_file():
        raise SourceError(f"{path}: no such file; give the path of a recording")
    if path.suffix == ".aedat":
        return Aedat2Source(path)
    if path.suffix == ".raw":
        return RawSource(path)
    if path.suffix == ".npz":
        return NpzSource(path)
    if path.suffix == ".aedat4":
        return Aedat4Source(path)
    raise SourceError(f"{path}: no recording that can be read (*.aedat4, *.aedat, *.raw, *.npz)")
