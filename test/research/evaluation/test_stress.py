# SPDX-License-Identifier: Apache-2.0
"""The stress test: figures of known poses, runs that are cut, and the command."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hybrid_pose_ros.cli.main import main
from hybrid_pose_ros.metrics.pose_score import PoseComparison
from hybrid_pose_ros.research.evaluation import stress as module
from hybrid_pose_ros.research.evaluation.stress import (
    Measured,
    StressPlan,
    labels_of,
    stress,
    summarise,
)
from hybrid_pose_ros.research.evaluation.stress_axes import AXES, Setting
from hybrid_pose_ros.research.evaluation.stress_scenes import PERFORMED, Performance
from hybrid_pose_ros.simulation.recording import Truth
from hybrid_pose_ros.skeleton import MIRROR

from ...conftest import Refusal

KEYS = {"value", "ann_px", "hybrid_px", "joints_shown", "mirrored"}

BODY = np.stack((np.arange(13) * 10.0, np.full(13, 50.0)), -1)
"""No two joints at one place."""


def compared(
    offset: tuple[float, float] = (0.0, 0.0),
    *,
    poses: int = 4,
    confidence: float = 0.9,
    swapped: int = 0,
) -> PoseComparison:
    """Poses that are off by an offset, some of them mirrored; joint 0 is out of view."""
    truth = np.tile(BODY, (poses, 1, 1))
    estimate = truth + offset
    estimate[:swapped] = estimate[:swapped, list(MIRROR)]
    visible = np.ones((poses, 13), bool)
    visible[:, 0] = False
    return PoseComparison(estimate, truth, visible, ~visible, np.full((poses, 13), confidence))


def test_errors_are_of_joints_in_view_and_shares_of_poses() -> None:
    figures = summarise(Measured(compared((6.0, 8.0)), compared((0.0, 2.6), swapped=1)), size=0.5)
    assert figures["ann_px"] == 10.0
    assert figures["mirrored"] == 0.25
    assert figures["ann_mirrored"] == 0.0
    assert (figures["joints_shown"], figures["joints_in_view"]) == (13.0, 12.0)
    assert figures["shown_outside"] == 1.0
    assert figures["confidence"] == 0.9
    assert figures["median_px"] == 2.6
    right = summarise(Measured(compared(), compared((0.0, 2.6))), size=0.5)
    # 2.6 px of a body half as high as a picture of 260 px
    assert (right["hybrid_px"], right["body_percent"]) == (2.6, 2.0)
    # all are found, with a confidence of 0.9
    assert right["calibration_error"] == pytest.approx(0.1)


def test_joints_that_are_not_shown_have_no_part_in_the_error_of_those_shown() -> None:
    hybrid = compared((0.0, 5.0))
    hybrid.confidence[:, 3] = 0.19
    hybrid.estimate[:, 3] += 100.0
    figures = summarise(Measured(compared(), hybrid), size=1.0)
    assert figures["shown_error_px"] == 5.0
    assert figures["hybrid_px"] > 10.0
    hidden = summarise(Measured(compared(), compared(confidence=0.1)), size=1.0)
    assert (hidden["shown_error_px"], hidden["joints_shown"]) == (None, 0.0)


def test_a_person_wholly_out_of_view_has_no_error() -> None:
    nobody = compared()
    nobody.visible[:] = False
    figures = summarise(Measured(nobody, nobody), size=1.0)
    assert [figures[key] for key in ("ann_px", "hybrid_px", "mirrored", "confidence")] == [
        None
    ] * 4
    json.dumps(figures, allow_nan=False)


def test_places_outside_the_picture_are_known() -> None:
    keypoints = np.full((2, 13, 2), -40.0, np.float32)
    truth = Truth(
        np.array((10_000_000, 20_000_000)),
        keypoints,
        np.zeros((2, 13, 3), np.float32),
        np.zeros((2, 13), bool),
        np.eye(3, 4),
        "test",
    )
    points, confidence = labels_of(truth).at(np.array([15_000_000]))
    assert (points == -40.0).all()
    assert (confidence == 1.0).all()


def test_results_come_back_from_their_file(tmp_path: Path) -> None:
    measured = Measured(compared((1.0, 2.0)), compared(swapped=2))
    measured.save(tmp_path / "a.npz")
    back = Measured.load(tmp_path / "a.npz")
    assert back.ann.estimate == pytest.approx(measured.ann.estimate)
    assert back.hybrid.mirrored.tolist() == [True, True, False, False]
    assert [path.name for path in tmp_path.iterdir()] == ["a.npz"]


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Performance, Setting]]:
    """Recordings that are measured, in place of their simulation; the error is the noise."""
    done: list[tuple[Performance, Setting]] = []

    def measure(
        plan: StressPlan, performance: Performance, settings: tuple[Setting, ...]
    ) -> list[Measured]:
        done.extend((performance, setting) for setting in settings)
        errors = [compared((setting.noise_hz or 0.0, 0.0)) for setting in settings]
        return [Measured(error, error) for error in errors]

    monkeypatch.setattr(module, "_measure", measure)
    return done


def test_all_axes_have_their_values_and_the_base_scene_is_measured_once(
    runs: list[Any], checkpoint: Path
) -> None:
    figures = stress(StressPlan(checkpoint=checkpoint))
    assert list(figures["stress"]) == list(AXES)
    for axis, rows in figures["stress"].items():
        assert [row["value"] for row in rows] == list(AXES[axis].settings)
        assert all(row.keys() >= KEYS for row in rows)
    assert [row["hybrid_px"] for row in figures["stress"]["noise"]] == [
        0.0, 0.05, 0.2, 0.35, 0.7, 1.0, 2.0,
    ]  # fmt: skip
    assert len(set(runs)) == len(runs)
    assert runs.count((Performance(0, 0, 0), Setting())) == 1


def test_a_run_that_was_cut_goes_on_where_it_was(
    runs: list[Any], checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = StressPlan(axes=("noise", "body"), checkpoint=checkpoint)
    whole = stress(plan)
    wanted = len(runs)
    runs.clear()

    class CutError(Exception):
        pass

    def cut(done: float, total: float) -> None:
        if done > total / 2:
            raise CutError

    with pytest.raises(CutError):
        stress(plan, finished=tmp_path, progress=cut)
    begun = len(runs)
    assert wanted / 2 < begun < wanted
    assert stress(plan, finished=tmp_path) == whole
    assert len(runs) == wanted
    # another seed is another test
    stress(StressPlan(axes=("body",), seed=1, checkpoint=checkpoint), finished=tmp_path)
    assert len(runs) == wanted + 2 * len(PERFORMED)


@pytest.mark.parametrize("simulated", [pytest.param(True, marks=pytest.mark.slow), False], ids=str)
def test_the_command_measures_an_axis_and_writes_a_page(
    checkpoint: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    refusal: Refusal,
    request: pytest.FixtureRequest,
    simulated: bool,
) -> None:
    pytest.importorskip("matplotlib")
    if not simulated:
        request.getfixturevalue("runs")
    out, page = tmp_path / "stress.json", tmp_path / "docs" / "robustness.md"
    arguments = ["--stress", "--axes", "body", "--seconds", "0.2", "--workers", "1"]
    arguments += ["--checkpoint", str(checkpoint), "--json", str(out)]
    assert main(["evaluate", *arguments]) == 0
    figures = json.loads(out.read_text())
    assert [row["value"] for row in figures["stress"]["body"]] == ["capsules", "mesh"]
    assert all(row.keys() >= KEYS for row in figures["stress"]["body"])
    assert set(figures["stress"]["body"][0]["hybrid_px_per_performance"]) == set(PERFORMED)
    assert [path.name for path in tmp_path.iterdir()] == ["stress.json"]
    assert "kind of body" in capsys.readouterr().out
    assert main(["research", "report", "--json", str(out), "--out", str(page)]) == 0
    text = page.read_text()
    assert figures["command"] in text
    assert f"| capsules | {figures['stress']['body'][0]['ann_px']:.1f} |" in text
    assert "![body](images/robustness_body.svg)" in text
    assert (page.parent / "images" / "robustness_body.svg").is_file()
    figures["format"] = 0
    out.write_text(json.dumps(figures))
    assert "evaluate again" in refusal("research", "report", "--json", out, "--out", page)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--stress", "--axes", "noise,weather"), "weather"),
        (("--stress", "--people", "0"), "--people"),
        (("--stress", "--seconds", "0"), "--seconds"),
        (("--stress", "--seed", "-1"), "--seed"),
        (("--stress", "--mocap", "absent.npz"), "absent.npz"),
        (("--stress", "--checkpoint", "absent.safetensors"), "absent.safetensors"),
        (("--stress", "--full"), "--full"),
        (("--axes", "noise", "--json", "never.json"), "--stress"),
        ((), "--json"),
    ],
)
def test_a_wrong_argument_of_evaluate_is_named(
    arguments: tuple[str, ...], says: str, refusal: Refusal
) -> None:
    assert says in refusal("evaluate", *arguments)
