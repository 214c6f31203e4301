# SPDX-License-Identifier: Apache-2.0
"""Recordings of one DAVIS in AEDAT 2.0."""

from pathlib import Path

from hybrid_pose_ros.events.aedat2 import Aedat2Error, Aedat2Reader, unpack
from hybrid_pose_ros.events.array import (
    EventArray,
    MalformedEventsError,
    check_sensor,
    empty_events,
)
from hybrid_pose_ros.events.encodings import MalformedPacketError
from hybrid_pose_ros.events.encodings.packet import assemble, keep_order
from hybrid_pose_ros.events.losses import Losses
from hybrid_pose_ros.events.sources.base import SourceError


class Aedat2Source:
    """Reads the events of a DAVIS piece by piece, upright; frames and motion data are skipped.

    Args:
        path: the file.
        size: width and height of the sensor in pixels, for files that name no known camera.

    Attributes:
        losses: single events of the part read so far that were dropped.

    Raises:
        SourceError: the file cannot be read, is of another camera, or of several.
    """

    live = False

    def __init__(self, path: Path, size: tuple[int, int] | None = None) -> None:
        try:
            self._reader = Aedat2Reader(path)
        except Aedat2Error as error:
            raise SourceError(str(error)) from error
        chip = self._reader.header.chip
        size = self._reader.header.size or size
        if "multi" in chip.lower():
            raise SourceError(
                f"{path}: events of several cameras ({chip}); convert it with "
                "`hybrid-pose convert dhp19`"
            )
        if size is None:
            raise SourceError(
                f"{path}: of a camera that is not known ({chip or 'not named'}); give the "
                "sensor's size (--size WxH)"
            )
        self.name = str(path)
        try:
            check_sensor(*size)
        except MalformedEventsError as error:
            raise SourceError(f"{path}: {error}") from error
        self.width, self.height = size
        self.losses = Losses()
        self._words = self._reader.words()
        self._done, self._strays, self._latest_us = 0, 0, -(2**62)
        self._taken = self._closed = False

    @property
    def progress(self) -> float:
        """Share of the file that was read, 0 to 1."""
        return self._done / self._reader.total if self._reader.total else 1.0

    @property
    def trouble(self) -> str:
        """Words on the part of the file that could not be read so far, or ""."""
        return "; ".join(filter(None, (self.losses.describe(), self._reader.trouble)))

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
        self.losses.held += self._reader.strays - self._strays
        self._strays = self._reader.strays
        columns = unpack(words)
        us, held = keep_order(columns.us, self._latest_us)
        if len(us):
            self._latest_us = int(us[-1])
        try:
            events = assemble(
                "aedat2",
                (self.width, self.height),
                us * 1000,
                columns.x,
                columns.y,
                columns.polarity,
                self.losses,
            )
        except MalformedPacketError as error:
            if self._taken:
                self.losses.refused += len(us)
                return empty_events()
            raise SourceError(
                f"{self.name}: {error}: damaged, or of another camera than its header says"
            ) from error
        self.losses.held += held
        self._taken = self._taken or len(events) > 0
        events["x"], events["y"] = self.width - 1 - events["x"], self.height - 1 - events["y"]
        return events

    def close(self) -> None:
        """Release the file; may be called again."""
        self._closed = True
        self._words.close()
