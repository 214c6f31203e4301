# SPDX-License-Identifier: Apache-2.0
"""The command `hybrid-pose`.

Only the chosen subcommand's module is imported, so that help comes at once.
"""

import argparse
import importlib
import sys
from collections.abc import Sequence

from hybrid_pose_ros.cli import CommandError

COMMANDS = {
    "run": "start the nodes: events in, poses out",
    "demo": "show everything on simulated events, measure it and check it",
    "simulate": "make recordings with exact labels from simulated motion",
    "gauge": "judge simulated recordings by a network trained on real ones",
    "evaluate": "compare the hybrid with its parts on simulated recordings",
    "report": "make a page of results from the figures of an evaluation",
    "train": "train the networks on recordings",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run a subcommand and return its exit code."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    chosen = next((word for word in arguments if not word.startswith("-")), None)
    parser = argparse.ArgumentParser(
        prog="hybrid-pose", description="Human pose from an event camera (hybrid ANN-SNN)."
    )
    subparsers = parser.add_subparsers(dest="command", required=True, metavar="command")
    module = None
    for name, summary in COMMANDS.items():
        if name == chosen:
            module = importlib.import_module(f"hybrid_pose_ros.cli.{name}")
            module.add_parser(subparsers)
        else:
            subparsers.add_parser(name, help=summary)
    options = parser.parse_args(arguments)
    assert module is not None  # parse_args has ended the program without a known command
    try:
        code: int = module.run(options)
    except CommandError as error:
        print(f"hybrid-pose {chosen}: error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return code


if __name__ == "__main__":
    sys.exit(main())
