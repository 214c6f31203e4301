# SPDX-License-Identifier: Apache-2.0
"""Original recordings of DHP19: four DAVIS346 merged in one AEDAT 2.0 file."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from hybrid_pose_ros.errors import UserError
from hybrid_pose_ros.events.aedat2 import Aedat2Reader
from hybrid_pose_ros.events.array import EventArray
from hybrid_pose_ros.events.dhp19.cleaning import (
    HEIGHT,
    WIDTH,
    Cleaner,
    Cleaning,
    HotPixels,
    Span,
    Tally,
)
from hybrid_pose_ros.geometry.cameras import DHP19_SIZE

_SAME_SIGNAL_US: Final = 1000
"""A start or stop signal comes as one to four special events, a few us apart."""

_MAX_SPECIALS: Final = 5
"""With more the recording is corrupt; the authors leave two such recordings out."""

LABEL_US: Final = 10_000
"""Time between labels."""


class RecordingError(UserError, ValueError):
    """A recording cannot be converted; the message names it and the remedy."""


@dataclass(frozen=True)
class Scan:
    """Result of a look through the file: special events, first and last event (us)."""

    specials_us: NDArray[np.int64]
    first_us: int
    last_us: int


def find_span(scan: Scan, labels: int | None) -> Span:
    """Tell start and stop from the special events, by the rules of the data set's authors.

    One signal is the start where it is nearer to the first event than to the last one, else the
    stop; the other end follows from the number of labels. Of more signals the first is the start
    and the last the stop. Without any, all is taken.

    Args:
        labels: how many there are, at 100 Hz; None if that is not known.

    Raises:
        RecordingError: there are too many special events.
    """
    specials = scan.specials_us
    if not len(specials):
        return Span(scan.first_us - 1, scan.last_us + 1)
    if len(specials) > _MAX_SPECIALS:
        raise RecordingError(
            f"{len(specials)} special events, where start and stop make no more than "
            f"{_MAX_SPECIALS}: the recording is corrupt, as two of DHP19 are"
        )
    first, last = int(specials[0]), int(specials[-1])
    if last - first > _SAME_SIGNAL_US:
        return Span(first, last)
    length_us = None if labels is None else labels * LABEL_US
    if first - scan.first_us > scan.last_us - first:
        return Span(scan.first_us - 1 if length_us is None else first - length_us, first)
    return Span(first, scan.last_us + 1 if length_us is None else first + length_us)


class Dhp19Recording:
    """Reads the events of the four cameras, cleaned, in bounded memory.

    Args:
        path: the `.aedat` file.
        cleaning: what is left out.
        labels: number of labels, or None; see :func:`find_span`.

    Attributes:
        span: start and stop.
        last_us: sensor time of the last event of the file.
        tally: what became of the events read so far.

    Raises:
        Aedat2Error: the file is missing, cannot be read, or is not AEDAT 2.
        RecordingError: there are no events, or it is corrupt, or of another camera.
    """

    width, height = WIDTH, HEIGHT

    def __init__(self, path: Path, cleaning: Cleaning, labels: int | None = None) -> None:
        self._reader = Aedat2Reader(path)
        header = self._reader.header
        if header.size not in (None, DHP19_SIZE):
            raise RecordingError(f"{path}: of a {header.chip}, not of DHP19's four DAVIS346")
        self._cleaning = cleaning
        self.tally = Tally()
        self._words_read = 0
        scan = self._scan()
        self.last_us = scan.last_us
        try:
            self.span = find_span(scan, labels)
        except RecordingError as error:
            raise RecordingError(f"{path}: {error}") from error

    @property
    def progress(self) -> float:
        """Share of the file that was read, 0 to 1."""
        return self._words_read / self._reader.total

    @property
    def trouble(self) -> str:
        """Words on the part of the file that could not be read, or ""."""
        return self._reader.trouble

    def batches(self) -> Iterator[list[EventArray]]:
        """Yield the events of each camera; each batch follows on the one before.

        Events of a camera are in order of time: one that is older than the one before it gets
        that one's time, and is counted as late.

        Raises:
            Aedat2Error: the file cannot be read any more.
        """
        hot = None
        if self._cleaning.hot_pixels:
            counter = HotPixels(self.span if self._cleaning.trim else None)
            for words in self._reader.words():
                counter.add(words)
            hot = counter.found()
        cleaner = Cleaner(self._cleaning, self.span, hot)
        self.tally = cleaner.tally
        self._words_read = 0
        for words in self._reader.words():
            self._words_read += len(words.us)
            yield cleaner.clean(words)

    def _scan(self) -> Scan:
        specials, first_us, last_us = [], None, None
        for words in self._reader.words():
            specials.append(words.us[words.is_special])
            events_us = words.us[words.is_event]
            if len(events_us):
                first_us = int(events_us[0]) if first_us is None else first_us
                last_us = int(events_us[-1])
        if first_us is None or last_us is None:
            raise RecordingError(f"{self._reader.path}: the recording holds no events")
        return Scan(np.concatenate(specials), first_us, last_us)
