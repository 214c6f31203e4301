# SPDX-License-Identifier: Apache-2.0
"""Figures of the errors of poses that diagnostics report, without ROS."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hybrid_pose_ros.interfaces.topics import GROUND_TRUTH
from hybrid_pose_ros.metrics.running import ErrorSums, RunningEvaluation
from hybrid_pose_ros.nodes.support.health import Report


def named_sums(
    evaluation: RunningEvaluation, cameras: Sequence[str]
) -> list[tuple[str, ErrorSums]]:
    """Return the errors of each camera that has some, and of the poses in space."""
    sums = evaluation.sums
    found = [(name, sums[name]) for name in cameras if name in sums]
    return [*found, ("pose_3d", evaluation.sums_3d)]


def report_errors(report: Report, evaluation: RunningEvaluation, cameras: Sequence[str]) -> None:
    """Add the errors so far."""
    scored = 0
    for name, sums in named_sums(evaluation, cameras):
        scored += sums.scored
        report.values |= {
            f"{name} poses": str(sums.poses),
            f"{name} mpjpe {sums.unit}": _text(sums.mpjpe),
            f"{name} recent error {sums.unit}": _text(sums.recent),
        }
    report.values["poses waiting for truth"] = str(evaluation.waiting)
    if not scored:
        report.add_missing(
            f"nothing to compare: it takes poses and {GROUND_TRUTH.name}", ever=False
        )


def write_errors(path: str, errors: Mapping[str, Any]) -> str:
    """Write the figures as JSON, if there is a path; return why that was not possible, or ""."""
    if not path:
        return ""
    try:
        Path(path).write_text(json.dumps(errors, indent=2) + "\n", encoding="utf-8")
    except OSError as error:
        return f"report: {path} cannot be written ({error.strerror})"
    return ""


def _text(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
