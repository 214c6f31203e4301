# SPDX-License-Identifier: Apache-2.0
"""Figures of a graph, measured from the messages that it published.

Three clocks meet here: sensor time, the host time in headers (when a packet was published), and
the host time of a message's arrival at the recorder. All are in ns.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

import numpy as np

from hybrid_pose_ros.drawing import MIN_CONFIDENCE
from hybrid_pose_ros.interfaces.diagnostics import node_reports
from hybrid_pose_ros.interfaces.messages import pose_from_message, stamp_to_ns
from hybrid_pose_ros.metrics.pose_errors import mpjpe
from hybrid_pose_ros.pipeline.state import Pose
from hybrid_pose_ros.simulation.recording import Truth

MAX_WARNINGS: Final = 10
"""Different complaints of one node that are kept."""


class ReceivedPose(NamedTuple):
    """A pose that arrived, from the SNN or inside an initialisation from the ANN.

    Attributes:
        stamp_ns: when the packet that completed its step was published.
        received_ns: when it arrived.
    """

    stamp_ns: int
    received_ns: int
    pose: Pose


@dataclass
class NodeHealth:
    """Reports of a node about itself.

    Attributes:
        level: latest level, 0 OK, 1 WARN, 2 ERROR.
        message: latest sentence.
        values: latest figures.
        stamp_ns: host time of the latest report.
        warnings: different sentences of a level above OK, in the order in which they came.
    """

    level: int = 0
    message: str = ""
    values: dict[str, str] = field(default_factory=dict)
    stamp_ns: int = 0
    warnings: list[str] = field(default_factory=list)

    def count(self, key: str) -> int | None:
        """Return a figure that is a count, or None if the node did not report it."""
        return int(self.values[key]) if key in self.values else None


class Measurements:
    """Collects messages of one graph as they arrive; the live table and the summary read it."""

    def __init__(self, namespace: str) -> None:
        self.poses: list[ReceivedPose] = []
        self.inits: list[ReceivedPose] = []
        self.packets: list[int] = []  # arrivals in ns
        self.model_id: str | None = None
        self.health: dict[str, NodeHealth] = {}
        self._handlers = {
            f"{namespace}/events": self._add_packet,
            f"{namespace}/pose": self._add_pose,
            f"{namespace}/state_init": self._add_init,
            "/diagnostics": self._add_diagnostics,
        }

    @property
    def topics(self) -> tuple[str, ...]:
        """The topics that are measured."""
        return tuple(self._handlers)

    def add(self, topic: str, received_ns: int, message: Any) -> None:
        """Take a message of one of :attr:`topics`, in order of arrival.

        Args:
            message: a ROS message or what rosbags makes of one. Of events nothing but the
                arrival is used, of an initialisation without content (None) neither.
        """
        self._handlers[topic](received_ns, message)

    def _add_packet(self, received_ns: int, message: Any) -> None:
        self.packets.append(received_ns)

    def _add_pose(self, received_ns: int, message: Any) -> None:
        stamp_ns = stamp_to_ns(message.header.stamp)
        self.poses.append(ReceivedPose(stamp_ns, received_ns, pose_from_message(message)))

    def _add_init(self, received_ns: int, message: Any) -> None:
        stamp_ns = stamp_to_ns(message.header.stamp)
        self.inits.append(ReceivedPose(stamp_ns, received_ns, pose_from_message(message.pose)))
        self.model_id = message.model_id

    def _add_diagnostics(self, received_ns: int, message: Any) -> None:
        for name, report in node_reports(message):
            health = self.health.setdefault(name.rpartition("/")[2], NodeHealth())
            health.level, health.message = report.level, report.message
            health.values = report.values
            health.stamp_ns = stamp_to_ns(message.header.stamp)
            new = health.level > 0 and health.message not in health.warnings
            if new and len(health.warnings) < MAX_WARNINGS:
                health.warnings.append(health.message)


def rate_hz(times_ns: Sequence[int]) -> float | None:
    """Return how many per second came, from the first to the last; None for fewer than two."""
    if len(times_ns) < 2 or times_ns[-1] <= times_ns[0]:
        return None
    return (len(times_ns) - 1) / ((times_ns[-1] - times_ns[0]) * 1e-9)


def sensor_rate_hz(poses: Sequence[ReceivedPose]) -> float | None:
    """Return poses per second of sensor time; where sensor time goes back, a new count begins."""
    intervals_ns = np.diff([pose.pose.sensor_time_ns for pose in poses])
    forward = intervals_ns[intervals_ns > 0]
    return len(forward) / (float(forward.sum()) * 1e-9) if len(forward) else None


def latency_ms(poses: Iterable[ReceivedPose]) -> dict[str, float | None]:
    """Return median, 99th percentile and maximum of arrival minus publication of the packet."""
    delays = [(pose.received_ns - pose.stamp_ns) * 1e-6 for pose in poses]
    if not delays:
        return {"p50": None, "p99": None, "max": None}
    p50, p99, longest = np.percentile(delays, (50, 99, 100)).tolist()
    return {"p50": p50, "p99": p99, "max": longest}


def held_inits(poses: Sequence[ReceivedPose], inits: Sequence[ReceivedPose]) -> list[Pose | None]:
    """Return for each pose the ANN's latest pose that had arrived by then, or None."""
    arrivals = [init.received_ns for init in inits]
    index = np.searchsorted(arrivals, [pose.received_ns for pose in poses], side="right")
    return [inits[i - 1].pose if i else None for i in index.tolist()]


def errors_px(
    poses: Sequence[ReceivedPose], inits: Sequence[ReceivedPose], truth: Truth
) -> tuple[float | None, float | None]:
    """Return the mean error of the SNN's poses and that of the ANN's pose held meanwhile.

    Both are means over the same moments: those of initialised poses for which an ANN pose had
    arrived. None where there is no such moment.
    """
    pairs = [
        (pose.pose, held)
        for pose, held in zip(poses, held_inits(poses, inits), strict=True)
        if held is not None and pose.pose.steps_since_init >= 0
    ]
    if not pairs:
        return None, None
    points, known = truth.at(np.array([pose.sensor_time_ns for pose, _ in pairs]))
    if not known.any():
        return None, None
    estimate = np.stack([pose.keypoints for pose, _ in pairs])
    ann = np.stack([held.keypoints for _, held in pairs])
    return mpjpe(estimate, points, known), mpjpe(ann, points, known)


def summarise(measured: Measurements, truth: Truth | None) -> dict[str, Any]:
    """Return the figures of a run as JSON values; what could not be measured is None.

    Rates are per second of host time unless they say otherwise. ``packets_received`` is what the
    SNN node counted, ``packets_received_recorder`` what arrived at the recorder.
    """
    poses, inits, health = measured.poses, measured.inits, measured.health
    driver, ann, snn = (health.get(name, NodeHealth()) for name in ("event_driver", "ann", "snn"))
    initialised = [pose.pose for pose in poses if pose.pose.init_age_ns >= 0]
    ages = [pose.init_age_ns * 1e-6 for pose in initialised]
    sure = [int((pose.confidence > MIN_CONFIDENCE).sum()) for pose in initialised]
    error, error_ann = errors_px(poses, inits, truth) if truth is not None else (None, None)
    arrivals = [pose.received_ns for pose in poses]
    packets = measured.packets
    return {
        "model": snn.values.get("model"),
        "model_id": measured.model_id,
        "duration_s": (packets[-1] - packets[0]) * 1e-9 if packets else 0.0,
        "events": driver.count("events published"),
        "packets_published": driver.count("packets published"),
        "packets_received": snn.count("packets received"),
        "packets_received_recorder": len(packets),
        "packets_malformed": snn.count("packets malformed"),
        "poses": len(poses),
        "poses_before_init": len(poses) - len(initialised),
        "pose_rate_hz": rate_hz(arrivals),
        "pose_rate_per_sensor_second_hz": sensor_rate_hz(poses),
        "inits": len(inits),
        "init_rate_hz": rate_hz([init.received_ns for init in inits]),
        "inits_accepted": snn.count("initialisations accepted"),
        "inits_refused": snn.count("initialisations refused"),
        "inferences_skipped": ann.count("inferences skipped"),
        "steps_merged": snn.count("steps merged"),
        "latency_ms": latency_ms(poses),
        "init_latency_ms": latency_ms(inits),
        "state_age_ms": {"mean": _mean(ages), "max": max(ages, default=None)},
        "joints_confident_mean": _mean(sure),
        "mpjpe_px": error,
        "mpjpe_ann_held_px": error_ann,
        "warnings": {name: state.warnings for name, state in health.items() if state.warnings},
    }


def rounded(value: Any) -> Any:
    """Return JSON values with floats rounded to three decimals."""
    if isinstance(value, float):
        return round(value, 3)
    if isinstance(value, Mapping):
        return {key: rounded(item) for key, item in value.items()}
    return value


def _mean(values: Sequence[float]) -> float | None:
    return float(np.mean(values)) if values else None
