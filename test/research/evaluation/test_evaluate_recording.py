# SPDX-License-Identifier: Apache-2.0
"""A recording of one's own is evaluated: which poses count, and what the command writes."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hybrid_pose_ros.cli.main import main
from hybrid_pose_ros.events.array import EventArray, make_events
from hybrid_pose_ros.events.labelled import PointLabels
from hybrid_pose_ros.networks.checkpoint import load_checkpoint
from hybrid_pose_ros.pipeline.pose_estimator import AnnPoseEstimator, PoseEstimator
from hybrid_pose_ros.research.evaluation.recording_pictures import contact_sheet
from hybrid_pose_ros.research.evaluation.recordings import evaluate_recording
from hybrid_pose_ros.skeleton import MIRROR

from ...conftest import Refusal

R = {"mpjpe_px", "mpjpe_offset_free_px", "mirrored", "joints_shown", "joints_shown_outside"}


def noise(seconds: float) -> EventArray:
    rng = np.random.default_rng(0)
    count = round(20_000 * seconds)
    times = np.sort(rng.integers(0, round(seconds * 1e9), count))
    times[0], times[-1] = 0, round(seconds * 1e9)
    x, y = rng.integers(0, 346, count), rng.integers(0, 260, count)
    return make_events(times, x, y, rng.random(count) < 0.5)


@pytest.mark.parametrize(
    ("seconds", "ann", "hybrid"),
    [(0.5, 7, 31), pytest.param(1.6, 21, 101, marks=pytest.mark.slow)],
    ids=["40 % of a short one", "0.6 s of a long one"],
)
def test_poses_count_after_the_beginning(
    seconds: float, ann: int, hybrid: int, checkpoint: Path
) -> None:
    report = evaluate_recording(noise(seconds), 346, 260, None, load_checkpoint(checkpoint))
    assert (report.ann.poses, report.hybrid.poses) == (ann, hybrid)
    assert report.ann.errors is None


def test_labels_at_the_poses_themselves_give_no_error(checkpoint: Path) -> None:
    model, events = load_checkpoint(checkpoint), noise(0.5)
    for estimator, part in (
        (PoseEstimator(346, 260, model), "hybrid"),
        (AnnPoseEstimator(346, 260, model), "ann"),
    ):
        poses = estimator.push(events)
        labels = PointLabels(
            np.array([pose.sensor_time_ns for pose in poses]),
            np.stack([pose.keypoints for pose in poses]).astype(float),
            np.ones((len(poses), 13)),
        )
        score = getattr(evaluate_recording(events, 346, 260, labels, model), part)
        assert score.errors.mpjpe_px == pytest.approx(0.0, abs=1e-4)
        assert score.errors.pck10 == 1.0


def write_npz(path: Path, seconds: float, *, labels: bool) -> Path:
    events = noise(seconds)
    arrays = {"t_us": events["t"] // 1000, "p": events["polarity"], "width": 346, "height": 260}
    if labels:
        arrays |= {
            "gt_t_us": np.arange(0, round(seconds * 1e6), 33_000),
            "gt": np.full((len(range(0, round(seconds * 1e6), 33_000)), 13, 2), 100.0),
        }
    np.savez(path, x=events["x"], y=events["y"], **arrays)
    return path


def test_the_command_writes_figures_and_pictures(tmp_path: Path, checkpoint: Path) -> None:
    path = write_npz(tmp_path / "a.npz", 0.5, labels=True)
    arguments = ["evaluate-recording", str(path), "--checkpoint", str(checkpoint)]
    arguments += ["--json", str(tmp_path / "a.json"), "--pictures", str(tmp_path / "pictures")]
    assert main([*arguments, "--count", "3", "--from", "0.1"]) == 0
    figures = json.loads((tmp_path / "a.json").read_text())
    assert figures["ann"].keys() >= R | {"pck10"}
    assert figures["hybrid"].keys() >= R | {"pck10"}
    names = sorted(file.name for file in (tmp_path / "pictures").iterdir())
    assert len(names) == 4
    assert names[-1] == "sheet.png"
    with Image.open(tmp_path / "pictures" / names[0]) as picture:
        assert picture.size == (692, 520)


def test_labels_may_lie_in_another_file_and_without_any_only_joints_are_counted(
    tmp_path: Path, checkpoint: Path
) -> None:
    bare = write_npz(tmp_path / "a.npz", 0.3, labels=False)
    labelled = write_npz(tmp_path / "b.npz", 0.3, labels=True)
    out = tmp_path / "a.json"
    arguments = ["evaluate-recording", str(bare), "--checkpoint", str(checkpoint)]
    assert main([*arguments, "--json", str(out)]) == 0
    figures = json.loads(out.read_text())
    assert figures["ann"].keys() == {"poses", "joints_shown", "joints_shown_outside"}
    assert main([*arguments, "--labels", str(labelled), "--json", str(out)]) == 0
    assert json.loads(out.read_text())["hybrid"]["mpjpe_px"] > 0


def test_labels_that_take_left_for_right_are_told(
    tmp_path: Path, checkpoint: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write_npz(tmp_path / "a.npz", 0.3, labels=False)
    points = np.zeros((8, 13, 2)) + np.random.default_rng(3).integers(60, 200, (13, 2))
    points[5:] = points[5:][:, list(MIRROR)]
    labels = tmp_path / "b.npz"
    np.savez(labels, gt_t_us=np.arange(8) * 33_000, gt=points)
    arguments = ["evaluate-recording", str(path), "--checkpoint", str(checkpoint)]
    assert main([*arguments, "--labels", str(labels)]) == 0
    error = " ".join(capsys.readouterr().err.split())
    assert "left and right of the labels change places at 0.165 s: on one side" in error


def test_what_cannot_be_evaluated_is_one_sentence(
    tmp_path: Path, checkpoint: Path, refusal: Refusal
) -> None:
    path = write_npz(tmp_path / "a.npz", 0.3, labels=False)
    common = ["evaluate-recording", str(path), "--checkpoint", str(checkpoint)]
    for arguments, words in (
        (["evaluate-recording", str(tmp_path / "none.npz")], "no such file"),
        ([*common, "--labels", str(path)], "no labels in it"),
        ([*common, "--from", "2", "--to", "1"], "must lie before --to"),
        ([*common, "--from", "7"], "no pose in it counts"),
        ([*common, "--camera", "1"], "no camera 1"),
        ([*common, "--count", "0"], "--count must be at least 1"),
    ):
        error = refusal(*arguments)
        assert error.startswith("hybrid-pose evaluate-recording: error: ")
        assert words in error


def test_a_sheet_holds_all_pictures() -> None:
    pictures = [np.full((52, 69, 3), 10 * number, np.uint8) for number in range(1, 8)]
    sheet = contact_sheet(pictures)
    assert sheet.shape == (2 * 271, 1800, 3)
    assert [int(sheet[400, 180 + 360 * column, 0]) for column in range(5)] == [60, 70, 0, 0, 0]
