# SPDX-License-Identifier: Apache-2.0
"""`hybrid-pose compare`: the hybrid beside held, filtered and other networks on a recording."""

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from rich.console import Console
from rich.table import Table

from hybrid_pose_ros.cli import CommandError
from hybrid_pose_ros.cli.figures import check_writable

if TYPE_CHECKING:
    from matplotlib.figure import Figure

NAMES: Final = {
    "ann": "ANN at every step",
    "hybrid": "hybrid",
    "ann_held": "ANN, held",
    "ann_kalman": "ANN and Kalman filter",
    "dhp19_cnn": "DHP19's CNN, held",
}
COLOURS: Final = {
    "hybrid": "#0072b2",
    "ann_held": "#e69f00",
    "ann_kalman": "#009e73",
    "dhp19_cnn": "#cc79a7",
}


def add_parser(subparsers: Any) -> None:
    """Add the subcommand."""
    parser = subparsers.add_parser(
        "compare",
        help="compare the hybrid with other ways to a pose at every step, on a recording",
        description="Run a network at 50, 20, 10, 5 and 2 Hz and make a pose at every step of "
        "what it says: by the hybrid's SNN, by holding the ANN's pose, by a Kalman filter of "
        "constant velocity, and, with --cnn, by holding the pose of DHP19's CNN. Errors are "
        "against labels, or, without, against the ANN at every step. All runs on one core, one "
        "after the other; the first 0.6 s do not count.",
    )
    parser.add_argument("recording", type=Path, help="any recording that convert reads, or .npz")
    parser.add_argument(
        "--labels", type=Path, help=".npz with labels (default: those in the recording, if .npz)"
    )
    parser.add_argument(
        "--camera", type=int, default=0, help="which camera of several (default: 0)"
    )
    parser.add_argument("--checkpoint", type=Path, help="model (default: the shipped one)")
    parser.add_argument("--cnn", type=Path, metavar="FILE", help="DHP_CNN.model of DHP19")
    parser.add_argument(
        "--from", dest="start", type=float, default=0.0, metavar="S", help="begin at this second"
    )
    parser.add_argument(
        "--to", dest="end", type=float, default=float("inf"), metavar="S", help="end at this one"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there")
    parser.add_argument("--plot", type=Path, metavar="DIR", help="draw error against rate there")


def run(options: argparse.Namespace) -> int:
    """Compare, print, write and draw."""
    import torch

    from hybrid_pose_ros.bags.opening import open_recording
    from hybrid_pose_ros.cli.evaluate_recording import recording_labels, warn_of_losses
    from hybrid_pose_ros.networks.checkpoint import load_checkpoint
    from hybrid_pose_ros.research.evaluation.dhp19_cnn import load_dhp19_cnn
    from hybrid_pose_ros.research.evaluation.rivals import compare_rivals

    check_writable(options.json)
    if not 0 <= options.start < options.end:
        raise CommandError(f"--from {options.start:g} must lie before --to {options.end:g}")
    torch.set_num_threads(1)
    recording = open_recording(options.recording, camera=options.camera)
    labels = recording_labels(options)
    checkpoint = load_checkpoint(options.checkpoint)
    cnn = None if options.cnn is None else load_dhp19_cnn(options.cnn)
    events = recording.read_all(options.start, options.end)
    warn_of_losses("compare", recording, events)
    console = Console()
    try:
        with console.status("") as status:
            figures = compare_rivals(
                events,
                recording.width,
                recording.height,
                checkpoint,
                labels=labels,
                cnn=cnn,
                progress=status.update,
            )
    except ValueError as error:
        raise CommandError(f"{options.recording}: {error}") from error
    figures |= {"recording": options.recording.name, "model": checkpoint.digest}
    _show(figures, console)
    try:
        if options.json is not None:
            options.json.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
        if options.plot is not None:
            from hybrid_pose_ros.research.evaluation.results_plots import save_plots

            plots = {"rates": ((6.0, 3.5), _draw, figures)}
            console.print(str(save_plots(plots, options.plot, "compare")["rates"]))
    except OSError as error:
        raise CommandError(f"{error.filename}: cannot be written ({error.strerror})") from error
    return 0


def _show(figures: dict[str, Any], console: Console) -> None:
    table = Table("", "runs (Hz)", "error (px)", "p50 (ms)", "p99 (ms)", "CPU (cores)")
    for name, rates in figures["methods"].items():
        for hz, found in rates.items():
            table.add_row(
                NAMES[name],
                hz,
                f"{found['error_px']:.2f}",
                f"{found['latency_ms']['p50']:.2f}",
                f"{found['latency_ms']['p99']:.2f}",
                f"{found['cpu']:.2f}",
            )
    console.print(table)
    against = {"labels": "the labels", "ann": "the ANN at every step"}[figures["reference"]]
    console.print(
        f"{figures['seconds']:.1f} s; errors against {against}, in px of the model's view; "
        "p50 and p99: computing time until a step's pose is there, beside which the nodes run "
        "the hybrid's ANN"
    )


def _draw(figure: "Figure", figures: dict[str, Any]) -> None:
    axes = figure.subplots()
    for name, rates in figures["methods"].items():
        if name == "ann":
            (found,) = rates.values()
            axes.axhline(found["error_px"], color="#555555", label=NAMES[name])
            continue
        points = sorted((float(hz), found["error_px"]) for hz, found in rates.items())
        axes.plot(*zip(*points, strict=True), marker="o", color=COLOURS[name], label=NAMES[name])
    axes.set_xscale("log")
    ticks = sorted({float(hz) for hz in figures["methods"]["hybrid"]})
    axes.set_xticks(ticks, [f"{hz:g}" for hz in ticks], minor=False)
    axes.minorticks_off()
    axes.set_xlabel("runs of the network per second")
    axes.set_ylabel("error (px)")
    axes.set_ylim(bottom=0)
    axes.legend(fontsize=8)
