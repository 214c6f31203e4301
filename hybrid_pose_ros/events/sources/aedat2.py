# SPDX-License-Identifier: Apache-2.0
"""Recordings of one DAVIS in AEDAT 2.0."""

from pathlib import Path

import numpy as np

from hybrid_pose_ros.events.aedat2 import Aedat2Error, Aedat2Reader, unpack
from hybrid_pose_ros.events.array import EventArray, make_events
from hybrid_pose_ros.events.sources.base import SourceError


class Aedat2Source:
    """Reads the events of a DAVIS piece by piece, upright; frames and motion data are skipped.

    Args:
        path: the file.

    Raises:
        SourceError: the file cannot be read, is of another camera, or of several.
    """

    live = False

    def __init__(self, path: Path) -> None:
        try:
            self._reader = Aedat2Reader(path)
        except Aedat2Error as error:
            raise SourceError(str(error)) from error
        chip, size = self._reader.header.chip, self._reader.header.size
        if "multi" in chip.lower():
            raise SourceError(
                f"{path}: events of several cameras ({chip}); convert it with "
                "`hybrid-pose convert dhp19`"
            )
        if size is None:
            raise SourceError(f"{path}: of a camera that is not known ({chip or 'not named'})")
        self.name = str(path)
        self.width, self.height = size
        self._words = self._reader.words()
        self._done, self._latest_us = 0, -(2**62)
        self._closed = False

    @property
    def progress(self) -> float:
        """Share of the file that was read, 0 to 1."""
        return self._done / self._reader.total if self._reader.total else 1.0

    @property
    def trouble(self) -> str:
        """What of the file could not be read so far, or ""."""
        return self._reader.trouble

    def read(self) -> EventArray | None:
        """Return the next events, or None at the end and once closed.

        Raises:
            SourceError: the file cannot be read any more, or holds events outside the sensor.
        """
        if self._closed:
            return None
        try:
            words = next(self._words, None)
        except Aedat2Error as error:
            raise SourceError(str(error)) from error
        if words is None:
            return None
        self._done += len(words.us)
        columns = unpack(words)
        if ((columns.x >= self.width) | (columns.y >= self.height)).any():
            raise SourceError(
                f"{self.name}: events outside of {self.width}x{self.height}: damaged, or of "
                "another camera than its header says"
            )
        us = np.maximum.accumulate(np.maximum(columns.us, self._latest_us))
        if len(us):
            self._latest_us = int(us[-1])
        x, y = self.width - 1 - columns.x, self.height - 1 - columns.y
        return make_events(us * 1000, x, y, columns.polarity)

    def close(self) -> None:
        """Release the file; may be called again."""
        self._closed = True
        self._words.close()
