# SPDX-License-Identifier: Apache-2.0
"""Errors of poses that come one by one, against ground truth that comes beside them (no ROS).

The node `evaluator` and the evaluation of a bag both count with :class:`RunningEvaluation`.
"""

from bisect import bisect_left
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from hybrid_pose_ros.geometry.cameras import Camera
from hybrid_pose_ros.geometry.image import inside_image
from hybrid_pose_ros.metrics.pose_errors import joint_errors
from hybrid_pose_ros.skeleton import JOINTS, NUM_JOINTS, joint_id

KEEP_TRUTH_NS: Final = 10_000_000_000
"""Labels older than this (sensor time before the newest) are forgotten."""

MAX_LABEL_GAP_NS: Final = 25_000_000
"""Between labels that lie farther apart the truth is taken as unknown."""

MAX_WAITING: Final = 4000
"""Poses that may wait for labels or for the calibration; the oldest are given up."""

RECENT: Final = 100
"""Poses that the recent error is the mean of."""

PCK_TORSO: Final = 0.2
"""In 2D a joint counts as found within this part of the torso's length in the image."""

PCK_MM: Final = 150.0
"""In 3D it counts as found within this distance."""

_SPACE: Final = "pose_3d"
"""Stands for the name of a camera; those are namespaces, which begin with a slash or are empty."""

_TORSO: Final = (
    (joint_id("left_shoulder"), joint_id("right_hip")),
    (joint_id("right_shoulder"), joint_id("left_hip")),
)


@dataclass
class ErrorSums:
    """Sums over the poses of one camera, or over those in space.

    Attributes:
        unit: ``px`` or ``mm``.
        poses: all that came.
        without_state: of these, poses before the first initialisation; they are not scored.
        unlabelled: of these, poses at moments without ground truth.
        scored: of these, poses that the errors are of.
        distances: sum of the errors of each joint, [13].
        counts: number of errors of each joint, [13].
        found, judged: joints within the threshold of PCK, and joints that it could be applied to.
        missing: joints that are known in truth and not in the pose; 3D only.
    """

    unit: str
    poses: int = 0
    without_state: int = 0
    unlabelled: int = 0
    scored: int = 0
    distances: NDArray[np.float64] = field(default_factory=lambda: np.zeros(NUM_JOINTS))
    counts: NDArray[np.int64] = field(default_factory=lambda: np.zeros(NUM_JOINTS, np.int64))
    found: int = 0
    judged: int = 0
    missing: int = 0
    _recent: deque[float] = field(default_factory=lambda: deque(maxlen=RECENT))

    def add(
        self,
        distance: NDArray[np.float64],
        threshold: float,
        known: NDArray[np.bool_],
    ) -> None:
        """Count one pose.

        Args:
            distance: error of each joint, [13]; NaN where the pose has none.
            threshold: of PCK, in the unit; NaN: not judged.
            known: joints whose truth counts, [13].
        """
        self.scored += 1
        given = known & np.isfinite(distance)
        self.missing += int((known & ~given).sum())
        if given.any():
            self.distances[given] += distance[given]
            self.counts[given] += 1
            self._recent.append(float(distance[given].mean()))
        if np.isfinite(threshold):
            self.judged += int(known.sum())
            self.found += int((distance[given] <= threshold).sum())

    @property
    def mpjpe(self) -> float | None:
        """Mean error over all joints and poses, None before the first."""
        total = int(self.counts.sum())
        return float(self.distances.sum() / total) if total else None

    @property
    def recent(self) -> float | None:
        """Mean error of the newest poses that had one, None before the first."""
        return sum(self._recent) / len(self._recent) if self._recent else None

    def report(self) -> dict[str, Any]:
        """Return all figures under the names that the JSON has."""
        means = self.distances / np.maximum(self.counts, 1)
        figures: dict[str, Any] = {
            "poses": self.poses,
            "without_state": self.without_state,
            "unlabelled": self.unlabelled,
            "scored": self.scored,
            f"mpjpe_{self.unit}": self.mpjpe,
            "pck": self.found / self.judged if self.judged else None,
            f"joints_{self.unit}": {
                name: float(mean) if count else None
                for name, mean, count in zip(JOINTS, means, self.counts, strict=True)
            },
        }
        if self.unit == "mm":
            figures["joints_missing"] = self.missing
        return figures


_Waiting = deque[tuple[int, NDArray[np.float64]]]
"""Poses (sensor time, joints) whose truth is not known yet."""


class RunningEvaluation:
    """Compares poses with ground truth as both come, in any order.

    The truth at the moment of a pose is that of its label, or lies on the straight line between
    the labels before and after. A joint counts in a camera if it lies in its image, hidden or not.
    A jump back in the labels' time begins a new pass over the same or another recording; the sums
    go on.

    Attributes:
        sums: errors in px of each camera, by name.
        sums_3d: errors in mm of the poses in space.
    """

    def __init__(self) -> None:
        self.sums: dict[str, ErrorSums] = {}
        self.sums_3d = ErrorSums("mm")
        self._cameras: dict[str, Camera] = {}
        self._label_ns: list[int] = []
        self._labels: list[NDArray[np.float64]] = []
        self._waiting: dict[str, _Waiting] = {}

    def set_camera(self, name: str, camera: Camera) -> None:
        """Take the calibration of a camera."""
        self._cameras[name] = camera
        self.sums.setdefault(name, ErrorSums("px"))
        self._settle(name)

    def add_truth(self, sensor_ns: int, joints_m: NDArray[np.floating]) -> None:
        """Take a label: joints [13, 3] in metres, NaN where unknown."""
        if self._label_ns and sensor_ns <= self._label_ns[-1]:
            if sensor_ns == self._label_ns[-1]:
                return
            self.finish()
            self._label_ns.clear()
            self._labels.clear()
        self._label_ns.append(sensor_ns)
        self._labels.append(np.asarray(joints_m, np.float64))
        old = bisect_left(self._label_ns, sensor_ns - KEEP_TRUTH_NS)
        if old > 100:  # not one by one: the lists would move at every label
            del self._label_ns[:old], self._labels[:old]
        for name in self._waiting:
            self._settle(name)

    def add_pose(
        self, camera: str, sensor_ns: int, keypoints: NDArray[np.floating], *, has_state: bool
    ) -> None:
        """Take a pose of a camera.

        Args:
            sensor_ns: moment of the pose.
            keypoints: (x, y) in sensor pixels, [13, 2].
            has_state: whether the SNN had been initialised.
        """
        sums = self.sums.setdefault(camera, ErrorSums("px"))
        sums.poses += 1
        if not has_state:
            sums.without_state += 1
            return
        self._wait(camera, sensor_ns, np.asarray(keypoints, np.float64))

    def add_pose_3d(self, sensor_ns: int, joints_m: NDArray[np.floating]) -> None:
        """Take a pose in space: [13, 3] in metres, NaN where a joint was not found."""
        self.sums_3d.poses += 1
        self._wait(_SPACE, sensor_ns, np.asarray(joints_m, np.float64))

    def finish(self) -> None:
        """Nothing more will come: poses that still wait for labels have none."""
        for name, waiting in self._waiting.items():
            self._sums_of(name).unlabelled += len(waiting)
            waiting.clear()

    @property
    def waiting(self) -> int:
        """Number of poses that wait for labels or for a calibration."""
        return sum(map(len, self._waiting.values()))

    def report(self) -> dict[str, Any]:
        """Return all figures, ready for JSON."""
        return {
            "cameras": {name: self.sums[name].report() for name in sorted(self.sums)},
            "pose_3d": self.sums_3d.report() if self.sums_3d.poses else None,
        }

    def _wait(self, name: str, sensor_ns: int, joints: NDArray[np.float64]) -> None:
        waiting = self._waiting.setdefault(name, deque())
        waiting.append((sensor_ns, joints))
        self._settle(name)
        if len(waiting) > MAX_WAITING:
            waiting.popleft()
            self._sums_of(name).unlabelled += 1

    def _settle(self, name: str) -> None:
        """Score the poses whose truth is known by now."""
        if not self._label_ns or (name != _SPACE and name not in self._cameras):
            return
        waiting = self._waiting.get(name, ())
        while waiting and waiting[0][0] <= self._label_ns[-1]:
            self._score(name, *waiting.popleft())

    def _sums_of(self, name: str) -> ErrorSums:
        return self.sums_3d if name == _SPACE else self.sums[name]

    def _score(self, name: str, sensor_ns: int, joints: NDArray[np.float64]) -> None:
        sums, truth = self._sums_of(name), self._truth_at(sensor_ns)
        if truth is None:
            sums.unlabelled += 1
            return
        if name == _SPACE:
            distance = joint_errors(joints, truth) * 1e3
            sums.add(distance, PCK_MM, np.asarray(np.isfinite(truth).all(-1)))
            return
        camera = self._cameras[name]
        points = camera.project(truth)
        inside = inside_image(points, camera.width, camera.height)
        known = np.asarray(inside & (camera.depth(truth) > 0))
        torso = float(np.max([np.linalg.norm(points[a] - points[b]) for a, b in _TORSO]))
        sums.add(joint_errors(joints, points), PCK_TORSO * torso, known)

    def _truth_at(self, sensor_ns: int) -> NDArray[np.float64] | None:
        after = bisect_left(self._label_ns, sensor_ns)
        if after == len(self._label_ns):
            return None
        if self._label_ns[after] == sensor_ns:
            return self._labels[after]
        if after == 0:
            return None
        start_ns, end_ns = self._label_ns[after - 1 : after + 1]
        if end_ns - start_ns > MAX_LABEL_GAP_NS:
            return None
        part = (sensor_ns - start_ns) / (end_ns - start_ns)
        return (1 - part) * self._labels[after - 1] + part * self._labels[after]


def format_report(report: Mapping[str, Any]) -> str:
    """Return the figures of :meth:`RunningEvaluation.report` as a table of plain text."""
    columns = [*report["cameras"].items()]
    if report["pose_3d"] is not None:
        columns.append(("3D", report["pose_3d"]))
    if not columns:
        return "no pose has come"
    heads = ["", *(name or "/" for name, _ in columns)]
    units = ["px" if "mpjpe_px" in figures else "mm" for _, figures in columns]
    rows = [heads, ["unit", *units]]
    for key in ("poses", "scored", "without_state", "unlabelled"):
        rows.append([key.replace("_", " "), *(str(figures[key]) for _, figures in columns)])
    rows.append(["PCK", *(_text(figures["pck"], 3) for _, figures in columns)])
    pairs = [(figures, unit) for (_, figures), unit in zip(columns, units, strict=True)]
    rows.append(["MPJPE", *(_text(figures[f"mpjpe_{unit}"], 2) for figures, unit in pairs)])
    for joint in JOINTS:
        errors = [_text(figures[f"joints_{unit}"][joint], 2) for figures, unit in pairs]
        rows.append([joint.replace("_", " "), *errors])
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(
            [row[0].ljust(widths[0])]
            + [cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)]
        )
        for row in rows
    )


def _text(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:.{digits}f}"
