# SPDX-License-Identifier: Apache-2.0
"""Camera motion: speeds, reach, and what it does to labels and picture."""

from dataclasses import replace

import numpy as np
import pytest

from hybrid_pose_ros.simulation.camera_motion import RAMP_S, CameraMotion, Knock, Pan, Shake
from hybrid_pose_ros.simulation.recording import simulate_recording
from hybrid_pose_ros.simulation.sensor import SensorConfig
from hybrid_pose_ros.simulation.source import sample_scene

TIMES_US = np.arange(0, 6_000_001, 5000)
STEADY = Pan(np.array((0.0, 0.4)), np.array(((0.0, 0.0), (16.0, -4.0))))
"""16 px to the right and 4 px upwards, at rest at both ends."""


def test_a_pan_passes_its_corners_without_overshoot() -> None:
    pan = Pan(np.array((1.0, 2.0, 4.0)), np.array(((-5.0, 0.0), (20.0, 2.0), (0.0, 2.0))))
    assert np.allclose(pan.at(np.array((0, 1_000_000))), (-5.0, 0.0))
    assert np.allclose(pan.at(np.array((2_000_000,))), (20.0, 2.0))
    assert np.allclose(pan.at(np.array((4_000_000, 9_000_000))), (0.0, 2.0))
    moved = pan.at(TIMES_US)
    assert moved[:, 0].max() <= 20.0
    speed = np.diff(moved[:, 0]) / 5e-3
    middle = (TIMES_US[:-1] > 2_500_000) & (TIMES_US[:-1] < 3_500_000)
    assert np.allclose(speed[middle], -20.0 / (2.0 - RAMP_S))
    assert np.abs(np.diff(speed)).max() < 25.0 / 0.6 / RAMP_S * 5e-3 * 1.01  # no jerk


def test_drawn_pans_have_slow_speeds_and_stay_within_reach() -> None:
    rng = np.random.default_rng(0)
    pans = [Pan.sample(rng, 6.0, (121.0, 65.0)).at(TIMES_US) for _ in range(100)]
    assert all(np.all(np.abs(pan) <= (121.01, 65.01)) for pan in pans)
    speeds = [np.linalg.norm(np.diff(pan, axis=0), axis=1) / 5e-3 for pan in pans]
    fastest = np.array([speed.max() for speed in speeds])
    assert 1.9 < fastest.min() < 4.0 and 40.0 < fastest.max() <= 60.01
    assert np.median(fastest) == pytest.approx(11, rel=0.4)
    directions = [np.sign(pan[-1, 0] - pan[0, 0]) for pan in pans]
    assert {-1.0, 1.0} <= set(directions)


def test_a_knock_starts_suddenly_and_dies_away() -> None:
    knock = Knock(1.0, np.array((10.0, 0.0)), 5.0, 0.2)
    moved = knock.at(TIMES_US)
    assert not moved[TIMES_US <= 1_000_000].any()
    assert 6 < moved[:, 0].max() < 10
    assert np.allclose(moved[TIMES_US >= 2_000_000], 0.0, atol=1e-9)


@pytest.mark.parametrize("seed", range(5))
def test_the_margin_covers_the_motion(seed: int) -> None:
    rng = np.random.default_rng(seed)
    for motion in (
        CameraMotion.sample_trembling(rng, 6.0),
        CameraMotion.sample_panning(rng, 6.0, 346, 260),
    ):
        across, down = motion.reach_px(6.0)
        most = np.abs(motion.at(TIMES_US)).max(0)
        assert np.all(most + 1 <= (across, down)) and np.all(most + 4 > (across, down))


def test_parts_of_a_motion_add_up() -> None:
    shake = Shake(np.array(((3.0, 1.0),)), np.array((5.0,)), np.array(((0.0, 0.25),)))
    both = CameraMotion((shake, STEADY)).at(TIMES_US)
    assert np.allclose(both, shake.at(TIMES_US) + STEADY.at(TIMES_US))


def test_labels_and_visibility_follow_a_pan() -> None:
    scene = replace(sample_scene("walking", 0.5, seed=4), sensor=SensorConfig())
    still = simulate_recording(scene, 0.4).truth
    panned = simulate_recording(replace(scene, camera_motion=CameraMotion((STEADY,))), 0.4).truth
    gone = panned.keypoints_px - still.keypoints_px
    assert np.allclose(gone[19], (8.0, -2.0), atol=1e-3)
    assert np.allclose(gone[39], (16.0, -4.0), atol=1e-3)
    assert np.allclose(gone, STEADY.at(still.label_ns // 1000)[:, None], atol=1e-3)
    assert np.array_equal(panned.joints_m, still.joints_m)
    away = Pan(np.array((0.0, 0.2)), np.array(((0.0, 0.0), (400.0, 0.0))))
    empty = simulate_recording(replace(scene, camera_motion=CameraMotion((away,))), 0.3).truth
    assert empty.visible[0].all() and not empty.visible[-1].any()


def test_an_edge_that_was_outside_the_picture_comes_in_with_the_pan() -> None:
    scene = sample_scene("walking", 0.2, seed=4)
    room = np.zeros((260 + 8, 346 + 40), np.float32)
    room[:, :14] = -1.5  # six pixels beyond the left border of the picture
    quiet = SensorConfig(leak_hz=0.0, shot_hz=0.0, hot_pixels=0, mismatch=0.0)
    pan = CameraMotion((STEADY,))
    empty = replace(scene, present=False, sensor=quiet, background=room, camera_motion=pan)
    events = simulate_recording(empty, 0.4).events
    assert events["x"].min() == 0
    assert 8 <= events["x"].max() <= 11  # 16 px less the 6 that it was away
    assert events["t"].min() > 120_000_000
    assert not events["polarity"].any()
