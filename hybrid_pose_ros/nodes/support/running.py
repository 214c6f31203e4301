# SPDX-License-Identifier: Apache-2.0
"""A node as a process: from its arguments to its exit code, and a clean end after a signal."""

import gc
import os
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from functools import partial
from types import FrameType

import rclpy
from rclpy.exceptions import ParameterException
from rclpy.experimental.events_executor import EventsExecutor
from rclpy.signals import SignalHandlerOptions
from rclpy.utilities import try_shutdown

from hybrid_pose_ros.nodes.support.base import ManagedNode, StartError
from hybrid_pose_ros.pipeline.scheduling import use_short_slice

SPIN_S = 0.2
"""Longest time until a signal is noticed by an idle node."""

SWITCH_S = 0.0002
"""Longest time for which a thread of the node keeps another one, which has a message to serve,
from running Python. The interpreter's own 5 ms are as long as several steps."""


class _StopRequested(BaseException):
    """A signal came while the node was being started; passes through ``except Exception``."""


def run_node(node_type: Callable[[], ManagedNode], argv: Sequence[str] | None = None) -> int:
    """Run one node until its work is done or the process is told to end; return the exit code.

    The code is 0 after a signal, a shutdown by a lifecycle manager or the end of the data, 1 when
    the node could not start or failed, and 2 when its ROS arguments cannot be read.

    Args:
        argv: arguments including the program's name; default: those of the process.
    """
    refusal = use_short_slice()  # before there are other threads, which take over what this has
    # rclpy's own handlers invalidate the context at any moment, also in the middle of a publish.
    # Ours only ask: the node ends between two callbacks, with everything still at hand.
    stop = threading.Event()
    try:
        rclpy.init(
            args=None if argv is None else list(argv),
            signal_handler_options=SignalHandlerOptions.NO,
        )
    except RuntimeError as error:  # how rclpy says that it cannot read the arguments
        reason = str(error).partition(", at /")[0]
        print(f"error: the ROS arguments cannot be read: {reason}", file=sys.stderr)
        return 2
    starting = threading.Event()
    starting.set()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, partial(_on_signal, stop, starting))
    try:
        return _run(node_type, stop, starting, refusal)
    except _StopRequested:
        return 0
    except StartError:  # has been logged
        return 1
    except ParameterException as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    finally:
        # Cycles hold the node, and with it the participant, whose end frees its shared memory and
        # tells the other nodes.
        gc.unfreeze()
        gc.collect()
        try_shutdown()


def _on_signal(
    stop: threading.Event, starting: threading.Event, number: int, frame: FrameType | None
) -> None:
    if stop.is_set():  # the second one ends the process at once
        os._exit(128 + number)
    stop.set()
    if starting.is_set():  # compiling and loading may take many seconds
        raise _StopRequested


def _run(
    node_type: Callable[[], ManagedNode],
    stop: threading.Event,
    starting: threading.Event,
    refusal: str,
) -> int:
    sys.setswitchinterval(SWITCH_S)
    node = node_type()
    if refusal:
        node.get_logger().info(f"messages may wait for other programs: no short turns ({refusal})")
    # A third of SingleThreadedExecutor's cost per message. Only with a finite timeout does it
    # dispatch, and a callback that asks for the message's info would end it.
    executor = EventsExecutor()
    executor.add_node(node)
    try:
        node.start()
        # What has been loaded stays: to look through it again and again would delay messages.
        gc.collect()
        gc.freeze()
        starting.clear()
        while node.exit_code is None and not stop.is_set():
            executor.spin_once(timeout_sec=SPIN_S)
        node.say_goodbye()
        return node.exit_code or 0
    finally:
        starting.clear()
        node.stop()
        executor.shutdown()
        node.destroy_node()
