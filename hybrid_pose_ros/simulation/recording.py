# SPDX-License-Identifier: Apache-2.0
"""From a scene to a recording: events, and the joints' exact places in the image."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from hybrid_pose_ros.events.array import EventArray
from hybrid_pose_ros.events.labelled import LabelledFileError, load_arrays, load_point_labels
from hybrid_pose_ros.geometry.cameras import scale_projection
from hybrid_pose_ros.geometry.ranges import MAX_METRES, RangeError, check_range
from hybrid_pose_ros.simulation.canvas import Canvas, frame_times
from hybrid_pose_ros.simulation.figure import Figure
from hybrid_pose_ros.simulation.scene import Scene
from hybrid_pose_ros.simulation.sensor import DynamicVisionSensor, SensorConfig

LABEL_US: Final = 10_000
"""Time between labels."""

CHUNK_US: Final = 100_000
"""Events are delivered in chunks of this length."""


@dataclass(frozen=True)
class Chunk:
    """A part of a recording: its events, and the labels at times in (start, end].

    ``label_ns`` [M], ``joints_m`` [M, 13, 3], ``keypoints_px`` [M, 13, 2], ``visible`` [M, 13]:
    inside the image.
    """

    events: EventArray
    label_ns: NDArray[np.int64]
    joints_m: NDArray[np.float32]
    keypoints_px: NDArray[np.float32]
    visible: NDArray[np.bool_]


@dataclass(frozen=True)
class Truth:
    """Labels of a recording, every 10 ms of sensor time.

    Attributes:
        label_ns: sensor time, int64 [M].
        keypoints_px: float32 [M, 13, 2].
        joints_m: float32 [M, 13, 3], world coordinates of the joints' markers
            (:mod:`~hybrid_pose_ros.simulation.markers`); keypoints are their images.
        visible: bool [M, 13], inside the image.
        camera_matrix: [3, 4], metres to homogeneous pixels.
        name: of the motion.
    """

    label_ns: NDArray[np.int64]
    keypoints_px: NDArray[np.float32]
    joints_m: NDArray[np.float32]
    visible: NDArray[np.bool_]
    camera_matrix: NDArray[np.float64]
    name: str

    def at(self, sensor_ns: NDArray[np.int64]) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        """Return the joints' places, [N, 13, 2] in px, and whether they are known, [N, 13].

        Between two labels the points are interpolated linearly; a joint counts if the labels that
        it is made of have it inside the image. Outside the labels' time nothing is known.
        """
        labels = self.label_ns
        after = np.clip(np.searchsorted(labels, sensor_ns), 1, len(labels) - 1)
        before = after - 1
        share = ((sensor_ns - labels[before]) / (labels[after] - labels[before]))[:, None, None]
        points = (1 - share) * self.keypoints_px[before] + share * self.keypoints_px[after]
        covered = (sensor_ns >= labels[0]) & (sensor_ns <= labels[-1])
        weighs_before, weighs_after = share[..., 0] < 1, share[..., 0] > 0
        seen = (self.visible[before] | ~weighs_before) & (self.visible[after] | ~weighs_after)
        return points, seen & covered[:, None]


@dataclass(frozen=True)
class Recording:
    """A whole simulated recording."""

    events: EventArray
    width: int
    height: int
    truth: Truth


def simulate_chunks(scene: Scene, seconds: float) -> Iterator[Chunk]:
    """Simulate a scene from sensor time 0 on, in chunks of 100 ms; the last may be shorter."""
    for (chunk,) in _chunks(scene, (scene.sensor,), seconds):
        yield chunk


def _chunks(
    scene: Scene, configs: Sequence[SensorConfig], seconds: float
) -> Iterator[list[Chunk]]:
    """Let several sensors see a scene, which is drawn once; a chunk for each."""
    figure = scene.body.figure(scene.motion)
    canvas = Canvas(scene, figure)
    canvas.show(np.zeros(1, np.int64), lambda time_us: None)
    flicker = scene.flicker
    depth = None if flicker is None else flicker.depth
    sensors = [
        DynamicVisionSensor(config, canvas.image, np.random.default_rng(scene.seed), depth)
        for config in configs
    ]
    end_us = round(seconds * 1e6 / LABEL_US) * LABEL_US
    seen_us = 0

    def see(time_us: int) -> None:
        nonlocal seen_us
        bright = 0.0 if flicker is None else flicker.at(time_us)
        for sensor in sensors:
            sensor.see(canvas.image, seen_us, time_us - seen_us, bright)
        seen_us = time_us

    for start in range(0, end_us, CHUNK_US):
        stop = min(start + CHUNK_US, end_us)
        canvas.show(frame_times(scene, start, stop), see)
        labels_us = np.arange(start + LABEL_US, stop + 1, LABEL_US)
        labels = _labels(scene, figure, labels_us)
        yield [Chunk(sensor.collect(start, stop), *labels) for sensor in sensors]


def _labels(
    scene: Scene, figure: Figure, labels_us: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.float32], NDArray[np.float32], NDArray[np.bool_]]:
    """Parts of a chunk beside its events, in its order."""
    camera = scene.camera
    markers = figure.markers_m(labels_us * 1e-6)
    keypoints = camera.project(markers)
    if scene.camera_motion is not None:
        keypoints = keypoints + scene.camera_motion.at(labels_us)[:, None]
    size = np.array((camera.width, camera.height)) - 0.5
    inside = ((keypoints > -0.5) & (keypoints < size)).all(-1) & (camera.depth(markers) > 0)
    return (
        labels_us * 1000,
        markers.astype(np.float32),
        keypoints.astype(np.float32),
        inside & scene.present,
    )


def simulate_recording(
    scene: Scene, seconds: float, progress: Callable[[float], None] = lambda done_s: None
) -> Recording:
    """Simulate a scene and keep all of it in memory.

    Args:
        progress: called with the seconds simulated so far.
    """
    chunks = []
    for chunk in simulate_chunks(scene, seconds):
        chunks.append(chunk)
        progress(chunk.label_ns[-1] * 1e-9)
    return _recording(scene, chunks)


def simulate_sensors(
    scene: Scene, sensors: Sequence[SensorConfig], seconds: float
) -> list[Recording]:
    """Simulate what several sensors make of a scene, which costs little more than one.

    Each recording is that of the scene with this sensor.
    """
    parts = zip(*_chunks(scene, sensors, seconds), strict=True)
    return [_recording(scene, chunks) for chunks in parts]


def _recording(scene: Scene, chunks: Sequence[Chunk]) -> Recording:
    """Join the chunks of a recording."""
    truth = Truth(
        label_ns=np.concatenate([chunk.label_ns for chunk in chunks]),
        keypoints_px=np.concatenate([chunk.keypoints_px for chunk in chunks]),
        joints_m=np.concatenate([chunk.joints_m for chunk in chunks]),
        visible=np.concatenate([chunk.visible for chunk in chunks]),
        camera_matrix=scene.camera.matrix,
        name=scene.motion.name,
    )
    events = np.concatenate([chunk.events for chunk in chunks])
    return Recording(events, scene.camera.width, scene.camera.height, truth)


def truth_path(recording: Path) -> Path:
    """Where the labels of an AEDAT4 recording lie: ``name.truth.npz`` beside ``name.aedat4``."""
    return recording.with_suffix(".truth.npz")


def save_recording(recording: Recording, path: Path) -> None:
    """Write events as AEDAT4 to ``path`` and the labels beside it (:func:`truth_path`)."""
    from hybrid_pose_ros.events.aedat4 import write_aedat4  # brings dv-processing with it

    write_aedat4(path, [recording.events], recording.width, recording.height)
    truth = recording.truth
    np.savez_compressed(
        truth_path(path),
        label_ns=truth.label_ns,
        keypoints_px=truth.keypoints_px,
        joints_m=truth.joints_m,
        visible=truth.visible,
        camera_matrix=truth.camera_matrix,
        name=np.array(truth.name),
    )


def load_truth(path: Path) -> Truth:
    """Read labels written by :func:`save_recording`; ``path`` is the ``.truth.npz`` file.

    Raises:
        LabelledFileError: the file is missing, damaged, or does not hold labels.
        CameraError: its camera matrix is none.
    """
    names = [field.name for field in fields(Truth)]
    arrays = load_arrays(path, names, (), "labels of the simulator (*.truth.npz)")
    labels = load_point_labels(path)  # checks those of the image
    joints = arrays["joints_m"]
    if labels is None or joints.shape != (*labels.confidence.shape, 3) or joints.dtype.kind != "f":
        raise LabelledFileError(f"{path}: joints_m is {joints.shape}, not a place for each label")
    try:
        check_range("joints_m", joints, -MAX_METRES, MAX_METRES, nan=True)
    except RangeError as error:
        raise LabelledFileError(f"{path}: {error}") from error
    arrays["camera_matrix"] = scale_projection(arrays["camera_matrix"], f"{path}: camera_matrix")
    return Truth(**arrays | {"name": str(arrays["name"])})
