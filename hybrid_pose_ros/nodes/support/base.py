# SPDX-License-Identifier: Apache-2.0
"""What all nodes share: managed life, parameters, services, diagnostics once a second."""

import json
import sys
import time
import traceback
from collections.abc import Callable
from typing import Any, ClassVar, Final

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from rclpy.clock import Clock
from rclpy.clock_type import ClockType
from rclpy.duration import Duration
from rclpy.lifecycle import (
    LifecycleNode,
    LifecyclePublisher,
    LifecycleState,
    TransitionCallbackReturn,
)
from rclpy.subscription import Subscription
from rclpy.timer import Timer
from std_srvs.srv import SetBool, Trigger

from hybrid_pose_ros.interfaces.qos import profile
from hybrid_pose_ros.interfaces.topics import DIAGNOSTICS, Topic
from hybrid_pose_ros.nodes.support.health import Level, Report
from hybrid_pose_ros.nodes.support.parameters import ParameterSpec, Value, declare_parameters

LOG_PERIOD_S = 5.0
"""Shortest time (s) between two log lines about the same trouble."""

HOUSEKEEPING_S = 0.5
"""Period of :meth:`ManagedNode.check`."""

GOODBYE_S = 0.5
"""Longest time to wait for subscribers to have taken what was published last."""


class StartError(RuntimeError):
    """A node cannot be configured or activated; the message says what is wrong and the remedy."""


class RefusedError(RuntimeError):
    """A request to a node's service cannot be carried out; the message says why."""


AUTOSTART: Final = ParameterSpec(
    "autostart",
    True,
    "configure and activate by itself; otherwise wait for a lifecycle manager",
    read_only=True,
)
"""Parameter of every node."""


class ManagedNode(LifecycleNode):
    """A lifecycle node with the house's manners.

    Subclasses list their ``PARAMETERS`` and implement what they need of :meth:`configure`,
    :meth:`activate`, :meth:`deactivate`, :meth:`cleanup`, :meth:`check` and :meth:`diagnose`.

    Attributes:
        exit_code: set by the node when its work is done; ends its process.
        failure: why the node could not leave the state that it is in, or None.
    """

    PARAMETERS: ClassVar[tuple[ParameterSpec, ...]] = ()

    def __init__(self, name: str, **kwargs: Any) -> None:
        super().__init__(name, **kwargs)
        self.exit_code: int | None = None
        self.failure: str | None = None
        self._is_configured = False
        self._outputs: list[LifecyclePublisher] = []
        self._inputs: list[Subscription] = []
        self._repeated: list[Timer] = []
        self._ticks = 0
        self._latest: Report | None = None
        self._silent_until: dict[tuple[str, int, str], float] = {}
        declare_parameters(
            self, (AUTOSTART, *self.PARAMETERS), lambda: self._is_configured, self.objection
        )
        self._diagnostics = self.create_publisher(
            DiagnosticArray, DIAGNOSTICS.name, profile(DIAGNOSTICS.offered)
        )
        # Host time, whatever use_sim_time says: diagnostics must come without /clock, too.
        self._steady = Clock(clock_type=ClockType.STEADY_TIME)
        self.create_timer(HOUSEKEEPING_S, self._housekeeping, clock=self._steady)
        self.offer("statistics", self._statistics)

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

    def objection(self, name: str, value: Value) -> str:
        """Say what speaks against a value of a live parameter, if anything does."""
        return ""

    # What a node uses.

    def offer(self, name: str, action: Callable[[], str]) -> None:
        """Offer the service ``~/name`` (Trigger).

        Args:
            action: returns the answer; raises RefusedError or StartError with the reason why not.
        """

        def serve(request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
            return _answer(action, response)

        self.create_service(Trigger, f"~/{name}", serve)

    def offer_switch(self, name: str, action: Callable[[bool], str]) -> None:
        """Offer the service ``~/name`` (SetBool); otherwise as :meth:`offer`."""

        def serve(request: SetBool.Request, response: SetBool.Response) -> SetBool.Response:
            return _answer(lambda: action(request.data), response)

        self.create_service(SetBool, f"~/{name}", serve)

    @property
    def state(self) -> str:
        """Name of the node's state in its managed life, such as ``active``."""
        return str(self._state_machine.current_state[1])

    def require_active(self) -> None:
        """Raise RefusedError unless the node is active."""
        if self.state != "active":
            raise RefusedError(f"the node is {self.state}, not active")

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

    def complain(self, sentence: str, about: str = "") -> None:
        """Log a warning, at most one in LOG_PERIOD_S from each line of code that calls this.

        Args:
            about: the topic or camera, where one line of code serves several: each has its turn.
        """
        # rclpy's own throttle goes by the line that calls the logger: this one, for all troubles.
        caller = sys._getframe(1)
        place = (caller.f_code.co_filename, caller.f_lineno, about)
        now = time.monotonic()
        if now >= self._silent_until.get(place, now):
            self._silent_until[place] = now + LOG_PERIOD_S
            self.get_logger().warning(sentence)

    def now_ns(self) -> int:
        """Return host time as headers have it, in ns."""
        clock: Any = self.get_clock()
        # To ask the system itself costs a fifth of what rclpy takes to do so.
        return int(clock.now().nanoseconds) if clock.ros_time_is_active else time.time_ns()

    def publish_to(self, topic: Topic) -> LifecyclePublisher:
        """Offer a topic until the node is cleaned up; it is silent while the node is inactive.

        Raises:
            StartError: the package of its messages is not installed.
        """
        try:
            message_class = topic.message_class
        except ModuleNotFoundError as error:
            raise StartError(
                f"{topic.name}: {topic.type.partition('/')[0]} is not installed; it comes with a "
                "ROS 2 distribution"
            ) from error
        publisher: LifecyclePublisher = self.create_lifecycle_publisher(
            message_class, topic.name, profile(topic.offered)
        )
        self._outputs.append(publisher)
        return publisher

    def listen_to(
        self, topic: Topic, callback: Callable[[Any], None], *, raw: bool = False
    ) -> Subscription:
        """Receive a topic until the node is deactivated; with ``raw``, as serialised bytes."""
        subscription: Subscription = self.create_subscription(
            topic.message_class, topic.name, callback, profile(topic.wanted), raw=raw
        )
        self._inputs.append(subscription)
        return subscription

    def is_listening(self, subscription: Subscription) -> bool:
        """Return whether a subscription of :meth:`listen_to` has not ended."""
        return subscription in self._inputs

    def repeat(self, period_s: float, action: Callable[[], None]) -> None:
        """Do something every ``period_s`` of host time until the node is deactivated."""
        self._repeated.append(self.create_timer(period_s, action, clock=self._steady))

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
        self.failure = None
        self._release()
        return TransitionCallbackReturn.SUCCESS

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Stop for good; the process ends with it."""
        self.failure = None
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
        while self._repeated:
            self.destroy_timer(self._repeated.pop())
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

    def _report(self) -> Report:
        report = Report()
        if self.state == "active":
            self.diagnose(report)
        elif self.failure is not None:
            report.add(Level.ERROR, self.failure)
        else:
            report.add(Level.WARN, f"{self.state}, not active")
        return report

    def _statistics(self) -> str:
        # Those published last, for rates are counted from one report to the next.
        report = self._latest or self._report()
        figures = {
            "state": self.state,
            "level": report.level.name,
            "message": report.message,
            "values": report.values,
        }
        return json.dumps(figures)

    def _publish_diagnostics(self) -> None:
        self._latest = report = self._report()
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


def _answer(action: Callable[[], str], response: Any) -> Any:
    """Fill in the response of a service with what an action says."""
    try:
        response.message = action()
        response.success = True
    except (RefusedError, StartError) as error:
        response.message = str(error)
        response.success = False
    return response
