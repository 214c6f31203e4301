# SPDX-License-Identifier: Apache-2.0
"""`hybrid-pose report`: a page of results from the figures of `hybrid-pose evaluate`."""

import argparse
import json
from pathlib import Path
from typing import Any

from hybrid_pose_ros.cli import CommandError


def add_parser(subparsers: Any) -> None:
    """Add the subcommand."""
    parser = subparsers.add_parser(
        "report",
        help="make a page of results from the figures of an evaluation",
        description="Write a Markdown page with tables and plots of what `hybrid-pose evaluate` "
        "measured, next to the paper's figures.",
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
        default=Path("docs/results.md"),
        help="the page (default: docs/results.md); plots go to the folder images beside it",
    )


def run(options: argparse.Namespace) -> int:
    """Read, draw and write."""
    from hybrid_pose_ros.research.evaluation.demos import take_demo
    from hybrid_pose_ros.research.evaluation.evaluate import FORMAT
    from hybrid_pose_ros.research.evaluation.plots import draw_plots
    from hybrid_pose_ros.research.evaluation.report import check_format, write_report

    figures = _read(options.json)
    gauge = None if options.gauge is None else _read(options.gauge)
    try:
        check_format(figures, FORMAT)
        plots = draw_plots(figures, options.out.parent / "images")
        demos = [take_demo(folder, options.out) for folder in options.demo]
        page = write_report(
            figures,
            gauge,
            {
                name: path.relative_to(options.out.parent).as_posix()
                for name, path in plots.items()
            },
            demos,
        )
        options.out.write_text(page, "utf-8")
    except OSError as error:
        raise CommandError(f"{error.filename}: cannot be written ({error.strerror})") from error
    print(f"{options.out} and {len(plots)} plots in {options.out.parent / 'images'}")
    return 0


def _read(path: Path) -> Any:
    try:
        return json.loads(path.read_text("utf-8"))
    except OSError as error:
        raise CommandError(f"{path}: cannot be read ({error.strerror})") from error
    except ValueError as error:
        raise CommandError(f"{path}: is not JSON ({error})") from error
