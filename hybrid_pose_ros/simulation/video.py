# SPDX-License-Identifier: Apache-2.0
"""A video file as an event source: simulation of an event sensor on real light."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from hybrid_pose_ros.events.array import EventArray
from hybrid_pose_ros.events.sources import SourceError
from hybrid_pose_ros.simulation.frame_sensor import FrameSensor

MAX_FPS: Final = 1000.0

_FFMPEG_QUIET: Final = "-8"


@contextmanager
def quiet_opencv() -> Iterator[None]:
    """Keep OpenCV and FFmpeg from printing on their own what is said in an error.

    FFmpeg reads its level once, when the first video is opened.
    """
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", _FFMPEG_QUIET)
    before = cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    try:
        yield
    finally:
        cv2.utils.logging.setLogLevel(before)


class VideoSource:
    """Reads a video file frame by frame (a ``FileSource``).

    The first frame is at sensor time 0; the others follow at the file's frame rate, which is taken
    as constant.

    Args:
        path: the file, in any format that OpenCV decodes.
        sensor: looks at the frames; a fresh one.

    Raises:
        SourceError: there is no such file, it is no video, has one frame only, or is too narrow
            for the sensor.
    """

    live = False

    def __init__(self, path: Path, sensor: FrameSensor) -> None:
        _check_file(path)
        self.name = str(path)
        self.width, self.height = sensor.width, sensor.height
        self._sensor = sensor
        self._frames_read, self._seen = 0, 0
        self._at_end, self._closed = False, False
        with quiet_opencv():
            self._capture = cv2.VideoCapture(str(path.absolute()))
        try:
            self._total, self._fps = self._properties()
            self._see(self._next_frame())
            self._upcoming = self._next_frame()
            if self._upcoming is None:
                raise SourceError(f"{path}: one frame only; a video takes two or more")
        except SourceError:
            self.close()
            raise

    @property
    def progress(self) -> float:
        """Share of the file's frames that were read, 0 to 1."""
        return min(self._frames_read / self._total, 1.0) if self._total else 0.0

    @property
    def trouble(self) -> str:
        """Words on the part of the file that could not be read, or ""; known at its end."""
        # the number that the file states may be an estimate
        if not self._at_end or self._frames_read >= self._total - 1:
            return ""
        return f"cut off or damaged after {self._frames_read} of {self._total} frames"

    def read(self) -> EventArray | None:
        """Return the events up to the next frame, or None at the end and once closed.

        Raises:
            SourceError: the size of the picture changes.
        """
        if self._closed or self._upcoming is None:
            return None
        events = self._see(self._upcoming)
        self._upcoming = self._next_frame()
        return events

    def close(self) -> None:
        """Release the file; may be called again."""
        self._closed = True
        self._capture.release()

    def _properties(self) -> tuple[int, float]:
        """Return the number of frames, 0 if it is not known, and how many a second has."""
        if not self._capture.isOpened():
            raise SourceError(
                f"{self.name}: no video that can be decoded, or damaged; "
                "convert it to MP4 (H.264) or copy it again"
            )
        fps = self._capture.get(cv2.CAP_PROP_FPS)
        if not 0 < fps <= MAX_FPS:
            raise SourceError(
                f"{self.name}: a frame rate of {fps:g} Hz; convert it to a constant one of at "
                f"most {MAX_FPS:g} Hz"
            )
        return max(int(self._capture.get(cv2.CAP_PROP_FRAME_COUNT)), 0), fps

    def _next_frame(self) -> NDArray[np.uint8] | None:
        found, frame = self._capture.read()
        if not found:
            self._at_end = True
            return None
        self._frames_read += 1
        return np.asarray(frame, np.uint8)

    def _see(self, frame: NDArray[np.uint8] | None) -> EventArray:
        if frame is None:
            raise SourceError(f"{self.name}: holds no frame that can be decoded; copy it again")
        time_us = round(self._seen * 1e6 / self._fps)
        self._seen += 1
        try:
            return self._sensor.see(frame, time_us)
        except ValueError as error:
            raise SourceError(f"{self.name}: {error}") from error


def _check_file(path: Path) -> None:
    """Refuse what OpenCV would wait for, take for something else, or not explain."""
    if not path.exists():
        raise SourceError(f"{path}: no such file; give the path of a video")
    if not path.is_file():
        raise SourceError(f"{path}: not a regular file; give the path of a video")
    try:
        with path.open("rb") as file:
            empty = not file.read(1)
    except OSError as error:
        raise SourceError(f"{path}: cannot be read ({error.strerror})") from error
    if empty:
        raise SourceError(f"{path}: the file is empty; record or copy it again")
