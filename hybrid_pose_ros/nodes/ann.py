# SPDX-License-Identifier: Apache-2.0
"""Node `ann`: events -> a new state for the SNN, ten times a second of sensor time."""

from typing import Any

from hybrid_pose_ros.events.binning import GridView
from hybrid_pose_ros.interfaces.cdr import header_message
from hybrid_pose_ros.interfaces.messages import stamp_to_ns, state_init_message
from hybrid_pose_ros.interfaces.topics import INIT_REQUEST, STATE_INIT
from hybrid_pose_ros.msg import InitRequest
from hybrid_pose_ros.networks.checkpoint import Checkpoint
from hybrid_pose_ros.nodes.support.health import Report
from hybrid_pose_ros.nodes.support.model_parameters import (
    ANN_PARAMETERS,
    Inference,
    ann_period_ns,
    ann_rate_hz,
    make_ann,
)
from hybrid_pose_ros.nodes.support.packet_inbox import PeriodBatcher
from hybrid_pose_ros.nodes.support.parameters import Value
from hybrid_pose_ros.nodes.support.running import run_node
from hybrid_pose_ros.nodes.support.step_figures import AnnFigures
from hybrid_pose_ros.nodes.support.step_node import StampedStep, StepNode
from hybrid_pose_ros.pipeline.ann_estimator import AnnEstimator
from hybrid_pose_ros.pipeline.ann_schedule import block_steps, rate_trouble
from hybrid_pose_ros.pipeline.requested_inputs import RequestedInputs
from hybrid_pose_ros.pipeline.worker import IsValid, Worker


class AnnNode(StepNode):
    """Runs the ANN whenever sensor time passes a multiple of its period.

    Inference runs in a thread of its own: it takes several steps' time, during which packets must
    be received. An input that waits until the next period ends is replaced and counted as skipped.
    Events are counted in the longest blocks of time that the ANN's windows and the period are made
    of; a rate with other blocks begins without a past. With `auto_rate` only the moments that the
    SNN asks for count; with `follow_person` only what lies around the person found last is seen.

    Subscribes: events (EventPacket), init_request (InitRequest). Publishes: state_init
    (StateInit), stamped with the host time of the packet that made the inference due. Services:
    ~/pause (SetBool), ~/reset, ~/reload and ~/statistics (Trigger).
    """

    PARAMETERS = (*StepNode.PARAMETERS, *ANN_PARAMETERS)

    def __init__(self, **kwargs: Any) -> None:
        super().__init__("ann", **kwargs)
        self._worker: Worker[Inference] | None = None

    def configure(self) -> None:
        """Load the model."""
        super().configure()
        self._publisher = self.publish_to(STATE_INIT)

    def prepare(self, checkpoint: Checkpoint) -> AnnEstimator:
        """Build the estimator and run it without events."""
        return make_ann(self, checkpoint)

    def adopt(self, estimator: AnnEstimator) -> None:
        """Take over an estimator; an inference under way will not be published."""
        self._estimator = estimator
        if self._worker is not None:
            self._worker.cancel()

    def bin_ns(self) -> int:
        """Return the length of the steps that the estimator takes: the windows need no finer."""
        return self._estimator.block_ns

    def objection(self, name: str, value: Value) -> str:
        """Refuse a rate that does not fit the steps of the model that runs."""
        if isinstance(value, float) and name == "rate_hz" and self.state in ("active", "inactive"):
            return rate_trouble(value, self.checkpoint.config.step_ns)
        return ""

    def activate(self) -> None:
        """Start the worker and listen."""
        self.figures = AnnFigures()
        self._worker = self.run_beside(Worker(self._infer, "inference"))
        self._batcher = PeriodBatcher(self._events_topic.message_class)
        self._requested = RequestedInputs[Inference]()
        self.listen_to(INIT_REQUEST, self._on_request)
        super().activate()

    def may_wait(self, waiting: list[bytes]) -> bool:
        """Let packets wait that end before the period does: to decode many at once costs less."""
        return self._batcher.may_wait(waiting, ann_period_ns(self, self.checkpoint.config))

    def begin(self, view: GridView) -> None:
        """Begin without a past with this sensor."""
        self._requested.clear_inputs()  # a request may have come before the first packet
        self._estimator.reset(view)

    def restart(self) -> None:
        """Forget all events; an inference under way will not be published."""
        assert self._worker is not None
        self._worker.cancel()  # first, so that none begins that would be fed into what follows
        self._requested.clear()
        self._estimator.reset()

    def process(self, steps: list[StampedStep], delay_ns: int) -> None:
        """Push the steps, and order an inference at the last end of a period among them."""
        config = self.checkpoint.config
        period_ns = ann_period_ns(self, config)
        if period_ns % self._estimator.block_ns:  # after a live change of the rate: without a past
            self._estimator.reset(self._stream.view, block_steps(ann_rate_hz(self), config))
            self._stream.rebin(config.view.fit, self.bin_ns(), self._noise_filter)
            return
        self._estimator.follow_person = self.flag("follow_person")
        job = None
        for stamped in steps:
            self._estimator.push(stamped.step)
            if (stamped.step.index + 1) * self._estimator.block_ns % period_ns == 0:
                snapshot, header = self._estimator.snapshot(), header_message(stamped.header)
                due = Inference(self._estimator, snapshot, header)
                if self.flag("auto_rate") and not self._requested.keep(due.snapshot[1], due):
                    continue
                self.figures.skipped.add(job is not None)
                job = due
        self._order(job)

    def _on_request(self, message: InitRequest) -> None:
        if not self._paused:
            self._order(self._requested.ask(message.sensor_time))

    def _order(self, job: Inference | None) -> None:
        if job is not None and self._worker is not None:
            self.figures.skipped.add(self._worker.put(job))

    def diagnose(self, report: Report) -> None:
        """Report on the inferences."""
        self.serve_waiting()
        super().diagnose(report)
        self.figures.report(report)
        report.values |= {
            "runtime": f"{self._estimator.runtime}, {self._estimator.precision}",
            "subscribers of state_init": str(self._publisher.get_subscription_count()),
        }

    def _infer(self, job: Inference, is_valid: IsValid) -> None:
        init = job.estimator.infer(job.snapshot)
        if is_valid():
            self._publisher.publish(state_init_message(init, job.header, self.sensor))
            latency_ns = self.now_ns() - stamp_to_ns(job.header.stamp)
            self.figures.count(init.inference_ns, latency_ns)


def main() -> int:
    """Run the node until it ends; return the exit code."""
    return run_node(AnnNode)
