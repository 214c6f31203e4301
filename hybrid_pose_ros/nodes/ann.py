# SPDX-License-Identifier: Apache-2.0
"""Node `ann`: events -> a new state for the SNN, ten times a second of sensor time."""

import threading
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from std_msgs.msg import Header

from hybrid_pose_ros.events.binning import GridView
from hybrid_pose_ros.inference.ann_estimator import AnnEstimator
from hybrid_pose_ros.messages import STATE_INIT_QOS, stamp_to_ns, state_init_message
from hybrid_pose_ros.msg import StateInit
from hybrid_pose_ros.nodes.base import StartError, run_node
from hybrid_pose_ros.nodes.health import Durations, Level, Meter, Report
from hybrid_pose_ros.nodes.mailbox import Mailbox
from hybrid_pose_ros.nodes.parameters import ParameterSpec
from hybrid_pose_ros.nodes.step_node import StampedStep, StepNode


@dataclass(frozen=True)
class _Job:
    """One inference to run: its input, and the header of the packet that made it due."""

    snapshot: tuple[NDArray[np.float32], int]
    header: Header
    restarts: int


class AnnNode(StepNode):
    """Runs the ANN whenever sensor time passes a multiple of its period.

    Inference runs in a thread of its own: it takes several steps' time, during which packets must
    be received. When the next period ends before it is done, the input that waits is replaced by
    the newer one and counted as skipped.

    Subscribes: events (EventPacket). Publishes: state_init (StateInit), stamped with the host time
    of the packet that made the inference due.
    """

    PARAMETERS = (
        *StepNode.PARAMETERS,
        ParameterSpec(
            "rate_hz",
            10.0,
            "inferences per second of sensor time; the period must be a whole number of steps",
            limits=(0.1, 1000.0),
        ),
    )

    def __init__(self, **kwargs: Any) -> None:
        super().__init__("ann", **kwargs)
        self._worker: threading.Thread | None = None

    def configure(self) -> None:
        """Load the model and run it once: the first run is much slower than the following."""
        super().configure()
        config = self.checkpoint.config
        self._period_steps = round(1e9 / self.number("rate_hz") / config.step_ns)
        if abs(self._period_steps * config.step_ns * self.number("rate_hz") - 1e9) > 1e3:
            raise StartError(
                f"rate_hz {self.number('rate_hz')}: its period is no multiple of the model's step "
                f"of {config.step_ns / 1e6:g} ms"
            )
        self._estimator = AnnEstimator(
            self.checkpoint, config.view.fit(config.view.view_width, config.view.view_height)
        )
        self._estimator.infer()
        self._publisher = self.publish_to(StateInit, "state_init", STATE_INIT_QOS)

    def activate(self) -> None:
        """Start the worker and listen."""
        self._inferences, self._skipped = Meter(), Meter()
        self._durations, self._latency = Durations(), Durations()
        self._restarts = 0
        self._jobs: Mailbox[_Job] = Mailbox()
        self._worker = threading.Thread(target=self._work, args=(self._jobs,), name="inference")
        self._worker.start()
        super().activate()

    def deactivate(self) -> None:
        """Let the inference under way end."""
        if self._worker is not None:
            self._jobs.close()
            self._worker.join()
            self._worker = None

    def check(self) -> None:
        """End the process when inference has broken down; its traceback is on stderr."""
        if self._worker is not None and not self._worker.is_alive():
            self.get_logger().fatal("the inference thread ended by an error")
            self.exit_code = 1

    def begin(self, view: GridView) -> None:
        """Begin without a past with this sensor."""
        self._estimator.reset(view)

    def restart(self) -> None:
        """Forget all events; an inference under way will not be published."""
        self._estimator.reset()
        self._restarts += 1

    def process(self, steps: list[StampedStep], delay_ns: int) -> None:
        """Push the steps and order an inference at each end of a period."""
        for stamped in steps:
            self._estimator.push(stamped.step)
            if (stamped.step.index + 1) % self._period_steps == 0:
                job = _Job(self._estimator.snapshot(), stamped.header, self._restarts)
                self._skipped.add(self._jobs.put(job))

    def diagnose(self, report: Report) -> None:
        """Report on the inferences."""
        super().diagnose(report)
        inferences, rate = self._inferences.take()
        skipped, _ = self._skipped.take()
        report.values |= {
            "inferences per second": f"{rate:.1f}",
            "inference ms, mean / max": self._durations.take(),
            "latency ms, mean / max": self._latency.take(),
            "inferences skipped": str(self._skipped.total),
        }
        if skipped:
            report.add(
                Level.WARN,
                f"too slow for rate_hz: {skipped} of {skipped + inferences} inferences skipped",
            )

    def _work(self, jobs: Mailbox[_Job]) -> None:
        while (job := jobs.take()) is not None:
            init = self._estimator.infer(job.snapshot)
            if job.restarts != self._restarts:
                continue
            self._publisher.publish(state_init_message(init, job.header, self.sensor))
            self._inferences.add()
            self._durations.add(init.inference_ns)
            self._latency.add(self.now_ns() - stamp_to_ns(job.header.stamp))


def main() -> int:
    """Run the node until it ends; return the exit code."""
    return run_node(AnnNode)
