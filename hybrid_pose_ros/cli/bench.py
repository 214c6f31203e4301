# SPDX-License-Identifier: Apache-2.0
"""`hybrid-pose research bench`: what a pose costs, beside its peers, and a page of it."""

import argparse
import json
from pathlib import Path
from typing import Any

from hybrid_pose_ros.cli import CommandError, writing
from hybrid_pose_ros.cli.figures import read_figures

PARTS = ("step", "ann", "pose", "system", "scaling")


def add_parser(subparsers: Any) -> None:
    """Add the subcommand."""
    parser = subparsers.add_parser(
        "bench",
        help="measure what a pose costs, beside its peers",
        description="Measure one SNN step beside torch and other libraries, the ANN in several "
        "runtimes, the CPU time of a pose beside dense networks, the latency of the running "
        "system, and how cost grows with events and spikes. Nothing else should run on the "
        "machine meanwhile.",
    )
    given = parser.add_mutually_exclusive_group(required=True)
    given.add_argument("--json", type=Path, help="measure, and write the figures to this file")
    given.add_argument(
        "--from",
        type=Path,
        dest="measured",
        help="measure nothing: take figures that --json wrote, for --page",
    )
    parser.add_argument(
        "--page",
        type=Path,
        help="write a Markdown page of the figures; plots go to the folder images beside it",
    )
    parser.add_argument(
        "--only",
        type=_parts,
        default=PARTS,
        help=f"parts to measure, with commas between them: {','.join(PARTS)} (default: all)",
    )
    parser.add_argument(
        "--full",
        action="store_true",
        help="besides, ten minutes at 500 Hz, and memory over an hour of sensor time (half an "
        "hour more)",
    )
    parser.add_argument("--model", type=Path, help="checkpoint (default: the shipped one)")
    parser.add_argument(
        "--logs",
        type=Path,
        default=Path("out/bench-logs"),
        help="folder for the nodes' logs (default: out/bench-logs)",
    )


def run(options: argparse.Namespace) -> int:
    """Measure or read, and write."""
    if options.measured is not None and options.page is None:
        raise CommandError("--from needs --page, the page to write")
    figures = _measure(options) if options.measured is None else _read(options.measured)
    if options.page is not None:
        _write_page(figures, options.page)
    return 0


def _measure(options: argparse.Namespace) -> dict[str, Any]:
    from hybrid_pose_ros.demo.domain import enter_private_domain
    from hybrid_pose_ros.research.benchmark.suite import BenchPlan, run_suite

    plan = BenchPlan(model=options.model, parts=options.only, full=options.full)
    figures: dict[str, Any] = {}
    try:
        options.json.parent.mkdir(parents=True, exist_ok=True)
        enter_private_domain()
        for figures in run_suite(plan, options.logs.absolute(), _say):
            options.json.write_text(json.dumps(figures, indent=2, allow_nan=False) + "\n", "utf-8")
    except OSError as error:
        raise CommandError(f"{error.filename or options.json}: {error.strerror}") from error
    for name, reason in figures["missing"].items():
        print(f"not measured: {name}: {reason}")
    print(options.json)
    return figures


def _write_page(figures: dict[str, Any], page: Path) -> None:
    from hybrid_pose_ros.research.benchmark.page import write_page
    from hybrid_pose_ros.research.benchmark.performance_plots import draw_plots
    from hybrid_pose_ros.research.plotting import addresses

    with writing():
        plots = draw_plots(figures, page.parent / "images")
        page.write_text(write_page(figures, addresses(plots, page)), "utf-8")
    print(f"{page} and {len(plots)} plots in {page.parent / 'images'}")


def _read(path: Path) -> dict[str, Any]:
    from hybrid_pose_ros.research.benchmark.suite import FORMAT

    figures = read_figures(path)
    if not isinstance(figures, dict) or figures.get("format") != FORMAT:
        raise CommandError(f"{path}: not figures of this version; measure again with --json")
    return figures


def _parts(text: str) -> tuple[str, ...]:
    parts = tuple(text.split(","))
    for part in parts:
        if part not in PARTS:
            raise argparse.ArgumentTypeError(f"{part!r} is none of {', '.join(PARTS)}")
    return parts


def _say(text: str) -> None:
    print(f"{text} ...", flush=True)
