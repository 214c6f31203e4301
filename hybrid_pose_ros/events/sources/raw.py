# SPDX-License-Identifier: Apache-2.0
"""RAW files of Prophesee cameras."""

from pathlib import Path

from hybrid_pose_ros.events.array import EventArray
from hybrid_pose_ros.events.prophesee_raw import RawFileError, RawReader
from hybrid_pose_ros.events.sources.base import SourceError


class RawSource:
    """Reads a RAW file (EVT 2.0, 2.1 or 3.0) or a DAT file piece by piece.

    Args:
        path: the file.
        size: width and height of the sensor in pixels, for files that do not tell.

    Attributes:
        losses: single events of the part read so far that were dropped or mended.

    Raises:
        SourceError: the file cannot be read, or is of another kind.
    """

    live = False

    def __init__(self, path: Path, size: tuple[int, int] | None = None) -> None:
        try:
            self._reader = RawReader(path, size)
        except RawFileError as error:
            raise SourceError(str(error)) from error
        self.name = str(path)
        self.width, self.height = self._reader.width, self._reader.height
        self.losses = self._reader.losses
        self._events = self._reader.events()
        self._closed = False

    @property
    def progress(self) -> float:
        """Share of the file that was read, 0 to 1."""
        return self._reader.progress

    @property
    def trouble(self) -> str:
        """Words on the part of the file that could not be read so far, or ""."""
        return self._reader.trouble

    def read(self) -> EventArray | None:
        """Return the next events, or None at the end and once closed."""
        if self._closed:
            return None
        try:
            return next(self._events, None)
        except RawFileError as error:
            raise SourceError(str(error)) from error

    def close(self) -> None:
        """Release the file; may be called again."""
        self._closed = True
        self._events.close()
