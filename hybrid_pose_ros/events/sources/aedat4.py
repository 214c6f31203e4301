# SPDX-License-Identifier: Apache-2.0
"""Recordings in AEDAT4, through dv-processing."""

from pathlib import Path

import dv_processing as dv

from hybrid_pose_ros.events.array import EventArray
from hybrid_pose_ros.events.dv_events import from_store
from hybrid_pose_ros.events.sources.base import SourceError


class Aedat4Source:
    """Reads the events of an AEDAT4 file batch by batch, in bounded memory.

    Args:
        path: the file.

    Raises:
        SourceError: there is no such file, or it cannot be read, is not AEDAT4, cut off, or
            without events.
    """

    live = False

    def __init__(self, path: Path) -> None:
        if not path.is_file():
            raise SourceError(f"{path}: no such file; give the path of an AEDAT4 recording")
        if path.suffix != ".aedat4":
            raise SourceError(f"{path}: not an AEDAT4 file (*.aedat4); convert it first")
        try:
            path.open("rb").close()
        except OSError as error:
            raise SourceError(f"{path}: cannot be read ({error.strerror})") from error
        try:
            self._reader: dv.io.MonoCameraRecording | None = dv.io.MonoCameraRecording(str(path))
        except RuntimeError as error:
            raise SourceError(
                f"{path}: damaged, cut off, or not AEDAT4; record or copy it again"
            ) from error
        if not self._reader.isEventStreamAvailable():
            raise SourceError(f"{path}: the recording holds no events")
        self.name = str(path)
        self.width, self.height = self._reader.getEventResolution()
        self._range_us = self._reader.getTimeRange()
        self._latest_us = self._range_us[0]
        self.trouble = ""

    @property
    def progress(self) -> float:
        """Share of the recording's time that was read, 0 to 1."""
        first, last = self._range_us
        return min((self._latest_us - first) / (last - first), 1.0) if last > first else 1.0

    def read(self) -> EventArray | None:
        """Return the next batch as it was recorded, or None at the end and once closed."""
        if self._reader is None:
            return None
        try:
            store = self._reader.getNextEventBatch()
        except RuntimeError as error:
            raise SourceError(f"{self.name}: damaged data; record or copy it again") from error
        if store is None:
            return None
        self._latest_us = store.getHighestTime()
        return from_store(store)

    def close(self) -> None:
        """Release the file; may be called again."""
        self._reader = None
