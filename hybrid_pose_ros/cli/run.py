# SPDX-License-Identifier: Apache-2.0
"""`hybrid-pose run`: the nodes of `pose.launch.py` and `multi_camera.launch.py` without launch."""

import argparse
import contextlib
import itertools
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from hybrid_pose_ros.cli import CommandError
from hybrid_pose_ros.graph.description import (
    ARGUMENTS,
    MULTI_CAMERA_ARGUMENTS,
    Argument,
    GraphError,
    NodeSpec,
    bag_command,
    driver_names,
    find_prefix,
    multi_camera_bag_command,
    multi_camera_graph,
    multi_camera_rviz_commands,
    pose_graph,
    rviz_commands,
    share_directory,
)
from hybrid_pose_ros.graph.processes import Graph

POLL_S = 0.2

_FLAGS = ("true", "false")


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the subcommand; its options are the graph's arguments."""
    parser = subparsers.add_parser(
        "run",
        help="start the nodes: events in, poses out",
        description="Start event_driver, ann, snn and visualizer, each as a process, "
        "and stop them together. With --cameras: those of each camera, and triangulator. "
        "Ctrl-C ends it.",
    )
    single = {argument.name: argument for argument in ARGUMENTS}
    for argument in MULTI_CAMERA_ARGUMENTS:
        if argument.name not in single:
            _add_option(parser, argument, "several cameras: ")
    for argument in ARGUMENTS:
        _add_option(parser, argument)


def _add_option(parser: argparse.ArgumentParser, argument: Argument, prefix: str = "") -> None:
    """Add an option; it is None where it is not given, for the graph knows the defaults."""
    name, help_text = f"--{argument.name}", prefix + argument.description
    if argument.choices == _FLAGS:
        parser.add_argument(name, action="store_const", const="true", help=help_text)
        return
    choices = argument.choices
    if argument.name == "source":
        choices = (*choices, "none")
    default = f" (default: {argument.default})" if argument.default and not prefix else ""
    parser.add_argument(name, choices=choices or None, help=help_text + default)


def run(options: argparse.Namespace) -> int:
    """Run the graph until the events end, a required node ends, or Ctrl-C."""
    names = {argument.name for argument in (*ARGUMENTS, *MULTI_CAMERA_ARGUMENTS)}
    given = {name: getattr(options, name) for name in names if getattr(options, name) is not None}
    if options.bag and Path(options.bag).exists():
        raise CommandError(f"{options.bag}: exists already; remove it or name another bag")
    try:
        prefix = find_prefix()
        specs, commands = _describe(given, share_directory(prefix))
        graph = Graph(specs, prefix)
        with contextlib.ExitStack() as stack:
            tools = [stack.enter_context(_tool(command)) for command in commands]
            signal.signal(signal.SIGTERM, _interrupt)
            stack.enter_context(graph)
            return watch(graph, tools)
    except GraphError as error:
        raise CommandError(str(error)) from error


def _describe(given: dict[str, str], share: Path) -> tuple[list[NodeSpec], list[list[str]]]:
    """Return the nodes, and the commands of the tools beside them."""
    several = "cameras" in given
    table: Sequence[Argument] = MULTI_CAMERA_ARGUMENTS if several else ARGUMENTS
    if wrong := sorted(given.keys() - {argument.name for argument in table}):
        raise CommandError(
            f"--{wrong[0]} does not go with --cameras"
            if several
            else f"--{wrong[0]} is for several cameras: name them with --cameras"
        )
    specs = (multi_camera_graph if several else pose_graph)(given, share)
    tools = []
    if given.get("bag"):
        tools.append((multi_camera_bag_command if several else bag_command)(given))
    if given.get("rviz") == "true":
        tools += multi_camera_rviz_commands(share) if several else rviz_commands(given, share)
    return specs, tools


@dataclass(frozen=True)
class Tool:
    """A tool of a ROS distribution that runs beside the graph."""

    name: str
    process: subprocess.Popen[bytes]


def watch(graph: Graph, tools: Sequence[Tool] = ()) -> int:
    """Wait until a required node or Ctrl-C ends the graph; return the exit code.

    A node or tool that fails is named on stderr; the first failure is the exit code, as a shell
    gives it.
    """
    reported: set[str] = set()
    failure = 0
    try:
        while True:
            codes = {tool.name: tool.process.poll() for tool in tools}
            ended = {name: code for name, code in codes.items() if code is not None}
            for name, code in (ended | graph.poll()).items():
                if name in reported:
                    continue
                reported.add(name)
                if code:
                    failure = failure or (code if code > 0 else 128 - code)
                    print(f"hybrid-pose run: {name} ended with code {code}", file=sys.stderr)
                if name in graph.specs and graph.specs[name].required:
                    return failure
            drivers = driver_names(graph.specs)
            if drivers and reported.issuperset(drivers):
                return failure
            time.sleep(POLL_S)
    except KeyboardInterrupt:
        return failure


@contextlib.contextmanager
def _tool(command: list[str]) -> Iterator[Tool]:
    """Run a tool of a ROS distribution beside the graph, and interrupt it at the end."""
    try:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, start_new_session=True)
    except FileNotFoundError as error:
        raise CommandError(
            f"{command[0]} is not installed; it comes with a ROS 2 distribution"
        ) from error
    try:
        # Its name is that on the command line up to the first option, as in `ros2 bag record`.
        words = itertools.takewhile(lambda word: not word.startswith("-"), command)
        yield Tool(" ".join(words), process)
    finally:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(5.0)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt
