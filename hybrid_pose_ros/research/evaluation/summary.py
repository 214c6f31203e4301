# SPDX-License-Identifier: Apache-2.0
"""From poses and labels to the figures of the comparison."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from hybrid_pose_ros.events.binning import GridView
from hybrid_pose_ros.geometry.cameras import Camera
from hybrid_pose_ros.geometry.triangulation import triangulate
from hybrid_pose_ros.metrics.pose_errors import joint_errors
from hybrid_pose_ros.metrics.reliability import NEAR_PX, reliability
from hybrid_pose_ros.research.evaluation.energy import (
    Activity,
    Costs,
    Duty,
    entering_rates,
    firing_rates,
    power,
)
from hybrid_pose_ros.research.evaluation.models import MODELS, RARE_MS, Networks
from hybrid_pose_ros.research.evaluation.neurobench import neurobench_figures
from hybrid_pose_ros.research.evaluation.protocols import WINDOW_INSTANTS
from hybrid_pose_ros.research.evaluation.runs import Poses
from hybrid_pose_ros.research.evaluation.test_set import INSTANT_NS, Performance, Truth
from hybrid_pose_ros.skeleton import JOINTS

PCK_PX: Final = (5, 10, 20)
"""Distances within which joints are counted as found."""

IN_SPACE: Final = ("ann", "ann_held", "hybrid")
"""Models whose two views are triangulated."""

RELIABILITY: Final = ("ann", "hybrid")
"""Models whose confidence is judged."""

SAME_PX: Final = 0.05
"""Joints no farther apart are called the same."""

_RESAMPLES: Final = 2000


@dataclass(frozen=True)
class Result:
    """All models' poses on one performance, and its labels.

    Attributes:
        ann_hz: model -> runs of the ANN per second, of those whose SNN asks for it.
    """

    performance: Performance
    truth: Truth
    poses: Mapping[str, Poses]
    ann_hz: Mapping[str, float] = field(default_factory=dict)


def errors_px(result: Result, model: str, cell: int) -> NDArray[np.float64]:
    """Distance of each joint in view pixels, [cameras, instants, 13]; NaN if not visible."""
    found = result.poses[model].points.astype(np.float64) * cell
    distance = joint_errors(found, result.truth.points_px)
    return np.where(result.truth.visible, distance, np.nan)


def error_figures(
    results: Sequence[Result], model: str, cell: int, held_out: Iterable[str]
) -> dict[str, Any]:
    """The figures of one model that are about its errors."""
    errors = {
        kind: [errors_px(r, model, cell) for r in results if r.performance.kind == kind]
        for kind in ("movement", "mocap")
    }
    names = [r.performance.name for r in results if r.performance.kind == "movement"]
    joined = np.concatenate(errors["movement"])
    cycle = RARE_MS[model] * 1_000_000 // INSTANT_NS if model in RARE_MS else WINDOW_INSTANTS
    by_name = {
        name: np.concatenate(
            [part for part, its in zip(errors["movement"], names, strict=True) if its == name]
        )
        for name in dict.fromkeys(names)
    }
    new = set(held_out)
    seen = joined[~np.isnan(joined)]
    return {
        "mpjpe_px": _mean(joined),
        "median_px": float(np.median(seen)),
        "mpjpe_px_mocap": _mean(np.concatenate(errors["mocap"])) if errors["mocap"] else None,
        "mpjpe_px_per_step": [_mean(joined[:, step::cycle]) for step in range(cycle)],
        "pck": {str(limit): float((seen <= limit).mean()) for limit in PCK_PX},
        "mpjpe_px_per_joint": {
            joint: _mean(joined[..., number]) for number, joint in enumerate(JOINTS)
        },
        "mpjpe_px_per_movement": {name: _mean(part) for name, part in by_name.items()},
        "mpjpe_px_held_out_movements": _mean_of(by_name[n] for n in by_name if n in new),
        "mpjpe_px_trained_movements": _mean_of(by_name[n] for n in by_name if n not in new),
    }


def against(
    results: Sequence[Result], model: str, base: str, cell: int, seed: int
) -> dict[str, float]:
    """By how many percent a model's error is above that of another, on the movements.

    Returns:
        ``percent``, and the bounds ``low`` and ``high`` between which it lies in 95 % of the test
        sets that a draw of as many performances from these gives (paired bootstrap).
    """
    chosen = [r for r in results if r.performance.kind == "movement"]
    sums = np.array(
        [
            [(np.nansum(e), np.isfinite(e).sum()) for e in (errors_px(r, m, cell) for r in chosen)]
            for m in (model, base)
        ]
    )
    rng = np.random.default_rng(seed)
    draws = rng.integers(len(chosen), size=(_RESAMPLES, len(chosen)))

    def percent(totals: NDArray[np.float64]) -> NDArray[np.float64]:
        means = totals[..., 0] / totals[..., 1]
        return np.asarray(100.0 * (means[0] / means[1] - 1.0))

    low, high = np.percentile(percent(sums[:, draws].sum(2)), (2.5, 97.5))
    return {"percent": float(percent(sums.sum(1))), "low": float(low), "high": float(high)}


def difference(results: Sequence[Result], model: str, base: str, cell: int) -> dict[str, float]:
    """How far the poses of two models lie apart, on the movements.

    Returns:
        ``error_px``: by how much the mean error is above that of ``base``; ``distance_px``: mean
        distance of the joints; ``same``: share of joints within :data:`SAME_PX`.
    """
    chosen = [r for r in results if r.performance.kind == "movement"]
    errors = [np.concatenate([errors_px(r, m, cell) for r in chosen]) for m in (model, base)]
    apart = [cell * joint_errors(r.poses[model].points, r.poses[base].points) for r in chosen]
    distance = np.concatenate(apart)
    return {
        "error_px": _mean(errors[0]) - _mean(errors[1]),
        "distance_px": float(distance.mean()),
        "same": float((distance <= SAME_PX).mean()),
    }


def error_3d_mm(
    results: Sequence[Result], model: str, cameras: Sequence[Camera], view: GridView
) -> dict[str, float]:
    """3D error in mm of two-view triangulation, of joints that both cameras see."""
    distances = []
    for result in results:
        if result.performance.kind == "movement":
            images = view.to_sensor(result.poses[model].points)
            found = triangulate(cameras, images).points
            distance = 1000.0 * joint_errors(found, result.truth.joints_m)
            distances.append(distance[result.truth.visible.all(0)])
    joined = np.concatenate(distances)
    return {"mean": float(joined.mean()), "median": float(np.median(joined))}


def reliability_figures(results: Sequence[Result], model: str, cell: int) -> dict[str, Any]:
    """The figures of one model that are about its confidence."""
    usual = [r for r in results if r.performance.kind in ("movement", "mocap")]
    errors = np.concatenate([errors_px(r, model, cell).ravel() for r in usual])
    confidence = np.concatenate([r.poses[model].confidence.ravel() for r in usual])
    seen = ~np.isnan(errors)
    judged = reliability(confidence[seen], errors[seen])
    figures = asdict(judged) | {"near_px": NEAR_PX}
    figures["mean_confidence"] = {"in_view": _mean(confidence[seen])}
    close = [r for r in results if r.performance.kind == "close"]
    if close:
        visible = np.concatenate([r.truth.visible.ravel() for r in close])
        values = np.concatenate([r.poses[model].confidence.ravel() for r in close])
        figures["mean_confidence"] |= {
            "close_in_view": _mean(values[visible]),
            "close_out_of_view": _mean(values[~visible]),
        }
    empty = [r for r in results if r.performance.kind == "absent"]
    if empty:
        values = np.concatenate([r.poses[model].confidence.ravel() for r in empty])
        figures["mean_confidence"]["nobody"] = _mean(values)
    return figures


def energy_figures(
    networks: Networks,
    activity: Mapping[str, Activity],
    ann_hz: Mapping[str, float],
    names: Iterable[str] = tuple(MODELS),
) -> dict[str, Any]:
    """Power and firing rates: model -> figures, of the models that there are networks of.

    Args:
        names: of the models.
        ann_hz: model -> runs of the ANN per second, where they are counted.
    """
    figures: dict[str, Any] = {}
    for name in names:
        model = MODELS[name]
        network = networks.of(model)
        if network is None:
            continue
        costs = Costs.of(network)
        did = None if model.activity is None else activity[model.activity]
        hz = ann_hz.get(name, model.ann_hz)
        duty = Duty(
            ann_hz=hz,
            initialise_hz=hz if model.membranes else 0.0,
            velocity_hz=hz if model.velocities else 0.0,
            step_hz=0.0 if did is None else 1e9 / network.config.step_ns * (1 + model.replayed),
        )
        watts = power(duty, costs, did)
        figures[name] = {"power_w_paper": watts.paper_w, "power_w_honest": watts.extended_w}
        if did is not None:
            figures[name] |= {
                "step_ms": network.config.step_ns / 1e6,
                "firing_rates": firing_rates(costs, did),
                "mean_firing_rate": sum(did.fired.values())
                / (did.steps * sum(costs.neurons.values())),
                "entering_rates": entering_rates(costs, did),
                "snn_step_uj_paper": 1e6 * costs.paper_step_j(did),
                "snn_step_uj_honest": 1e6 * costs.extended_step_j(did),
            }
        if duty.ann_hz or did is not None:
            figures[name]["neurobench"] = neurobench_figures(network, costs, duty, did)
    return figures


def plain(value: Any) -> Any:
    """Make figures JSON: five significant digits, and None for what is not a number."""
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, float | np.floating):
        return float(f"{value:.5g}") if math.isfinite(value) else None
    return value


def _mean(errors: NDArray[np.floating]) -> float:
    known = errors[~np.isnan(errors)]
    return float(known.mean()) if known.size else float("nan")


def _mean_of(parts: Iterable[NDArray[np.floating]]) -> float:
    chosen = list(parts)
    return _mean(np.concatenate(chosen)) if chosen else float("nan")
