# SPDX-License-Identifier: Apache-2.0
"""`hybrid-pose convert video`: from a video to AEDAT4."""

import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from hybrid_pose_ros.cli.main import main
from hybrid_pose_ros.events.array import EventArray
from hybrid_pose_ros.events.sources import Aedat4Source
from hybrid_pose_ros.simulation.frame_sensor import FrameSensor
from hybrid_pose_ros.simulation.video import VideoSource


def convert(*words: object) -> int:
    return main(["convert", "video", *map(str, words)])


def ground(seed: int) -> np.ndarray:
    noise = np.random.default_rng(seed).normal(size=(96, 128))
    smooth = cv2.GaussianBlur(noise, (0, 0), 4.0)
    picture = np.clip(120 + 50 * smooth / smooth.std(), 0, 255).astype(np.uint8)
    return np.repeat(picture[..., None], 3, -1)


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    """A square that moves over one ground, and after a cut over another."""
    path = tmp_path / "clip.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 25.0, (128, 96))
    for k in range(12):
        picture = ground(k // 6)
        picture[40:60, 20 + 2 * k : 40 + 2 * k] = 250
        writer.write(picture)
    writer.release()
    return path


def events_of(path: Path) -> EventArray:
    source = Aedat4Source(path)
    batches = []
    while (events := source.read()) is not None:
        batches.append(events)
    return np.concatenate(batches)


def test_a_video_becomes_a_recording(
    clip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "deep" / "clip.aedat4"
    assert convert(clip, "--out", out, "--size", "160x90") == 0
    said, warned = capsys.readouterr()
    assert warned == ""
    assert "1 new starts (scene cuts), first at 0.24 s" in said
    source = VideoSource(clip, FrameSensor((160, 90)))
    expected = []
    while (events := source.read()) is not None:
        expected.append(events)
    written = events_of(out)
    assert f"{len(written):,} events" in said
    assert np.array_equal(written, np.concatenate(expected))
    # a frame of 4:3 in a view of 16:9: 120 of 160 columns, and the square is the moving thing
    assert 20 <= written["x"].mean() < 140
    assert [path.name for path in out.parent.iterdir()] == ["clip.aedat4"]


def test_a_cut_makes_no_burst(clip: Path, tmp_path: Path) -> None:
    out = tmp_path / "clip.aedat4"
    assert convert(clip, "--out", out) == 0
    frame = events_of(out)["t"] // 40_000_000
    counts = np.bincount(frame, minlength=11)
    assert counts[5] <= np.delete(counts, 5).max()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--size", "big"), "--size big: not WIDTHxHEIGHT"),
        (("--size", "9x9"), "--size 9x9: size 9x9: width and height must be 32 to 1280 px"),
        (("--out", "clip.bag"), "clip.bag: the file's name must end in .aedat4"),
        (("--out", "there.aedat4"), "there.aedat4: exists already"),
    ],
)
def test_wrong_options_are_named(
    options: tuple[str, str],
    message: str,
    clip: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("there.aedat4").touch()
    assert convert(clip, "--out", "new.aedat4", *options) == 1
    assert message in capsys.readouterr().err
    assert not Path("new.aedat4").exists()


def test_a_damaged_video_is_one_sentence_and_nothing_else(tmp_path: Path) -> None:
    path, out = tmp_path / "clip.mp4", tmp_path / "out.aedat4"
    path.write_text("not a video\n" * 100)
    # a process of its own: FFmpeg is told once what to print
    code = "import sys; from hybrid_pose_ros.cli.main import main; sys.exit(main(sys.argv[1:]))"
    result = subprocess.run(
        [sys.executable, "-P", "-c", code, "convert", "video", str(path), "--out", str(out)],
        capture_output=True,
        text=True,
    )
    assert result.returncode == 1
    assert result.stdout == ""
    assert result.stderr.startswith(f"hybrid-pose convert: error: {path}: no video")
    assert result.stderr.count("\n") == 1
    assert not out.exists()
