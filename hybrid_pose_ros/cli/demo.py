# SPDX-License-Identifier: Apache-2.0
"""`hybrid-pose demo`: simulate a person, play the events through the real nodes, measure."""

import argparse
import json
import os
import shlex
import shutil
import signal
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from hybrid_pose_ros.cli import CommandError
from hybrid_pose_ros.cli.boundary import INTERRUPTED
from hybrid_pose_ros.installation import versions_of

if TYPE_CHECKING:
    from hybrid_pose_ros.demo.session import DemoPlan, Outcome
    from hybrid_pose_ros.simulation.recording import Truth

SUMMARY: Final = "summary.json"

OUTPUTS: Final = (
    SUMMARY,
    "index.html",
    "bag",
    "logs",
    "overlay.png",
    "demo.gif",
    "simulated.aedat4",
    "simulated.truth.npz",
)
"""All that the command writes into its folder."""


def add_parser(subparsers: Any) -> None:
    """Add the subcommand."""
    parser = subparsers.add_parser(
        "demo",
        help="show everything on simulated events, measure it and check it",
        description="Simulate a moving person (or take a recording), play the events through "
        "the real nodes at real-time speed, and write figures, pictures and a bag.",
    )
    parser.add_argument("--recording", type=Path, help="AEDAT4 file to play instead")
    parser.add_argument(
        "--seconds",
        type=_positive,
        help="length of the simulation (default: 20), or of a recording's play (default: all)",
    )
    parser.add_argument(
        "--motion",
        help="movement to simulate (default: walking), or `list` for all names",
    )
    parser.add_argument("--seed", type=int, help="of the simulation (default: 1)")
    parser.add_argument(
        "--rate", type=_positive, default=1.0, help="sensor seconds per second (default: 1)"
    )
    parser.add_argument("--loop", action="store_true", help="play over and over; with --seconds")
    parser.add_argument("--model", type=Path, help="checkpoint (default: the shipped one)")
    parser.add_argument(
        "--no-bag", action="store_true", help="leave no bag behind, the largest of the results"
    )
    parser.add_argument(
        "--out", type=Path, help="folder for the results (default: out/demo-<date>-<time>)"
    )
    parser.add_argument(
        "--force", action="store_true", help="write into a folder that holds other files, too"
    )


def run(options: argparse.Namespace) -> int:
    """Run the demonstration; return 0 if poses came and nothing that they need failed."""
    from hybrid_pose_ros.demo.domain import enter_private_domain
    from hybrid_pose_ros.installation import find_prefix

    if options.motion == "list":
        from hybrid_pose_ros.simulation.movements import MOVEMENTS

        print("\n".join(MOVEMENTS))
        return 0
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    console = Console()
    prefix = find_prefix()
    if options.loop and (options.recording is None or options.seconds is None):
        raise CommandError("--loop needs a --recording and the --seconds to play it for")
    if options.recording is not None and (options.motion, options.seed) != (None, None):
        raise CommandError("--motion and --seed are for the simulation, not for a --recording")
    _check_model(options.model)
    folder = _prepare(options.out or _default_folder(), force=options.force)
    try:
        plan = _plan(options, folder, console)
        enter_private_domain()
        return _demonstrate(plan, prefix, console, keep_bag=not options.no_bag)
    except OSError as error:
        raise CommandError(f"{error.filename or folder}: {error.strerror or error}") from error


def _demonstrate(plan: "DemoPlan", prefix: Path, console: Console, *, keep_bag: bool) -> int:
    from hybrid_pose_ros.demo.page import megabytes, size_of, slowness, write_page
    from hybrid_pose_ros.demo.pictures import draw_run
    from hybrid_pose_ros.demo.session import NAMESPACE, play

    outcome = play(plan, prefix, console)
    summary = _summary(plan, outcome)
    written = [plan.folder / SUMMARY]
    written[0].write_text(json.dumps(summary, indent=2, allow_nan=False) + "\n", "utf-8")
    if outcome.fatal is None:
        with console.status("drawing pictures ..."):
            written += draw_run(plan.bag, outcome.store, NAMESPACE, plan.truth, plan.folder)
    if not keep_bag:
        shutil.rmtree(plan.bag, ignore_errors=True)
    steps = _next_steps(plan)
    written.append(write_page(plan.folder, summary, outcome.measured, plan.truth, steps))
    if outcome.measured.packets:
        _show(summary, console)
        if said := slowness(summary):
            console.print(f"[red]{said}[/]", soft_wrap=True)
    for name, words in outcome.failed.items():
        console.print(f"[red]{name}[/] {words}", soft_wrap=True)
    for path in (*written, plan.logs):
        console.print(path, soft_wrap=True)
    if plan.bag.is_dir():
        size = megabytes(size_of(plan.bag))
        console.print(f"{plan.bag}  ({size}; --no-bag leaves none)", soft_wrap=True)
    if outcome.fatal is not None:
        raise CommandError(outcome.fatal)
    if not outcome.measured.poses:
        raise CommandError(f"no pose came; see the logs in {plan.logs}")
    console.print(f"open {written[-1]} in a browser; then:")
    for what, command in steps:
        console.print(f"  {command}  [dim]{what}[/]", soft_wrap=True, highlight=False)
    return INTERRUPTED if outcome.interrupted else 0


def _next_steps(plan: "DemoPlan") -> list[tuple[str, str]]:
    """Return what a user may want to do next, and the command that does it."""
    steps = []
    if plan.bag.is_dir():
        bag = shlex.quote(str(plan.bag))
        steps.append(("look around in the bag", f"hybrid-pose view --bag {bag}"))
        if plan.truth is not None:
            steps.append(
                ("compare its poses with the true ones", f"hybrid-pose evaluate-bag {bag}")
            )
    steps.append(("your own camera", "hybrid-pose run --source camera"))
    steps.append(("no camera at hand: a webcam", "hybrid-pose run --source webcam"))
    return steps


def _plan(options: argparse.Namespace, folder: Path, console: Console) -> "DemoPlan":
    from hybrid_pose_ros.demo.session import DemoPlan

    if options.recording is not None:
        truth = _check_recording(options.recording)
        recording, seconds = options.recording, options.seconds
    else:
        recording, seconds = folder / "simulated.aedat4", None
        truth = _simulate(options, recording, console)
    return DemoPlan(
        recording.absolute(),
        truth,
        options.model,
        options.rate,
        options.loop,
        seconds,
        folder.absolute(),
    )


def _simulate(options: argparse.Namespace, path: Path, console: Console) -> "Truth":
    from hybrid_pose_ros.simulation.recording import save_recording, simulate_recording
    from hybrid_pose_ros.simulation.source import sample_scene

    seconds = options.seconds or 20.0
    motion = options.motion or "walking"
    try:
        scene = sample_scene(motion, seconds, 1 if options.seed is None else options.seed)
    except ValueError as error:
        raise CommandError(str(error)) from error
    columns = TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn()
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task(f"simulating {motion}, {seconds:g} s", total=seconds)
        recording = simulate_recording(
            scene, seconds, progress=lambda done_s: progress.update(task, completed=done_s)
        )
    save_recording(recording, path)
    console.print(f"simulated {motion}: {len(recording.events):,} events")
    return recording.truth


def _check_recording(path: Path) -> "Truth | None":
    """Open a recording once, so that a bad file is reported before anything starts."""
    from hybrid_pose_ros.events.sources import Aedat4Source, SourceError
    from hybrid_pose_ros.simulation.recording import load_truth, truth_path

    try:
        Aedat4Source(path).close()
        return load_truth(truth_path(path)) if truth_path(path).is_file() else None
    except (SourceError, ValueError) as error:
        raise CommandError(str(error)) from error


def _check_model(path: Path | None) -> None:
    from hybrid_pose_ros.networks.checkpoint import load_checkpoint

    load_checkpoint(path)


def _default_folder() -> Path:
    return Path("out") / time.strftime("demo-%Y%m%d-%H%M%S")


def _prepare(folder: Path, *, force: bool) -> Path:
    """Make the folder, without what an earlier run left there."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        foreign = sorted(item.name for item in folder.iterdir() if item.name not in OUTPUTS)
        if foreign and not force:
            raise CommandError(
                f"{folder} holds other files ({foreign[0]}, ...); choose another folder, or say "
                "--force: it keeps them and replaces only an earlier demo's results"
            )
        if not os.access(folder, os.W_OK | os.X_OK):
            raise CommandError(f"{folder} cannot be written to; choose another folder with --out")
        for item in (folder / name for name in OUTPUTS):
            if item.is_dir():
                shutil.rmtree(item)
            else:
                item.unlink(missing_ok=True)
    except OSError as error:
        raise CommandError(
            f"{folder}: {error.strerror}; choose another folder with --out"
        ) from error
    return folder


def _summary(plan: "DemoPlan", outcome: "Outcome") -> dict[str, Any]:
    from hybrid_pose_ros.demo.report import rounded, summarise

    assert outcome.recorder is not None
    figures: dict[str, Any] = rounded(summarise(outcome.measured, plan.truth))
    return {
        "recording": plan.recording.name,
        "rate": plan.rate,
        "interrupted": outcome.interrupted,
        "nodes_failed": outcome.failed,
        "messages_not_recorded": outcome.recorder.dropped,
        **figures,
        "versions": versions_of(
            ("hybrid_pose_ros", "numpy", "torch", "ros-rclpy", "dv-processing", "rosbags")
        ),
    }


def _show(summary: Mapping[str, Any], console: Console) -> None:
    """Print the figures that matter most."""
    from hybrid_pose_ros.demo.page import FIGURES, text_of

    table = Table("", "", "good is", title="measured", title_justify="left")
    for figure in FIGURES:
        text = text_of(figure, summary)
        if text is not None:
            table.add_row(figure.label, text, figure.good)
    console.print(table)


def _positive(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is not a positive number")
    return value
