# SPDX-License-Identifier: Apache-2.0
"""`hybrid-pose run`: the nodes of `pose.launch.py` where there is no `ros2 launch`."""

import argparse
import contextlib
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from types import FrameType

from hybrid_pose_ros.cli import CommandError
from hybrid_pose_ros.nodes.graph import (
    ARGUMENTS,
    GraphError,
    bag_command,
    find_prefix,
    pose_graph,
    rviz_commands,
    share_directory,
)
from hybrid_pose_ros.nodes.processes import Graph

POLL_S = 0.2

_FLAGS = ("true", "false")


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the subcommand; its options are the graph's arguments."""
    parser = subparsers.add_parser(
        "run",
        help="start the nodes: events in, poses out",
        description="Start event_driver, ann, snn and visualizer, each as a process, "
        "and stop them together. Ctrl-C ends it.",
    )
    for argument in ARGUMENTS:
        if argument.choices == _FLAGS:
            parser.add_argument(
                f"--{argument.name}",
                action="store_const",
                const="true",
                default=argument.default,
                help=argument.description,
            )
        else:
            parser.add_argument(
                f"--{argument.name}",
                default=argument.default,
                choices=argument.choices or None,
                help=argument.description
                + (f" (default: {argument.default})" if argument.default else ""),
            )


def run(options: argparse.Namespace) -> int:
    """Run the graph until the events end, a required node ends, or Ctrl-C."""
    arguments = {argument.name: getattr(options, argument.name) for argument in ARGUMENTS}
    try:
        prefix = find_prefix()
        share = share_directory(prefix)
        graph = Graph(pose_graph(arguments, share), prefix)
        with contextlib.ExitStack() as stack:
            if arguments["bag"]:
                stack.enter_context(_tool(bag_command(arguments)))
            if arguments["rviz"] == "true":
                for command in rviz_commands(arguments, share):
                    stack.enter_context(_tool(command))
            signal.signal(signal.SIGTERM, _interrupt)
            stack.enter_context(graph)
            return watch(graph)
    except GraphError as error:
        raise CommandError(str(error)) from error


def watch(graph: Graph) -> int:
    """Wait until a required node or Ctrl-C ends the graph; return the exit code.

    A node that fails is named on stderr; the first failure is the exit code, as a shell gives it.
    """
    reported: set[str] = set()
    failure = 0
    try:
        while True:
            for name, code in graph.poll().items():
                if name in reported:
                    continue
                reported.add(name)
                if code:
                    failure = failure or (code if code > 0 else 128 - code)
                    print(f"hybrid-pose run: {name} ended with code {code}", file=sys.stderr)
                if graph.specs[name].required:
                    return failure
            time.sleep(POLL_S)
    except KeyboardInterrupt:
        return failure


@contextlib.contextmanager
def _tool(command: list[str]) -> Iterator[None]:
    """Run a tool of a ROS distribution beside the graph, and interrupt it at the end."""
    try:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, start_new_session=True)
    except FileNotFoundError as error:
        raise CommandError(
            f"{command[0]} is not installed; it comes with a ROS 2 distribution"
        ) from error
    try:
        yield
    finally:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(5.0)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt
