# SPDX-License-Identifier: Apache-2.0
"""The source for a recording, by the name of its file."""

from pathlib import Path
from typing import Final, Protocol

from hybrid_pose_ros.events.sources.aedat2 import Aedat2Source
from hybrid_pose_ros.events.sources.aedat4 import Aedat4Source
from hybrid_pose_ros.events.sources.base import EventSource, SourceError
from hybrid_pose_ros.events.sources.npz import NpzSource
from hybrid_pose_ros.events.sources.raw import RawSource
from hybrid_pose_ros.regular_files import find_obstacle

SUFFIXES: Final = (".aedat4", ".aedat", ".aedat2", ".raw", ".dat", ".npz")
"""How the names of recordings end, in small or capital letters."""


class FileSource(EventSource, Protocol):
    """A recording."""

    @property
    def progress(self) -> float:
        """Share of the file that was read, 0 to 1."""

    @property
    def trouble(self) -> str:
        """The source's own account of what was lost of the part read so far, or ""."""


def open_source(
    path: Path, *, size: tuple[int, int] | None = None, camera: str = ""
) -> FileSource:
    """Return a source for AEDAT4, AEDAT 2.0 (`.aedat`), Prophesee RAW or DAT, or `.npz`.

    Args:
        path: the file; the end of its name tells the kind, see :data:`SUFFIXES`.
        size: width and height of the sensor in pixels, for files that do not tell.
        camera: which camera of an AEDAT4 file with several: its name, or its number from 0 on.

    Raises:
        SourceError: the file is of no such kind, or cannot be read, or has several cameras and
            none was chosen.
    """
    if obstacle := find_obstacle(path, "a recording"):
        raise SourceError(f"{path}: {obstacle}")
    suffix = path.suffix.lower()
    if suffix == ".aedat4":
        return Aedat4Source(path, camera)
    if camera:
        raise SourceError(f"{path}: a file of one camera; leave the camera ({camera}) out")
    if suffix in (".aedat", ".aedat2"):
        return Aedat2Source(path, size)
    if suffix in (".raw", ".dat"):
        return RawSource(path, size)
    if suffix == ".npz":
        return NpzSource(path)
    kinds = ", ".join(f"*{suffix}" for suffix in SUFFIXES)
    raise SourceError(f"{path}: no recording that can be read ({kinds})")
