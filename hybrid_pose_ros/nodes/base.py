# SPDX-License-Identifier: Apache-2.0
"""What all nodes share: managed life, parameters, diagnostics once a second, a clean end."""

import signal
import sys
import threading
import traceback
from collections.abc import Callable, Sequence
from functools import partial
from types import FrameType
from typing import Any, ClassVar

import rclpy
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from rclpy.clock import Clock
from rclpy.clock_type import ClockType
from rclpy.duration import Duration
from rclpy.exceptions import ParameterException
from rclpy.experimental.events_executor import EventsExecutor
from rclpy.lifecycle import (
    LifecycleNode,
    LifecyclePublisher,
    LifecycleState,
    TransitionCallbackReturn,
)
from rclpy.qos import QoSProfile
from rclpy.signals import SignalHandlerOptions
from rclpy.subscription import Subscription
from rclpy.utilities import try_shutdown

from hybrid_pose_ros.nodes.health import Level, Report
from hybrid_pose_ros.nodes.parameters import ParameterSpec, declare_parameters

LOG_PERIOD_S = 5.0
"""Shortest time between two log lines about the same trouble."""

HOUSEKEEPING_S = 0.5
"""Period of :meth:`ManagedNode.check`."""

SPIN_S = 0.2
"""Longest time until a signal is noticed by an idle node."""
GOODBYE_S = 1.0
"""Longest time to wait for subscribers to have taken what was published last."""


class StartError(RuntimeError):
    """A node cannot be configured or activated; the message says what is wrong and the remedy."""


class ManagedNode(LifecycleNode):
    """A lifecycle node with the house's manners.

    Subclasses list their ``PARAMETERS`` and implement what they need of :meth:`configure`,
    :meth:`activate`, :meth:`deactivate`, :meth:`cleanup`, :meth:`check` and :meth:`diagnose`.

    Attributes:
        exit_code: set by the node when its work is done; ends :func:`run_node`.
        failure: why the last transition did not succeed, or None.
    """

    PARAMETERS: ClassVar[tuple[ParameterSpec, ...]] = ()

    def __init__(self, name: str, **kwargs: Any) -> None:
        super().__init__(name, **kwargs)
        self.exit_code: int | None = None
        self.failure: str | None = None
        self._is_configured = False
        self._outputs: list[LifecyclePublisher] = []
        self._inputs: list[Subscription] = []
        self._ticks = 0
        autostart = ParameterSpec(
            "autostart",
            True,
            "configure and activate by itself; otherwise wait for a lifecycle manager",
            read_only=True,
        )
        declare_parameters(self, (autostart, *self.PARAMETERS), lambda: self._is_configured)
        self._diagnostics = self.create_publisher(DiagnosticArray, "/diagnostics", 10)
        # Host time, whatever use_sim_time says: diagnostics must come without /clock, too.
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        self.create_timer(HOUSEKEEPING_S, self._housekeeping, clock=steady)

    # What a node implements.

    def configure(self) -> None:
        """Read parameters and load what is needed; raises StartError."""

    def activate(self) -> None:
        """Start working; raises StartError."""

    def deactivate(self) -> None:
        """Stop working; must be repeatable, for it is called from any state on the way out."""

    def cleanup(self) -> None:
        """Release what :meth:`configure` acquired; must be repeatable."""

    def diagnose(self, report: Report) -> None:
        """Add findings and values; called once a second while the node is active."""

    def check(self) -> None:
        """Look after what no callback does; called twice a second in every state."""

    # What a node uses.

    def integer(self, name: str) -> int:
        """Return the value of an integer parameter."""
        return int(self.get_parameter(name).value)

    def number(self, name: str) -> float:
        """Return the value of a floating-point parameter."""
        return float(self.get_parameter(name).value)

    def text(self, name: str) -> str:
        """Return the value of a string parameter."""
        return str(self.get_parameter(name).value)

    def flag(self, name: str) -> bool:
        """Return the value of a boolean parameter."""
        return bool(self.get_parameter(name).value)

    def integers(self, name: str) -> tuple[int, ...]:
        """Return the value of an integer array parameter."""
        return tuple(self.get_parameter(name).value)

    def complain(self, sentence: str) -> None:
        """Log a warning, at most one in LOG_PERIOD_S from this place."""
        self.get_logger().warning(sentence, throttle_duration_sec=LOG_PERIOD_S)

    def now_ns(self) -> int:
        """Return host time as headers have it, in ns."""
        return int(self.get_clock().now().nanoseconds)

    def publish_to(self, message_type: type, topic: str, qos: QoSProfile) -> LifecyclePublisher:
        """Offer a topic until the node is cleaned up; it is silent while the node is inactive."""
        publisher: LifecyclePublisher = self.create_lifecycle_publisher(message_type, topic, qos)
        self._outputs.append(publisher)
        return publisher

    def listen_to(
        self, message_type: type, topic: str, callback: Callable[[Any], None], qos: QoSProfile
    ) -> Subscription:
        """Receive a topic until the node is deactivated."""
        subscription: Subscription = self.create_subscription(message_type, topic, callback, qos)
        self._inputs.append(subscription)
        return subscription

    def start(self) -> None:
        """Configure and activate, if ``autostart`` says so; raises StartError."""
        if not self.flag("autostart"):
            return
        for trigger in (self.trigger_configure, self.trigger_activate):
            if trigger() != TransitionCallbackReturn.SUCCESS:
                raise StartError(self.failure or "the transition was refused")

    def stop(self) -> None:
        """Stop working and release everything, from any state."""
        self._stop_working()
        self._release()

    def say_goodbye(self) -> None:
        """Publish diagnostics a last time and wait until they have arrived."""
        self._publish_diagnostics()
        self._diagnostics.wait_for_all_acked(Duration(seconds=GOODBYE_S))

    # Lifecycle callbacks.

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Configure the node."""
        result = self._attempt(self.configure, self._release)
        self._is_configured = result == TransitionCallbackReturn.SUCCESS
        return result

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Start working."""
        super().on_activate(state)  # opens the publishers, which a thread may use at once
        result = self._attempt(self.activate, self._stop_working)
        if result != TransitionCallbackReturn.SUCCESS:
            super().on_deactivate(state)
        return result

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Stop working."""
        self._stop_working()
        return super().on_deactivate(state)

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Release everything; the parameters can be changed again."""
        self._release()
        return TransitionCallbackReturn.SUCCESS

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Stop for good; the process ends with it."""
        self.stop()
        self.exit_code = 0
        return TransitionCallbackReturn.SUCCESS

    def on_error(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Give up what is left after a failed transition, and be ready to be configured anew."""
        self.stop()
        return TransitionCallbackReturn.SUCCESS

    def _attempt(
        self, action: Callable[[], None], undo: Callable[[], None]
    ) -> TransitionCallbackReturn:
        self.failure = None
        try:
            action()
        except StartError as error:
            self.failure = str(error)
            self.get_logger().error(self.failure)
            undo()
            return TransitionCallbackReturn.FAILURE
        except Exception as error:
            # rclpy turns an exception in a transition into the error state without a word.
            self.failure = f"{type(error).__name__}: {error}"
            self.get_logger().fatal(traceback.format_exc())
            raise
        return TransitionCallbackReturn.SUCCESS

    def _stop_working(self) -> None:
        while self._inputs:
            self.destroy_subscription(self._inputs.pop())
        self.deactivate()

    def _release(self) -> None:
        self._is_configured = False
        self.cleanup()
        while self._outputs:
            self.destroy_lifecycle_publisher(self._outputs.pop())

    def _housekeeping(self) -> None:
        self.check()
        self._ticks += 1
        if self._ticks % 2 == 0:
            self._publish_diagnostics()

    def _publish_diagnostics(self) -> None:
        report = Report()
        label = self._state_machine.current_state[1]
        if label == "active":
            self.diagnose(report)
        else:
            report.add(Level.WARN, self.failure or f"{label}, not active")
        name = self.get_fully_qualified_name()
        status = DiagnosticStatus(
            level=bytes([report.level]),
            name=f"{name}: hybrid_pose_ros",
            message=report.message,
            hardware_id=self.get_namespace(),
            values=[KeyValue(key=key, value=value) for key, value in report.values.items()],
        )
        array = DiagnosticArray(status=[status])
        array.header.stamp = self.get_clock().now().to_msg()
        self._diagnostics.publish(array)


def run_node(node_type: Callable[[], ManagedNode], argv: Sequence[str] | None = None) -> int:
    """Run one node until its work is done or the process is told to end; return the exit code.

    Args:
        argv: arguments including the program's name; default: those of the process.
    """
    # rclpy's own handlers invalidate the context at any moment, also in the middle of a publish.
    # Ours only ask: the node ends between two callbacks, with everything still at hand.
    stop = threading.Event()
    rclpy.init(
        args=None if argv is None else list(argv), signal_handler_options=SignalHandlerOptions.NO
    )
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, partial(_on_signal, stop))
    try:
        return _spin(node_type(), stop)
    except StartError:  # has been logged
        return 1
    except ParameterException as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    finally:
        try_shutdown()


def _on_signal(stop: threading.Event, number: int, frame: FrameType | None) -> None:
    stop.set()
    signal.signal(number, signal.SIG_DFL)  # the second one ends the process at once


def _spin(node: ManagedNode, stop: threading.Event) -> int:
    # A third of SingleThreadedExecutor's cost per message. Only with a finite timeout does it
    # dispatch, and a callback that asks for the message's info would end it.
    executor = EventsExecutor()
    executor.add_node(node)
    try:
        node.start()
        while node.exit_code is None and not stop.is_set():
            executor.spin_once(timeout_sec=SPIN_S)
        node.say_goodbye()
        return node.exit_code or 0
    finally:
        node.stop()
        executor.shutdown()
        node.destroy_node()
