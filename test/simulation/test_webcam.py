# SPDX-License-Identifier: Apache-2.0
"""A webcam as a source, with a stand-in for the device."""

import queue
import time
import types
from typing import Any

import cv2
import numpy as np
import pytest

from hybrid_pose_ros.events.sources import SourceError
from hybrid_pose_ros.simulation import webcam
from hybrid_pose_ros.simulation.frame_sensor import FrameSensor
from hybrid_pose_ros.simulation.webcam import WebcamSource

SIZE = (64, 48)


class FakeWebcam:
    """Gives the frames that a test puts in; None unplugs it."""

    def __init__(self) -> None:
        self.frames: queue.Queue[np.ndarray | None] = queue.Queue()
        self.opened = True
        self.released = False
        self._grabbed: np.ndarray | None = None

    def isOpened(self) -> bool:  # noqa: N802 (OpenCV's name)
        return self.opened

    def grab(self) -> bool:
        try:
            self._grabbed = self.frames.get(timeout=0.1)
        except queue.Empty:
            return not self.released
        return self._grabbed is not None

    def retrieve(self) -> tuple[bool, np.ndarray | None]:
        return self._grabbed is not None, self._grabbed

    def release(self) -> None:
        self.released = True


@pytest.fixture
def device(monkeypatch: pytest.MonkeyPatch) -> FakeWebcam:
    fake = FakeWebcam()
    patched = types.SimpleNamespace(**{**vars(cv2), "VideoCapture": lambda number: fake})
    monkeypatch.setattr(webcam, "cv2", patched)
    return fake


def picture(left: int) -> np.ndarray:
    image = np.full((48, 64, 3), 60, np.uint8)
    image[16:32, left : left + 16] = 220
    return image


def read_some(source: WebcamSource) -> Any:
    """Return the first batch that is not empty."""
    deadline = time.monotonic() + 60
    while not len(events := source.read()):
        assert time.monotonic() < deadline
    return events


def test_events_lie_between_the_times_of_the_frames(device: FakeWebcam) -> None:
    source = WebcamSource(0, FrameSensor(SIZE))
    assert source.live
    begin = time.monotonic_ns()
    device.frames.put(picture(8))
    while not device.frames.empty() or source._sensor._sensor is None:
        assert len(source.read()) == 0  # the first frame is where sensor time begins
    device.frames.put(picture(14))
    events = read_some(source)
    passed = time.monotonic_ns() - begin
    assert len(events) > 100
    assert events["t"][0] >= 0
    assert events["t"][-1] < passed
    source.close()


def test_frames_that_come_too_fast_are_dropped(device: FakeWebcam) -> None:
    source = WebcamSource(0, FrameSensor(SIZE))
    for left in range(8, 30):
        device.frames.put(picture(left))
    deadline = time.monotonic() + 60
    while not device.frames.empty():
        assert time.monotonic() < deadline
        time.sleep(0.001)
    source.read()
    device.frames.put(picture(32))
    events = read_some(source)
    trailing = events["x"][events["polarity"] == 0]
    assert np.median(trailing) > 25  # the square's trail does not begin where it came from
    source.close()


def test_a_closed_webcam_has_ended_and_is_released(device: FakeWebcam) -> None:
    source = WebcamSource(0, FrameSensor(SIZE))
    source.close()
    source.close()
    assert source.read() is None
    assert device.released


def test_an_unplugged_webcam_is_named(device: FakeWebcam) -> None:
    source = WebcamSource(3, FrameSensor(SIZE))
    device.frames.put(None)
    with pytest.raises(SourceError, match="webcam 3: no more frames; is it still plugged in"):
        read_some(source)
    assert device.released


def test_a_webcam_that_stays_silent_is_named(
    device: FakeWebcam, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(webcam, "SILENT_S", 0.1)
    source = WebcamSource(0, FrameSensor(SIZE))
    with pytest.raises(SourceError, match="no more frames"):
        read_some(source)
    source.close()


def test_no_webcam_is_named_with_the_remedy(device: FakeWebcam) -> None:
    device.opened = False
    with pytest.raises(SourceError, match="webcam 2: cannot be opened; plug one in"):
        WebcamSource(2, FrameSensor(SIZE))
    assert device.released
