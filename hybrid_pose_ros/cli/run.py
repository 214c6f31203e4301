# SPDX-License-Identifier: Apache-2.0
"""`hybrid-pose run`: the nodes of `pose.launch.py` and `multi_camera.launch.py` without launch."""

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from types import FrameType

from hybrid_pose_ros.cli import CommandError, check_new_bag
from hybrid_pose_ros.cli.run_status import RunStatus
from hybrid_pose_ros.graph.arguments import ARGUMENTS, MULTI_CAMERA_ARGUMENTS, Argument
from hybrid_pose_ros.graph.description import pose_graph
from hybrid_pose_ros.graph.processes import POLL_S, Supervisor
from hybrid_pose_ros.graph.respawn import death_notice
from hybrid_pose_ros.graph.specs import ContainerSpec, NodeSpec
from hybrid_pose_ros.graph.tools import tool_commands
from hybrid_pose_ros.installation import find_prefix, share_directory
from hybrid_pose_ros.stop_signals import StopSignals, handle_stop_signals

_FLAGS = ("true", "false")

_OPTIONS = {"container": "one-process"}
"""Options that are not called as the argument of the launch files."""


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the subcommand; its options are the graph's arguments."""
    parser = subparsers.add_parser(
        "run",
        help="start the nodes: events in, poses out",
        description="Start event_driver, ann, snn and visualizer, each as a process, "
        "and stop them together. With --cameras: those of each camera, and triangulator. "
        "With --one-process all but the visualizer share one. Ctrl-C ends it.",
    )
    single = {argument.name: argument for argument in ARGUMENTS}
    for argument in MULTI_CAMERA_ARGUMENTS:
        if argument.name not in single:
            _add_option(parser, argument, "several cameras: ")
    for argument in ARGUMENTS:
        _add_option(parser, argument)


def _add_option(parser: argparse.ArgumentParser, argument: Argument, prefix: str = "") -> None:
    """Add an option; it is None where it is not given, for the graph knows the defaults."""
    name, help_text = _option(argument.name), prefix + argument.description
    if argument.choices == _FLAGS and argument.default == "false":
        parser.add_argument(
            name, dest=argument.name, action="store_const", const="true", help=help_text
        )
        return
    choices = argument.choices
    if argument.name == "source":
        choices = (*choices, "none")
    default = f" (default: {argument.default})" if argument.default and not prefix else ""
    parser.add_argument(name, choices=choices or None, help=help_text + default)


def _option(name: str) -> str:
    """Return the option of an argument: launch files and other commands call it otherwise."""
    return f"--{_OPTIONS.get(name, name.replace('_', '-'))}"


def run(options: argparse.Namespace) -> int:
    """Run the graph until the events end, a required node ends, or Ctrl-C."""
    names = {argument.name for argument in (*ARGUMENTS, *MULTI_CAMERA_ARGUMENTS)}
    given = {name: getattr(options, name) for name in names if getattr(options, name) is not None}
    if options.bag:
        check_new_bag(Path(options.bag))
    _check_table(given)
    prefix = find_prefix()
    share = share_directory(prefix)
    nodes, tools = pose_graph(given, share), tool_commands(given, share)
    stop_signals = StopSignals()

    def interrupt(number: int, frame: FrameType | None) -> None:
        if not stop_signals.is_repeated():
            raise KeyboardInterrupt

    handle_stop_signals(interrupt)
    print(f"starting {_names(nodes)}; Ctrl-C ends it", flush=True)
    with Supervisor(nodes, prefix, tools=tools) as supervisor, RunStatus():
        return watch(supervisor)


def _names(nodes: Sequence[NodeSpec]) -> str:
    """Return the names of the nodes, those in a shared process, too."""
    specs = [
        part
        for spec in nodes
        for part in (spec.nodes if isinstance(spec, ContainerSpec) else (spec,))
    ]
    return ", ".join(f"{spec.namespace}/{spec.name}".lstrip("/") for spec in specs)


def _check_table(given: dict[str, str]) -> None:
    """Refuse options of one camera beside those of several."""
    several = "cameras" in given
    table: Sequence[Argument] = MULTI_CAMERA_ARGUMENTS if several else ARGUMENTS
    if wrong := sorted(given.keys() - {argument.name for argument in table}):
        raise CommandError(
            f"{_option(wrong[0])} does not go with --cameras"
            if several
            else f"{_option(wrong[0])} is for several cameras: name them with --cameras"
        )


def watch(supervisor: Supervisor) -> int:
    """Wait until a required node, the last events or Ctrl-C end the graph; return the exit code.

    A node or tool that fails is named on stderr; the first failure is the exit code, as a shell
    gives it. The death of a node that is started again is none.
    """
    failure = 0
    try:
        while True:
            for end in supervisor.new_ends():
                if end.again_in_s is not None:
                    notice = death_notice(end.name, end.code, end.again_in_s)
                    print(f"hybrid-pose run: {notice}", file=sys.stderr)
                elif end.code:
                    failure = failure or end.exit_code
                    print(f"hybrid-pose run: {end}", file=sys.stderr)
                if end.required:
                    return failure
            if supervisor.events_ended:
                return failure
            time.sleep(POLL_S)
    except KeyboardInterrupt:
        return failure
