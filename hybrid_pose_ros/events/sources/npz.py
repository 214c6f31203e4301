# SPDX-License-Identifier: Apache-2.0
"""Events in `.npz`; see :mod:`hybrid_pose_ros.events.labelled`."""

from pathlib import Path
from typing import Final

from hybrid_pose_ros.events.array import EventArray
from hybrid_pose_ros.events.labelled import LabelledFileError, load_npz_events
from hybrid_pose_ros.events.losses import Losses
from hybrid_pose_ros.events.sources.base import SourceError

BATCH: Final = 100_000
"""So many events are given at once."""


class NpzSource:
    """Gives the events of an `.npz`, which is read as a whole, batch by batch.

    Args:
        path: the file.

    Attributes:
        losses: single events that were dropped or mended.

    Raises:
        SourceError: the file cannot be read, or is of another format.
    """

    live = False

    def __init__(self, path: Path) -> None:
        self.losses = Losses()
        try:
            self._events, self.width, self.height = load_npz_events(path, self.losses)
        except LabelledFileError as error:
            raise SourceError(str(error)) from error
        self.name = str(path)
        self._done = 0
        self._closed = False

    @property
    def progress(self) -> float:
        """Share of the events that was given, 0 to 1."""
        return self._done / len(self._events) if len(self._events) else 1.0

    @property
    def trouble(self) -> str:
        """Losses of the file in a sentence, or ""."""
        return self.losses.describe()

    def read(self) -> EventArray | None:
        """Return the next events, or None at the end and once closed."""
        if self._closed or self._done == len(self._events):
            return None
        batch = self._events[self._done : self._done + BATCH]
        self._done += len(batch)
        return batch

    def close(self) -> None:
        """Release the events; may be called again."""
        self._closed = True
