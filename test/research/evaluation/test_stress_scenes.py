# SPDX-License-Identifier: Apache-2.0
"""Scenes of the stress test: each setting changes what it says and nothing else."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from hybrid_pose_ros.research.evaluation.stress_axes import AXES, PARTS, Setting
from hybrid_pose_ros.research.evaluation.stress_scenes import (
    LEAD_S,
    PERFORMED,
    Performance,
    StressScene,
    make_scene,
    stress_camera,
)
from hybrid_pose_ros.simulation.body import Body
from hybrid_pose_ros.simulation.markers import body_axes
from hybrid_pose_ros.simulation.mesh.mesh_body import MeshBody
from hybrid_pose_ros.simulation.modifiers import LIMBS
from hybrid_pose_ros.skeleton import JOINTS, joint_id

SECONDS = 0.5


def made(number: int = 0, seed: int = 0, **changes: Any) -> StressScene:
    return make_scene(Performance(seed, 0, number), Setting(**changes), SECONDS, None)


def speeds(scene: StressScene, start_s: float, end_s: float) -> np.ndarray:
    """Highest speed of each joint between two times, m/s."""
    joints = scene.scene.motion.at(np.arange(start_s, end_s, 0.01))
    return np.linalg.norm(np.diff(joints, axis=0), axis=-1).max(0) / 0.01


def test_the_base_scene_is_a_person_before_the_camera() -> None:
    for number in range(len(PERFORMED)):
        scene = made(number)
        joints = scene.scene.motion.joints_m
        camera = scene.scene.camera
        assert camera.centre[1] == pytest.approx(-3.0)
        right, forward, _ = body_axes(joints)
        assert forward.mean(0)[1] < -0.9  # towards the camera
        assert right.mean(0)[0] < -0.9  # the right side is on the left of the picture
        assert joints[..., :2].mean((0, 1)) == pytest.approx((0.0, 0.0), abs=1e-9)
        image = camera.project(joints)
        size = (camera.width, camera.height)
        assert np.mean(((image > 0) & (image < size)).all(-1)) > 0.97
        assert (scene.counted_from_s, scene.seconds) == (LEAD_S, LEAD_S + SECONDS)


def test_settings_are_paired() -> None:
    base = made().scene
    for axis in ("noise", "threshold", "bandwidth", "polarity", "second_person"):
        for setting in AXES[axis].settings.values():
            other = make_scene(Performance(0, 0, 0), setting, SECONDS, None).scene
            assert (other.motion.joints_m == base.motion.joints_m).all()
            assert (other.background == base.background).all()
            assert other.seed == base.seed
            assert other.sensor.hot_pixels == base.sensor.hot_pixels
    rooms = [
        make_scene(Performance(0, 0, 0), setting, SECONDS, None).scene.background
        for setting in AXES["camera_motion"].settings.values()
    ]
    assert all((room == rooms[0]).all() for room in rooms)
    assert rooms[0].std() > 0.05
    assert (made(seed=1).scene.motion.joints_m != base.motion.joints_m).any()


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("number", range(len(PERFORMED)))
def test_only_the_part_moves_after_a_rest_of_the_whole_body(part: str, number: int) -> None:
    scene = made(number, moving=part, still_s=3.0)
    begins = scene.counted_from_s - 0.3
    assert speeds(scene, begins - 2.9, begins - 0.1).max() < 1e-3
    assert speeds(scene, 0.2, begins - 3.3).max() > 0.1
    moving = [joint_id(name) for limb in PARTS[part] for name in LIMBS[limb][1]]
    resting = [joint for joint in range(len(JOINTS)) if joint not in moving]
    speed = speeds(scene, scene.counted_from_s, scene.seconds)
    assert speed[resting].max() < 1e-3
    assert speed[moving].max() > (0.05 if part == "head" else 0.5)


def test_a_longer_rest_delays_the_same_movement() -> None:
    short, long = (made(2, moving="one limb", still_s=still) for still in (1.0, 10.0))
    assert long.seconds == pytest.approx(short.seconds + 9.0)
    since = np.arange(0.0, SECONDS, 0.05)
    places = [s.scene.motion.at(s.counted_from_s + since) for s in (short, long)]
    assert places[0] == pytest.approx(places[1], abs=1e-6)


def test_headings_turn_the_person_about_the_vertical() -> None:
    scenes = {degrees: made(heading_deg=degrees).scene for degrees in (0.0, 90.0, 180.0)}
    forward = {degrees: body_axes(s.motion.joints_m)[1].mean(0) for degrees, s in scenes.items()}
    assert forward[0.0] @ forward[180.0] == pytest.approx(-(forward[0.0] @ forward[0.0]), abs=0.05)
    right = body_axes(scenes[90.0].motion.joints_m)[0].mean(0)
    assert right[1] < -0.9  # the right side faces the camera
    heights = [s.motion.joints_m[..., 2] for s in scenes.values()]
    assert heights[0] == pytest.approx(heights[1])


@pytest.mark.parametrize("size", AXES["size"].settings)
def test_a_standing_body_has_its_size(size: float) -> None:
    for resolution in ((346, 260), (1280, 720)):
        camera = stress_camera(Setting(size=size, resolution=resolution))
        feet, head = camera.project(np.array(((0.0, 0.0, 0.0), (0.0, 0.0, 1.7))))
        assert (feet[1] - head[1]) / camera.height == pytest.approx(size, rel=0.12)
        if size != 1.0:
            assert 0 < head[1] < camera.height


def test_bodies_are_cut_off_where_it_is_said() -> None:
    for share in (0.3, 0.55):
        camera = stress_camera(Setting(below=share))
        (_, v), (_, above) = camera.project(np.array(((0.0, 0.0, 1.7 * share), (0.0, 0.0, 1.7))))
        assert v == pytest.approx(camera.height, abs=1.0)
        assert above > 0
    for side, border in (("left", 0), ("right", 346)):
        (middle,) = stress_camera(Setting(side=side)).project(np.array(((0.0, 0.0, 1.0),)))
        assert middle[0] == pytest.approx(border, abs=2.0)


def test_the_camera_pans_at_its_speed_and_trembles_by_two_pixels() -> None:
    for speed in (5.0, 20.0, 60.0):
        scene = made(pan_px_s=speed, textured=True)
        motion = scene.scene.camera_motion
        assert motion is not None
        middle = round(5e5 * scene.seconds)
        places = motion.at(np.array((middle - 100_000, middle, middle + 100_000)))
        assert np.abs(np.diff(places[:, 0])) == pytest.approx(speed / 10, rel=1e-6)
        assert places[1] == pytest.approx((0.0, 0.0), abs=1e-6)
    motion = made(trembling=True, textured=True).scene.camera_motion
    assert motion is not None
    moved = motion.at(np.arange(0, 60_000_000, 5000))
    assert np.sqrt(moved.var(0).mean()) == pytest.approx(2.0, rel=0.1)
    assert made(textured=True).scene.camera_motion is None


def test_sensors_and_bodies_are_as_set() -> None:
    base = made().scene.sensor
    assert made(noise_hz=2.0).scene.sensor == replace(base, shot_hz=2.0)
    assert made(cutoff_hz=30.0).scene.sensor == replace(base, cutoff_hz=30.0)
    scaled = made(threshold=2 * base.threshold_off).scene.sensor
    assert scaled.threshold_on == pytest.approx(2 * base.threshold_on)
    assert scaled.mismatch == pytest.approx(2 * base.mismatch)
    assert [type(made(number).scene.body) for number in (0, 1)] == [Body, MeshBody]
    assert [type(made(0, body=kind).scene.body) for kind in ("capsules", "mesh")] == [
        Body,
        MeshBody,
    ]


def test_a_second_person_stands_at_the_edge_or_walks_by_behind() -> None:
    scene = made(companion="at the edge")
    ((_, motion),) = scene.scene.others
    image = scene.scene.camera.project(motion.joints_m.mean((0, 1)))
    assert 0.8 * 346 < image[0] < 346
    scene = made(companion="crossing")
    ((_, motion),) = scene.scene.others
    middle = scene.counted_from_s + SECONDS / 2
    before, there, after = motion.at(middle + np.array((-0.3, 0.0, 0.3))).mean(1)
    assert before[0] < there[0] < after[0]
    assert there[:2] == pytest.approx((0.0, 1.2), abs=0.15)
