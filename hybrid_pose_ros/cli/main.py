# SPDX-License-Identifier: Apache-2.0
"""The command `hybrid-pose`.

Only the chosen subcommand's module is imported, so that help comes at once.
"""

import argparse
import importlib
import sys
from collections.abc import Collection, Sequence
from types import ModuleType
from typing import Any

from hybrid_pose_ros.errors import UserError

COMMANDS = {
    "run": "start the nodes: events in, poses out",
    "demo": "show everything on simulated events, measure it and check it",
    "simulate": "make recordings with exact labels from simulated motion",
    "convert": "make bags of recordings, and recordings of bags",
    "replay": "play a bag through the pipeline",
    "evaluate-bag": "compare the poses of a bag with its ground truth",
    "evaluate-recording": "measure the poses of a recording of one's own, and draw them",
    "gauge": "judge simulated recordings by a network trained on real ones",
    "evaluate": "compare the hybrid with its parts on simulated recordings",
    "report": "make a page of results from the figures of an evaluation",
    "bench": "measure what a pose costs, beside its peers",
    "train": "train the networks on recordings",
    "export": "write the networks for other programs: NIR, ONNX, the fit to chips",
    "view": "show live topics or a bag in the Rerun viewer",
    "reference": "write the page of all nodes, topics, parameters and commands",
}


def make_parser(complete: Collection[str]) -> argparse.ArgumentParser:
    """Build the parser of all subcommands; those in ``complete`` with their options."""
    parser = argparse.ArgumentParser(
        prog="hybrid-pose", description="Human pose from an event camera (hybrid ANN-SNN)."
    )
    parser.add_argument("--version", action=_Version, help="print the version and exit")
    subparsers = parser.add_subparsers(dest="command", required=True, metavar="command")
    for name, summary in COMMANDS.items():
        if name in complete:
            _module(name).add_parser(subparsers)
        else:
            subparsers.add_parser(name, help=summary)
    return parser


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
    """Run a subcommand and return its exit code."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    chosen = next((word for word in arguments if not word.startswith("-")), "")
    try:
        options = make_parser({chosen}).parse_args(arguments)
        code: int = _module(options.command).run(options)
    except UserError as error:
        print(f"hybrid-pose {chosen}: error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return code


if __name__ == "__main__":
    sys.exit(main())
