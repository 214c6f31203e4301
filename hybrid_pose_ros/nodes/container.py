# SPDX-License-Identifier: Apache-2.0
"""Several nodes in one process: `container NODE [ROS arguments] -- NODE [ROS arguments] -- ...`.

Each node has an executor and a thread of its own. Packets of events go from the driver to the
other nodes without the middleware (see :mod:`~hybrid_pose_ros.nodes.support.local_events`); all
topics and services are those of the nodes in processes of their own.
"""

import gc
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import rclpy
from rclpy.exceptions import ParameterException
from rclpy.experimental.events_executor import EventsExecutor
from rclpy.signals import SignalHandlerOptions
from rclpy.utilities import try_shutdown

from hybrid_pose_ros.graph.specs import CONTAINED, DRIVER, REQUIRED
from hybrid_pose_ros.interfaces.leftovers import SegmentRecord, clear_leftovers
from hybrid_pose_ros.interfaces.topics import EVENTS
from hybrid_pose_ros.interfaces.transport import room_for_events
from hybrid_pose_ros.nodes.support.base import ManagedNode
from hybrid_pose_ros.nodes.support.boundary import StartError
from hybrid_pose_ros.nodes.support.local_events import LocalEvents, sharing
from hybrid_pose_ros.nodes.support.node_classes import node_class
from hybrid_pose_ros.nodes.support.running import SWITCH_S, Stop, StopRequested, spin_until
from hybrid_pose_ros.pipeline.scheduling import use_short_slice

POLL_S: Final = 0.1
"""Longest time until the end of a node is noticed."""

USAGE: Final = (
    f"usage: container NODE [{REQUIRED}] [--ros-args ...] -- NODE ... ; "
    f"NODE is one of {', '.join(CONTAINED)}"
)


class PartsError(ValueError):
    """The command line names no nodes, or one that there is not."""


@dataclass(frozen=True)
class Part:
    """A node of the process.

    Attributes:
        executable: its name, one of CONTAINED.
        required: whether all end with it.
        arguments: its ROS arguments.
    """

    executable: str
    required: bool
    arguments: tuple[str, ...]


def read_parts(words: Sequence[str]) -> list[Part]:
    """Return the nodes that a command line names.

    Words between two ``--`` are a node's; ROS arguments that stand alone there are for all.

    Raises:
        PartsError: there is no node, or not such a node.
    """
    groups: list[list[str]] = [[]]
    for word in words:
        if word == "--":
            groups.append([])
        else:
            groups[-1].append(word)
    common = [word for group in groups if group[:1] == ["--ros-args"] for word in group]
    named = [group for group in groups if group and group[0] != "--ros-args"]
    for name, *_ in named:
        if name not in CONTAINED:
            raise PartsError(f"there is no node {name}; {USAGE}")
    if not named:
        raise PartsError(f"no node is named; {USAGE}")
    return [
        Part(name, REQUIRED in rest, (*common, *(word for word in rest if word != REQUIRED)))
        for name, *rest in named
    ]


def run_container(parts: Sequence[Part]) -> int:
    """Run nodes until a required one, the last events or a signal ends them all.

    Returns:
        0 after a signal or the end of the data, 1 when a node could not start or failed.
    """
    clear_leftovers()
    record = SegmentRecord()
    use_short_slice()  # before there are other threads, which take over what this has
    sys.setswitchinterval(SWITCH_S)
    rclpy.init(args=[], signal_handler_options=SignalHandlerOptions.NO)
    stop = Stop()
    running: list[_Running] = []
    try:
        running += _make(parts)
        record.write()
        stop.begin_start()
        failure = _start(running, stop)
        gc.collect()
        gc.freeze()  # what has been loaded stays: to look through it would delay messages
        return failure or _watch(running, stop)
    except StopRequested:
        return 0
    except ParameterException as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    finally:
        stop.starting = False
        _end(running)
        gc.unfreeze()
        gc.collect()  # cycles hold the nodes, and with them the participant's shared memory
        try_shutdown()
        record.remove()


class _Running:
    """A node with its executor, which a thread of its own spins.

    Attributes:
        code: exit code of the node once it has ended, or None.
    """

    def __init__(self, part: Part, node: ManagedNode) -> None:
        self.part, self.node = part, node
        self.code: int | None = None
        self._stop = threading.Event()
        self._executor = EventsExecutor()
        self._executor.add_node(node)
        self._thread = threading.Thread(target=self._run, name=part.executable, daemon=True)

    def start(self) -> None:
        """Configure and activate the node and spin it; raises StartError."""
        try:
            self.node.start()
        except StartError:
            self.code = 1
            raise
        self._thread.start()

    def end(self) -> None:
        """End the node; may be called again."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()
        self.node.stop()
        self._executor.shutdown()
        self.node.destroy_node()

    def _run(self) -> None:
        code = 1  # unless it ends in order
        try:
            code = spin_until(self._stop.is_set, self.node, self._executor)
        finally:
            self.code = code


def _make(parts: Sequence[Part]) -> list[_Running]:
    local = LocalEvents()
    nodes: list[_Running] = []
    for part in parts:
        kind = sharing(local, node_class(part.executable))
        make: Any = kind  # each node's class knows its own name
        node = make(cli_args=list(part.arguments), use_global_arguments=False)
        if part.executable == DRIVER:
            local.offer(node.resolve_topic_name(EVENTS.name))
        nodes.append(_Running(part, node))
    return nodes


def _start(running: Sequence[_Running], stop: Stop) -> int:
    """Start the nodes, the drivers last; return 1 if a required one could not start, else 0."""
    for node in sorted(running, key=lambda node: node.part.executable == DRIVER):
        try:
            node.start()
        except StartError:  # has been logged
            if node.part.required:
                return 1
    stop.starting = False
    return 0


def _end(running: list[_Running]) -> None:
    """End the nodes, the drivers first, and let go of them."""
    for node in sorted(running, key=lambda node: node.part.executable != DRIVER):
        node.end()
    running.clear()


def _watch(running: Sequence[_Running], stop: Stop) -> int:
    """Wait for the end; return the exit code."""
    drivers = [node for node in running if node.part.executable == DRIVER]
    while not stop.requested:
        time.sleep(POLL_S)
        ended = [node for node in running if node.code is not None]
        is_over = any(node.part.required for node in ended)
        if is_over or (drivers and all(driver in ended for driver in drivers)):
            break
    return max((node.code or 0 for node in running), default=0)


def main() -> int:
    """Run the nodes that the command line names; return the exit code."""
    try:
        parts = read_parts(sys.argv[1:])
    except PartsError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    with room_for_events():
        return run_container(parts)
