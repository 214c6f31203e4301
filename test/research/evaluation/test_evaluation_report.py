# SPDX-License-Identifier: Apache-2.0
"""The page says what the figures say."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from hybrid_pose_ros.cli.main import main
from hybrid_pose_ros.networks.config import SPIKING_LAYERS
from hybrid_pose_ros.research.evaluation.demand import CURVE
from hybrid_pose_ros.research.evaluation.error_sections import verdict
from hybrid_pose_ros.research.evaluation.evaluate import FORMAT
from hybrid_pose_ros.research.evaluation.models import MODELS, RARE_MS
from hybrid_pose_ros.research.evaluation.results_plots import NAMES, draw_plots
from hybrid_pose_ros.skeleton import JOINTS

from ...conftest import Refusal

STEP_MS = {"hybrid_200hz": 5.0, "hybrid_500hz": 2.0, "hybrid_1000hz": 1.0}
ERRORS = {name: 5.0 + number for number, name in enumerate(MODELS)}


def _model(name: str) -> dict[str, Any]:
    error = ERRORS[name]
    return {
        "mpjpe_px": error,
        "median_px": error / 2,
        "mpjpe_px_mocap": error + 1,
        "mpjpe_px_per_step": [error] * (RARE_MS.get(name, 100) // 10),
        "pck": {"5": 0.5, "10": 0.75, "20": 0.9},
        "mpjpe_px_per_joint": dict.fromkeys(JOINTS, error),
        "mpjpe_px_per_movement": {"clap": error, "kick_left": error + 2},
        "mpjpe_px_held_out_movements": error + 2,
        "mpjpe_px_trained_movements": error,
        "power_w_paper": 0.01,
        "power_w_honest": 0.02,
        "step_ms": STEP_MS.get(name, 10.0),
        "firing_rates": dict.fromkeys(SPIKING_LAYERS, 0.031),
        "mean_firing_rate": 0.0275,
        "entering_rates": dict.fromkeys((*SPIKING_LAYERS, "readout"), 0.04),
        "snn_step_uj_paper": 1.5,
        "snn_step_uj_honest": 3.5,
        "against_hybrid": {"percent": 12.0, "low": 8.0, "high": 16.0},
    }


def _rates(name: str) -> dict[str, Any]:
    figures = {"ann_hz": 6.25, "mpjpe_px": 3.25, "saved_paper": 97.75, "saved_honest": 96.5}
    kinds = dict.fromkeys(("movement", "mocap", "still", "absent", "day"), figures)
    return {"model": name, **kinds, "mocap": None}


def _judged() -> dict[str, Any]:
    bins = [
        {
            "low": i / 10,
            "high": (i + 1) / 10,
            "count": 100 * (i != 4),
            "mean_confidence": None if i == 4 else i / 10 + 0.05,
            "mean_error_px": None if i == 4 else 30.0 - 3 * i,
            "found": None if i == 4 else i / 10,
        }
        for i in range(10)
    ]
    return {
        "bins": bins,
        "auc": 0.87,
        "rank_correlation": -0.66,
        "near_px": 10.0,
        "mean_confidence": {"in_view": 0.61, "nobody": 0.04},
    }


@pytest.fixture
def figures() -> dict[str, Any]:
    return {
        "format": FORMAT,
        "command": "hybrid-pose evaluate --json evaluation.json --seed 0",
        "checkpoint": "0123456789abcdef",
        "model": "edge",
        "trained": {
            "trained": {
                "hybrid": {"updates": 4321, "batch": 16},
                "hybrid_second": {"updates": 1000, "batch": 16},
                "hybrid_no_init": {"updates": 500, "batch": 16},
                "hybrid_no_delta": {"updates": 1000, "batch": 16},
                "snn": {"updates": 2000, "batch": 16},
            },
            "train_recordings": 12,
            "train_minutes": 1.2,
        },
        "test_set": {
            "seed": 0,
            "cameras": ["left", "right"],
            "performances": {"movement": 33, "mocap": 33, "absent": 4},
            "people_per_movement": 1,
            "seconds_per_performance": 2.0,
            "poses_per_performance": 180,
            "captured_subjects": ["s03"],
            "held_out_movements": ["kick_left"],
        },
        "models": {name: _model(name) for name in MODELS},
        "missing": {},
        "relative": {
            "hybrid_error_above_ann": 4.2,
            "hybrid_error_above_ann_held": -9.0,
            "hybrid_300ms_error_above_hybrid": 40.0,
            "hybrid_power_below_ann_paper": 88.8,
            "hybrid_power_below_ann_honest": 85.1,
            "hybrid_error_below_snn": 71.3,
            "hybrid_error_below_snn_running": 60.9,
        },
        "ann_rate_curve": [_rates(name) for name in CURVE],
        "prediction": {"20ms": {"held_px": 16.5, "predicted_px": 14.0}},
        "difference": {
            "hybrid_engine": {"error_px": -0.00012, "distance_px": 0.0034, "same": 0.9987},
            "hybrid_live": {"error_px": 0.0234, "distance_px": 0.21, "same": 0.25},
        },
        "error_3d_mm": {
            name: {"mean": 61.4, "median": 40.2} for name in ("ann", "ann_held", "hybrid")
        },
        "energy": {
            "ann_mmac": 554.0,
            "initialiser_mmac": 25.0,
            "snn_dense_mmac": 64.6,
            "ann_run_uj": 936.0,
            "initialisation_uj": 47.0,
            "neurons": 340768,
        },
        "reliability": {"ann": _judged(), "hybrid": _judged()},
        "took_s": 600.0,
        "workers": 2,
    }


def _write(path: Path, value: object) -> str:
    path.write_text(json.dumps(value))
    return str(path)


def test_page_holds_the_figures_beside_the_papers(figures: dict[str, Any], tmp_path: Path) -> None:
    part = {
        "mpjpe_px": {"ch2": 9.87, "ch3": 9.12},
        "median_px": {"ch2": 6.54, "ch3": 6.1},
        "mpjpe_px_spread": {"ch2": 0.25, "ch3": None},
        "beyond_20px": {"ch2": 0.1, "ch3": 0.2},
        "mpjpe_px_per_movement": {"walking": {"ch2": 9.87, "ch3": 9.12}},
    }
    gauge = part | {
        "by_bodies": {"capsules": part},
        "network": "cnn.model",
        "published_px": 7.7,
        "seconds": 2,
        "seeds": [1, 2],
    }
    page = tmp_path / "docs" / "results.md"
    arguments = ["--json", _write(tmp_path / "e.json", figures), "--out", str(page)]
    assert (
        main(["research", "report", *arguments, "--gauge", _write(tmp_path / "g.json", gauge)])
        == 0
    )
    text = page.read_text()
    hybrid, ann = ERRORS["hybrid"], ERRORS["ann"]
    assert figures["command"] in text
    assert f"error is {hybrid:.2f} px, 4.2 % above that of the ANN" in text
    assert (
        f"| ANN at every step | {ann:.2f} | {ann / 2:.2f} | {ann + 1:.2f} | 50.0 | 75.0 |" in text
    )
    assert "**5.19** |" in text and "57.8 mm" in text
    assert "| -0.0001 | 0.0034 | 99.87 | yes |" in text
    assert "| +0.0234 | 0.2100 | 25.00 | **no** |" in text
    for name, step in {"hybrid_engine": "10", "hybrid_500hz": "2", "hybrid_1000hz": "1"}.items():
        assert (
            f"| {step} ms | {NAMES[name]} | {ERRORS[name]:.2f} | {ERRORS[name] + 1:.2f} |" in text
        )
    error = ERRORS["hybrid_150ms"]
    more = [100 * (e / a - 1) for e, a in ((error, ann), (error + 1, ann + 1))]
    row = f"| 150 ms | {error:.2f} | {more[0]:+.1f} % | {error + 1:.2f} | {more[1]:+.1f} % |"
    assert row + " 0.0 % | 0.0 % |" in text
    assert "| kick left (new) |" in text and "| left hand |" in text
    assert "| head | 3.10 |" in text
    assert "| all neurons | 2.75 |" in text
    assert "| capsules | channel 2 | 9.87 | 0.25 | 6.54 | 10.0 |" in text
    assert "4321" in text
    assert (
        "in thousands of samples, the hybrid 85, without state initialisation 8, "
        "without delta output 16, the SNN alone 32." in text
    )
    assert "One person for each movement, 2.0 s long, of which the last 0.9 s" in text
    assert "nan" not in text.lower().replace("ann", "") and "None" not in text
    for plot in ("steps", "movements", "energy", "reliability"):
        file = page.parent / "images" / f"results_{plot}.svg"
        assert f"(images/results_{plot}.svg)" in text
        assert 1_000 < file.stat().st_size < 150_000
        assert file.read_text().startswith("<?xml")


def test_models_that_are_missing_are_named_and_left_out(
    figures: dict[str, Any], tmp_path: Path
) -> None:
    for name in ("snn", "snn_running", "hybrid_no_init", "hybrid_no_delta", *STEP_MS):
        del figures["models"][name]
        figures["missing"][name] = "there are no weights of it"
    for name in ("hybrid_error_below_snn", "hybrid_error_below_snn_running"):
        del figures["relative"][name]
    page = tmp_path / "results.md"
    assert (
        main(
            [
                "research",
                "report",
                "--json",
                _write(tmp_path / "e.json", figures),
                "--out",
                str(page),
            ]
        )
        == 0
    )
    text = page.read_text()
    assert "hybrid at 200 Hz is missing: there are no weights of it." in text
    assert "| SNN alone |" not in text
    assert "| 10 ms | hybrid on the engine |" in text and "| 5 ms |" not in text


def test_runs_of_the_system_stand_on_the_page_with_their_pictures(
    figures: dict[str, Any], tmp_path: Path, refusal: Refusal
) -> None:
    run, page = tmp_path / "walk", tmp_path / "docs" / "results.md"
    run.mkdir()
    arguments = ["--json", _write(tmp_path / "e.json", figures), "--demo", str(run)]
    page.parent.mkdir()
    assert f"{run}: holds no run" in refusal("research", "report", *arguments, "--out", page)
    summary = {
        "packets_received": 119,
        "packets_published": 120,
        "pose_rate_per_sensor_second_hz": 100.0,
        "latency_ms": {"p50": 3.25, "p99": 9.5},
        "mpjpe_px": None,
        "mpjpe_ann_held_px": 4.125,
        "joints_confident_mean": 6.5,
    }
    _write(run / "summary.json", summary)
    (run / "overlay.png").write_bytes(b"picture")
    assert main(["research", "report", *arguments, "--out", str(page)]) == 0
    assert "| walk | 119 / 120 | 100.0 | 3.2 | 9.5 | - | 4.12 | 6.50 |" in page.read_text()
    assert "(images/demo_walk.png)" in page.read_text()
    assert (page.parent / "images" / "demo_walk.png").read_bytes() == b"picture"


def test_same_figures_give_the_same_plots(figures: dict[str, Any], tmp_path: Path) -> None:
    first, second = (draw_plots(figures, tmp_path / name) for name in ("first", "second"))
    for name, path in first.items():
        assert path.read_bytes() == second[name].read_bytes()


@pytest.mark.parametrize(
    ("percent", "low", "high", "words"),
    [
        (3.0, -1.0, 7.0, "makes no difference that this test can tell"),
        (1.2, 0.4, 2.0, "hardly matters"),
        (5.0, 3.0, 7.0, "matters"),
        (30.0, 20.0, 40.0, "matters much"),
        (-5.0, -7.0, -3.0, "matters, and the error is smaller this way"),
    ],
)
def test_verdict(percent: float, low: float, high: float, words: str) -> None:
    assert verdict({"percent": percent, "low": low, "high": high}) == words


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{}", "evaluate again"),
        ('{"format": 1}', "evaluate again"),
        ("[", "is not JSON"),
        (None, "cannot be read"),
    ],
)
def test_wrong_files_are_refused_in_one_sentence(
    content: str | None, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "evaluation.json"
    if content is not None:
        path.write_text(content)
    assert (
        main(["research", "report", "--json", str(path), "--out", str(tmp_path / "results.md")])
        == 1
    )
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1


def test_without_matplotlib_the_remedy_is_named(
    figures: dict[str, Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    refusal: Refusal,
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    arguments = ["--json", _write(tmp_path / "e.json", figures)]
    assert "pip install -r requirements-report.txt" in refusal(
        "research", "report", *arguments, "--out", tmp_path / "results.md"
    )
