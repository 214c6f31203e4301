# SPDX-License-Identifier: Apache-2.0
"""`hybrid-pose compare`: the hybrid beside held, filtered and other networks on a recording."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from rich.console import Console
from rich.table import Table

from hybrid_pose_ros.cli import CommandError, writing
from hybrid_pose_ros.cli.figures import check_writable, write_figures
from hybrid_pose_ros.cli.labelled_part import add_arguments, read_part

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
    add_arguments(parser)
    parser.add_argument("--cnn", type=Path, metavar="FILE", help="DHP_CNN.model of DHP19")
    parser.add_argument("--plot", type=Path, metavar="DIR", help="draw error against rate there")


def run(options: argparse.Namespace) -> int:
    """Compare, print, write and draw."""
    from hybrid_pose_ros.research.evaluation.dhp19_cnn import load_dhp19_cnn
    from hybrid_pose_ros.research.evaluation.rivals import compare_rivals

    check_writable(options.json)
    part = read_part("compare", options)
    cnn = None if options.cnn is None else load_dhp19_cnn(options.cnn)
    console = Console()
    try:
        with console.status("") as status:
            figures = compare_rivals(
                part.events,
                part.width,
                part.height,
                part.checkpoint,
                labels=part.labels,
                cnn=cnn,
                progress=status.update,
            )
    except ValueError as error:
        raise CommandError(f"{options.recording}: {error}") from error
    figures |= {"recording": options.recording.name, "model": part.checkpoint.digest}
    _show(figures, console)
    if options.json is not None:
        write_figures(options.json, figures)
    if options.plot is not None:
        from hybrid_pose_ros.research.evaluation.results_plots import save_plots

        plots = {"rates": ((6.0, 3.5), _draw, figures)}
        with writing():
            console.print(str(save_plots(plots, options.plot, "compare")["rates"]))
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
