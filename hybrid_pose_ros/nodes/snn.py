# SPDX-License-Identifier: Apache-2.0
"""Node `snn`: events and initialisations -> a pose at every step."""

import time
from typing import Any

from rclpy.serialization import deserialize_message
from std_msgs.msg import UInt64

from hybrid_pose_ros.events.binning import GridView, merge_steps
from hybrid_pose_ros.events.stream import group_late_steps
from hybrid_pose_ros.interfaces.cdr import serialised_pose
from hybrid_pose_ros.interfaces.messages import stamp_to_ns, state_init_from_message
from hybrid_pose_ros.interfaces.topics import INITIALISED, POSE, STATE_INIT
from hybrid_pose_ros.msg import StateInit as StateInitMessage
from hybrid_pose_ros.networks.checkpoint import Checkpoint
from hybrid_pose_ros.nodes.support.health import Report
from hybrid_pose_ros.nodes.support.init_requests import InitRequests
from hybrid_pose_ros.nodes.support.model_parameters import SNN_PARAMETERS, make_snn
from hybrid_pose_ros.nodes.support.running import run_node
from hybrid_pose_ros.nodes.support.step_figures import SnnFigures
from hybrid_pose_ros.nodes.support.step_node import StampedStep, StepNode
from hybrid_pose_ros.pipeline.prediction import ahead, prediction_ns
from hybrid_pose_ros.pipeline.snn_estimator import SnnEstimator
from hybrid_pose_ros.pipeline.snn_worker import SnnWorker
from hybrid_pose_ros.pipeline.state import InitRejectedError, StateInit


class SnnNode(StepNode):
    """Steps the SNN and publishes a pose for every step of sensor time.

    When it cannot keep up, steps are merged (see group_late_steps). An initialisation that cannot
    be used is refused and counted; the state stays as it was. One that comes late catches up in
    another thread, while poses go on without it.

    Subscribes: events (EventPacket), state_init (StateInit). Publishes: pose (PoseKeypoints),
    stamped with the host time of the packet that completed the step; ~/initialised
    (std_msgs/UInt64), the sensor time (ns) of each initialisation taken, published once all poses
    that follow have it in them; init_request (InitRequest), if `auto_rate` says so. Services:
    ~/pause (SetBool), ~/reset, ~/reload and ~/statistics (Trigger).
    """

    PARAMETERS = (*StepNode.PARAMETERS, *SNN_PARAMETERS)

    def __init__(self, **kwargs: Any) -> None:
        super().__init__("snn", **kwargs)
        self._network: SnnEstimator
        self.worker: SnnWorker[bytes] | None = None

    def configure(self) -> None:
        """Load the model."""
        super().configure()
        self._publisher = self.publish_to(POSE)
        self._taken = self.publish_to(INITIALISED)
        self._requests = InitRequests(self)

    def prepare(self, checkpoint: Checkpoint) -> SnnEstimator:
        """Build the estimator and run a step without events."""
        return make_snn(self, checkpoint)

    def adopt(self, estimator: SnnEstimator) -> None:
        """Take over an estimator; it begins with the sensor."""
        if self.worker is not None:
            self.worker.forget()
        self._network = estimator

    def activate(self) -> None:
        """Listen, with the network at rest."""
        self.figures = SnnFigures()
        self.worker = self.run_beside(SnnWorker(_decode, self._on_taken, self._on_refused))
        self.listen_to(STATE_INIT, self._on_state_init, raw=True)
        super().activate()

    def begin(self, view: GridView) -> None:
        """Begin at rest with this sensor."""
        assert self.worker is not None
        self.worker.begin(self._network, view)
        self._requests.begin(self.checkpoint.config.step_ns, view)
        self.figures.forget_age()

    def restart(self) -> None:
        """Return to rest and wait for the next initialisation."""
        assert self.worker is not None
        self.worker.reset()
        self._requests.restart()
        self.figures.forget_age()

    def process(self, steps: list[StampedStep], delay_ns: int) -> None:
        """Step the network and publish; merge steps first when they come late."""
        assert self.worker is not None
        max_delay_ns = round(self.number("max_delay_ms") * 1e6)
        for group in group_late_steps(steps, delay_ns, max_delay_ns):
            self.figures.merged.add(len(group) - 1)
            step = merge_steps([stamped.step for stamped in group])
            start_ns = time.perf_counter_ns()
            pose = self.worker.step(step)
            duration_ns = time.perf_counter_ns() - start_ns
            header = group[-1].header
            self._requests.follow(pose, step.events - step.dropped, header)
            sent = ahead(pose, prediction_ns(self.number("predict_ms")))
            self._publisher.publish(serialised_pose(sent, header, self.sensor))
            self.figures.count(
                pose,
                step.index * self.checkpoint.config.step_ns,
                duration_ns,
                self.now_ns() - stamp_to_ns(header.stamp),
            )

    def diagnose(self, report: Report) -> None:
        """Report on poses and on the age of the state."""
        super().diagnose(report)
        self.figures.report(
            report,
            warn_age_ms=self.number("warn_age_ms"),
            error_age_ms=self.number("error_age_ms"),
        )
        report.values["subscribers of pose"] = str(self._publisher.get_subscription_count())

    def _on_state_init(self, data: bytes) -> None:
        if not self._paused and self.worker is not None:
            self.figures.superseded.add(self.worker.submit(data))

    def _on_taken(self, init: StateInit) -> None:
        self.figures.inits.add()
        if self.figures.inits.total == 1:
            self.get_logger().info("the first initialisation is taken: poses follow the person")
        self._requests.taken(init.sensor_time_ns)
        self._taken.publish(UInt64(data=init.sensor_time_ns))

    def _on_refused(self, init: StateInit | None, error: InitRejectedError) -> None:
        self.figures.refused.add()
        self.figures.refusal = str(error)
        name = "initialisation" if init is None else f"initialisation {init.seq}"
        self.warn_throttled(f"{name} refused: {error}")


def _decode(data: bytes) -> StateInit:
    try:
        return state_init_from_message(deserialize_message(data, StateInitMessage))
    except Exception as error:  # whatever the bytes lead to
        raise InitRejectedError("the message is damaged, or cut off") from error


def main() -> int:
    """Run the node until it ends; return the exit code."""
    return run_node(SnnNode)
