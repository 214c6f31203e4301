# SPDX-License-Identifier: Apache-2.0
"""Figures from poses whose errors are known."""

import numpy as np
import pytest

from hybrid_pose_ros.geometry.cameras import DHP19_LIKE
from hybrid_pose_ros.networks.checkpoint import Checkpoint
from hybrid_pose_ros.networks.config import EDGE, SPIKING_LAYERS
from hybrid_pose_ros.networks.hybrid import HybridPoseNetwork
from hybrid_pose_ros.pipeline.step_length import with_step
from hybrid_pose_ros.research.evaluation.energy import MAC_J, Activity, Costs
from hybrid_pose_ros.research.evaluation.evaluate import relative
from hybrid_pose_ros.research.evaluation.models import MODELS, SHORT_STEPS, Networks
from hybrid_pose_ros.research.evaluation.runs import Poses
from hybrid_pose_ros.research.evaluation.summary import (
    Result,
    against,
    difference,
    energy_figures,
    error_3d_mm,
    error_figures,
    plain,
    reliability_figures,
)
from hybrid_pose_ros.research.evaluation.test_set import Performance, Truth
from hybrid_pose_ros.skeleton import JOINTS

CELL = 4
INSTANTS = 30
VIEW = EDGE.view.fit(346, 260)
CAMERAS = DHP19_LIKE[:2]


def result(kind: str, name: str, offsets_px: dict[str, np.ndarray], person: int = 0) -> Result:
    """A performance in which each model lies to the right of the truth by so many px."""
    rng = np.random.default_rng(person)
    joints = rng.uniform((-0.5, -0.5, 0), (0.5, 0.5, 1.8), (INSTANTS, 13, 3))
    images = np.stack([camera.project(joints) for camera in CAMERAS])
    cells = VIEW.to_grid(images)
    truth = Truth((cells * CELL).astype(np.float32), np.ones((2, INSTANTS, 13), bool), joints)
    poses = {}
    for model, offset in offsets_px.items():
        moved = cells.copy()
        moved[..., 0] += np.broadcast_to(offset, moved.shape[:-1]) / CELL
        confidence = np.broadcast_to(1 / (1 + offset), moved.shape[:-1])
        poses[model] = Poses(moved.astype(np.float32), confidence.astype(np.float32))
    return Result(Performance(kind, name, person), truth, poses)


def test_errors_by_step_joint_and_movement() -> None:
    step = np.tile(np.arange(1.0, 11.0), 3)[:, None]
    joint = np.zeros(13)
    joint[JOINTS.index("left_hand")] = 26.0
    results = [
        result("movement", "clap", {"hybrid": step + joint}),
        result("movement", "kick_left", {"hybrid": step + joint + 12.0}, 1),
        result("mocap", "0", {"hybrid": np.array(7.0)}, 2),
        result("close", "clap", {"hybrid": np.array(1000.0)}, 3),
    ]
    figures = error_figures(results, "hybrid", CELL, ["kick_left"])
    assert figures["mpjpe_px"] == pytest.approx(5.5 + 2.0 + 6.0, abs=1e-4)
    assert figures["mpjpe_px_mocap"] == pytest.approx(7.0, abs=1e-4)
    assert figures["mpjpe_px_per_step"] == pytest.approx(np.arange(1, 11) + 8.0, abs=1e-4)
    assert figures["mpjpe_px_per_joint"]["left_hand"] == pytest.approx(5.5 + 26 + 6, abs=1e-4)
    assert figures["mpjpe_px_per_joint"]["head"] == pytest.approx(11.5, abs=1e-4)
    assert figures["mpjpe_px_per_movement"] == pytest.approx(
        {"clap": 7.5, "kick_left": 19.5}, abs=1e-4
    )
    assert figures["mpjpe_px_held_out_movements"] == pytest.approx(19.5, abs=1e-4)
    assert figures["mpjpe_px_trained_movements"] == pytest.approx(7.5, abs=1e-4)


def test_shares_within_a_distance_and_median() -> None:
    offset = np.repeat((4.9, 9.9, 19.9, 30.0), (7, 8, 9, 6))[:, None]
    figures = error_figures([result("movement", "clap", {"ann": offset})], "ann", CELL, [])
    assert figures["pck"] == pytest.approx({"5": 7 / 30, "10": 15 / 30, "20": 24 / 30})
    assert figures["median_px"] == pytest.approx((9.9 + 19.9) / 2, abs=1e-4)
    assert figures["mpjpe_px_mocap"] is None


def test_initialised_every_300_ms_has_thirty_steps() -> None:
    offset = np.arange(1.0, 31.0)[:, None]
    found = error_figures(
        [result("movement", "a", {"hybrid_300ms": offset})], "hybrid_300ms", 4, []
    )
    assert found["mpjpe_px_per_step"] == pytest.approx(np.arange(1, 31), abs=1e-4)


def test_joints_out_of_view_do_not_count() -> None:
    one = result("movement", "clap", {"ann": np.where(np.arange(13) == 3, 500.0, 2.0)})
    one.truth.visible[..., 3] = False
    assert error_figures([one], "ann", CELL, [])["mpjpe_px"] == pytest.approx(2.0, abs=1e-4)


def test_percent_against_another_model_with_its_interval() -> None:
    def several(spread: float) -> list[Result]:
        return [
            result("movement", str(i), {"hybrid": base, "ann": base * 1.1 + spread * (-1) ** i}, i)
            for i, base in enumerate(np.linspace(3.0, 9.0, 12))
        ]

    same = against(several(0.0), "hybrid", "hybrid", CELL, seed=0)
    assert same == pytest.approx({"percent": 0.0, "low": 0.0, "high": 0.0}, abs=1e-9)
    clear = against(several(0.0), "ann", "hybrid", CELL, seed=0)
    assert clear == pytest.approx({"percent": 10.0, "low": 10.0, "high": 10.0}, abs=0.01)
    unclear = against(several(3.0), "ann", "hybrid", CELL, seed=0)
    assert unclear["percent"] == pytest.approx(10.0, abs=0.01)
    assert unclear["low"] < 0 < 20 < unclear["high"]
    assert unclear == against(several(3.0), "ann", "hybrid", CELL, seed=0)


def test_difference_of_two_models_that_should_be_the_same() -> None:
    moved = np.zeros((INSTANTS, 13))
    moved[:6, 0] = 1.5
    results = [
        result("movement", "clap", {"hybrid": np.array(2.0), "hybrid_engine": 2.0 - moved}),
        result("mocap", "0", {"hybrid": np.array(2.0), "hybrid_engine": np.array(90.0)}),
    ]
    # of one of 13 joints, a fifth lies 1.5 px farther to the left, and so 0.5 px from the truth
    assert difference(results, "hybrid_engine", "hybrid", CELL) == pytest.approx(
        {"error_px": -0.3 / 13, "distance_px": 0.3 / 13, "same": 1 - 0.2 / 13}, abs=1e-4
    )


def test_3d_error_of_exact_and_of_shifted_images() -> None:
    exact = result("movement", "clap", {"hybrid": np.array(0.0), "ann": np.array(5.0)})
    assert error_3d_mm([exact], "hybrid", CAMERAS, VIEW)["mean"] == pytest.approx(0.0, abs=0.05)
    # 5 px at a focal length of 345 px and a distance of about 3 m
    shifted = error_3d_mm([exact], "ann", CAMERAS, VIEW)
    assert 30 < shifted["median"] < 90


def test_confidence_where_nothing_is_to_be_seen() -> None:
    close = result("close", "clap", {"hybrid": np.where(np.arange(13) < 5, 1.0, 3.0)})
    close.truth.visible[..., 5:] = False
    empty = result("absent", "clap", {"hybrid": np.array(9.0)})
    empty.truth.visible[:] = False
    usual = result("movement", "clap", {"hybrid": np.where(np.arange(13) < 6, 0.0, 19.0)})
    figures = reliability_figures([usual, close, empty], "hybrid", CELL)
    assert figures["mean_confidence"] == pytest.approx(
        {
            "in_view": (6 + 7 * 0.05) / 13,
            "close_in_view": 0.5,
            "close_out_of_view": 0.25,
            "nobody": 0.1,
        }
    )
    assert figures["auc"] == 1.0
    assert sum(b["count"] for b in figures["bins"]) == 2 * INSTANTS * 13


def test_power_of_every_model(
    small_network: HybridPoseNetwork, small_variants: dict[str, HybridPoseNetwork]
) -> None:
    checkpoint = Checkpoint(small_network, "", {})
    short = {name: with_step(checkpoint, ns).network for name, ns in SHORT_STEPS.items()}
    networks = Networks(checkpoint, small_variants | short)
    layers = (*SPIKING_LAYERS, "readout")
    quiet = Activity(
        1,
        dict.fromkeys(layers, 0.0),
        dict.fromkeys(layers, 0.0),
        dict.fromkeys(SPIKING_LAYERS, 0.0),
    )
    activity = dict.fromkeys([m.activity for m in MODELS.values() if m.activity], quiet)
    figures = energy_figures(networks, activity, {"hybrid_auto": 5.0})
    assert figures.keys() == MODELS.keys()
    costs = Costs.of(small_network)
    paper = {name: found["power_w_paper"] for name, found in figures.items()}
    assert paper["ann"] == pytest.approx(100 * costs.ann_macs * MAC_J)
    assert paper["ann_held"] == pytest.approx(paper["ann"] / 10)
    assert paper["mean_pose"] == paper["snn"] == 0.0
    both = 10 * (costs.ann_macs + costs.initialiser_macs) * MAC_J
    assert paper["hybrid"] == paper["hybrid_200hz"] == pytest.approx(both)
    assert paper["hybrid_auto"] == pytest.approx(both / 2)
    assert paper["hybrid_300ms"] == pytest.approx(both / 3)
    assert paper["hybrid_no_init"] == pytest.approx(paper["ann_held"])
    # the membranes are updated even where nothing fires
    honest = {name: found["power_w_honest"] for name, found in figures.items()}
    step = figures["hybrid"]["snn_step_uj_honest"] * 1e-6
    assert step > sum(costs.neurons.values()) * MAC_J
    assert honest["hybrid_late_50ms"] - honest["hybrid"] == pytest.approx(0.5 * 100 * step)
    assert honest["hybrid_200hz"] - honest["hybrid"] == pytest.approx(100 * step)
    assert honest["hybrid_1000hz"] - honest["hybrid"] == pytest.approx(900 * step)
    assert [figures[f"hybrid_{name}"]["step_ms"] for name in SHORT_STEPS] == [5.0, 2.0, 1.0]
    assert "firing_rates" not in figures["ann"]


def test_claims_are_relations_of_the_figures() -> None:
    def model(error: float, power: float) -> dict[str, float]:
        return {"mpjpe_px": error, "power_w_paper": power, "power_w_honest": power * 1.5}

    models = {
        "ann": model(5.0, 4.0),
        "ann_held": model(8.0, 0.4),
        "hybrid": model(6.0, 0.5),
        "hybrid_300ms": model(9.0, 0.2),
    }
    found = relative(models)
    assert found["hybrid_error_above_ann"] == pytest.approx(20.0)
    assert found["hybrid_error_above_ann_held"] == pytest.approx(-25.0)
    assert found["hybrid_300ms_error_above_hybrid"] == pytest.approx(50.0)
    assert found["hybrid_power_below_ann_honest"] == pytest.approx(87.5)
    assert "hybrid_error_below_snn" not in found
    alone = {"snn": model(24.0, 0.1), "snn_running": model(12.0, 0.1)}
    assert relative(models | alone)["hybrid_error_below_snn"] == pytest.approx(75.0)


def test_figures_become_plain_json() -> None:
    given = {"a": np.float32(1.23456789), "b": (float("nan"), 2), 3: {"c": "text", "d": None}}
    assert plain(given) == {"a": 1.2346, "b": [None, 2], "3": {"c": "text", "d": None}}
