# SPDX-License-Identifier: Apache-2.0
"""From a scene to a recording: events, and the joints' exact places in the image."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from hybrid_pose_ros.events.array import EventArray
from hybrid_pose_ros.geometry.cameras import Camera
from hybrid_pose_ros.simulation.body import Body
from hybrid_pose_ros.simulation.disturbances import Flicker, Shake
from hybrid_pose_ros.simulation.figure import BodyKind, Figure
from hybrid_pose_ros.simulation.motion import Motion
from hybrid_pose_ros.simulation.renderer import Lighting, clear, sample_background, shift
from hybrid_pose_ros.simulation.sensor import DynamicVisionSensor, SensorConfig

FRAMES_US: Final = (1_000, 2_000, 5_000)
"""Times between rendered frames, in between of which light is interpolated; the longest is taken
in which nothing moves further than :data:`STEP_PX`."""

STEP_PX: Final = 0.7

LABEL_US: Final = 10_000
"""Time between labels."""

CHUNK_US: Final = 100_000
"""Events are delivered in chunks of this length."""

_ABSENT, _FLICKERS, _SHAKES = 0.03, 0.06, 0.06
"""Shares of wild scenes."""


@dataclass(frozen=True)
class Scene:
    """All that a recording is made of; the recording is a function of it.

    Attributes:
        motion: joints over time.
        body: build and clothes, of any kind.
        camera: where the sensor is; its width and height are the sensor's.
        lighting: one lamp.
        background: log intensity [height, width].
        sensor: the sensor's properties.
        seed: of the sensor's noise and mismatch.
        present: whether the person is there; else the room is empty and no joint is visible.
        flicker: a lamp on alternating current, or None.
        shake: the camera's movement, or None. Keypoints and their visibility are those in the
            moved image.
    """

    motion: Motion
    body: BodyKind
    camera: Camera
    lighting: Lighting
    background: NDArray[np.float32]
    sensor: SensorConfig
    seed: int
    present: bool = True
    flicker: Flicker | None = None
    shake: Shake | None = None

    @classmethod
    def sample(cls, motion: Motion, camera: Camera, rng: np.random.Generator) -> "Scene":
        """Draw a person, a room, a lamp and a sensor for a motion seen by a camera.

        The room is a laboratory's: the person is there, the light steady, the camera fixed.
        """
        lighting = Lighting.sample(rng)
        return cls(
            motion=motion,
            body=Body.sample(rng),
            camera=camera,
            lighting=lighting,
            background=sample_background(rng, camera.width, camera.height, lighting.glare),
            sensor=SensorConfig.sample(rng),
            seed=int(rng.integers(2**31)),
        )

    @classmethod
    def sample_wild(cls, motion: Motion, camera: Camera, rng: np.random.Generator) -> "Scene":
        """Draw a scene as :meth:`sample` does, in rare cases disturbed; meant for training.

        Of 100 scenes 3 are empty rooms, 6 have a flickering lamp and 6 a shaking camera.
        """
        scene = cls.sample(motion, camera, rng)
        absent, flickers, shakes = rng.random(3) < (_ABSENT, _FLICKERS, _SHAKES)
        return replace(
            scene,
            present=not absent,
            flicker=Flicker.sample(rng, camera.width, camera.height) if flickers else None,
            shake=Shake.sample(rng) if shakes else None,
        )


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
    rng = np.random.default_rng(scene.seed)
    figure = scene.body.figure(scene.motion)
    canvas = _Canvas(scene, figure)
    canvas.show(np.zeros(1, np.int64), lambda time_us: None)
    flicker = scene.flicker
    sensor = DynamicVisionSensor(
        scene.sensor, canvas.image, rng, None if flicker is None else flicker.depth
    )
    end_us = round(seconds * 1e6 / LABEL_US) * LABEL_US
    for start in range(0, end_us, CHUNK_US):
        stop = min(start + CHUNK_US, end_us)
        span = _frame_us(scene, start, stop)

        def see(time_us: int, span: int = span) -> None:
            bright = 0.0 if flicker is None else flicker.at(time_us)
            sensor.see(canvas.image, time_us - span, span, bright)

        canvas.show(np.arange(start + span, stop + 1, span), see)
        labels_us = np.arange(start + LABEL_US, stop + 1, LABEL_US)
        yield _label(scene, figure, labels_us, sensor.collect(start, stop))


def _label(
    scene: Scene, figure: Figure, labels_us: NDArray[np.int64], events: EventArray
) -> Chunk:
    camera = scene.camera
    markers = figure.markers_m(labels_us * 1e-6)
    keypoints = camera.project(markers)
    if scene.shake is not None:
        keypoints = keypoints + scene.shake.at(labels_us)[:, None]
    size = np.array((camera.width, camera.height)) - 0.5
    inside = ((keypoints > -0.5) & (keypoints < size)).all(-1) & (camera.depth(markers) > 0)
    return Chunk(
        events=events,
        label_ns=labels_us * 1000,
        joints_m=markers.astype(np.float32),
        keypoints_px=keypoints.astype(np.float32),
        visible=inside & scene.present,
    )


def _frame_us(scene: Scene, start_us: int, stop_us: int) -> int:
    """Time between frames of a chunk: the faster things move, the shorter."""
    if scene.flicker is not None:
        return FRAMES_US[0]
    times = np.arange(start_us, stop_us + 1, LABEL_US)
    joints = scene.motion.at(times * 1e-6)
    # fingers and toes move faster than hands and feet
    points = scene.camera.project(2 * joints - joints.mean(1, keepdims=True))
    if scene.shake is not None:
        points = points + scene.shake.at(times)[:, None]
    speed = np.linalg.norm(np.diff(points, axis=0), axis=-1).max() / LABEL_US
    return max([span for span in FRAMES_US if span * speed <= STEP_PX], default=FRAMES_US[0])


class _Canvas:
    """The picture that the sensor sees: ``image``, log intensity [H, W], drawn over each time."""

    def __init__(self, scene: Scene, figure: Figure) -> None:
        self._scene = scene
        self._figure = figure
        self.image = scene.background.copy()
        self._depth = np.full(self.image.shape, 1e9, np.float32)
        height, width = self.image.shape
        self._box = np.array((0, 0, width, height), np.int64)

    def show(self, times_us: NDArray[np.int64], seen: Callable[[int], None]) -> None:
        """Draw the scene at each time, and call ``seen`` with it."""
        scene = self._scene
        view = self._figure.view(times_us * 1e-6, scene.camera, scene.lighting)
        moved = None if scene.shake is None else scene.shake.at(times_us)
        if moved is not None:
            view.move(moved)
        height, width = self.image.shape
        for frame, time_us in enumerate(times_us):
            clear(self.image, self._depth, scene.background, *self._box)
            if moved is not None:
                du, dv = moved[frame]
                shift(scene.background, du, dv, self.image)
            if scene.present:
                view.bounds(frame, width, height, self._box)
                view.draw(frame, self.image, self._depth)
            seen(int(time_us))


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
        FileNotFoundError: there is no such file.
        ValueError: it does not hold labels.
    """
    with np.load(path) as file:
        missing = {"label_ns", "keypoints_px", "joints_m", "visible"} - set(file.files)
        if missing:
            raise ValueError(f"{path}: no labels, {sorted(missing)} are missing")
        return Truth(
            label_ns=file["label_ns"],
            keypoints_px=file["keypoints_px"],
            joints_m=file["joints_m"],
            visible=file["visible"],
            camera_matrix=file["camera_matrix"],
            name=str(file["name"]),
        )
