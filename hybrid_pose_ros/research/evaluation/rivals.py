# SPDX-License-Identifier: Apache-2.0
"""The hybrid on one recording beside what else gives poses between two runs of an ANN.

Every method gives a pose at the end of every step of the model, from a network that runs at the
same rate: the hybrid; the ANN alone, its pose held; the ANN with a Kalman filter of constant
velocity between its runs; and DHP19's CNN, held. All run one after the other on one core.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray

from hybrid_pose_ros.events.array import EventArray
from hybrid_pose_ros.events.binning import GridView, Step, StepBinner
from hybrid_pose_ros.events.labelled import PointLabels
from hybrid_pose_ros.metrics.pose_score import score_poses
from hybrid_pose_ros.networks.checkpoint import Checkpoint
from hybrid_pose_ros.networks.heatmaps import locate_peaks
from hybrid_pose_ros.pipeline.ann_estimator import AnnEstimator
from hybrid_pose_ros.pipeline.pose_estimator import whole_period
from hybrid_pose_ros.pipeline.snn_estimator import SnnEstimator
from hybrid_pose_ros.pipeline.state import Pose
from hybrid_pose_ros.research.evaluation.dhp19_cnn import CNN_EVENTS, Dhp19Cnn, count_image

RATES_HZ: Final = (50.0, 20.0, 10.0, 5.0, 2.0)
"""Runs of the network per second of sensor time."""

SETTLE_S: Final = 0.6
"""Poses of the first so many seconds do not count."""

CNN_SENSOR: Final = (346, 260)
"""The sensor that the CNN was trained on."""

ACCELERATION_PX_PER_S2: Final = 1500.0
MEASUREMENT_PX: Final = 3.0
"""Standard deviations of the Kalman filter: of the joints' accelerations, and of the ANN's
places, in px of the model's view."""


@dataclass(frozen=True)
class Track:
    """The poses of one method, one at the end of each step.

    Attributes:
        poses: in order of time; before the network's first run there are none.
        seconds: time that each step took until its pose was there, in order.
        cpu_s: CPU time of all together.
    """

    poses: list[Pose]
    seconds: NDArray[np.float64]
    cpu_s: float


class KalmanFilter:
    """Constant velocity for every joint, each coordinate by itself.

    Args:
        acceleration: standard deviation of what changes the velocity, px/s².
        measurement: standard deviation of a measured place, px.
    """

    def __init__(self, acceleration: float, measurement: float) -> None:
        self._density = acceleration**2
        self._noise = measurement**2
        self._state: NDArray[np.float64] | None = None  # place and velocity, [2, 13, 2]
        self._covariance: NDArray[np.float64] = np.zeros((2, 2))

    def predict(self, seconds: float) -> NDArray[np.float64]:
        """Go on by so much time; return the places, [13, 2]."""
        assert self._state is not None, "predict before the first measurement"
        move = np.array(((1.0, seconds), (0.0, 1.0)))
        self._state = np.einsum("ab,bjx->ajx", move, self._state)
        push = np.array((0.5 * seconds**2, seconds))
        spread = self._density * np.outer(push, push)
        self._covariance = move @ self._covariance @ move.T + spread
        places: NDArray[np.float64] = self._state[0]
        return places

    def measure(self, places: NDArray[np.floating]) -> None:
        """Take measured places, [13, 2]."""
        if self._state is None:
            self._state = np.stack((places, np.zeros_like(places))).astype(np.float64)
            # the velocity is not known
            self._covariance = np.diag((self._noise, 100.0**2))
            return
        gain = self._covariance[:, 0] / (self._covariance[0, 0] + self._noise)
        self._state = self._state + gain[:, None, None] * (places - self._state[0])
        self._covariance = self._covariance - np.outer(gain, self._covariance[0])


def compare_rivals(
    events: EventArray,
    width: int,
    height: int,
    checkpoint: Checkpoint,
    *,
    labels: PointLabels | None,
    cnn: Dhp19Cnn | None,
    progress: Callable[[str], None] = lambda what: None,
) -> dict[str, Any]:
    """Run all methods over a recording.

    Args:
        events: of the recording, in order of time.
        width, height: of the sensor in pixels.
        labels: where the joints are; None: errors are distances to the ANN at every step.
        cnn: DHP19's; None: without it.
        progress: told what is being run.

    Returns:
        ``reference`` ("labels" or "ann"), ``seconds``, and ``methods``: name -> rate -> figures:
        ``error_px`` (mean, in px of the model's view), ``latency_ms`` (``p50`` and ``p99`` of the
        time until a step's pose is there) and ``cpu`` (cores that the method keeps busy).

    Raises:
        ValueError: a rate that no whole number of steps gives, a sensor that the CNN does not
            know, or a recording that is too short.
    """
    view = checkpoint.config.view.fit(width, height)
    step_ns = checkpoint.config.step_ns
    periods = {hz: whole_period(hz, step_ns) for hz in RATES_HZ}
    if cnn is not None and (width, height) != CNN_SENSOR:
        raise ValueError(
            f"DHP19's CNN reads sensors of {CNN_SENSOR[0]}x{CNN_SENSOR[1]} pixels, "
            f"not {width}x{height}"
        )
    binner = StepBinner(view, step_ns, noise_filter=checkpoint.config.noise_filter)
    steps = binner.push(events)
    first_ns = (steps[0].index * step_ns if steps else 0) + round(SETTLE_S * 1e9)
    if not steps or steps[-1].end_ns(step_ns) <= first_ns:
        raise ValueError(f"the recording is too short: poses count after {SETTLE_S:g} s")
    seconds = len(steps) * step_ns * 1e-9

    progress("the ANN at every step")
    ann = _run_ann(checkpoint, view, steps)
    reference = labels or _as_labels(ann.poses)
    methods: dict[str, dict[str, Any]] = {}

    def score(name: str, hz: float, track: Track) -> None:
        counted = [pose for pose in track.poses if pose.sensor_time_ns > first_ns]
        errors = score_poses(counted, view, reference).errors
        assert errors is not None
        middle, high = np.percentile(track.seconds, (50, 99)) if len(track.seconds) else (0, 0)
        methods.setdefault(name, {})[f"{hz:g}"] = {
            "error_px": errors.mpjpe_px,
            "latency_ms": {"p50": 1e3 * float(middle), "p99": 1e3 * float(high)},
            "cpu": track.cpu_s / seconds,
        }

    score("ann", 1e9 / step_ns, ann)
    for hz, period in periods.items():
        progress(f"the network at {hz:g} Hz")
        score("hybrid", hz, _run_hybrid(checkpoint, view, steps, period))
        score("ann_held", hz, _held(ann, step_ns, period))
        score("ann_kalman", hz, _filtered(ann, step_ns, period, view))
        if cnn is not None:
            score("dhp19_cnn", hz, _run_cnn(cnn, events, steps, step_ns, period))
    return {
        "reference": "ann" if labels is None else "labels",
        "seconds": seconds,
        "methods": methods,
    }


def _run_ann(checkpoint: Checkpoint, view: GridView, steps: Sequence[Step]) -> Track:
    estimator = AnnEstimator(checkpoint, view)
    poses, seconds = [], []
    cpu = time.process_time()
    for step in steps:
        begin = time.perf_counter()
        estimator.push(step)
        poses.append(estimator.infer().pose)
        seconds.append(time.perf_counter() - begin)
    return Track(poses, np.array(seconds), time.process_time() - cpu)


def _run_hybrid(
    checkpoint: Checkpoint, view: GridView, steps: Sequence[Step], period: int
) -> Track:
    ann, snn = AnnEstimator(checkpoint, view), SnnEstimator(checkpoint, view)
    poses, seconds = [], []
    cpu = time.process_time()
    for step in steps:
        begin = time.perf_counter()
        pose = snn.step(step)
        seconds.append(time.perf_counter() - begin)
        if pose.init_age_ns >= 0:
            poses.append(pose)
        ann.push(step)
        if (step.index + 1) % period == 0:
            snn.initialise(ann.infer())
    return Track(poses, np.array(seconds), time.process_time() - cpu)


def _held(ann: Track, step_ns: int, period: int) -> Track:
    """The ANN's poses at the ends of periods, each until the next."""
    poses: list[Pose] = []
    last: Pose | None = None
    due = _due(ann, step_ns, period)
    for pose, is_due in zip(ann.poses, due, strict=True):
        last = pose if is_due else last
        if last is not None:
            poses.append(replace(last, sensor_time_ns=pose.sensor_time_ns))
    return Track(poses, ann.seconds[due], ann.cpu_s * float(due.mean()))


def _filtered(ann: Track, step_ns: int, period: int, view: GridView) -> Track:
    """The same, moved on between the ANN's runs by a Kalman filter."""
    kalman = KalmanFilter(ACCELERATION_PX_PER_S2 / view.scale, MEASUREMENT_PX / view.scale)
    poses: list[Pose] = []
    seconds = []
    due = _due(ann, step_ns, period)
    last_ns: int | None = None
    cpu = time.process_time()
    for pose, is_due in zip(ann.poses, due, strict=True):
        begin = time.perf_counter()
        places = None
        if last_ns is not None:
            places = kalman.predict(1e-9 * (pose.sensor_time_ns - last_ns))
        if is_due:
            kalman.measure(pose.keypoints)
            places = kalman.predict(0.0)
        if places is not None:
            last_ns = pose.sensor_time_ns
            poses.append(replace(pose, keypoints=places.astype(np.float32)))
            seconds.append(time.perf_counter() - begin)
    return Track(
        poses, np.array(seconds), time.process_time() - cpu + ann.cpu_s * float(due.mean())
    )


def _due(ann: Track, step_ns: int, period: int) -> NDArray[np.bool_]:
    ends = np.array([pose.sensor_time_ns // step_ns for pose in ann.poses])
    return np.asarray(ends % period == 0)


def _run_cnn(
    cnn: Dhp19Cnn, events: EventArray, steps: Sequence[Step], step_ns: int, period: int
) -> Track:
    """DHP19's CNN on the last events before the end of each period, its pose held."""
    poses: list[Pose] = []
    seconds = []
    last: Pose | None = None
    cpu = time.process_time()
    for step in steps:
        end_ns = step.end_ns(step_ns)
        if (step.index + 1) % period == 0:
            begin = time.perf_counter()
            stop = int(np.searchsorted(events["t"], end_ns))
            image = count_image(events[max(0, stop - CNN_EVENTS) : stop])
            with torch.inference_mode():
                points, confidence = locate_peaks(cnn(torch.from_numpy(image)[None, None])[0])
            last = Pose(end_ns, points.numpy(), confidence.numpy(), "ann", 0, 0)
            seconds.append(time.perf_counter() - begin)
        if last is not None:
            poses.append(replace(last, sensor_time_ns=end_ns))
    return Track(poses, np.array(seconds), time.process_time() - cpu)


def _as_labels(poses: Sequence[Pose]) -> PointLabels:
    """Poses as if they were the truth, where they are sure."""
    return PointLabels(
        np.array([pose.sensor_time_ns for pose in poses]),
        np.stack([pose.keypoints for pose in poses]).astype(np.float64),
        np.stack([pose.confidence for pose in poses]).astype(np.float64),
    )
