# SPDX-License-Identifier: Apache-2.0
"""`hybrid-pose view`: live topics or a bag in the Rerun viewer."""

import argparse
import importlib.util
import threading
from pathlib import Path
from typing import Any

from hybrid_pose_ros.cli import CommandError, writing
from hybrid_pose_ros.stop_signals import handle_stop_signals


def add_parser(subparsers: Any) -> None:
    """Add the subcommand."""
    parser = subparsers.add_parser(
        "view",
        help="show live topics or a bag in the Rerun viewer",
        description="Show events, poses in the image and in space, cameras and figures of a "
        "running graph, or of a bag, in the viewer Rerun (extra `view`).",
    )
    parser.add_argument(
        "--bag", type=Path, help="folder of a bag to show (default: what is being published)"
    )
    parser.add_argument(
        "--namespace",
        action="append",
        default=[],
        help="show only the camera of this namespace; may be repeated (default: all cameras)",
    )
    target = parser.add_mutually_exclusive_group()
    target.add_argument(
        "--save", type=Path, metavar="FILE", help="write an .rrd file instead of opening a window"
    )
    target.add_argument(
        "--connect",
        metavar="URL",
        help="send to a running viewer, as in rerun+http://127.0.0.1:9876/proxy",
    )
    target.add_argument(
        "--bind",
        default="127.0.0.1",
        metavar="ADDRESS",
        help="IP address of this machine at which the window listens for data; 0.0.0.0: at all, "
        "for anyone who reaches this machine (default: %(default)s)",
    )
    parser.add_argument(
        "--wait",
        type=float,
        default=10.0,
        metavar="SECONDS",
        help="how long to wait for the first live topic (default: 10)",
    )


def run(options: argparse.Namespace) -> int:
    """Show until the bag or, live, the user ends it."""
    if importlib.util.find_spec("rerun") is None:
        raise CommandError(
            "the viewer Rerun is not installed; "
            "install it with `pip install -r requirements-view.txt`"
        )
    from hybrid_pose_ros.bags.bag import installed_typestore
    from hybrid_pose_ros.view.show import show_bag, show_live

    with writing():
        store = installed_typestore()
        if options.bag is not None:
            malformed = show_bag(
                options.bag,
                store,
                options.namespace,
                save=options.save,
                url=options.connect,
                bind=options.bind,
            )
        else:
            ended = threading.Event()
            handle_stop_signals(lambda *_: ended.set())
            malformed = show_live(
                store,
                options.namespace,
                wait_s=options.wait,
                until=ended.is_set,
                save=options.save,
                url=options.connect,
                bind=options.bind,
            )
    if malformed:
        print(f"{malformed} packets of events could not be decoded and are not shown")
    if options.save is not None:
        print(options.save)
    return 0
