# SPDX-License-Identifier: Apache-2.0
"""The window around the person that is followed, and what the ANN sees through it."""

import numpy as np
import pytest

from hybrid_pose_ros.events.binning import Step
from hybrid_pose_ros.networks.checkpoint import Checkpoint
from hybrid_pose_ros.pipeline.ann_estimator import AnnEstimator
from hybrid_pose_ros.pipeline.person_window import PersonWindow
from hybrid_pose_ros.pipeline.pose_estimator import PoseEstimator
from hybrid_pose_ros.research.evaluation.stress_axes import Setting
from hybrid_pose_ros.research.evaluation.stress_scenes import PERFORMED, Performance, make_scene
from hybrid_pose_ros.simulation.recording import simulate_sensors

HEIGHT, WIDTH = 65, 87
FOUND_NS, NEXT_NS = 5_000_000_000, 5_100_000_000
SURE = np.full(13, 0.9, np.float32)


def joints_between(low: tuple[float, float], high: tuple[float, float]) -> np.ndarray:
    """Return 13 joints, two of them in opposite corners of a box."""
    return np.linspace(low, high, 13, dtype=np.float32)


def window_at(points: np.ndarray, confidence: np.ndarray = SURE) -> PersonWindow:
    window = PersonWindow(HEIGHT, WIDTH)
    window.follow(points, confidence, FOUND_NS)
    return window


def box_of(window: PersonWindow, time_ns: int = NEXT_NS) -> tuple[int, int, int, int]:
    """Return the first and the last row and column that are seen."""
    rows, columns = window.seen(np.ones((2, HEIGHT, WIDTH), np.float32), time_ns)[1].nonzero()
    return int(rows.min()), int(rows.max()), int(columns.min()), int(columns.max())


def test_after_100_ms_it_reaches_a_quarter_of_the_longer_side_beyond_the_joints() -> None:
    window = window_at(joints_between((30, 20), (40, 48)))  # 28 rows: room of 7
    assert box_of(window) == (13, 55, 23, 47)


@pytest.mark.parametrize(("ms", "room"), [(0, 3), (50, 5), (400, 20)])
def test_the_longer_ago_the_person_was_found_the_more_is_seen(ms: int, room: int) -> None:
    window = window_at(joints_between((30, 20), (40, 48)))
    top, bottom, left, right = box_of(window, FOUND_NS + ms * 1_000_000)
    assert (top, left, right) == (20 - room, 30 - room, 40 + room)
    assert bottom == min(48 + room, HEIGHT - 1)


def test_a_small_person_has_the_room_of_one_of_twelve_cells() -> None:
    assert box_of(window_at(joints_between((50, 30), (52, 34)))) == (27, 37, 47, 55)


def test_it_ends_with_the_picture() -> None:
    assert box_of(window_at(joints_between((-9, 3), (20, 70)))) == (0, 64, 0, 36)


@pytest.mark.parametrize("sure", [5, 0])
def test_without_a_person_the_whole_picture_is_seen(sure: int) -> None:
    window = window_at(joints_between((30, 20), (40, 48)))
    confidence = np.where(np.arange(13) < sure, 0.9, 0.19).astype(np.float32)
    window.follow(joints_between((30, 20), (40, 48)), confidence, FOUND_NS)
    assert box_of(window) == (0, HEIGHT - 1, 0, WIDTH - 1)


def test_joints_without_confidence_do_not_count() -> None:
    points = joints_between((30, 20), (40, 48))
    points[-1] = 80, 60
    confidence = SURE.copy()
    confidence[-1] = 0.1
    assert box_of(window_at(points, confidence))[3] < 60


def test_maps_are_kept_inside_and_zero_outside_and_not_changed() -> None:
    maps = np.random.default_rng(0).random((3, HEIGHT, WIDTH), np.float32)
    before = maps.copy()
    seen = window_at(joints_between((30, 20), (40, 48))).seen(maps, NEXT_NS)
    inside = np.zeros((HEIGHT, WIDTH), bool)
    inside[13:56, 23:48] = True
    np.testing.assert_array_equal(seen, np.where(inside, maps, 0))
    np.testing.assert_array_equal(maps, before)


@pytest.mark.parametrize(
    ("every_ms", "looks"), [(100, [0, 10, 20]), (50, [0, 20]), (600, [0, 2, 4]), (2000, [0, 1, 2])]
)
def test_the_whole_picture_is_seen_once_a_second(every_ms: int, looks: list[int]) -> None:
    window = PersonWindow(HEIGHT, WIDTH)
    looked = []
    for number in range(25):
        time_ns = FOUND_NS + number * every_ms * 1_000_000
        if window.looks_around(time_ns):
            looked.append(number)
        window.follow(joints_between((30, 20), (40, 48)), SURE, time_ns)
    assert looked[: len(looks)] == looks
    assert not window.looks_around(time_ns)
    window.follow(joints_between((30, 20), (40, 48)), SURE * 0, time_ns)
    assert window.looks_around(time_ns), "nobody is followed"


@pytest.mark.parametrize(
    ("low", "high", "confidence", "accepted"),
    [
        ((24, 14), (46, 54), 0.3, True),  # within the window
        ((24, 14), (48, 54), 0.9, False),  # a joint beyond it
        ((70, 20), (80, 48), 0.64, False),
        ((70, 20), (80, 48), 0.66, True),  # so much surer that it is followed instead
        ((70, 20), (80, 48), 0.1, True),  # nobody is there
    ],
)
def test_whom_the_whole_picture_shows_is_followed_if_it_is_the_same_or_surer(
    low: tuple[float, float], high: tuple[float, float], confidence: float, accepted: bool
) -> None:
    window = window_at(joints_between((30, 20), (40, 48)), SURE / 1.8)  # 0.5 each
    if confidence == 0.9:
        window.follow(joints_between((30, 20), (40, 48)), SURE, FOUND_NS)
    found = np.full(13, confidence, np.float32)
    assert window.accepts(joints_between(low, high), found, NEXT_NS) == accepted


@pytest.fixture
def busy_step(checkpoint: Checkpoint) -> Step:
    """A step with events all over the grid."""
    grid = checkpoint.config.view
    shape = 2, grid.grid_height, grid.grid_width
    return Step(0, np.random.default_rng(1).integers(0, 4, shape).astype(np.uint16), 1)


def test_the_ann_sees_the_window_of_its_last_pose(checkpoint: Checkpoint, busy_step: Step) -> None:
    ann = AnnEstimator(checkpoint, checkpoint.config.view.fit(346, 260), precision="float32")
    ann.push(busy_step)
    first = ann.infer().pose
    ann._window.follow(joints_between((30, 20), (40, 48)), SURE, FOUND_NS)
    followed = ann.infer().pose
    ann.follow_person = False
    whole = ann.infer().pose
    ann.follow_person = True
    ann.reset()
    ann.push(busy_step)
    after_reset = ann.infer().pose
    for pose in (whole, after_reset):
        np.testing.assert_array_equal(pose.keypoints, first.keypoints)
    assert not np.array_equal(followed.keypoints, first.keypoints)


def test_a_second_person_at_the_edge_is_not_taken_for_the_first() -> None:
    performance = Performance(0, 0, PERFORMED.index("punch_straight_right"))
    setting = Setting(companion="at the edge")
    made = make_scene(performance, setting, 2.0, None)
    [recording] = simulate_sensors(made.scene, [made.scene.sensor], made.seconds)
    estimator = PoseEstimator(recording.width, recording.height)
    poses = [
        pose
        for pose in estimator.push(recording.events)
        if pose.sensor_time_ns >= 1e9 * made.counted_from_s
    ]
    truth = recording.truth
    first_px = np.median(truth.keypoints_px, axis=(0, 1))
    found_px = np.median([pose.keypoints for pose in poses], axis=1)
    assert len(poses) >= 190
    # the other one is 138 px to the right of the first
    assert np.abs(found_px - first_px).max() < 40
