# SPDX-License-Identifier: Apache-2.0
"""The figures of an ANN on demand, and of predicted poses."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np

from hybrid_pose_ros.research.evaluation.energy import Activity
from hybrid_pose_ros.research.evaluation.models import AUTO_PX, MODELS, RARE_MS, Networks
from hybrid_pose_ros.research.evaluation.protocols import AHEAD_MS
from hybrid_pose_ros.research.evaluation.summary import Result, energy_figures, errors_px

DAY: Final = {"movement": 0.2, "still": 0.6, "absent": 0.2}
"""A day before the camera: shares of the time in which people move, rest, or are not there."""

KINDS: Final = ("movement", "mocap", "still", "absent")

CURVE: Final = ("hybrid", *RARE_MS, *AUTO_PX)
"""Models whose error is compared at their rate of the ANN."""


def mean_ann_hz(results: Sequence[Result], model: str, kind: str = "movement") -> float | None:
    """Runs of the ANN per second of a model on one kind of performances; None if none has it."""
    if model not in AUTO_PX:
        return MODELS[model].ann_hz
    rates = [r.ann_hz[model] for r in results if r.performance.kind == kind and r.ann_hz]
    return float(np.mean(rates)) if rates else None


def rate_curve(
    results: Sequence[Result],
    networks: Networks,
    activity: Mapping[str, Mapping[str, Activity]],
    cell: int,
) -> list[dict[str, Any]]:
    """Error, rate of the ANN and power of the hybrid at fixed rates and on demand.

    Args:
        activity: kind -> model -> what its neurons did.

    Returns:
        for each of :data:`CURVE` its ``model`` and, for each of :data:`KINDS` and ``day``, the
        mixture of :data:`DAY`: ``ann_hz``, ``mpjpe_px`` and the power saved against the ANN at
        every step in percent by both proxies, ``saved_paper`` and ``saved_honest``; None where
        there are no such performances.
    """
    return [
        {"model": model, **_kinds(results, networks, activity, cell, model)} for model in CURVE
    ]


def _kinds(
    results: Sequence[Result],
    networks: Networks,
    activity: Mapping[str, Mapping[str, Activity]],
    cell: int,
    model: str,
) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for kind in KINDS:
        chosen = [r for r in results if r.performance.kind == kind and model in r.poses]
        rate = mean_ann_hz(results, model, kind)
        did = activity.get(kind, {})
        if not chosen or rate is None or MODELS[model].activity not in did:
            found[kind] = None
            continue
        errors = np.concatenate([errors_px(r, model, cell).ravel() for r in chosen])
        power = energy_figures(networks, did, {model: rate}, (model, "ann"))
        found[kind] = {
            "ann_hz": rate,
            "mpjpe_px": float(np.nanmean(errors)) if np.isfinite(errors).any() else None,
            **{
                f"saved_{proxy}": 100
                * (1 - power[model][f"power_w_{proxy}"] / power["ann"][f"power_w_{proxy}"])
                for proxy in ("paper", "honest")
            },
        }
    found["day"] = _mixture(found)
    return found


def _mixture(found: Mapping[str, Any]) -> dict[str, float] | None:
    """Weigh the kinds as a day does; errors by the time in which somebody is there."""
    if any(found[kind] is None for kind in DAY):
        return None
    figures = {
        name: sum(share * found[kind][name] for kind, share in DAY.items())
        for name in ("ann_hz", "saved_paper", "saved_honest")
    }
    seen = {k: share for k, share in DAY.items() if found[k]["mpjpe_px"] is not None}
    errors = sum(share * found[kind]["mpjpe_px"] for kind, share in seen.items())
    return {**figures, "mpjpe_px": errors / sum(seen.values())}


def prediction_figures(results: Sequence[Result], cell: int) -> dict[str, dict[str, float]]:
    """Errors of poses that are predicted, and of the same poses held, on the movements.

    Returns:
        ``"20ms"`` and so on -> ``held_px``, ``predicted_px``; nothing in a model without
        velocities.
    """
    chosen = [r for r in results if r.performance.kind == "movement"]
    return {
        f"{ms}ms": {
            f"{what}_px": float(
                np.nanmean(np.concatenate([errors_px(r, f"{what}_{ms}ms", cell) for r in chosen]))
            )
            for what in ("held", "predicted")
        }
        for ms in AHEAD_MS
        if all(f"predicted_{ms}ms" in r.poses for r in chosen)
    }
