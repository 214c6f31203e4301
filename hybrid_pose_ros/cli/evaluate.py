# SPDX-License-Identifier: Apache-2.0
"""`hybrid-pose evaluate`: the paper's comparison on simulated recordings of unseen people."""

import argparse
import json
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

from hybrid_pose_ros.cli import CommandError, check_at_least_one, written_whole
from hybrid_pose_ros.cli.evaluate_stress import add_options, run_stress
from hybrid_pose_ros.cli.figures import counting_bar, file_options

if TYPE_CHECKING:
    from hybrid_pose_ros.research.evaluation.test_set import TestPlan

WINDOWS = 12
"""Windows of 100 ms that count in each performance: whole cycles of 120, 150, 200 and 300 ms."""


def add_parser(subparsers: Any) -> None:
    """Add the subcommand."""
    parser = subparsers.add_parser(
        "evaluate",
        help="compare the hybrid with its parts on simulated recordings",
        description="Simulate the 33 movements of DHP19 (and captured motions) by people who were "
        "never trained on, and compare ANN, SNN and hybrid, what each part of the hybrid is "
        "worth, late answers of the ANN, shorter steps, the engine that runs in use, energy and "
        "confidence. With --stress: how they bear what training rarely shows. The figures are a "
        "function of the seed and the weights; `hybrid-pose research report` makes a page.",
    )
    parser.add_argument("--json", type=Path, help="file for the figures (needed without --stress)")
    parser.add_argument("--mocap", type=Path, help="motion capture (.npz) to be tested on, too")
    parser.add_argument("--calibration", type=Path, help="folder of DHP19's P1 to P4: its cameras")
    parser.add_argument("--checkpoint", type=Path, help="the hybrid (default: the shipped one)")
    parser.add_argument(
        "--variants",
        type=Path,
        help="folder of the networks trained for ablations (default: the checkpoint's)",
    )
    parser.add_argument("--full", action="store_true", help="four people per movement, not one")
    parser.add_argument("--seed", type=int, default=0, help="the test set is a function of it")
    parser.add_argument("--workers", type=int, default=2, help="processes (default: 2)")
    add_options(parser)


def run(options: argparse.Namespace) -> int:
    """Evaluate, print and write."""
    check_at_least_one("--workers", options.workers)
    if options.seed < 0:
        raise CommandError(f"--seed must not be negative, as {options.seed} is")
    try:
        return run_stress(options) if options.stress else _run_comparison(options)
    except OSError as error:
        raise CommandError(f"{error.filename}: {error.strerror}") from error
    except BrokenProcessPool as error:
        raise CommandError(
            "a process of the evaluation was killed, as the system does when memory runs out; "
            "close other programs or use --workers 1"
        ) from error


def _run_comparison(options: argparse.Namespace) -> int:
    from hybrid_pose_ros.geometry.cameras import CameraError
    from hybrid_pose_ros.networks.checkpoint import CheckpointError
    from hybrid_pose_ros.research.evaluation.test_set import MOVEMENT_NAMES, TestPlan
    from hybrid_pose_ros.research.training.splits import TEST_SUBJECTS

    if options.json is None:
        raise CommandError("--json is needed: the file for the figures")
    if options.axes is not None:
        raise CommandError("--axes belongs to --stress")
    people = 4 if options.full else 1
    plan = TestPlan(
        seed=options.seed,
        people=people,
        windows=WINDOWS,
        captured=people * len(MOVEMENT_NAMES),
        close=4 * people,
        absent=4 * people,
        still=4 * people,
        calibration=options.calibration,
        mocap=options.mocap,
        subjects=TEST_SUBJECTS,
    )
    console = Console()
    try:
        with written_whole(options.json) as file:
            figures = _evaluate(options, plan, console)
            figures["command"] = _command(options)
            file.write(json.dumps(figures, indent=2) + "\n")
    except (CameraError, CheckpointError, ValueError) as error:
        raise CommandError(str(error)) from error
    _show(figures, console)
    return 0


def _evaluate(options: argparse.Namespace, plan: "TestPlan", console: Console) -> dict[str, Any]:
    """Evaluate under a bar that tells how far it is."""
    from hybrid_pose_ros.research.evaluation.evaluate import evaluate
    from hybrid_pose_ros.research.training.splits import HELD_OUT_MOVEMENTS

    with counting_bar(console) as bar:
        task = bar.add_task("performances", total=None)
        return evaluate(
            plan,
            checkpoint=options.checkpoint,
            variants=options.variants,
            held_out=HELD_OUT_MOVEMENTS,
            workers=options.workers,
            progress=lambda done, count: bar.update(task, completed=done, total=count),
        )


def _command(options: argparse.Namespace) -> str:
    """The command that gives the same figures, without the places of one machine."""
    words = ["hybrid-pose", "evaluate", "--json", "evaluation.json"]
    words += file_options(options, "mocap", "calibration", "checkpoint", "variants")
    if options.full:
        words += ["--full"]
    return " ".join([*words, "--seed", str(options.seed)])


def _show(figures: dict[str, Any], console: Console) -> None:
    table = Table("model", "error (px)", "captured", "within 10 px", "power (mW)", "extended (mW)")
    for name, model in figures["models"].items():
        captured = model["mpjpe_px_mocap"]
        table.add_row(
            name,
            f"{model['mpjpe_px']:.2f}",
            "" if captured is None else f"{captured:.2f}",
            f"{100 * model['pck']['10']:.1f} %",
            f"{1e3 * model['power_w_paper']:.2f}",
            f"{1e3 * model['power_w_honest']:.2f}",
        )
    console.print(table)
    for name, reason in figures["missing"].items():
        console.print(f"{name} is missing: {reason}")
    for name, percent in figures["relative"].items():
        console.print(f"{name.replace('_', ' ')}: {percent:.1f} %")
    for name, apart in figures["difference"].items():
        console.print(f"{name}: error {apart['error_px']:+.4f} px against the hybrid in torch")
    in_space = figures["error_3d_mm"]
    console.print(f"3D error: hybrid {in_space['hybrid']['mean']:.1f} mm")
    console.print(f"took {figures['took_s']:.0f} s with {figures['workers']} processes")
