# SPDX-License-Identifier: Apache-2.0
"""A webcam as an event source: simulation of an event sensor on real light."""

import threading
import time
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from hybrid_pose_ros.events.array import EventArray, empty_events
from hybrid_pose_ros.events.sources import SourceError
from hybrid_pose_ros.simulation.frame_sensor import FrameSensor
from hybrid_pose_ros.simulation.video import quiet_opencv

SILENT_S: Final = 5.0
"""A webcam that gives no frame for so long has failed; some take seconds for the first one."""

POLL_S: Final = 0.05
"""Longest time that a read waits for a frame."""

CLOSE_S: Final = 2.0
"""Longest wait for a frame under way when closing."""


class WebcamSource:
    """Reads a webcam (an ``EventSource``).

    Sensor time is the host's monotonic clock when a frame has arrived, from the first frame on.
    A thread of its own fetches the frames; where events are not made as fast, it drops frames
    and motion is interpolated over the gap, so that no delay builds up. Events come one frame
    late: what lies between two frames is known with the second.

    Args:
        device: number of the webcam, 0 for the first.
        sensor: looks at the frames; a fresh one.

    Raises:
        SourceError: there is no such webcam, or it cannot be opened.
    """

    live = True

    def __init__(self, device: int, sensor: FrameSensor) -> None:
        self.name = f"webcam {device}"
        self.width, self.height = sensor.width, sensor.height
        self._sensor = sensor
        with quiet_opencv():
            capture = cv2.VideoCapture(device)
        if not capture.isOpened():
            capture.release()
            raise SourceError(
                f"{self.name}: cannot be opened; plug one in, choose another device, or end the "
                "program that uses it (on Linux the user must be in the group video)"
            )
        self._latest = _LatestFrame(capture)
        self._first_us: int | None = None
        self._heard_s = time.monotonic()

    def read(self) -> EventArray | None:
        """Return the events up to the newest frame, maybe none; None once closed.

        Raises:
            SourceError: the webcam gives no frames any more.
        """
        if self._latest.closed:
            return None
        found = self._latest.take(POLL_S)
        if found is None:
            if self._latest.failed or time.monotonic() - self._heard_s > SILENT_S:
                raise SourceError(f"{self.name}: no more frames; is it still plugged in?")
            return empty_events()
        self._heard_s = time.monotonic()
        frame, time_us = found
        if self._first_us is None:
            self._first_us = time_us
        try:
            return self._sensor.see(frame, time_us - self._first_us)
        except ValueError as error:
            raise SourceError(f"{self.name}: {error}") from error

    def close(self) -> None:
        """Release the webcam; may be called again."""
        self._latest.close()


class _LatestFrame:
    """Fetches frames in a thread, and keeps the newest one.

    Attributes:
        failed: the capture gave no frame.
        closed: :meth:`close` was called.
    """

    def __init__(self, capture: cv2.VideoCapture) -> None:
        self._capture = capture
        self._arrived = threading.Condition()
        self._frame: tuple[NDArray[np.uint8], int] | None = None
        self.failed = self.closed = False
        self._thread = threading.Thread(target=self._run, name="webcam", daemon=True)
        self._thread.start()

    def take(self, timeout_s: float) -> tuple[NDArray[np.uint8], int] | None:
        """Return the newest frame and its time (us) once, or None if none comes in time."""
        with self._arrived:
            self._arrived.wait_for(lambda: self._frame is not None or self.failed, timeout_s)
            frame, self._frame = self._frame, None
        return frame

    def close(self) -> None:
        """Stop fetching; may be called again."""
        self.closed = True
        self._thread.join(CLOSE_S)

    def _run(self) -> None:
        # released by the thread that reads: OpenCV may crash when another one does it meanwhile
        try:
            while not self.closed and self._capture.grab():
                time_us = time.monotonic_ns() // 1000
                found, frame = self._capture.retrieve()
                if not found:
                    break
                with self._arrived:
                    self._frame = np.asarray(frame, np.uint8), time_us
                    self._arrived.notify_all()
        finally:
            self._capture.release()
            with self._arrived:
                self.failed = True
                self._arrived.notify_all()
