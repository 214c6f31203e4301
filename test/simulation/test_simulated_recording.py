# SPDX-License-Identifier: Apache-2.0
"""Scenes to recordings: labels, events near the body, determinism, files."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from hybrid_pose_ros.events.array import check_events
from hybrid_pose_ros.geometry.cameras import DHP19_LIKE, VIEWS
from hybrid_pose_ros.simulation.body import PARTS, TEXTURE_SHAPE, Body
from hybrid_pose_ros.simulation.camera_motion import CameraMotion, Shake
from hybrid_pose_ros.simulation.disturbances import Flicker
from hybrid_pose_ros.simulation.markers import markers_of
from hybrid_pose_ros.simulation.recording import (
    Recording,
    Scene,
    load_truth,
    save_recording,
    simulate_chunks,
    simulate_recording,
    simulate_sensors,
    truth_path,
)
from hybrid_pose_ros.simulation.sensor import DynamicVisionSensor, SensorConfig
from hybrid_pose_ros.simulation.source import SimulatorSource, sample_scene
from hybrid_pose_ros.skeleton import joint_id

QUIET = SensorConfig(leak_hz=0.0, shot_hz=0.0, hot_pixels=0)


@pytest.fixture(scope="module")
def scene() -> Scene:
    return replace(sample_scene("walking", 1.0, seed=4), sensor=QUIET)


@pytest.fixture(scope="module")
def recording(scene: Scene) -> Recording:
    return simulate_recording(scene, 0.5)


def test_labels_are_the_markers_seen_by_the_camera(scene: Scene, recording: Recording) -> None:
    truth = recording.truth
    assert truth.label_ns.tolist() == [10_000_000 * k for k in range(1, 51)]
    markers = markers_of(scene.motion.at(truth.label_ns * 1e-9))
    assert np.allclose(truth.joints_m, markers, atol=1e-6)
    assert np.allclose(truth.keypoints_px, scene.camera.project(markers), atol=1e-3)
    assert truth.visible.all()


def test_sensors_that_share_a_scene_see_what_each_sees_alone(scene: Scene) -> None:
    configs = (QUIET, SensorConfig(threshold_on=0.4, cutoff_hz=50.0, shot_hz=2.0, polarity="on"))
    together = simulate_sensors(scene, configs, 0.25)
    for recording, config in zip(together, configs, strict=True):
        alone = simulate_recording(replace(scene, sensor=config), 0.25)
        assert (recording.events == alone.events).all()
        assert (recording.truth.keypoints_px == alone.truth.keypoints_px).all()
    assert len(together[0].events) != len(together[1].events)


def test_events_lie_on_the_body(recording: Recording) -> None:
    check_events(recording.events, 346, 260)
    assert len(recording.events) > 5000
    assert recording.events["t"].min() >= 0 and recording.events["t"].max() < 500_000_000
    for label in (20, 40):
        end = recording.truth.label_ns[label]
        now = recording.events[np.abs(recording.events["t"] - end) < 10_000_000]
        points = np.stack((now["x"], now["y"]), -1)[:, None]
        distance = np.linalg.norm(points - recording.truth.keypoints_px[label], axis=-1).min(1)
        assert np.percentile(distance, 95) < 35  # half a limb's length and its thickness


def test_a_person_who_faces_the_camera_has_the_right_hand_on_the_left_of_the_image() -> None:
    truth = simulate_recording(sample_scene("standing", 0.2, seed=1), 0.1).truth
    for side in ("hand", "shoulder", "hip", "foot"):
        right = truth.keypoints_px[0, joint_id(f"right_{side}"), 0]
        assert right < truth.keypoints_px[0, joint_id(f"left_{side}"), 0]


def test_nobody_who_stands_still_is_seen() -> None:
    walking = sample_scene("walking", 1.0, seed=4)
    frozen = replace(walking.motion, joints_m=walking.motion.joints_m[:1].repeat(101, 0))
    still = simulate_recording(replace(walking, motion=frozen, sensor=QUIET), 0.3)
    assert len(still.events) == 0


def test_an_empty_room_has_labels_that_nobody_sees(scene: Scene) -> None:
    empty = simulate_recording(replace(scene, present=False), 0.2)
    assert len(empty.events) == 0
    assert empty.truth.visible.shape == (20, 13)
    assert not empty.truth.visible.any()


def test_labels_move_with_a_shaking_camera(scene: Scene, recording: Recording) -> None:
    shake = Shake(np.array(((3.0, 1.0),)), np.array((5.0,)), np.array(((0.0, 0.25),)))
    shaken = simulate_recording(replace(scene, camera_motion=CameraMotion((shake,))), 0.5)
    moved = shaken.truth.keypoints_px - recording.truth.keypoints_px
    # 50 ms are a quarter of 5 Hz
    assert moved[4] == pytest.approx(np.tile((3.0, 0.0), (13, 1)), abs=1e-3)
    assert moved[9] == pytest.approx(np.tile((0.0, -1.0), (13, 1)), abs=1e-3)
    assert np.allclose(shaken.truth.joints_m, recording.truth.joints_m)
    assert len(shaken.events) > len(recording.events)


def test_the_picture_of_a_shaken_room_moves_as_the_labels_do() -> None:
    scene = sample_scene("walking", 0.2, seed=4)
    background = np.zeros_like(scene.background)
    background[:, 200:] = -1.0
    shake = Shake(np.array(((4.0, 0.0),)), np.array((5.0,)), np.array(((0.0, 0.0),)))
    empty = replace(scene, present=False, sensor=QUIET, background=background)
    events = simulate_recording(replace(empty, camera_motion=CameraMotion((shake,))), 0.1).events
    assert set(events["x"]) <= set(range(199, 205))  # the edge goes to the right
    assert np.all(events["polarity"][events["t"] < 50_000_000] == 1)  # where it was dark


def test_a_lamp_flickers_at_its_own_frequency(scene: Scene) -> None:
    depth = np.zeros_like(scene.background)
    depth[10:20, 10:20] = 0.8
    flicker = Flicker(100.0, 0.0, depth)
    events = simulate_recording(replace(scene, present=False, flicker=flicker), 0.3).events
    assert set(events["x"]) == set(range(10, 20)) == set(events["y"])
    late = events[events["t"] >= 100_000_000]
    rising = np.bincount(late["t"][late["polarity"] == 1] // 1_000_000 % 10, minlength=10)
    assert rising.max() > 0.15 * rising.sum() > 3 * rising.min()  # all in one part of 10 ms


def test_slow_scenes_are_drawn_less_often(monkeypatch: pytest.MonkeyPatch) -> None:
    spans: list[int] = []
    see = DynamicVisionSensor.see

    def note(
        sensor: DynamicVisionSensor,
        frame: NDArray[np.float32],
        start_us: int,
        span_us: int,
        flicker: float,
    ) -> None:
        spans.append(span_us)
        see(sensor, frame, start_us, span_us, flicker)

    monkeypatch.setattr(DynamicVisionSensor, "see", note)
    simulate_recording(sample_scene("standing", 0.3, seed=2), 0.3)
    assert max(spans) >= 5000
    assert sum(spans) == 300_000
    spans.clear()
    simulate_recording(sample_scene("slow_jogging", 0.3, seed=2), 0.3)
    assert min(spans) <= 2000
    assert sum(spans) == 300_000


def test_a_recording_is_a_function_of_its_scene_and_its_chunks_join(scene: Scene) -> None:
    noisy = replace(scene, sensor=SensorConfig())
    again = simulate_recording(noisy, 0.3)
    assert np.array_equal(simulate_recording(noisy, 0.3).events, again.events)
    assert not np.array_equal(
        simulate_recording(replace(noisy, seed=scene.seed + 1), 0.3).events[:100],
        again.events[:100],
    )
    chunks = list(simulate_chunks(noisy, 0.3))
    assert len(chunks) == 3
    for k, chunk in enumerate(chunks):
        assert np.all(chunk.events["t"] // 100_000_000 == k)


def test_files_round_trip(recording: Recording, tmp_path: Path) -> None:
    path = tmp_path / "walk.aedat4"
    save_recording(recording, path)
    assert path.is_file()
    truth = load_truth(truth_path(path))
    assert np.array_equal(truth.label_ns, recording.truth.label_ns)
    assert np.array_equal(truth.keypoints_px, recording.truth.keypoints_px)
    assert np.array_equal(truth.visible, recording.truth.visible)
    assert truth.name == "walking"
    np.savez(tmp_path / "other.truth.npz", nothing=np.zeros(1))
    with pytest.raises(ValueError, match=r"other\.truth\.npz: no array label_ns"):
        load_truth(tmp_path / "other.truth.npz")


def test_the_source_delivers_the_recording() -> None:
    source = SimulatorSource("walking", 0.4, seed=7)
    parts = []
    while (events := source.read()) is not None:
        parts.append(events)
    expected = simulate_recording(sample_scene("walking", 0.4, seed=7), 0.4)
    assert np.array_equal(np.concatenate(parts), expected.events)
    assert (source.width, source.height, source.live) == (346, 260, False)
    with pytest.raises(ValueError, match="no movement is called 'flying'"):
        SimulatorSource("flying", 1.0, seed=0)


def test_views_show_the_same_moment_with_sensors_of_their_own() -> None:
    now = np.array([0.3])
    views = [sample_scene("walking", 0.5, 3, view) for view in VIEWS]
    for own, scene in zip(VIEWS, views, strict=True):
        assert scene.camera.name == own
        np.testing.assert_array_equal(scene.motion.at(now), views[0].motion.at(now))
        np.testing.assert_array_equal(scene.body.textures, views[0].body.textures)
        assert scene.lighting == views[0].lighting
    assert len({scene.seed for scene in views}) == len({scene.sensor for scene in views}) == 4
    assert views[0].seed == sample_scene("walking", 0.5, 3).seed


def test_every_part_of_the_body_has_a_texture_and_encloses_its_joints() -> None:
    body = Body.sample(np.random.default_rng(0))
    assert body.textures.shape == (len(PARTS), *TEXTURE_SHAPE)
    scene = sample_scene("standing", 0.2, seed=1)
    joints = scene.motion.at(np.zeros(1))
    capsules = body.capsules(joints)
    assert capsules.forward[0] @ (0, -1, 0) > 0.9  # DHP19's people face -y
    for joint in joints[0]:
        start, axis = capsules.ends[0, :, 0], capsules.ends[0, :, 1] - capsules.ends[0, :, 0]
        h = np.clip(np.sum((joint - start) * axis, -1) / np.sum(axis * axis, -1), 0, 1)
        distance = np.linalg.norm(start + h[:, None] * axis - joint, axis=-1)
        assert np.min(distance - capsules.radii.max(-1)) < 0.0


def test_the_scene_looks_different_for_each_seed() -> None:
    scenes = [sample_scene("standing", 0.2, seed=seed) for seed in range(4)]
    assert len({scene.sensor.threshold_off for scene in scenes}) == 4
    assert len({scene.body.girth for scene in scenes}) == 4
    assert all(scene.camera is DHP19_LIKE[0] for scene in scenes)
