# SPDX-License-Identifier: Apache-2.0
"""`hybrid-pose torture`: faults on purpose, done to a graph of its own on this machine."""

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any

from hybrid_pose_ros.cli import CommandError, writing, written_whole


def add_parser(subparsers: Any) -> None:
    """Add the subcommand."""
    parser = subparsers.add_parser(
        "torture",
        help="inject faults into a graph of its own, and say what it survives",
        description="Start the nodes of two simulated cameras in a ROS domain of their own and "
        "inject faults: processes killed and stopped, malformed messages, floods, clocks that "
        "jump, packets lost, transitions under traffic, damaged files, a full disk. After each, "
        "poses must flow again, and nothing may have died that was not killed. Then watch "
        "memory and losses. The exit code is 1 where a fault was not survived.",
    )
    parser.add_argument(
        "--minutes",
        type=float,
        default=10.0,
        help="at least so long; all faults once, then rest (default: %(default)g)",
    )
    parser.add_argument("--json", type=Path, metavar="OUT", help="file for the figures")
    parser.add_argument("--page", type=Path, metavar="OUT", help="file for a page (Markdown)")
    parser.add_argument(
        "--only",
        action="append",
        default=[],
        metavar="WORDS",
        help="only the faults with these words in their names; may be repeated",
    )
    parser.add_argument("--list", action="store_true", help="list the faults and exit")
    parser.add_argument(
        "--rate",
        type=float,
        default=0.5,
        help="sensor seconds per second (default: %(default)g)",
    )
    parser.add_argument(
        "--limit",
        type=float,
        default=30.0,
        metavar="SECONDS",
        help="poses flow again within this time after a fault (default: %(default)g)",
    )
    parser.add_argument("--model", type=Path, help="checkpoint (default: the shipped one)")
    parser.add_argument(
        "--logs", type=Path, help="folder for the logs of the nodes (default: none are kept)"
    )


def run(options: argparse.Namespace) -> int:
    """Inject the faults; return 0 if all were survived."""
    from hybrid_pose_ros.research.torture.faults import FAULTS

    faults = [
        fault
        for fault in FAULTS
        if not options.only or any(words in fault.name for words in options.only)
    ]
    if options.list:
        for fault in faults:
            print(f"{fault.name} ({fault.place}): {fault.follows}")
        return 0
    if not faults:
        raise CommandError(f"--only {options.only[0]}: no fault has this in its name; see --list")
    for name in ("rate", "limit"):
        if not getattr(options, name) > 0:
            raise CommandError(f"--{name} must be positive, not {getattr(options, name):g}")
    if options.logs is not None:
        return _torture(options, faults, options.logs)
    with tempfile.TemporaryDirectory(prefix="hybrid_pose_torture_") as folder:
        return _torture(options, faults, Path(folder))


def _torture(options: argparse.Namespace, faults: "list[Any]", folder: Path) -> int:
    from hybrid_pose_ros.demo.domain import enter_private_domain
    from hybrid_pose_ros.installation import find_prefix
    from hybrid_pose_ros.research.torture.page import write_page
    from hybrid_pose_ros.research.torture.torture import torture

    enter_private_domain()
    figures = torture(
        find_prefix(),
        faults,
        model=str(options.model or ""),
        folder=folder.absolute(),
        rate=options.rate,
        limit_s=options.limit,
        minutes=options.minutes,
        tell=lambda line: print(line, flush=True),
    )
    with writing():
        if options.json is not None:
            with written_whole(options.json) as file:
                file.write(json.dumps(figures, indent=2) + "\n")
        if options.page is not None:
            with written_whole(options.page) as file:
                file.write(write_page(figures))
    lived = sum(outcome["survived"] for outcome in figures["faults"])
    print(f"{lived} of {len(faults)} faults survived, {figures['messages']:,} messages")
    return 0 if lived == len(faults) else 1
