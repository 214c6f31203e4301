# SPDX-License-Identifier: Apache-2.0
"""`hybrid-pose simulate`: the files it writes and the words it refuses with."""

from pathlib import Path

import numpy as np
import pytest

from hybrid_pose_ros.cli.main import main
from hybrid_pose_ros.geometry.cameras import DHP19_LIKE
from hybrid_pose_ros.simulation.movements import MOVEMENTS, make_motion
from hybrid_pose_ros.simulation.recording import load_truth, truth_path
from hybrid_pose_ros.skeleton import joint_id

from ..conftest import Refusal


@pytest.fixture
def clips(tmp_path: Path) -> Path:
    """One clip of 0.5 s, y up, of a person who faces +z."""
    x, y, z = np.moveaxis(make_motion("clap", np.random.default_rng(0), 0.3, 0.0).joints_m, -1, 0)
    path = tmp_path / "clips.npz"
    np.savez(path, cmu_s05_01=np.stack((-x, z, y), -1)[:31])
    return path


def test_a_recording_and_its_labels_are_written(tmp_path: Path) -> None:
    first, again, other = (tmp_path / f"deep/{name}.aedat4" for name in "abc")
    for path, seed in ((first, "3"), (again, "3"), (other, "4")):
        options = ["--motion", "kick_left", "--seconds", "0.2", "--seed", seed]
        assert main(["simulate", "--out", str(path), *options]) == 0
        assert path.stat().st_size > 1000
    truth = load_truth(truth_path(first))
    assert truth.label_ns.tolist() == [10_000_000 * k for k in range(1, 21)]
    assert truth.name == "kick_left"
    assert np.array_equal(load_truth(truth_path(again)).keypoints_px, truth.keypoints_px)
    assert not np.allclose(load_truth(truth_path(other)).keypoints_px, truth.keypoints_px)


def test_names_are_listed(clips: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["simulate", "--motion", "list"]) == 0
    assert capsys.readouterr().out.split() == list(MOVEMENTS)
    assert main(["simulate", "--camera", "list"]) == 0
    assert capsys.readouterr().out.split() == [camera.name for camera in DHP19_LIKE]
    assert main(["simulate", "--motion", "list", "--mocap", str(clips)]) == 0
    assert capsys.readouterr().out.split() == ["cmu_s05_01"]


def test_a_clip_is_taken_whole_and_faces_the_front_cameras(tmp_path: Path, clips: Path) -> None:
    out = tmp_path / "clip.aedat4"
    assert (
        main(["simulate", "--out", str(out), "--mocap", str(clips), "--clip", "cmu_s05_01"]) == 0
    )
    truth = load_truth(truth_path(out))
    assert truth.label_ns[-1] == 500_000_000
    hips = truth.keypoints_px[:, [joint_id("right_hip"), joint_id("left_hip")], 0]
    assert np.all(hips[:, 0] < hips[:, 1])


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ([], "--out is missing"),
        (["--out", "a.raw"], "must end in .aedat4"),
        (["--out", "a.aedat4", "--seconds", "0"], "--seconds must be positive"),
        (["--out", "a.aedat4", "--motion", "flying"], "no movement is called 'flying'"),
        (["--out", "a.aedat4", "--camera", "moon"], "no camera is called 'moon'"),
        (["--out", "a.aedat4", "--clip", "cmu_s05_01"], "--clip needs --mocap"),
        (["--calibration", "nowhere"], "nowhere/P4.npy: no such file"),
        (["--mocap", "nowhere.npz"], "nowhere.npz"),
    ],
)
def test_what_cannot_be_done_is_said_in_one_line(
    options: list[str], words: str, refusal: Refusal
) -> None:
    assert words in refusal("simulate", *options)


def test_a_clip_is_not_stretched(clips: Path, tmp_path: Path, refusal: Refusal) -> None:
    out = tmp_path / "clip.aedat4"
    options = ["--mocap", str(clips), "--seconds", "2"]
    assert "clip cmu_s05_01 lasts 0.50 s" in refusal("simulate", "--out", out, *options)
    assert not out.exists()
