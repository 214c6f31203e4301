# SPDX-License-Identifier: Apache-2.0
"""`hybrid-pose research report`: a page of results from the figures of `hybrid-pose evaluate`."""

import argparse
from pathlib import Path
from typing import Any

from hybrid_pose_ros.cli import CommandError, writing
from hybrid_pose_ros.cli.figures import read_figures


def add_parser(subparsers: Any) -> None:
    """Add the subcommand."""
    parser = subparsers.add_parser(
        "report",
        help="make a page of results from the figures of an evaluation",
        description="Write a Markdown page with tables and plots of what `hybrid-pose evaluate` "
        "measured, next to the paper's figures; or of what `hybrid-pose evaluate --stress` did.",
    )
    parser.add_argument("--json", type=Path, required=True, help="figures of `evaluate`")
    parser.add_argument("--gauge", type=Path, help="figures of `gauge --json`")
    parser.add_argument(
        "--demo",
        type=Path,
        action="append",
        default=[],
        help="folder of a `demo --out`, whose figures and picture are shown; may be repeated",
    )
    parser.add_argument(
        "--out",
        type=Path,
        help="the page (default: docs/results.md, of a stress test docs/robustness.md); plots go "
        "to the folder images beside it",
    )


def run(options: argparse.Namespace) -> int:
    """Read, draw and write."""
    figures = read_figures(options.json)
    stressed = isinstance(figures, dict) and "stress" in figures
    out = options.out or Path("docs/robustness.md" if stressed else "docs/results.md")
    with writing():
        if stressed:
            if options.gauge is not None or options.demo:
                raise CommandError("the page of a stress test takes no --gauge or --demo")
            page, plots = _stress_page(figures, out)
        else:
            page, plots = _results_page(figures, options, out)
        out.write_text(page, "utf-8")
    print(f"{out} and {plots} plots in {out.parent / 'images'}")
    return 0


def _results_page(figures: Any, options: argparse.Namespace, out: Path) -> tuple[str, int]:
    """The page, and the number of its plots."""
    from hybrid_pose_ros.research.evaluation.demos import take_demo
    from hybrid_pose_ros.research.evaluation.evaluate import FORMAT
    from hybrid_pose_ros.research.evaluation.results_page import check_format, write_report
    from hybrid_pose_ros.research.evaluation.results_plots import draw_plots
    from hybrid_pose_ros.research.plotting import addresses

    gauge = None if options.gauge is None else read_figures(options.gauge)
    check_format(figures, FORMAT)
    plots = draw_plots(figures, out.parent / "images")
    demos = [take_demo(folder, out) for folder in options.demo]
    return write_report(figures, gauge, addresses(plots, out), demos), len(plots)


def _stress_page(figures: Any, out: Path) -> tuple[str, int]:
    """The page, and the number of its plots."""
    from hybrid_pose_ros.research.evaluation.stress_page import draw_curves, write_stress_page
    from hybrid_pose_ros.research.plotting import addresses

    plots = draw_curves(figures, out.parent / "images")
    return write_stress_page(figures, addresses(plots, out)), len(plots)
