# SPDX-License-Identifier: Apache-2.0
"""A node as a process: from its arguments to its exit code, and a clean end after a signal."""

import gc
import os
import sys
import threading
import traceback
from collections.abc import Callable
from types import FrameType
from typing import Any

import rclpy
from rclpy.exceptions import ParameterException
from rclpy.experimental.events_executor import EventsExecutor
from rclpy.signals import SignalHandlerOptions
from rclpy.utilities import try_shutdown

from hybrid_pose_ros.graph.specs import SUPERVISOR
from hybrid_pose_ros.interfaces.leftovers import SegmentRecord, clear_leftovers
from hybrid_pose_ros.nodes.support.base import ManagedNode
from hybrid_pose_ros.nodes.support.boundary import StartError
from hybrid_pose_ros.pipeline.scheduling import use_short_slice
from hybrid_pose_ros.stop_signals import StopSignals, handle_stop_signals

SPIN_S = 0.2
"""Longest time until a signal is noticed by an idle node."""

MAX_FAILURES = 100
"""So many errors of rclpy one after the other are not survived."""

SWITCH_S = 0.0002
"""Longest time for which a thread of the node keeps another one, which has a message to serve,
from running Python. The interpreter's own 5 ms are as long as several steps."""


class StopRequested(BaseException):
    """A signal came while the node was being started; passes through ``except Exception``."""


class Stop:
    """The wish to stop, which signals bring at any moment, and the end of the supervisor.

    Attributes:
        starting: whether the node is being started, which may take many seconds: it is broken off.
            Not while it is being made: what of rclpy is half made is never freed.
    """

    def __init__(self) -> None:
        self._requested = self.starting = False
        self._supervisor = os.environ.get(SUPERVISOR)
        self._signals = StopSignals()
        handle_stop_signals(self._on_signal)

    @property
    def requested(self) -> bool:
        """Whether it has come."""
        if self._supervisor is not None and self._supervisor != str(os.getppid()):
            self._supervisor, self._requested = None, True
            print("what started this node was killed: it ends, too", file=sys.stderr)
        return self._requested

    def begin_start(self) -> None:
        """Let a signal break off what follows by StopRequested; also one that has come before."""
        self.starting = True
        if self.requested:
            raise StopRequested

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        if self._signals.is_repeated():
            return
        if self._requested:  # a second wish ends the process at once
            os._exit(128 + number)
        self._requested = True
        if self.starting:
            raise StopRequested


def run_node(node_type: Callable[[], ManagedNode]) -> int:
    """Run one node until its work is done or the process is told to end; return the exit code.

    The code is 0 after a signal, a shutdown by a lifecycle manager or the end of the data, 1 when
    the node could not start or failed, and 2 when its ROS arguments cannot be read.
    """
    refusal = use_short_slice()  # before there are other threads, which take over what this has
    clear_leftovers()
    record = SegmentRecord()
    # rclpy's own handlers invalidate the context at any moment, also in the middle of a publish.
    # Ours only ask: the node ends between two callbacks, with everything still at hand.
    try:
        rclpy.init(signal_handler_options=SignalHandlerOptions.NO)
    except RuntimeError as error:  # how rclpy says that it cannot read the arguments
        reason = str(error).partition(", at /")[0]
        print(f"error: the ROS arguments cannot be read: {reason}", file=sys.stderr)
        return 2
    stop = Stop()
    try:
        return _run(node_type, stop, record, refusal)
    except StopRequested:
        return 0
    except StartError:  # has been logged; a start that is broken off may end in any error
        return 0 if stop.requested else 1
    except ParameterException as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    finally:
        # Cycles hold the node, and with it the participant, whose end frees its shared memory and
        # tells the other nodes.
        gc.unfreeze()
        gc.collect()
        try_shutdown()
        record.remove()


def _run(
    node_type: Callable[[], ManagedNode], stop: Stop, record: SegmentRecord, refusal: str
) -> int:
    sys.setswitchinterval(SWITCH_S)
    node = node_type()
    logger = node.get_logger()
    threading.excepthook = lambda args: _tell(logger, f"thread {_name(args)}", args.exc_value)
    if refusal:
        logger.info(f"messages may wait for other programs: no scheduler slice ({refusal})")
    if trouble := record.write():
        logger.info(f"shared memory would not be cleared after a kill: no record ({trouble})")
    # A third of SingleThreadedExecutor's cost per message. Only with a finite timeout does it
    # dispatch, and a callback that asks for the message's info would end it.
    executor = EventsExecutor()
    executor.add_node(node)
    try:
        stop.begin_start()
        node.start()
        # What has been loaded stays: to look through it again and again would delay messages.
        gc.collect()
        gc.freeze()
        stop.starting = False
        return spin_until(lambda: stop.requested, node, executor)
    finally:
        stop.starting = False
        node.stop()
        executor.shutdown()
        node.destroy_node()


def spin_until(is_over: Callable[[], bool], node: ManagedNode, executor: Any) -> int:
    """Serve a node until its work is done or something is over; return its exit code."""
    failures = 0
    while node.exit_code is None and not is_over():
        try:
            executor.spin_once(timeout_sec=SPIN_S)
            failures = 0
        except Exception as error:  # of rclpy itself: our callbacks raise none
            failures += 1
            if failures == MAX_FAILURES:
                _tell(node.get_logger(), "the node", error)
                return 1
            node.boundary.survive("rclpy", error)
    node.report_last()
    return node.exit_code or 0


def _name(args: Any) -> str:
    return args.thread.name if args.thread is not None else "unknown"


def _tell(logger: Any, name: str, error: BaseException | None) -> None:
    """Log the error that has ended something; its traceback has the level DEBUG."""
    logger.fatal(f"{name} ended by an unexpected error: {type(error).__name__}: {error}")
    logger.debug("".join(traceback.format_exception(error)))
