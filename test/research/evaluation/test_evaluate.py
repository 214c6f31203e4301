# SPDX-License-Identifier: Apache-2.0
"""The evaluation as a whole, on a small network and two short performances, and its command."""

import json
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any

import pytest

from hybrid_pose_ros.cli.main import main
from hybrid_pose_ros.networks.checkpoint import load_checkpoint, save_checkpoint, save_variant
from hybrid_pose_ros.networks.hybrid import HybridPoseNetwork
from hybrid_pose_ros.research.evaluation import evaluate as module
from hybrid_pose_ros.research.evaluation.evaluate import evaluate
from hybrid_pose_ros.research.evaluation.models import AUTO_PX, MODELS, RARE_MS
from hybrid_pose_ros.research.evaluation.test_set import TestPlan

from ...conftest import Refusal

PLAN = TestPlan(
    seed=5, people=1, windows=3, captured=0, close=0, absent=1, still=1, movements=("kick_left",)
)


@pytest.fixture(scope="module")
def checkpoint(
    small_network: HybridPoseNetwork,
    small_variants: dict[str, HybridPoseNetwork],
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    path = tmp_path_factory.mktemp("weights") / "edge.safetensors"
    save_checkpoint(path, small_network, {"trained": {"updates": 7}})
    base = load_checkpoint(path)
    for name, network in small_variants.items():
        if name != "no_delta":
            save_variant(path.with_name(f"edge_{name}.safetensors"), network, base, name)
    return path


@pytest.fixture(scope="module")
def figures(checkpoint: Path) -> dict[str, Any]:
    told: list[tuple[int, int]] = []
    found = evaluate(
        PLAN,
        checkpoint=checkpoint,
        variants=checkpoint.parent,
        held_out=["kick_left"],
        workers=1,
        progress=lambda done, count: told.append((done, count)),
    )
    assert told == [(1, 3), (2, 3), (3, 3)]
    return found


def test_all_models_are_measured_or_named_as_missing(figures: dict[str, Any]) -> None:
    assert set(figures["missing"]) == {"hybrid_no_delta"}
    assert set(figures["models"]) == set(MODELS) - {"hybrid_no_delta"}
    for name, model in figures["models"].items():
        steps = RARE_MS.get(name, 100) // 10
        assert len(model["mpjpe_px_per_step"]) == steps
        if 30 % steps == 0:  # else some steps come more often than others
            mean = sum(model["mpjpe_px_per_step"]) / steps
            assert model["mpjpe_px"] == pytest.approx(mean, 1e-3)
        assert model["mpjpe_px_held_out_movements"] == model["mpjpe_px"]
        assert model["mpjpe_px_mocap"] is None
        assert model["power_w_honest"] >= model["power_w_paper"] >= 0
        if "neurobench" in model:
            assert model["neurobench"]["model_execution_rate"] > 0
    # an untrained network is worse than no look at the events at all
    assert figures["models"]["mean_pose"]["mpjpe_px"] < figures["models"]["hybrid"]["mpjpe_px"]
    assert figures["models"]["hybrid"]["firing_rates"]["head"] > 0


def test_rate_of_the_ann_on_demand_is_counted(figures: dict[str, Any]) -> None:
    auto = figures["models"]["hybrid_auto"]
    assert 1 <= auto["ann_hz_mean"] <= 20
    curve = {entry["model"]: entry for entry in figures["ann_rate_curve"]}
    assert curve.keys() == {"hybrid", *RARE_MS, *AUTO_PX}
    assert curve["hybrid"]["movement"]["ann_hz"] == 10
    assert curve["hybrid_auto"]["movement"]["ann_hz"] == auto["ann_hz_mean"]
    assert curve["hybrid_auto"]["movement"]["mpjpe_px"] == auto["mpjpe_px"]
    rates = [curve[name]["movement"]["ann_hz"] for name in ("hybrid_auto_1px", "hybrid_auto_6px")]
    assert rates[0] >= auto["ann_hz_mean"] >= rates[1]
    assert curve["hybrid_auto"]["mocap"] is None
    assert curve["hybrid_auto"]["absent"]["mpjpe_px"] is None
    day = curve["hybrid_auto"]["day"]
    shares = {"movement": 0.2, "still": 0.6, "absent": 0.2}
    for figure in ("ann_hz", "saved_paper"):
        mixed = sum(s * curve["hybrid_auto"][kind][figure] for kind, s in shares.items())
        assert day[figure] == pytest.approx(mixed, 1e-3)


def test_predictions_stand_beside_held_poses(figures: dict[str, Any]) -> None:
    assert figures["prediction"].keys() == {"10ms", "20ms", "50ms"}
    for found in figures["prediction"].values():
        assert found.keys() == {"held_px", "predicted_px"}


def test_record_of_what_was_tested(checkpoint: Path, figures: dict[str, Any]) -> None:
    assert figures["checkpoint"] == load_checkpoint(checkpoint).digest
    assert figures["trained"] == {"trained": {"updates": 7}}
    assert figures["test_set"]["performances"] == {"movement": 1, "absent": 1, "still": 1}
    assert figures["test_set"]["poses_per_performance"] == 60
    assert figures["reliability"]["hybrid"]["mean_confidence"]["nobody"] is not None
    assert set(figures["error_3d_mm"]) == {"ann", "ann_held", "hybrid"}
    assert figures["mpjpe_3d_mm"] == figures["error_3d_mm"]["hybrid"]["mean"]
    assert json.loads(json.dumps(figures, allow_nan=False)) == figures


def test_command_writes_the_figures_and_names_itself(
    figures: dict[str, Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    asked: list[TestPlan] = []

    def pretend(plan: TestPlan, **options: object) -> dict[str, Any]:
        asked.append(plan)
        return dict(figures)

    monkeypatch.setattr(module, "evaluate", pretend)
    out = tmp_path / "new" / "evaluation.json"
    assert main(["evaluate", "--json", str(out), "--full", "--seed", "2"]) == 0
    written = json.loads(out.read_text())
    assert written["command"] == "hybrid-pose evaluate --json evaluation.json --full --seed 2"
    assert written["models"] == figures["models"]
    assert (asked[0].seed, asked[0].people, len(asked[0].movements)) == (2, 4, 33)
    assert "hybrid_no_delta is missing" in " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--workers", "0"], "--workers must be at least 1"),
        (["--seed", "-1"], "--seed must not be negative"),
        (["--checkpoint", "nowhere.safetensors"], "nowhere.safetensors: no such checkpoint"),
        (["--mocap", "nowhere.npz"], "nowhere.npz: No such file"),
        (["--calibration", "nowhere"], "P4.npy: no such file"),
        (["--json", "."], ".: is a folder, not a file"),
    ],
)
def test_wrong_arguments_are_one_sentence(
    arguments: list[str],
    message: str,
    checkpoint: Path,
    tmp_path: Path,
    refusal: Refusal,
) -> None:
    out = ["--json", str(tmp_path / "out.json"), "--checkpoint", str(checkpoint)]
    assert message in refusal("evaluate", *out, *arguments)
    assert not list(tmp_path.iterdir())


def test_a_run_that_fails_leaves_the_figures_of_the_one_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, refusal: Refusal
) -> None:
    def killed(plan: TestPlan, **options: object) -> dict[str, Any]:
        raise BrokenProcessPool

    monkeypatch.setattr(module, "evaluate", killed)
    out = tmp_path / "evaluation.json"
    out.write_text("old")
    assert "memory" in refusal("evaluate", "--json", out)
    assert [file.name for file in tmp_path.iterdir()] == ["evaluation.json"]
    assert out.read_text() == "old"
