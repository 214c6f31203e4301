# SPDX-License-Identifier: Apache-2.0
"""The paper's comparison on simulated recordings of people who were never trained on.

Each performance is simulated, binned and run through every model by one worker process with one
thread; only poses come back. So the result is a function of the plan and the weights, whatever the
number of workers.
"""

import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import torch

from hybrid_pose_ros.networks.config import ModelConfig
from hybrid_pose_ros.research.evaluation.demand import (
    mean_ann_hz,
    prediction_figures,
    rate_curve,
)
from hybrid_pose_ros.research.evaluation.energy import MAC_J, Activity, Costs, total
from hybrid_pose_ros.research.evaluation.models import AUTO_PX, MODELS, Networks, load_networks
from hybrid_pose_ros.research.evaluation.protocols import Protocols
from hybrid_pose_ros.research.evaluation.runs import Poses
from hybrid_pose_ros.research.evaluation.summary import (
    IN_SPACE,
    RELIABILITY,
    Result,
    against,
    difference,
    energy_figures,
    error_3d_mm,
    error_figures,
    plain,
    reliability_figures,
)
from hybrid_pose_ros.research.evaluation.test_set import (
    Performance,
    TestPlan,
    describe,
    draw_captured,
    mean_pose,
    simulate_performance,
)

FORMAT = 4
"""Of the figures; a report of another format is refused."""

_worker: tuple[Protocols, ModelConfig] | None = None


def evaluate(
    plan: TestPlan,
    *,
    checkpoint: Path | None,
    variants: Path | None,
    held_out: Iterable[str],
    workers: int,
    progress: Callable[[int, int], None],
) -> dict[str, Any]:
    """Run the comparison.

    Args:
        plan: the test set.
        checkpoint, variants: see :func:`load_networks`.
        held_out: names of the movements that training did not show.
        workers: number of processes.
        progress: called with the number of finished performances and of all.

    Returns:
        the figures, as plain JSON values.

    Raises:
        CheckpointError: the weights cannot be read.
        CameraError, ValueError, OSError: the test set cannot be made.
    """
    started = time.monotonic()
    networks = load_networks(checkpoint, variants)
    if plan.mocap is not None:  # what cannot be read is said now, not after some minutes
        draw_captured(plan, np.random.default_rng(0))
    plan.cameras()
    jobs = plan.performances()
    results: list[Result] = []
    activities: dict[tuple[str, str], list[Activity]] = defaultdict(list)
    # torch does not survive a fork with its threads running
    pool = ProcessPoolExecutor(
        workers,
        mp_context=get_context("spawn"),
        initializer=_start_worker,
        initargs=(checkpoint, variants),
    )
    with pool:
        futures = [pool.submit(_run, plan, job) for job in jobs]
        try:
            for done, future in enumerate(futures, 1):
                result, activity = future.result()
                results.append(result)
                for name, did in activity.items():
                    activities[result.performance.kind, name].append(did)
                progress(done, len(jobs))
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    means = mean_pose(plan, networks.hybrid.config.view)
    results = [_with_mean_pose(r, means, networks.hybrid.config.view.cell) for r in results]
    counted: dict[str, dict[str, Activity]] = defaultdict(dict)
    for (kind, name), parts in activities.items():
        counted[kind][name] = total(parts)
    figures = summarise(plan, networks, results, counted, held_out)
    figures["took_s"] = time.monotonic() - started
    figures["workers"] = workers
    return dict(plain(figures))


def summarise(
    plan: TestPlan,
    networks: Networks,
    results: list[Result],
    activity: Mapping[str, Mapping[str, Activity]],
    held_out: Iterable[str],
) -> dict[str, Any]:
    """Put together all figures.

    Args:
        activity: kind of performance -> model -> what its neurons did.
    """
    config = networks.hybrid.config
    cell = config.view.cell
    cameras = plan.cameras()
    view = config.view.fit(cameras[0].width, cameras[0].height)
    missing = networks.missing()
    present = [name for name in MODELS if name not in missing]
    held_out = tuple(held_out)
    models = {name: error_figures(results, name, cell, held_out) for name in present}
    ann_hz = {name: mean_ann_hz(results, name) or 0.0 for name in AUTO_PX}
    for name, energy in energy_figures(networks, activity["movement"], ann_hz).items():
        if name in models:
            models[name] |= energy
    for name in present:
        if name != "hybrid":
            models[name]["against_hybrid"] = against(results, name, "hybrid", cell, plan.seed)
    for name, hz in ann_hz.items():
        models[name]["ann_hz_mean"] = hz
    costs = Costs.of(networks.hybrid)
    in_space = {name: error_3d_mm(results, name, cameras, view) for name in IN_SPACE}
    return {
        "format": FORMAT,
        "checkpoint": networks.checkpoint.digest,
        "model": config.name,
        "trained": dict(networks.checkpoint.summary),
        "test_set": {**describe(plan), "held_out_movements": list(held_out)},
        "models": models,
        "missing": missing,
        "relative": relative(models),
        "difference": {
            name: difference(results, name, "hybrid", cell)
            for name in ("hybrid_engine", "hybrid_live")
        },
        "ann_rate_curve": rate_curve(results, networks, activity, cell),
        "prediction": prediction_figures(results, cell),
        "mpjpe_3d_mm": in_space["hybrid"]["mean"],
        "error_3d_mm": in_space,
        "energy": {
            "ann_mmac": costs.ann_macs / 1e6,
            "initialiser_mmac": costs.initialiser_macs / 1e6,
            "snn_dense_mmac": sum(costs.dense_macs.values()) / 1e6,
            "ann_run_uj": 1e6 * MAC_J * costs.ann_macs,
            "initialisation_uj": 1e6 * MAC_J * (costs.initialiser_macs + costs.velocity_macs),
            "neurons": sum(costs.neurons.values()),
        },
        "reliability": {name: reliability_figures(results, name, cell) for name in RELIABILITY},
    }


def relative(models: dict[str, Any]) -> dict[str, float]:
    """The paper's claims as percentages, of the models that there are."""

    def more(name: str, base: str, figure: str) -> float:
        return 100.0 * (models[name][figure] / models[base][figure] - 1.0)

    found = {
        "hybrid_error_above_ann": more("hybrid", "ann", "mpjpe_px"),
        "hybrid_error_above_ann_held": more("hybrid", "ann_held", "mpjpe_px"),
        "hybrid_300ms_error_above_hybrid": more("hybrid_300ms", "hybrid", "mpjpe_px"),
        "hybrid_power_below_ann_paper": -more("hybrid", "ann", "power_w_paper"),
        "hybrid_power_below_ann_honest": -more("hybrid", "ann", "power_w_honest"),
    }
    if "snn" in models:
        found["hybrid_error_below_snn"] = -more("hybrid", "snn", "mpjpe_px")
        found["hybrid_error_below_snn_running"] = -more("hybrid", "snn_running", "mpjpe_px")
    return found


def _with_mean_pose(result: Result, means: Any, cell: int) -> Result:
    shape = result.truth.points_px.shape
    points = np.broadcast_to(means[:, None] / cell, shape).astype(np.float32)
    pose = Poses(points, np.zeros(shape[:-1], np.float32))
    return replace(result, poses={**result.poses, "mean_pose": pose})


def _start_worker(checkpoint: Path | None, variants: Path | None) -> None:
    global _worker
    torch.set_num_threads(1)
    networks = load_networks(checkpoint, variants)
    _worker = Protocols(networks), networks.hybrid.config


def _run(plan: TestPlan, performance: Performance) -> tuple[Result, dict[str, Activity]]:
    assert _worker is not None
    protocols, config = _worker
    binned = simulate_performance(plan, performance, config)
    # of the others only the confidence is of interest
    whole = performance.kind in ("movement", "mocap")
    outcome = protocols.run_all(binned) if whole else protocols.run_main(binned)
    result = Result(performance, binned.truth, outcome.poses, outcome.ann_hz)
    return result, dict(outcome.activity)
