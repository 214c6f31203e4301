# SPDX-License-Identifier: Apache-2.0
"""Simulated recordings in DHP19's layout: one person, four views, labels at the right moments."""

from pathlib import Path

import numpy as np
import pytest

from hybrid_pose_ros.cli.main import main
from hybrid_pose_ros.events.dhp19.cleaning import Cleaning
from hybrid_pose_ros.events.dhp19.labels import load_labels
from hybrid_pose_ros.events.dhp19.recording import Dhp19Recording
from hybrid_pose_ros.geometry.cameras import DHP19_LIKE, load_dhp19_cameras
from hybrid_pose_ros.simulation.dhp19 import CHANNEL_CAMERAS, LEAD_S, four_scenes, write_dhp19
from hybrid_pose_ros.simulation.markers import markers_of
from hybrid_pose_ros.simulation.movements import make_motion

from ..conftest import Refusal


def test_the_person_and_the_light_are_the_same_and_the_cameras_are_not() -> None:
    motion = make_motion("clap", np.random.default_rng(0), 0.3)
    scenes = four_scenes(motion, CHANNEL_CAMERAS, np.random.default_rng(0))
    first = scenes[0]
    for scene, camera in zip(scenes, CHANNEL_CAMERAS, strict=True):
        assert scene.camera is camera
        assert scene.body is first.body
        assert scene.lighting is first.lighting
    assert len({scene.seed for scene in scenes}) == 4
    assert len({scene.background.tobytes() for scene in scenes}) == 4
    assert sorted(camera.name for camera in CHANNEL_CAMERAS) == sorted(c.name for c in DHP19_LIKE)


def test_labels_begin_at_the_start_signal_and_lie_where_the_events_are(tmp_path: Path) -> None:
    motion = make_motion("walking", np.random.default_rng(3), 0.5)
    scenes = four_scenes(motion, CHANNEL_CAMERAS, np.random.default_rng(3))
    recording, labels = tmp_path / "a.aedat", tmp_path / "a.mat"
    done: list[float] = []
    events, count = write_dhp19(recording, labels, scenes, 0.3, progress=done.append)
    assert done[-1] == pytest.approx(0.3 + 2 * LEAD_S)
    joints = load_labels(labels)
    assert len(joints) == count == 30
    times = LEAD_S + np.arange(30) * 0.01
    assert np.allclose(joints, markers_of(motion.at(times)), atol=1e-6)
    source = Dhp19Recording(recording, Cleaning(trim=False), count)
    assert (source.span.start_us, source.span.stop_us) == (100_000, 400_000)
    batches = list(source.batches())
    assert source.tally.read.sum() == events
    for scene, parts in zip(scenes, zip(*batches, strict=True), strict=True):
        own = np.concatenate(parts)
        assert (own["t"][0] < 10_000_000) and (own["t"][-1] > 490_000_000)
        pixels = scene.camera.project(joints).reshape(-1, 2)
        low, high = pixels.min(0) - 25, pixels.max(0) + 25
        inside = (own["x"] > low[0]) & (own["x"] < high[0])
        inside &= (own["y"] > low[1]) & (own["y"] < high[1])
        # a person fills a small part of the image, and most of the events are hers
        assert (high - low).prod() < 0.5 * 346 * 260
        assert inside.mean() > 0.8


def test_the_command_writes_recording_labels_and_calibration(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], refusal: Refusal
) -> None:
    options = ["--motion", "clap", "--seconds", "0.1", "--seed", "2"]
    assert main(["simulate", "--dhp19", str(tmp_path / "own"), *options]) == 0
    said = capsys.readouterr().out
    assert "own/clap.mat: 10 labels" in said
    for channel, camera in load_dhp19_cameras(tmp_path / "own").items():
        assert np.allclose(camera.matrix, CHANNEL_CAMERAS[channel].matrix)
    calibration = ["--calibration", str(tmp_path / "own")]
    assert main(["simulate", "--dhp19", str(tmp_path / "b"), *options, *calibration]) == 0
    for name in ("clap.aedat", "clap.mat", "P1.npy", "P2.npy", "P3.npy", "P4.npy"):
        assert (tmp_path / "b" / name).is_file()
    both = ["--out", str(tmp_path / "c.aedat4"), "--dhp19", str(tmp_path / "c")]
    assert "exclude each other" in refusal("simulate", *both, *options)
    (tmp_path / "file").write_bytes(b"")
    assert "cannot be written" in refusal("simulate", "--dhp19", tmp_path / "file", *options)
