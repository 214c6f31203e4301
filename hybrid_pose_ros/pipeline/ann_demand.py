# SPDX-License-Identifier: Apache-2.0
"""When the SNN asks for the ANN: as soon as its pose may have drifted away from what is there.

On simulated recordings the best predictor of the error that the SNN has gathered since an
initialisation is how far the joints have moved since, by the network's own velocities; where the
confidence has fallen meanwhile, the same way means more. The time that has passed, and how far
SNN and ANN lay apart at the last initialisation, said less. Where nothing moves, poses do not get
worse with time, and the ANN need not run.
"""

from dataclasses import dataclass
from enum import IntEnum
from typing import Final, NamedTuple

import numpy as np

from hybrid_pose_ros.events.binning import GridView
from hybrid_pose_ros.pipeline.state import Pose

CONFIDENCE_WEIGHT: Final = 2.0
"""Motion counts 1 + so much times the share of the confidence that was lost since."""

KNOWN: Final = 0.3
"""Below this mean confidence no person is known to be there, and events are not explained."""

UNEXPLAINED_PER_CELL: Final = 0.35
"""Events per cell of the grid without a known person for which the ANN is asked."""

ACTIVITY_INTERVAL_NS: Final = 200_000_000
"""Shortest time between two runs of the ANN because of such events: it may find nobody either."""


class Reason(IntEnum):
    """Why the ANN is asked; the values are those of the message `InitRequest`."""

    START = 0
    MOTION = 1
    ACTIVITY = 2
    INTERVAL = 3


@dataclass(frozen=True)
class AutoRate:
    """Bounds between which the ANN runs when it is needed.

    Attributes:
        max_drift_px: mean way of the joints since the last initialisation, in pixels of the
            model's view, at which the ANN is asked; more where confidence was lost meanwhile.
        min_interval_ms: shortest time between two runs (ms of sensor time), whole steps; the
            runs lie at multiples of it.
        max_interval_ms: longest time.

    Raises:
        ValueError: a bound is not positive, or the longest time is below the shortest.
    """

    max_drift_px: float = 3.0
    min_interval_ms: float = 50.0
    max_interval_ms: float = 1000.0

    def __post_init__(self) -> None:
        if not (self.max_drift_px > 0 and 0 < self.min_interval_ms <= self.max_interval_ms):
            raise ValueError(
                f"max_drift_px {self.max_drift_px:g}, min_interval_ms {self.min_interval_ms:g}, "
                f"max_interval_ms {self.max_interval_ms:g}: they must be positive, and the "
                "longest interval at least the shortest"
            )

    def min_steps(self, step_ns: int) -> int:
        """Return the shortest time in steps.

        Raises:
            ValueError: it is no whole number of steps.
        """
        steps = round(self.min_interval_ms * 1e6 / step_ns)
        if steps < 1 or abs(steps * step_ns - self.min_interval_ms * 1e6) > 1:
            raise ValueError(
                f"min_interval_ms {self.min_interval_ms:g}: it is no multiple of the model's step "
                f"of {step_ns / 1e6:g} ms"
            )
        return steps


@dataclass(frozen=True)
class Request:
    """The SNN asks for a state of the moment ``sensor_time_ns``.

    Attributes:
        drift_px: see :class:`AutoRate`.
    """

    sensor_time_ns: int
    reason: Reason
    drift_px: float


class _Sums(NamedTuple):
    """What has come together up to a moment."""

    time_ns: int
    way_px: float
    unexplained: float


class AnnDemand:
    """Follows the poses of the SNN and says when the ANN is needed.

    Args:
        rate: the bounds; may be replaced at any time.
        step_ns: length of a step.
        view: the mapping from the sensor to the model's grid.

    Raises:
        ValueError: see :meth:`AutoRate.min_steps`.
    """

    def __init__(self, rate: AutoRate, step_ns: int, view: GridView) -> None:
        self.rate = rate
        self._grid_ns = rate.min_steps(step_ns) * step_ns
        self._scale = view.scale
        self._cells = view.grid_width * view.grid_height
        self.reset()

    def reset(self) -> None:
        """Begin without a past."""
        self._last: Pose | None = None
        self._sums = _Sums(0, 0.0, 0.0)
        self._asked: _Sums | None = None  # as of the moment of the request that is open
        self._base: _Sums | None = None  # as of the moment of the last initialisation
        self._fresh: float | None = None  # mean confidence of the first pose after it
        self._judged_ns = 0

    @property
    def drift_px(self) -> float:
        """Drift since the last initialisation; 0 before the first."""
        if self._base is None or self._last is None:
            return 0.0
        lost = 0.0
        if self._fresh:
            lost = max(0.0, 1.0 - float(self._last.confidence.mean()) / self._fresh)
        return (self._sums.way_px - self._base.way_px) * (1.0 + CONFIDENCE_WEIGHT * lost)

    def taken(self, sensor_time_ns: int) -> None:
        """Learn that an initialisation for this moment has taken effect."""
        asked = self._asked is not None and self._asked.time_ns == sensor_time_ns
        self._base = self._asked if asked else self._sums._replace(time_ns=sensor_time_ns)
        self._asked = self._fresh = None

    def observe(self, pose: Pose, events: int) -> Request | None:
        """Take the next pose of the SNN; return a request if the ANN is needed.

        It is for the moment of the pose, or for the last one before it that is a multiple of the
        shortest interval, if steps were skipped or merged. A request is open until an
        initialisation is taken; when none comes for the longest interval, there is another.

        Args:
            pose: of the SNN, not predicted.
            events: of its step, noise left out.
        """
        confidence = float(pose.confidence.mean())
        self._sums = _Sums(
            pose.sensor_time_ns,
            self._sums.way_px + self._way_px(pose),
            self._sums.unexplained + (events / self._cells if confidence < KNOWN else 0.0),
        )
        if self._last is None:
            self._judged_ns = pose.sensor_time_ns - 1  # no moment before the first pose
        self._last = pose
        if self._base is not None and self._fresh is None:
            self._fresh = confidence
        moment_ns = pose.sensor_time_ns // self._grid_ns * self._grid_ns
        if moment_ns <= self._judged_ns:
            return None
        self._judged_ns = moment_ns
        longest_ns = round(self.rate.max_interval_ms * 1e6)
        if self._asked is not None and moment_ns - self._asked.time_ns < longest_ns:
            return None
        reason = self._reason(longest_ns)
        if reason is None:
            return None
        self._asked = self._sums._replace(time_ns=moment_ns)
        return Request(moment_ns, reason, self.drift_px)

    def _reason(self, longest_ns: int) -> Reason | None:
        if self._base is None:
            return Reason.START
        age_ns = self._sums.time_ns - self._base.time_ns
        if self.drift_px >= self.rate.max_drift_px:
            return Reason.MOTION
        unexplained = self._sums.unexplained - self._base.unexplained
        if age_ns >= ACTIVITY_INTERVAL_NS and unexplained >= UNEXPLAINED_PER_CELL:
            return Reason.ACTIVITY
        return Reason.INTERVAL if age_ns >= longest_ns else None

    def _way_px(self, pose: Pose) -> float:
        """Mean way of the joints since the last pose, in pixels of the view."""
        if self._last is None:
            return 0.0
        moved = pose.keypoints - self._last.keypoints
        if not np.isnan(pose.velocity).any():
            moved = pose.velocity * np.float32(
                1e-9 * (pose.sensor_time_ns - self._last.sensor_time_ns)
            )
        return float(np.hypot(moved[:, 0], moved[:, 1]).mean()) * self._scale
