# SPDX-License-Identifier: Apache-2.0
"""A video file as a source: its frames in time, and what is said of files that are none."""

import os
import types
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from hybrid_pose_ros.events.sources import SourceError
from hybrid_pose_ros.simulation import video
from hybrid_pose_ros.simulation.frame_sensor import FrameSensor
from hybrid_pose_ros.simulation.video import VideoSource

SIZE = (64, 48)
FPS = 25.0


def frames(count: int) -> list[np.ndarray]:
    """A bright square that moves by 2 px per frame."""
    pictures = []
    for k in range(count):
        picture = np.full((48, 64, 3), 60, np.uint8)
        picture[16:32, 8 + 2 * k : 24 + 2 * k] = 220
        pictures.append(picture)
    return pictures


def write(path: Path, pictures: list[np.ndarray]) -> Path:
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), FPS, SIZE)
    assert writer.isOpened()
    for picture in pictures:
        writer.write(picture)
    writer.release()
    return path


def source(path: Path) -> VideoSource:
    return VideoSource(path, FrameSensor(SIZE))


def test_each_read_is_the_time_of_one_frame(tmp_path: Path) -> None:
    clip = source(write(tmp_path / "clip.avi", frames(6)))
    assert (clip.width, clip.height, clip.live) == (64, 48, False)
    for k in range(5):
        events = clip.read()
        assert events is not None
        assert len(events) > 50
        assert (np.diff(events["t"]) >= 0).all()
        assert 40_000_000 * k <= events["t"][0]
        assert events["t"][-1] < 40_000_000 * (k + 1)
    assert clip.progress == 1.0
    assert clip.read() is None
    assert clip.trouble == ""


def test_a_closed_video_has_ended(tmp_path: Path) -> None:
    clip = source(write(tmp_path / "clip.avi", frames(6)))
    clip.close()
    clip.close()
    assert clip.read() is None


def test_what_of_a_video_is_cut_off_is_said(tmp_path: Path) -> None:
    still, moving = write(tmp_path / "0.avi", frames(1)), write(tmp_path / "1.avi", frames(20))
    one, all_of_them = still.stat().st_size, moving.read_bytes()
    path = tmp_path / "cut.avi"
    path.write_bytes(all_of_them[: (one + len(all_of_them)) // 2])
    clip = source(path)
    read = 0
    while clip.read() is not None:
        read += 1
    assert 2 <= read <= 15
    assert clip.trouble == f"cut off or damaged after {read + 1} of 20 frames"


def nothing(path: Path) -> None:
    pass


def empty(path: Path) -> None:
    path.touch()


def text(path: Path) -> None:
    path.write_text("not a video\n" * 100)


def headless(path: Path) -> None:
    """The end of an MP4, where all says what it is, is missing."""
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), FPS, SIZE)
    for picture in frames(16):
        writer.write(picture)
    writer.release()
    path.write_bytes(path.read_bytes()[:-400])


def one_frame(path: Path) -> None:
    write(path.with_suffix(".avi"), frames(1)).rename(path)


def photo(path: Path) -> None:
    path.write_bytes(cv2.imencode(".jpg", frames(1)[0])[1].tobytes())


def folder(path: Path) -> None:
    path.mkdir()


def pipe(path: Path) -> None:
    os.mkfifo(path)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (nothing, "no such file"),
        (empty, "the file is empty"),
        (text, "no video that can be decoded"),
        (headless, "no video that can be decoded"),
        (one_frame, "one frame only"),
        (photo, "one frame only"),
        (folder, "not a regular file"),
        (pipe, "not a regular file"),
    ],
)
def test_what_is_no_video_is_named_in_one_sentence(
    make: Callable[[Path], None], message: str, tmp_path: Path
) -> None:
    path = tmp_path / "clip.mp4"
    make(path)
    with pytest.raises(SourceError, match=message) as caught:
        source(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)


class FakeCapture:
    """Hands out given frames, as a decoder does whose stream changes its size."""

    def __init__(self, pictures: list[np.ndarray], fps: float = FPS) -> None:
        self._pictures = list(pictures)
        self._properties = {cv2.CAP_PROP_FPS: fps, cv2.CAP_PROP_FRAME_COUNT: len(pictures)}

    def isOpened(self) -> bool:  # noqa: N802 (OpenCV's name)
        return True

    def get(self, prop: int) -> float:
        return self._properties[prop]

    def read(self) -> tuple[bool, np.ndarray | None]:
        return (True, self._pictures.pop(0)) if self._pictures else (False, None)

    def release(self) -> None:
        pass


def play_fake(
    capture: FakeCapture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> VideoSource:
    path = tmp_path / "clip.mp4"
    path.write_text("any")
    patched = types.SimpleNamespace(**{**vars(cv2), "VideoCapture": lambda name: capture})
    monkeypatch.setattr(video, "cv2", patched)
    return source(path)


def test_a_picture_that_changes_its_size_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pictures = [*frames(3), np.zeros((96, 128, 3), np.uint8)]
    clip = play_fake(FakeCapture(pictures), tmp_path, monkeypatch)
    assert clip.read() is not None
    assert clip.read() is not None
    with pytest.raises(SourceError, match=r"clip\.mp4: its picture changes from 64x48 px to 128x"):
        clip.read()


@pytest.mark.parametrize("fps", [0.0, -1.0, 90_000.0, float("nan")])
def test_a_frame_rate_without_sense_is_named(
    fps: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(SourceError, match=r"clip\.mp4: a frame rate of .* Hz; convert"):
        play_fake(FakeCapture(frames(3), fps), tmp_path, monkeypatch)


def test_a_header_without_frames_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SourceError, match="no frame that can be decoded"):
        play_fake(FakeCapture([]), tmp_path, monkeypatch)


def test_a_picture_too_narrow_for_the_sensor_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(SourceError, match=r"clip\.mp4: a picture of 640x32 px becomes 64x3"):
        play_fake(FakeCapture([np.zeros((32, 640, 3), np.uint8)] * 3), tmp_path, monkeypatch)
