# SPDX-License-Identifier: Apache-2.0
"""From a scene to a recording: events, and the joints' exact places in the image."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from hybrid_pose_ros.events.array import EventArray
from hybrid_pose_ros.geometry.cameras import Camera
from hybrid_pose_ros.simulation.body import Body
from hybrid_pose_ros.simulation.motion import Motion
from hybrid_pose_ros.simulation.renderer import (
    Lighting,
    bounds,
    clear,
    draw,
    project_parts,
    sample_background,
)
from hybrid_pose_ros.simulation.sensor import DynamicVisionSensor, SensorConfig

FRAME_US: Final = 2_000
"""Time between rendered frames; events in between are interpolated."""

LABEL_US: Final = 10_000
"""Time between labels."""

CHUNK_US: Final = 100_000
"""Events are delivered in chunks of this length."""


@dataclass(frozen=True)
class Scene:
    """All that a recording is made of; the recording is a function of it.

    Attributes:
        motion: joints over time.
        body: build and clothes.
        camera: where the sensor is; its width and height are the sensor's.
        lighting: one lamp.
        background: log intensity [height, width].
        sensor: the sensor's properties.
        seed: of the sensor's noise and mismatch.
    """

    motion: Motion
    body: Body
    camera: Camera
    lighting: Lighting
    background: NDArray[np.float32]
    sensor: SensorConfig
    seed: int

    @classmethod
    def sample(cls, motion: Motion, camera: Camera, rng: np.random.Generator) -> "Scene":
        """Draw a person, a room, a lamp and a sensor for a motion seen by a camera."""
        return cls(
            motion=motion,
            body=Body.sample(rng),
            camera=camera,
            lighting=Lighting.sample(rng),
            background=sample_background(rng, camera.width, camera.height),
            sensor=SensorConfig.sample(rng),
            seed=int(rng.integers(2**31)),
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
        joints_m: float32 [M, 13, 3], world coordinates.
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
    camera = scene.camera
    canvas = scene.background.copy()
    depth = np.full(canvas.shape, 1e9, np.float32)
    box = np.zeros(4, np.int64)
    last_box = np.array((0, 0, camera.width, camera.height), np.int64)
    sensor: DynamicVisionSensor | None = None
    end_us = round(seconds * 1e6 / LABEL_US) * LABEL_US
    for start in range(0, end_us, CHUNK_US):
        stop = min(start + CHUNK_US, end_us)
        # the frame at the start is drawn only once, to set up the sensor
        times = np.arange(start if sensor is None else start + FRAME_US, stop + 1, FRAME_US)
        parts = project_parts(
            scene.body.capsules(scene.motion.at(times * 1e-6)), camera, scene.lighting
        )
        for frame, time_us in enumerate(times):
            clear(canvas, depth, scene.background, *last_box)
            bounds(parts.image[frame], camera.width, camera.height, box)
            draw(
                parts.image[frame],
                parts.facing[frame],
                parts.thickness,
                scene.body.textures,
                scene.lighting.ambient,
                canvas,
                depth,
            )
            if sensor is None:
                sensor = DynamicVisionSensor(scene.sensor, canvas, rng)
            else:
                union = np.concatenate(
                    (np.minimum(box[:2], last_box[:2]), np.maximum(box[2:], last_box[2:]))
                )
                sensor.see(canvas, union, int(time_us) - FRAME_US, FRAME_US)
            last_box[:] = box
        assert sensor is not None
        labels_us = np.arange(start + LABEL_US, stop + 1, LABEL_US)
        joints = scene.motion.at(labels_us * 1e-6)
        keypoints = camera.project(joints)
        size = np.array((camera.width, camera.height)) - 0.5
        inside = ((keypoints > -0.5) & (keypoints < size)).all(-1) & (camera.depth(joints) > 0)
        yield Chunk(
            events=sensor.collect(start, stop),
            label_ns=labels_us * 1000,
            joints_m=joints.astype(np.float32),
            keypoints_px=keypoints.astype(np.float32),
            visible=inside,
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
