# SPDX-License-Identifier: Apache-2.0
"""`hybrid-pose reference`: the page of nodes, topics, parameters and commands."""

import argparse
import sys
from pathlib import Path
from typing import Any, Final

from hybrid_pose_ros.cli.main import COMMANDS, make_parser

_WIDTH: Final = 99


def add_parser(subparsers: Any) -> None:
    """Add the subcommand."""
    parser = subparsers.add_parser("reference", help=COMMANDS["reference"])
    parser.add_argument("--out", type=Path, help="file to write (Markdown); without: the screen")


def run(options: argparse.Namespace) -> int:
    """Write the page."""
    text = reference()
    if options.out is None:
        sys.stdout.write(text)
    else:
        options.out.write_text(text, encoding="utf-8")
    return 0


def reference() -> str:
    """Return the whole page as Markdown."""
    from hybrid_pose_ros.cli.node_reference import node_reference
    from hybrid_pose_ros.nodes.support.node_classes import NODES

    parts = [
        "# Reference",
        "This page is made by `hybrid-pose reference` from the nodes and commands themselves.",
        "## Nodes",
        "All names are relative: topics lie in the node's namespace, services (`~/`) below its "
        "name. A parameter that changes *live* takes effect at once, one that changes *when "
        "configured* needs `ros2 lifecycle set NODE cleanup` first.",
        *map(node_reference, NODES),
        "## Commands",
        *(f"### `hybrid-pose {path}`\n\n```\n{usage}```" for path, usage in commands()),
    ]
    return "\n\n".join(parts) + "\n"


def commands() -> list[tuple[str, str]]:
    """Return the words of each command and its help."""
    return [
        (" ".join(words), parser.format_help())
        for words, parser in _leaves((), make_parser(COMMANDS))
    ]


def _leaves(
    words: tuple[str, ...], parser: argparse.ArgumentParser
) -> list[tuple[tuple[str, ...], argparse.ArgumentParser]]:
    """Return the parsers without subcommands below a parser."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            found = []
            for name, below in action.choices.items():
                found += _leaves((*words, name), below)
            return found
    # the help must not depend on the width of somebody's terminal
    parser.formatter_class = lambda prog: argparse.HelpFormatter(prog, width=_WIDTH)
    return [(words, parser)]
