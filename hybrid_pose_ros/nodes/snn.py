# SPDX-License-Identifier: Apache-2.0
"""Node `snn`: events and initialisations -> a pose at every step."""

import threading
import time
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import numpy as np
from rclpy.serialization import deserialize_message
from std_msgs.msg import UInt64

from hybrid_pose_ros.events.binning import GridView, Step, merge_steps
from hybrid_pose_ros.events.stream import group_late_steps
from hybrid_pose_ros.interfaces.cdr import serialised_pose
from hybrid_pose_ros.interfaces.messages import stamp_to_ns, state_init_from_message
from hybrid_pose_ros.interfaces.topics import INITIALISED, POSE, STATE_INIT
from hybrid_pose_ros.msg import StateInit
from hybrid_pose_ros.networks.checkpoint import Checkpoint
from hybrid_pose_ros.nodes.support.health import Durations, Level, Meter, Report
from hybrid_pose_ros.nodes.support.mailbox import Mailbox
from hybrid_pose_ros.nodes.support.parameters import ParameterSpec
from hybrid_pose_ros.nodes.support.running import run_node
from hybrid_pose_ros.nodes.support.step_node import StampedStep, StepNode
from hybrid_pose_ros.pipeline.scheduling import take_usual_turns
from hybrid_pose_ros.pipeline.snn_estimator import InitPolicy, SnnEstimator
from hybrid_pose_ros.pipeline.state import InitRejectedError, PoseEstimate


@dataclass(frozen=True)
class _Arrival:
    """A serialised `StateInit`, the estimator that it is for, and in which of its lives."""

    data: bytes
    estimator: SnnEstimator
    life: int


class SnnNode(StepNode):
    """Steps the SNN and publishes a pose for every step of sensor time.

    When it cannot keep up, steps are merged (see group_late_steps). An initialisation that cannot
    be used is refused and counted; the state stays as it was. A thread of its own decodes it and,
    when it comes late, runs the steps since its moment again, while poses go on without it. When
    the next one has come before that is done, poses wait; of several that have the newest is
    taken.

    Subscribes: events (EventPacket), state_init (StateInit). Publishes: pose (PoseKeypoints),
    stamped with the host time of the packet that completed the step; ~/initialised
    (std_msgs/UInt64), the sensor time (ns) of each initialisation taken, published once all poses
    that follow have it in them. Services: ~/pause (SetBool), ~/reset, ~/reload and ~/statistics
    (Trigger).
    """

    PARAMETERS = (
        *StepNode.PARAMETERS,
        ParameterSpec(
            "init_policy",
            InitPolicy.REPLAY.value,
            "what to do with an initialisation that comes late: replay the steps since its moment,"
            " or take it as if it described the present (the paper's idealisation)",
            choices=tuple(policy.value for policy in InitPolicy),
        ),
        ParameterSpec(
            "max_replay_steps",
            100,
            "number of steps kept for the replay; an initialisation older than that is refused",
            limits=(1, 10_000),
        ),
        ParameterSpec(
            "max_delay_ms",
            50.0,
            "packets that have waited longer than this (ms of host time) have their steps merged",
            limits=(1.0, 60_000.0),
            live=True,
        ),
        ParameterSpec(
            "warn_age_ms",
            300.0,
            "age of the state (ms of sensor time) from which diagnostics say WARN",
            limits=(1.0, 1e6),
            live=True,
        ),
        ParameterSpec(
            "error_age_ms",
            1000.0,
            "age of the state (ms of sensor time) from which diagnostics say ERROR",
            limits=(1.0, 1e6),
            live=True,
        ),
    )

    def __init__(self, **kwargs: Any) -> None:
        super().__init__("snn", **kwargs)
        self._worker: threading.Thread | None = None
        self._network: SnnEstimator | None = None
        self._estimator: SnnEstimator | None = None
        self._life = 0
        # Held for a step, and for what must not happen within one.
        self._turn = threading.Lock()

    def configure(self) -> None:
        """Load the model."""
        super().configure()
        self._publisher = self.publish_to(POSE)
        self._taken = self.publish_to(INITIALISED)

    def prepare(self, checkpoint: Checkpoint) -> SnnEstimator:
        """Build the estimator and run a step without events."""
        view = checkpoint.config.view
        network = SnnEstimator(
            checkpoint,
            view.fit(view.view_width, view.view_height),
            init_policy=InitPolicy(self.text("init_policy")),
            max_replay_steps=self.integer("max_replay_steps"),
        )
        counts = np.zeros((2, view.grid_height, view.grid_width), np.uint16)
        network.step(Step(index=0, counts=counts, events=0))
        return network

    def adopt(self, estimator: SnnEstimator) -> None:
        """Take over an estimator; it begins with the sensor."""
        self._end_life()
        self._network = estimator
        self._estimator = None
        self._early: bytes | None = None

    def activate(self) -> None:
        """Listen, with the network at rest."""
        self._estimator = None
        self._early = None
        self._first_index: int | None = None
        self._last_pose: PoseEstimate | None = None
        self._poses, self._merged, self._inits = Meter(), Meter(), Meter()
        self._superseded = Meter()
        self._refused, self._refusal = Meter(), ""
        self._durations, self._latency = Durations(), Durations()
        self._arrivals: Mailbox[_Arrival] = Mailbox()
        self._worker = threading.Thread(target=self._work, args=(self._arrivals,), name="replay")
        self._worker.start()
        self.listen_to(STATE_INIT, self._on_state_init, raw=True)
        super().activate()

    def deactivate(self) -> None:
        """Let the step that is being run again end."""
        if self._worker is not None:
            self._end_life()
            self._arrivals.close()
            self._worker.join()
            self._worker = None

    def check(self) -> None:
        """End the process when a replay has broken down; its traceback is on stderr."""
        if self._worker is not None and not self._worker.is_alive():
            self.get_logger().fatal("the replay thread ended by an error")
            self.exit_code = 1

    def begin(self, view: GridView) -> None:
        """Begin at rest with this sensor."""
        assert self._network is not None
        with self._turn:
            self._network.reset(view)
        self._estimator = self._network
        self._first_index = None
        self._last_pose = None
        early, self._early = self._early, None
        if early is not None:
            self._take(_Arrival(early, self._estimator, self._life))

    def restart(self) -> None:
        """Return to rest and wait for the next initialisation."""
        self._end_life()
        self._first_index = None
        self._last_pose = None

    def process(self, steps: list[StampedStep], delay_ns: int) -> None:
        """Step the network and publish; merge steps first when they come late."""
        assert self._estimator is not None
        max_delay_ns = round(self.number("max_delay_ms") * 1e6)
        for group in group_late_steps(steps, delay_ns, max_delay_ns):
            self._merged.add(len(group) - 1)
            step = merge_steps([stamped.step for stamped in group])
            start = time.perf_counter_ns()
            with self._turn:
                pose = self._estimator.step(step)
            self._durations.add(time.perf_counter_ns() - start)
            header = group[-1].header
            self._publisher.publish(serialised_pose(pose, header, self.sensor))
            self._poses.add()
            self._latency.add(self.now_ns() - stamp_to_ns(header.stamp))
            self._last_pose = pose
            if self._first_index is None:
                self._first_index = step.index

    def diagnose(self, report: Report) -> None:
        """Report on poses and on the age of the state."""
        super().diagnose(report)
        _, pose_rate = self._poses.take()
        _, init_rate = self._inits.take()
        merged, _ = self._merged.take()
        refused, _ = self._refused.take()
        report.values |= {
            "poses per second": f"{pose_rate:.1f}",
            "initialisations per second": f"{init_rate:.1f}",
            "step ms, mean / max": self._durations.take(),
            "latency ms, mean / max": self._latency.take(),
            "steps merged": str(self._merged.total),
            "initialisations accepted": str(self._inits.total),
            "initialisations refused": str(self._refused.total),
            "initialisations superseded": str(self._superseded.total),
            "subscribers of pose": str(self._publisher.get_subscription_count()),
        }
        if merged:
            report.add(Level.WARN, f"overload: {merged} steps merged into later ones")
        if refused:
            report.add(
                Level.WARN, f"{refused} initialisations refused, the last because {self._refusal}"
            )
        if self._last_pose is not None:
            self._report_age(self._last_pose, report)

    def _report_age(self, pose: PoseEstimate, report: Report) -> None:
        assert self._first_index is not None
        age_ns, trouble = pose.init_age_ns, "the state is {:.0f} ms old; is `ann` running?"
        report.values["state age ms"] = f"{age_ns / 1e6:.0f}" if age_ns >= 0 else "-"
        if age_ns < 0:
            age_ns = pose.sensor_time_ns - self._first_index * self.checkpoint.config.step_ns
            trouble = "not initialised for {:.0f} ms; is `ann` running?"
        for level, parameter in ((Level.ERROR, "error_age_ms"), (Level.WARN, "warn_age_ms")):
            if age_ns >= self.number(parameter) * 1e6:
                report.add(level, trouble.format(age_ns / 1e6))
                return

    def _on_state_init(self, data: bytes) -> None:
        if self._paused:
            return
        if self._estimator is None:
            self._early = data  # `ann` has had a packet that is still on its way to us
            return
        arrival = _Arrival(data, self._estimator, self._life)
        self._superseded.add(self._arrivals.put(arrival))

    def _work(self, arrivals: Mailbox[_Arrival]) -> None:
        take_usual_turns()
        while (arrival := arrivals.take()) is not None:
            self._take(arrival)

    def _take(self, arrival: _Arrival) -> None:
        """Take an initialisation, and catch up with the poses."""
        message = deserialize_message(arrival.data, StateInit)
        estimator = arrival.estimator
        try:
            init = estimator.unpack(state_init_from_message(message))
            with self._turn:
                if arrival.life != self._life:
                    return
                done = estimator.take_over(init)
        except InitRejectedError as error:
            self._refused.add()
            self._refusal = str(error)
            self.complain(f"initialisation {message.seq} refused: {error}")
            return
        while not done and estimator.catching_up:
            # When the next one is here already, the poses wait until this one has taken effect.
            with self._turn if self._arrivals.is_full else nullcontext():
                done = estimator.catch_up(1)
        if done:
            self._inits.add()
            self._taken.publish(UInt64(data=message.sensor_time))

    def _end_life(self) -> None:
        """Return to rest; initialisations that have arrived or are being replayed are void."""
        with self._turn:
            self._life += 1
            if self._estimator is not None:
                self._estimator.reset()


def main() -> int:
    """Run the node until it ends; return the exit code."""
    return run_node(SnnNode)
