# SPDX-License-Identifier: Apache-2.0
"""Recordings of a simulated person by four cameras, in the layout of the data set DHP19."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

import numpy as np

from hybrid_pose_ros.events.dhp19.labels import save_labels
from hybrid_pose_ros.events.dhp19.writer import Dhp19Writer
from hybrid_pose_ros.geometry.cameras import DHP19_LIKE, DHP19_MATRICES, Camera
from hybrid_pose_ros.simulation.motion import Motion
from hybrid_pose_ros.simulation.recording import LABEL_US, Scene, simulate_chunks
from hybrid_pose_ros.simulation.rooms import sample_background

LEAD_S: Final = 0.1
"""The cameras run before the start signal and after the stop signal."""

_FRONT_LEFT, _FRONT_RIGHT, _SIDE_LEFT, _SIDE_RIGHT = DHP19_LIKE

CHANNEL_CAMERAS: Final = (_SIDE_LEFT, _SIDE_RIGHT, _FRONT_LEFT, _FRONT_RIGHT)
"""Cameras without a calibration, in the order of DHP19's channels."""


def four_scenes(
    motion: Motion, cameras: Sequence[Camera], rng: np.random.Generator
) -> list[Scene]:
    """Draw one person in one light, and a background and a sensor for each camera."""
    first = Scene.sample(motion, cameras[0], rng)
    scenes = [first]
    for camera in cameras[1:]:
        own = Scene.sample(motion, camera, rng)
        glare = first.lighting.glare
        background = sample_background(rng, camera.width, camera.height, glare)
        same = replace(own, body=first.body, lighting=first.lighting, background=background)
        scenes.append(same)
    return scenes


def write_dhp19(
    recording: Path,
    labels: Path,
    scenes: Sequence[Scene],
    seconds: float,
    progress: Callable[[float], None] = lambda done_s: None,
) -> tuple[int, int]:
    """Simulate the four cameras' views of a scene and write events and labels.

    Two special events mark the start, :data:`LEAD_S` after the first event, and one the stop. The
    first label is of the moment of the start.

    Args:
        recording: `.aedat` file to write.
        labels: `.mat` file to write.
        scenes: of the four channels, with the same motion.
        seconds: from start to stop.
        progress: called with the seconds simulated so far.

    Returns:
        Number of events in the file, and of labels.

    Raises:
        OSError: a file cannot be written.
    """
    label_ns, lead_ns = LABEL_US * 1000, round(LEAD_S * 1e9)
    count = round(seconds * 1e9) // label_ns
    stop_ns = lead_ns + count * label_ns
    signals = {lead_ns: (lead_ns, lead_ns + 1000), stop_ns: (stop_ns,)}
    streams = [simulate_chunks(scene, stop_ns * 1e-9 + LEAD_S) for scene in scenes]
    joints, times, written = [], [], 0
    with Dhp19Writer(recording) as writer:
        for chunks in zip(*streams, strict=True):
            end_ns = int(chunks[0].label_ns[-1])
            events = [chunk.events for chunk in chunks]
            for moment in sorted(signals):
                if moment > end_ns:
                    break
                before = [own[own["t"] < moment] for own in events]
                events = [own[own["t"] >= moment] for own in events]
                writer.write(before)
                writer.signal(*signals.pop(moment))
                written += sum(map(len, before))
            writer.write(events)
            written += sum(map(len, events))
            joints.append(chunks[0].joints_m)
            times.append(chunks[0].label_ns)
            progress(end_ns * 1e-9)
    moments = np.concatenate(times)
    inside = (moments >= lead_ns) & (moments < stop_ns)
    save_labels(labels, np.concatenate(joints)[inside])
    return written, count


def write_calibration(folder: Path, cameras: Sequence[Camera]) -> None:
    """Write P1.npy to P4.npy as DHP19 has them; cameras in the order of the channels."""
    for channel, name in DHP19_MATRICES.items():
        np.save(folder / f"{name}.npy", cameras[channel].to_dhp19())
