# SPDX-License-Identifier: Apache-2.0
"""Common behaviour of all nodes: lifecycle, parameters, services, diagnostics once a second."""

import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, ClassVar, Final

from rclpy.clock import Clock
from rclpy.clock_type import ClockType
from rclpy.exceptions import NameValidationException, ParameterException
from rclpy.lifecycle import (
    LifecycleNode,
    LifecyclePublisher,
    LifecycleState,
    TransitionCallbackReturn,
)
from rclpy.qos_overriding_options import QoSOverridingOptions, QoSPolicyKind
from rclpy.serialization import deserialize_message
from rclpy.subscription import Subscription
from rclpy.timer import Timer
from std_srvs.srv import SetBool, Trigger

from hybrid_pose_ros.interfaces.qos import profile
from hybrid_pose_ros.interfaces.topics import Topic
from hybrid_pose_ros.nodes.support.boundary import Boundary, RefusedError, StartError
from hybrid_pose_ros.nodes.support.health import Level, Report
from hybrid_pose_ros.nodes.support.parameters import ParameterSpec, Value, declare_parameters
from hybrid_pose_ros.nodes.support.reporting import Reporter

HOUSEKEEPING_S = 0.5
"""Period of :meth:`ManagedNode.check`."""

SETTLE_S: Final = 10.0
"""So long after its activation a node only waits for what has not come yet."""

AUTOSTART: Final = ParameterSpec(
    "autostart",
    True,
    "configure and activate by itself; otherwise wait for a lifecycle manager",
    read_only=True,
)
"""Parameter of every node."""

_QOS_OVERRIDES: Final = QoSOverridingOptions(
    (
        QoSPolicyKind.HISTORY,
        QoSPolicyKind.DEPTH,
        QoSPolicyKind.RELIABILITY,
        QoSPolicyKind.DURABILITY,
    )
)


@contextmanager
def _topic_troubles(topic: Topic) -> Iterator[None]:
    """Say which topic's name or parameters are wrong."""
    try:
        yield
    except NameValidationException as error:
        raise StartError(
            f"{topic.name}: no name of a topic; use letters, digits and _ in names, a letter first"
        ) from error
    except (RuntimeError, ParameterException) as error:
        raise StartError(f"qos_overrides of {topic.name}: {error}") from error


class ManagedNode(LifecycleNode):
    """A lifecycle node with the common behaviour.

    Subclasses list their ``PARAMETERS`` and implement what they need of :meth:`configure`,
    :meth:`activate`, :meth:`deactivate`, :meth:`cleanup`, :meth:`check` and :meth:`diagnose`.

    No message, request or error of a callback ends a node (see :class:`Boundary`). Callbacks that
    were waiting when what they belong to was destroyed are dropped.

    Attributes:
        state: lifecycle state: ``unconfigured``, ``inactive``, ``active`` or ``finalized``.
        exit_code: set by the node when its work is done; ends its process.
        failure: why the node could not leave the state that it is in, or None.
        about: what is at work, for the log: the model or the source.
    """

    PARAMETERS: ClassVar[tuple[ParameterSpec, ...]] = ()

    def __init__(self, name: str, **kwargs: Any) -> None:
        super().__init__(name, **kwargs)
        self.state = "unconfigured"
        self.exit_code: int | None = None
        self.failure: str | None = None
        self.about = ""
        self._active_since_s = 0.0
        self._outputs: list[LifecyclePublisher] = []
        self._inputs: list[Subscription] = []
        self._repeated: list[Timer] = []
        self._ticks = 0
        self.boundary = Boundary(self.get_logger())
        for service in self.services:  # of rclpy: a transition that there is not would end us
            service.callback = self.boundary.service(service.srv_name, service.callback)
        for subscription in self.subscriptions:  # so would a /clock before 1970
            receive = self.boundary.receiver(subscription.topic_name, subscription.callback)
            subscription.callback = receive
        declare_parameters(
            self,
            (AUTOSTART, *self.PARAMETERS),
            lambda: self.state in ("active", "inactive"),
            self.objection,
        )
        self._reporter = Reporter(self, self.report, lambda: self.state)
        # Host time, whatever use_sim_time says: diagnostics must come without /clock, too.
        self._steady = Clock(clock_type=ClockType.STEADY_TIME)
        housekeeping = self.boundary.action("housekeeping", self._housekeeping)
        self.create_timer(HOUSEKEEPING_S, housekeeping, clock=self._steady)
        self.offer("statistics", self._reporter.statistics)

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
            return self.boundary.answer(f"~/{name}", action, response)

        self.create_service(Trigger, f"~/{name}", serve)

    def offer_switch(self, name: str, action: Callable[[bool], str]) -> None:
        """Offer the service ``~/name`` (SetBool); otherwise as :meth:`offer`."""

        def serve(request: SetBool.Request, response: SetBool.Response) -> SetBool.Response:
            return self.boundary.answer(f"~/{name}", lambda: action(request.data), response)

        self.create_service(SetBool, f"~/{name}", serve)

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

    def warn_throttled(self, sentence: str, about: str = "") -> None:
        """Log a warning, at most one in LOG_PERIOD_S from each line of code that calls this.

        Args:
            about: the topic or camera, where one line of code serves several: each has its turn.
        """
        self.boundary.warn_throttled(sentence, about, depth=2)

    def now_ns(self) -> int:
        """Return host time as headers have it, in ns."""
        clock: Any = self.get_clock()
        # To ask the system itself costs a fifth of what rclpy takes to do so.
        return int(clock.now().nanoseconds) if clock.ros_time_is_active else time.time_ns()

    def publish_to(self, topic: Topic) -> LifecyclePublisher:
        """Offer a topic until the node is cleaned up; it is silent while the node is inactive.

        Raises:
            StartError: the package of its messages is not installed, or a parameter of its quality
                of service (``qos_overrides.TOPIC.publisher.POLICY``) is wrong.
        """
        try:
            message_class = topic.message_class
        except ModuleNotFoundError as error:
            raise StartError(
                f"{topic.name}: {topic.type.partition('/')[0]} is not installed; it comes with a "
                "ROS 2 distribution"
            ) from error
        with _topic_troubles(topic):
            publisher: LifecyclePublisher = self.create_lifecycle_publisher(
                message_class,
                topic.name,
                profile(topic.offered),
                qos_overriding_options=_QOS_OVERRIDES,
            )
        self._outputs.append(publisher)
        return publisher

    def listen_to(
        self, topic: Topic, callback: Callable[[Any], None], *, raw: bool = False
    ) -> Subscription:
        """Receive a topic until the node is deactivated; with ``raw``, as serialised bytes.

        A message that is damaged, or for which ``callback`` raises a ValueError, is refused.

        Raises:
            StartError: a parameter of its quality of service is wrong.
        """
        message_class = topic.message_class

        def hear(data: bytes) -> None:
            if not self.is_listening(subscription):
                return
            if not raw:
                try:
                    message = deserialize_message(data, message_class)
                except (RuntimeError, ValueError) as error:  # the middleware's errors, bad text
                    raise ValueError("damaged, or cut off") from error
            callback(data if raw else message)

        # Serialised always: rclpy drops what it cannot read without a word.
        with _topic_troubles(topic):
            subscription: Subscription = self.create_subscription(
                message_class,
                topic.name,
                self.boundary.receiver(topic.name, hear),
                profile(topic.wanted),
                raw=True,
                qos_overriding_options=_QOS_OVERRIDES,
            )
        self._inputs.append(subscription)
        return subscription

    def is_listening(self, subscription: Subscription) -> bool:
        """Return whether a subscription of :meth:`listen_to` has not ended."""
        return subscription in self._inputs

    def repeat(self, period_s: float, action: Callable[[], None]) -> None:
        """Do something every ``period_s`` of host time until the node is deactivated."""

        def act() -> None:
            if timer in self._repeated:
                action()

        timer = self.create_timer(
            period_s, self.boundary.action("a timer", act), clock=self._steady
        )
        self._repeated.append(timer)

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

    def report_last(self) -> None:
        """Publish diagnostics a last time and wait until they have arrived."""
        self._reporter.publish_last()

    def report(self) -> Report:
        """Return a report on the time since the last one."""
        settling = time.monotonic() - self._active_since_s < SETTLE_S
        report = Report(settling=settling)
        if self.state == "active":
            self.diagnose(report)
        elif self.failure is not None:
            report.add(Level.ERROR, self.failure)
        else:
            report.add(Level.WARN, f"{self.state}, not active")
        self.boundary.incidents.report(report)
        return report

    # Lifecycle callbacks.

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Configure the node."""
        result = self._attempt(self.configure, self._release)
        if result == TransitionCallbackReturn.SUCCESS:
            self.state = "inactive"
            topics = ", ".join(output.topic_name for output in self._outputs)
            said = filter(None, (self.about, topics and f"publishes {topics}"))
            self.get_logger().info(": ".join(filter(None, ("configured", "; ".join(said)))))
        return result

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Start working."""
        super().on_activate(state)  # opens the publishers, which a thread may use at once
        result = self._attempt(self.activate, self._stop_working)
        if result == TransitionCallbackReturn.SUCCESS:
            self.state, self._active_since_s = "active", time.monotonic()
            topics = ", ".join(sorted({heard.topic_name for heard in self._inputs}))
            self.get_logger().info(f"active: listens to {topics}" if topics else "active")
        else:
            super().on_deactivate(state)
        return result

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Stop working."""
        self.state = "inactive"
        self._stop_working()
        self.get_logger().info("inactive")
        return super().on_deactivate(state)

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Release everything; the parameters can be changed again."""
        self.failure = None
        self.state = "unconfigured"
        self._release()
        self.get_logger().info("unconfigured")
        return TransitionCallbackReturn.SUCCESS

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Stop for good; the process ends with it."""
        self.failure = None
        self.state = "finalized"
        self.stop()
        self.exit_code = 0
        return TransitionCallbackReturn.SUCCESS

    def on_error(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Give up what is left after a failed transition, and be ready to be configured anew."""
        self.state = "finalized"  # unless all can be given up
        self.stop()
        self.state = "unconfigured"
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
            self.failure = f"unexpected error: {type(error).__name__}: {error}"
            self.get_logger().fatal(self.failure)
            self.get_logger().debug(traceback.format_exc())
            raise
        return TransitionCallbackReturn.SUCCESS

    def _stop_working(self) -> None:
        while self._inputs:
            self.destroy_subscription(self._inputs.pop())
        while self._repeated:
            self.destroy_timer(self._repeated.pop())
        self.deactivate()

    def _release(self) -> None:
        self.cleanup()
        while self._outputs:
            self.destroy_lifecycle_publisher(self._outputs.pop())

    def _housekeeping(self) -> None:
        self.check()
        self._ticks += 1
        if self._ticks % 2 == 0:
            self._reporter.publish()
