# SPDX-License-Identifier: Apache-2.0
"""`hybrid-pose evaluate --stress`: its options, its bar and its tables."""

import argparse
import json
import shutil
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.table import Table

from hybrid_pose_ros.cli import CommandError, check_at_least_one, written_whole

if TYPE_CHECKING:
    from hybrid_pose_ros.research.evaluation.stress import StressPlan

_SHOWN = (
    "ann_px",
    "hybrid_px",
    "shown_error_px",
    "joints_shown",
    "shown_outside",
    "mirrored",
    "confidence",
)
"""Columns of the page that the screen has room for."""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that only the stress test has."""
    group = parser.add_argument_group("stress test")
    group.add_argument(
        "--stress",
        action="store_true",
        help="instead vary one condition at a time (noise, stillness, heading ...) before one "
        "camera, and tell error, joints shown and mirrored poses of ANN and hybrid",
    )
    group.add_argument("--axes", help="conditions to vary, with commas (default: all)")
    group.add_argument(
        "--people", type=int, default=1, help="persons per movement (default: %(default)s)"
    )
    group.add_argument(
        "--seconds",
        type=float,
        default=1.0,
        help="of each recording in which poses count (default: %(default)g)",
    )


def run_stress(options: argparse.Namespace) -> int:
    """Measure, print and write; what is finished is kept until then, beside the file."""
    from hybrid_pose_ros.networks.checkpoint import CheckpointError
    from hybrid_pose_ros.research.evaluation.stress import StressPlan
    from hybrid_pose_ros.research.evaluation.stress_axes import AXES

    check_at_least_one("--people", options.people)
    if options.seconds < 0.1:
        raise CommandError(f"--seconds must be at least 0.1, not {options.seconds:g}")
    axes = tuple(AXES) if options.axes is None else tuple(options.axes.split(","))
    if unknown := [axis for axis in axes if axis not in AXES]:
        raise CommandError(f"no axis is called {unknown[0]!r}; there are {', '.join(AXES)}")
    if options.calibration is not None or options.variants is not None or options.full:
        raise CommandError("--stress takes no --calibration, --variants or --full")
    plan = StressPlan(
        axes=axes,
        people=options.people,
        seconds=options.seconds,
        seed=options.seed,
        checkpoint=options.checkpoint,
        mocap=options.mocap,
    )
    console = Console()
    finished = None
    try:
        with ExitStack() as stack:
            if options.json is not None:
                file = stack.enter_context(written_whole(options.json))
                finished = options.json.with_name(f"{options.json.name}.finished")
            figures = _measure(plan, options.workers, finished, console)
            figures["command"] = _command(options)
            if finished is not None:
                file.write(json.dumps(figures, indent=2) + "\n")
    except (CheckpointError, ValueError) as error:
        raise CommandError(str(error)) from error
    if finished is not None:
        shutil.rmtree(finished)
    _show(figures, console)
    return 0


def _measure(
    plan: "StressPlan", workers: int, finished: Path | None, console: Console
) -> dict[str, Any]:
    from hybrid_pose_ros.research.evaluation.stress import stress

    columns = TextColumn("{task.description}"), BarColumn(), TaskProgressColumn()
    with Progress(*columns, TimeRemainingColumn(), console=console, transient=True) as bar:
        task = bar.add_task("stress test", total=None)
        return stress(
            plan,
            workers=workers,
            finished=finished,
            progress=lambda done, total: bar.update(task, completed=done, total=total),
        )


def _command(options: argparse.Namespace) -> str:
    """The command that gives the same figures, without the places of one machine."""
    words = ["hybrid-pose", "evaluate", "--stress", "--json", "stress.json"]
    if options.axes is not None:
        words += ["--axes", options.axes]
    if options.mocap is not None:
        words += ["--mocap", options.mocap.name]
    if options.checkpoint is not None:
        words += ["--checkpoint", options.checkpoint.name]
    words += ["--people", str(options.people), "--seconds", f"{options.seconds:g}"]
    return " ".join([*words, "--seed", str(options.seed)])


def _show(figures: dict[str, Any], console: Console) -> None:
    from hybrid_pose_ros.research.evaluation.stress_axes import AXES
    from hybrid_pose_ros.research.evaluation.stress_page import COLUMNS, value_text
    from hybrid_pose_ros.research.markdown import number

    columns = {name: COLUMNS[name] for name in _SHOWN}
    heads = [head for head, _, _ in columns.values()]
    for axis, rows in figures["stress"].items():
        table = Table("", *heads, title=f"{axis}: {AXES[axis].title}", title_justify="left")
        for row in rows:
            cells = (number(row[key], *scale) for key, (_, *scale) in columns.items())
            table.add_row(value_text(row["value"]), *cells)
        console.print(table)
    console.print(
        "Errors of the ANN, the hybrid and the hybrid's joints that are shown; joints shown, of "
        "these outside the picture, poses with left and right exchanged (%), mean confidence."
    )
