# SPDX-License-Identifier: Apache-2.0
"""Poses of several cameras: who belongs together, who is waited for, who is believed."""

from typing import Any

import numpy as np
import pytest

from hybrid_pose_ros.geometry.cameras import DHP19_LIKE
from hybrid_pose_ros.pipeline.pose_fusion import FusionConfig, Pose3D, PoseFusion

MS = 1_000_000
STEP = 10 * MS
WAIT = 100 * MS
PERSON = np.stack((np.linspace(-0.2, 0.2, 13), np.zeros(13), np.linspace(1.6, 0.4, 13)), axis=-1)
STRIDE = np.array((0.01, 0.0, 0.0))
NAMES = ("cam0", "cam1", "cam2", "cam3")
CAMERAS = dict(zip(NAMES, DHP19_LIKE, strict=True))


class Rig:
    """Four cameras and a host clock that a test sets."""

    def __init__(self, **config: Any) -> None:
        self.fusion = PoseFusion(CAMERAS, FusionConfig(**{"max_wait_ns": WAIT, **config}))
        self.now = 0

    def see(
        self, name: str, step: float, shift_px: float = 0.0, confidence: float = 1.0
    ) -> list[Pose3D]:
        """One camera's pose of the person, who goes along x, 1 cm per step."""
        joints = PERSON + step * STRIDE
        image = CAMERAS[name].project(joints) + shift_px
        certain = np.full(13, confidence, np.float32)
        return self.fusion.add(name, round(step * STEP), image, certain, self.now)

    def see_all(self, step: float, names: tuple[str, ...] = NAMES) -> list[Pose3D]:
        return [pose for name in names for pose in self.see(name, step)]


def assert_person(pose: Pose3D, step: float) -> None:
    assert pose.sensor_time_ns == round(step * STEP)
    assert pose.joints == pytest.approx(PERSON + step * STRIDE, abs=1e-6)


def test_poses_of_one_moment_become_one_pose_at_once() -> None:
    rig = Rig()
    rig.see_all(0)
    for step in range(1, 5):
        for name in NAMES[:3]:
            rig.see(name, step)
        poses = rig.see("cam3", step)
        assert_person(poses[-1], step)
        assert poses[-1].views == 4
        assert poses[-1].confidence == pytest.approx(np.ones(13))
    assert rig.fusion.awaited == set(NAMES)


def test_the_order_of_arrival_does_not_matter() -> None:
    rig = Rig()
    rng = np.random.default_rng(0)
    queues = {name: list(range(40)) for name in NAMES}
    found = []
    while any(queues.values()):
        name = rng.choice([name for name in NAMES if queues[name]])
        found += rig.see(str(name), queues[str(name)].pop(0))
    times = [pose.sensor_time_ns for pose in found]
    assert times == sorted(set(times))
    for pose in found:
        assert_person(pose, pose.sensor_time_ns / STEP)
        assert pose.views == 4
    assert len(found) == 40


@pytest.mark.parametrize("pair", [("cam0", "cam1"), ("cam1", "cam2"), ("cam2", "cam3")])
def test_any_two_cameras_go_on(pair: tuple[str, str]) -> None:
    rig = Rig()
    rig.see_all(0)
    done = {}
    for step in range(1, 40):
        rig.now = step * STEP
        for pose in rig.fusion.expire(rig.now) + rig.see_all(step, pair):
            done[pose.sensor_time_ns // STEP] = rig.now
            assert_person(pose, pose.sensor_time_ns / STEP)
    assert sorted(done) == list(range(1, 40))  # none is lost
    assert max(done[step] - step * STEP for step in done) <= WAIT + STEP
    assert all(done[step] == step * STEP for step in range(20, 40))  # and none waits any more
    assert rig.fusion.awaited == set(pair)

    rig.see_all(40, tuple(name for name in NAMES[::-1] if name not in pair) + pair)
    assert rig.fusion.awaited == set(NAMES)


def test_a_camera_that_comes_back_a_little_behind_is_awaited_again() -> None:
    rig = Rig()
    views = []
    for step in range(60):
        rig.now = step * STEP
        found = rig.fusion.expire(rig.now) + rig.see_all(step, NAMES[:3])
        if step >= 30:
            found += rig.see("cam3", step - 3)
        views += [pose.views for pose in found]
    assert views[20] == 3
    assert set(views[35:]) == {4}
    assert len(views) == 57


def test_a_camera_that_lags_for_longer_than_others_wait_is_left_behind() -> None:
    rig = Rig()
    for step in range(60):
        rig.now = step * STEP
        found = rig.fusion.expire(rig.now) + rig.see_all(step, NAMES[:3])
        if step >= 30:
            rig.see("cam3", step - 25)
        if step >= 20:
            assert [pose.views for pose in found] == [3]
    assert rig.fusion.late["cam3"] == 30


def test_a_camera_that_skips_a_step_holds_nothing_up() -> None:
    rig = Rig()
    rig.see_all(0)
    rig.see_all(1, NAMES[:3])
    poses = rig.see("cam3", 2)
    assert [pose.views for pose in poses] == [3]
    assert_person(poses[0], 1)


def test_a_late_pose_is_counted_and_changes_nothing() -> None:
    rig = Rig()
    rig.see_all(0)
    rig.see_all(5)
    assert rig.see("cam2", 3) == []
    assert rig.fusion.late == {"cam0": 0, "cam1": 0, "cam2": 1, "cam3": 0}
    assert_person(rig.see_all(6)[-1], 6)


def test_two_cameras_far_behind_the_only_other_one_go_on() -> None:
    rig = Rig()
    rig.see_all(0)
    found = []
    for step in range(1, 60):
        rig.now = step * STEP
        found += rig.fusion.expire(rig.now) + rig.see("cam0", step)
        if step > 30:
            found += rig.see_all(step - 30, ("cam2", "cam3"))
    assert [pose.sensor_time_ns for pose in found] == [step * STEP for step in range(2, 30)]
    for pose in found:
        assert_person(pose, pose.sensor_time_ns / STEP)


def test_poses_from_before_a_stall_do_not_turn_back_time() -> None:
    rig = Rig()
    for step in range(10):
        rig.see_all(step, NAMES[:2])
        if step < 5:
            rig.see("cam2", step)
    rig.now = WAIT + STEP
    before = rig.fusion.expire(rig.now)
    assert before[-1].sensor_time_ns == 9 * STEP
    rig.now += WAIT + STEP
    assert [pose for step in range(5, 10) for pose in rig.see("cam2", step)] == []
    assert rig.fusion.late["cam2"] == 5


def test_streams_that_start_over_are_followed() -> None:
    rig = Rig()
    for step in range(50, 60):
        rig.see_all(step)
    rig.now = 2 * WAIT
    rig.see_all(0)
    assert_person(rig.see_all(1)[-1], 1)


def follow(names: tuple[str, ...], steps: int) -> Rig:
    """Return a rig on which these cameras have gone on for so long that no other is awaited."""
    rig = Rig()
    for step in range(steps):
        rig.now = step * STEP
        rig.fusion.expire(rig.now)
        rig.see_all(step, names)
    assert rig.fusion.awaited == set(names)
    return rig


@pytest.mark.parametrize("lead", [0, 1, 7])
def test_cameras_that_start_over_together_are_followed_at_once(lead: int) -> None:
    """The first has done `lead` steps again before the second begins."""
    rig = follow(NAMES[:2], 30)
    found = []
    for step in range(20):
        rig.now += STEP
        found += rig.see("cam0", step)
        assert step >= lead or not found
        if step >= lead:
            found += rig.see("cam1", step - lead)
            assert found[-1].sensor_time_ns == (step - lead) * STEP
    assert [pose.views for pose in found] == [2] * (20 - lead)  # none is lost
    for step, pose in enumerate(found):
        assert_person(pose, step)
    assert rig.fusion.late == dict.fromkeys(NAMES, 0)


def test_what_waits_when_all_start_over_is_finished_first() -> None:
    rig = follow(NAMES[:3], 30)
    assert rig.see_all(30, NAMES[:2]) == []
    assert rig.see_all(0, NAMES[:2]) == []
    found = rig.see("cam2", 0)
    assert [(pose.sensor_time_ns // STEP, pose.views) for pose in found] == [(30, 2), (0, 3)]


def test_cameras_that_start_over_without_another_are_followed_after_a_wait() -> None:
    rig = follow(NAMES[:3], 30)
    last, done = rig.now, {}
    for step in range(20):
        rig.now += STEP
        for pose in rig.fusion.expire(rig.now) + rig.see_all(step, NAMES[:2]):
            done[pose.sensor_time_ns // STEP] = rig.now
            assert_person(pose, pose.sensor_time_ns / STEP)
    assert list(done) == list(range(20))
    assert WAIT < done[0] - last <= WAIT + 2 * STEP
    assert rig.fusion.awaited == set(NAMES[:2])


def test_a_pose_of_long_ago_has_no_part_when_all_start_over() -> None:
    rig = follow(NAMES[:3], 30)
    rig.see("cam2", 0)  # and never again
    for step in range(30, 60):
        rig.now = step * STEP
        rig.fusion.expire(rig.now)
        rig.see_all(step, NAMES[:2])
    [pose] = rig.see_all(0, NAMES[:2])
    assert_person(pose, 0)
    assert pose.views == 2
    assert rig.fusion.late["cam2"] == 1


def test_a_camera_that_starts_over_while_it_is_alone_gives_up_nothing() -> None:
    rig = follow(NAMES[:2], 20)
    for step in range(20, 35):
        rig.now = step * STEP
        rig.fusion.expire(rig.now)
        rig.see("cam0", step)
    assert rig.fusion.awaited == {"cam0"}
    assert rig.see("cam0", 0) == []
    [pose] = rig.see("cam1", 30)
    assert_person(pose, 30)


def test_one_camera_that_starts_over_alone_is_not_followed() -> None:
    rig = Rig()
    for step in range(20):
        rig.see_all(step)
    found = []
    for step in range(20, 60):
        rig.now += STEP
        found += rig.fusion.expire(rig.now) + rig.see_all(step, NAMES[:3])
        assert rig.see("cam3", step - 20) == []
    assert [pose.sensor_time_ns // STEP for pose in found] == list(range(20, 60))
    assert rig.fusion.late["cam3"] == 40


def test_a_wrong_view_is_left_out_and_said_so() -> None:
    rig = Rig()
    rig.see_all(0)
    for name in NAMES[:3]:
        rig.see(name, 1)
    [pose] = rig.see("cam3", 1, shift_px=50.0)
    assert_person(pose, 1)
    assert pose.views == 3
    assert not pose.used["cam3"].any()
    assert pose.reprojection_px == pytest.approx(np.zeros(13), abs=1e-6)


def test_what_nobody_trusts_stays_where_it_was_without_confidence() -> None:
    rig = Rig()
    rig.see_all(0)
    rig.see_all(1)
    for name in NAMES[:3]:
        rig.see(name, 2, confidence=0.05)
    [pose] = rig.see("cam3", 2)
    assert pose.views == 0
    assert (pose.confidence == 0).all()
    assert pose.joints == pytest.approx(PERSON + STRIDE, abs=1e-6)
    assert np.isfinite(pose.joints).all() and np.isfinite(pose.reprojection_px).all()


def test_clocks_that_are_apart_are_paired_within_the_tolerance() -> None:
    exact, tolerant = Rig(), Rig(tolerance_ns=4 * MS)
    for rig, views in ((exact, []), (tolerant, [2] * 10)):
        found = []
        for step in range(10):
            found += rig.see("cam0", step) + rig.see("cam1", step + 0.3)
        found += rig.fusion.expire(WAIT + 1)
        assert [pose.views for pose in found] == views
    assert exact.fusion.lonely > 0


def test_an_unknown_camera_is_an_error() -> None:
    with pytest.raises(KeyError):
        PoseFusion({"a": DHP19_LIKE[0]}, FusionConfig()).add("b", 0, PERSON[:, :2], np.ones(13), 0)
