# SPDX-License-Identifier: Apache-2.0
"""Scenes anywhere: shares, companions, moving things, and how often a picture is drawn."""

from collections.abc import Iterator
from dataclasses import replace
from time import process_time

import numpy as np
import pytest
from scipy.ndimage import minimum_filter

from hybrid_pose_ros.geometry.cameras import DHP19_LIKE
from hybrid_pose_ros.simulation import scene as scene_module
from hybrid_pose_ros.simulation.body import Body
from hybrid_pose_ros.simulation.canvas import Canvas, frame_times
from hybrid_pose_ros.simulation.mesh.mesh_body import MeshBody
from hybrid_pose_ros.simulation.motion import Motion
from hybrid_pose_ros.simulation.recording import simulate_recording
from hybrid_pose_ros.simulation.scene import Scene, sample_companion
from hybrid_pose_ros.simulation.sensor import SensorConfig
from hybrid_pose_ros.simulation.source import sample_scene
from hybrid_pose_ros.simulation.things import KINDS, Thing

QUIET = SensorConfig(leak_hz=0.0, shot_hz=0.0, hot_pixels=0)
NOW = np.zeros(1, np.int64)


def picture(scene: Scene, times_us: np.ndarray = NOW) -> np.ndarray:
    canvas = Canvas(scene, scene.body.figure(scene.motion))
    canvas.show(times_us, lambda time_us: None)
    return canvas.image.copy()


def eroded(mask: np.ndarray) -> np.ndarray:
    """The mask without three pixels along its border."""
    return np.asarray(minimum_filter(mask, 7))


def frozen(motion: Motion, seconds: float) -> Motion:
    times = np.linspace(0.0, seconds, 5)
    return Motion(times, motion.joints_m[:1].repeat(5, 0), "frozen")


def moved(motion: Motion, offset: tuple[float, float, float]) -> Motion:
    return replace(motion, joints_m=motion.joints_m + offset)


@pytest.fixture(scope="module")
def walking() -> Scene:
    return replace(sample_scene("walking", 1.0, seed=4), sensor=QUIET)


def drawn(count: int) -> Iterator[Scene]:
    rng = np.random.default_rng(0)
    motion = sample_scene("standing", 2.0, seed=1).motion
    camera = DHP19_LIKE[0]
    for _ in range(count):
        yield Scene.sample_wild(motion, camera, rng)


def test_wild_scenes_have_the_documented_shares() -> None:
    scenes = list(drawn(150))
    counts = {
        scene_module.ABSENT: [not scene.present for scene in scenes],
        scene_module.FLICKERING: [scene.flicker is not None for scene in scenes],
        scene_module.TREMBLING + scene_module.PANNING: [
            scene.camera_motion is not None for scene in scenes
        ],
        scene_module.ACCOMPANIED: [len(scene.others) == 1 for scene in scenes],
        scene_module.CLUTTERED: [len(scene.things) == 1 for scene in scenes],
        scene_module.POLARITY_LOST: [scene.sensor.polarity != "kept" for scene in scenes],
        # more than any DAVIS346 indoors has
        scene_module.WIDE_SENSOR: [scene.sensor.shot_in_dark > 0 for scene in scenes],
    }
    assert len(counts) == 7
    for share, found in counts.items():
        assert abs(np.mean(found) - share) < 3.5 * np.sqrt(share * (1 - share) / len(scenes))
    for scene in scenes:
        height, width = scene.background.shape
        assert (height > 260 and width > 346) == (scene.camera_motion is not None)
    clean = Scene.sample(scenes[0].motion, DHP19_LIKE[0], np.random.default_rng(1))
    assert (clean.present, clean.flicker, clean.camera_motion) == (True, None, None)
    assert (clean.others, clean.things, clean.sensor.polarity) == ((), (), "kept")


def test_a_wild_scene_is_a_function_of_the_generator_and_its_events_of_the_scene() -> None:
    first, again = next(drawn(1)), next(drawn(1))
    events = simulate_recording(first, 0.2).events
    assert np.array_equal(events, simulate_recording(again, 0.2).events)


def test_both_kinds_of_bodies_are_drawn_as_asked(walking: Scene) -> None:
    rng = np.random.default_rng(0)
    for share, low, high in ((0.0, 0, 0), (0.5, 1, 7), (1.0, 8, 8)):
        wild = [Scene.sample_wild(walking.motion, walking.camera, rng, share) for _ in range(8)]
        assert low <= sum(isinstance(scene.body, MeshBody) for scene in wild) <= high


def test_a_second_person_is_seen_but_not_labelled(walking: Scene) -> None:
    other = (Body.sample(np.random.default_rng(1)), moved(walking.motion, (1.0, 0.0, 0.0)))
    both = simulate_recording(replace(walking, others=(other,)), 0.2)
    alone = simulate_recording(walking, 0.2)
    assert np.array_equal(both.truth.keypoints_px, alone.truth.keypoints_px)
    assert len(both.events) > 1.2 * len(alone.events)
    empty = simulate_recording(replace(walking, others=(other,), present=False), 0.2)
    assert len(empty.events) > 1000
    assert not empty.truth.visible.any()


def test_the_nearer_person_hides_the_farther(walking: Scene) -> None:
    towards = walking.camera.centre - walking.motion.joints_m.mean((0, 1))
    behind = moved(walking.motion, tuple(-0.3 * towards))
    body = Body.sample(np.random.default_rng(1))
    alone, both = picture(walking), picture(replace(walking, others=((body, behind),)))
    person = alone != walking.background
    inner = eroded(person)
    assert inner.sum() > 1000
    # seams between the parts of a body are not quite tight
    assert np.mean(np.abs(alone - both)[inner] < 0.02) > 0.97
    swapped = replace(walking, body=body, motion=behind, others=((walking.body, walking.motion),))
    assert np.array_equal(picture(swapped), both)


def test_companions_stand_beside_or_behind(walking: Scene) -> None:
    rng = np.random.default_rng(0)
    places = np.array(
        [
            sample_companion(walking.motion, walking.camera, rng, 0.0)[1].joints_m.mean((0, 1))
            for _ in range(60)
        ]
    )
    first = walking.motion.joints_m.mean((0, 1))
    apart = np.linalg.norm((places - first)[:, :2], axis=1)
    aside = np.abs(walking.camera.project(places)[:, 0] - walking.camera.project(first)[0])
    assert np.mean((apart > 0.4) | (aside > 80)) > 0.9
    assert 0.3 < np.mean(aside > 100) < 0.9


@pytest.mark.parametrize("seed", range(8))
def test_things_move_where_they_are_and_hide_what_is_farther(walking: Scene, seed: int) -> None:
    rng = np.random.default_rng(seed)
    thing = replace(
        Thing.sample(rng, walking.camera, 3.0), centre_px=(173.0, 130.0), hertz=1.0, depth_m=1.0
    )
    empty = replace(walking, present=False, things=(thing,))
    changed = picture(empty) != walking.background
    low, high = thing.corners(NOW)[0]
    x = np.flatnonzero(changed.any(0))
    assert x.min() >= low[0] - 2 and x.max() <= high[0] + 2
    events = simulate_recording(empty, 0.3).events
    inside = (events["x"] >= 173 - thing.half_px[0] - abs(thing.sway_px[0]) - 2) & (
        events["x"] <= 173 + thing.half_px[0] + abs(thing.sway_px[0]) + 2
    )
    assert inside.all()
    inner = eroded(changed)
    with_person = picture(replace(empty, present=True))
    assert np.array_equal(with_person[inner], picture(empty)[inner])


def test_all_kinds_of_things_are_drawn() -> None:
    rng = np.random.default_rng(0)
    things = [Thing.sample(rng, DHP19_LIKE[0], 3.0) for _ in range(80)]
    assert any(thing.round for thing in things) and any(thing.scroll_hz for thing in things)
    assert any(thing.swing > 0.2 for thing in things)
    assert len(KINDS) == 5


def test_a_still_scene_costs_few_frames_and_has_its_noise(walking: Scene) -> None:
    noisy = SensorConfig(leak_hz=0.1, shot_hz=0.4, hot_pixels=0)
    still = replace(walking, motion=frozen(walking.motion, 10.0), sensor=noisy)
    assert frame_times(still, 200_000, 300_000).tolist() == [220_000, 300_000]
    assert frame_times(still, 200_000, 210_000).tolist() == [210_000]
    simulate_recording(still, 0.1)  # compiles
    begin = process_time()
    recording = simulate_recording(still, 10.0)
    assert process_time() - begin < 3.0
    expected = 0.5 * 10 * 346 * 260
    assert abs(len(recording.events) - expected) < 5 * np.sqrt(expected)
    assert len(recording.truth.label_ns) == 1000


def test_the_slower_the_movement_the_longer_between_frames(walking: Scene) -> None:
    spans = []
    for speed in (0.02, 0.1, 0.3, 1.0, 6.0):  # m/s, about 120 px per metre
        times = np.linspace(0.0, 1.0, 11)
        joints = walking.motion.joints_m[:1] + times[:, None, None] * (speed, 0.0, 0.0)
        scene = replace(walking, motion=Motion(times, joints, "gliding"))
        frames = frame_times(scene, 200_000, 300_000)
        assert frames[-1] == 300_000
        spans.append(int(frames[0]) - 200_000)
    assert spans == sorted(spans, reverse=True)
    assert spans[0] == 20_000 and spans[-1] == 1_000 and 5_000 in spans


def test_what_moves_out_of_sight_does_not_cost_frames(walking: Scene) -> None:
    away = moved(walking.motion, (-30.0, 0.0, 0.0))
    frames = frame_times(replace(walking, motion=away), 200_000, 300_000)
    assert len(frames) == 2
