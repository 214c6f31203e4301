# SPDX-License-Identifier: Apache-2.0
"""The command `hybrid-pose`.

Only the chosen command's module is imported, so that help comes at once.
"""

import argparse
import importlib
import os
import sys
from collections.abc import Collection, Mapping, Sequence
from types import ModuleType
from typing import Any

from hybrid_pose_ros.cli.boundary import bounded, check_ros_environment

COMMANDS = {
    "run": "start the nodes: events in, poses out",
    "demo": "show everything on simulated events, measure it and check it",
    "convert": "make bags of recordings, and recordings of bags",
    "replay": "play a bag through the pipeline",
    "view": "show live topics or a bag in the Rerun viewer",
    "evaluate": "compare the hybrid with its parts on simulated recordings",
    "evaluate-bag": "compare the poses of a bag with its ground truth",
    "evaluate-recording": "measure the poses of a recording of one's own, and draw them",
    "record": "write the topics of a running graph into a bag",
    "compare": "compare the hybrid with other ways to a pose at every step, on a recording",
    "simulate": "make recordings with exact labels from simulated motion",
    "export": "write the networks for other programs: NIR, ONNX, the fit to chips",
    "torture": "inject faults into a graph of its own, and say what it survives",
}
"""Commands of users; each is a module here, with underscores for hyphens."""

RESEARCH = {
    "train": "train the networks on recordings",
    "gauge": "judge simulated recordings by a network trained on real ones",
    "bench": "measure what a pose costs, beside its peers",
    "report": "make a page of results from the figures of an evaluation",
    "reference": "write the page of all nodes, topics, parameters and commands",
}
"""Commands behind `hybrid-pose research`, modules here as well."""

_STARTS_NODES = ("run", "demo", "record", "replay", "view", "torture")


def make_parser(complete: Collection[str]) -> argparse.ArgumentParser:
    """Build the parser of all commands; those in ``complete`` with their options."""
    parser = argparse.ArgumentParser(
        prog="hybrid-pose", description="Human pose from an event camera (hybrid ANN-SNN)."
    )
    parser.add_argument("--version", action=_Version, help="print the version and exit")
    subparsers = parser.add_subparsers(dest="command", required=True, metavar="command")
    _add_commands(subparsers, COMMANDS, complete)
    summary = f"training, measuring and their pages: {', '.join(RESEARCH)}"
    research = subparsers.add_parser("research", help=summary, description=f"{summary}.")
    below = research.add_subparsers(dest="command", required=True, metavar="command")
    _add_commands(below, RESEARCH, complete)
    return parser


def _add_commands(subparsers: Any, commands: Mapping[str, str], complete: Collection[str]) -> None:
    for name, summary in commands.items():
        if name in complete:
            _module(name).add_parser(subparsers)
        else:
            subparsers.add_parser(name, help=summary)


class _Version(argparse.Action):
    """Prints the version, which is looked up only then."""

    def __init__(self, **options: Any) -> None:
        super().__init__(nargs=0, **options)

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        """Print and exit."""
        from hybrid_pose_ros import __version__

        print(f"hybrid-pose {__version__}")
        parser.exit()


def _module(command: str) -> ModuleType:
    return importlib.import_module(f"hybrid_pose_ros.cli.{command.replace('-', '_')}")


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    words = [word for word in arguments if not word.startswith("-")]
    if words and words[0] in RESEARCH:  # the spelling of earlier releases
        print(
            f"`hybrid-pose {words[0]}` is now `hybrid-pose research {words[0]}`; "
            "the short form goes with the release after this one",
            file=sys.stderr,
        )
        arguments.insert(arguments.index(words[0]), "research")
        words.insert(0, "research")
    chosen = " ".join(words[: 2 if words[:1] == ["research"] else 1])
    return bounded(f"hybrid-pose {chosen}".strip(), lambda: _run(chosen, arguments))


def _run(chosen: str, arguments: Sequence[str]) -> int:
    options = make_parser({chosen.rpartition(" ")[2]}).parse_args(arguments)
    if options.command in _STARTS_NODES:
        check_ros_environment(os.environ)
    code: int = _module(options.command).run(options)
    return code


if __name__ == "__main__":
    sys.exit(main())
