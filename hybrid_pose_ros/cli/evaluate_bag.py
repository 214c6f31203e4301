# SPDX-License-Identifier: Apache-2.0
"""`hybrid-pose evaluate-bag`: errors of a bag's poses, without any node."""

import argparse
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import Progress

from hybrid_pose_ros.cli import CommandError, warn
from hybrid_pose_ros.cli.figures import check_writable, write_figures


def add_parser(subparsers: Any) -> None:
    """Add the subcommand."""
    parser = subparsers.add_parser(
        "evaluate-bag",
        help="compare the poses of a bag with its ground truth",
        description="Score the recorded poses of a bag. If it has none, or with --recompute, make "
        "them anew of its events, with answers of the ANN that come at once: the same figures as "
        "those of `hybrid-pose replay --lockstep`.",
    )
    parser.add_argument("bag", type=Path, help="folder of the bag, or a file of one (.mcap, .db3)")
    parser.add_argument("--recompute", action="store_true", help="ignore recorded poses")
    parser.add_argument(
        "--cameras", default="", help="namespaces to evaluate, with commas (default: all)"
    )
    parser.add_argument("--model", type=Path, help="checkpoint (default: the shipped one)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there")


def run(options: argparse.Namespace) -> int:
    """Evaluate the bag and print a table."""
    check_writable(options.json)
    report = _evaluate(options)
    from hybrid_pose_ros.metrics.running_errors import format_report

    Console().print(format_report(report), soft_wrap=True, highlight=False)
    if options.json is not None:
        write_figures(options.json, report)
    return 0


def _evaluate(options: argparse.Namespace) -> dict[str, Any]:
    import torch

    from hybrid_pose_ros.bags.bag import installed_typestore
    from hybrid_pose_ros.bags.contents import inspect_bag
    from hybrid_pose_ros.bags.evaluation import evaluate_events, evaluate_recorded
    from hybrid_pose_ros.graph.description import LOCKSTEP_ANN_HZ
    from hybrid_pose_ros.networks.checkpoint import load_checkpoint

    contents = inspect_bag(options.bag)
    store = installed_typestore()
    names = [name for name in options.cameras.split(",") if name]
    recorded = bool(contents.poses) and not options.recompute
    cameras = contents.choose(names, recorded=recorded)
    if not cameras:
        raise CommandError(f"{options.bag}: the bag holds neither poses nor events")
    with Progress(transient=True) as progress:
        task = progress.add_task("evaluating", total=contents.seconds)

        def show(seconds: float) -> None:
            progress.update(task, completed=seconds)

        if recorded:
            return evaluate_recorded(contents, cameras, store, progress=show)
        torch.set_num_threads(1)  # as the nodes: sums in another order would differ in the end
        checkpoint = load_checkpoint(options.model)
        return evaluate_events(
            contents,
            cameras,
            store,
            checkpoint,
            ann_hz=LOCKSTEP_ANN_HZ,
            progress=show,
            warn=lambda sentence: warn("evaluate-bag", sentence),
        )
