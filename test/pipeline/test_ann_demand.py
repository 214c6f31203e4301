# SPDX-License-Identifier: Apache-2.0
"""The ANN on demand: what the SNN asks for, and when."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from hybrid_pose_ros.events.array import make_events
from hybrid_pose_ros.events.binning import GridView
from hybrid_pose_ros.networks.checkpoint import Checkpoint
from hybrid_pose_ros.pipeline.ann_demand import AnnDemand, AutoRate, Reason
from hybrid_pose_ros.pipeline.pose_estimator import PoseEstimator
from hybrid_pose_ros.pipeline.state import Pose
from hybrid_pose_ros.skeleton import NUM_JOINTS

from .conftest import T, equal

MS = 1_000_000
RATE = AutoRate(max_drift_px=3.0, min_interval_ms=50.0, max_interval_ms=1000.0)


def pose(k: int, speed: float, confidence: float = 0.8) -> Pose:
    """The pose after step k, of joints that move so fast (px/s)."""
    return Pose(
        sensor_time_ns=k * T,
        keypoints=np.zeros((NUM_JOINTS, 2), np.float32),
        confidence=np.full(NUM_JOINTS, confidence, np.float32),
        source="snn",
        steps_since_init=1,
        init_age_ns=T,
        velocity=np.tile(np.float32((0.6 * speed, 0.8 * speed)), (NUM_JOINTS, 1)),
    )


def requests(
    poses: Callable[[int], Pose],
    steps: int,
    *,
    events: int = 0,
    rate: AutoRate = RATE,
    scale: int = 1,
) -> list[tuple[int, Reason]]:
    """Moments (ms) and reasons of what is asked, if each answer comes at once."""
    demand = AnnDemand(rate, T, GridView.fit(346 * scale, 260 * scale))
    found = []
    for k in range(1, steps + 1):
        request = demand.observe(poses(k), events)
        if request is not None:
            found.append((request.sensor_time_ns // MS, request.reason))
            demand.taken(request.sensor_time_ns)
    return found


def test_without_motion_it_runs_at_the_start_and_at_the_longest_interval() -> None:
    assert requests(lambda k: pose(k, 0.0), 210) == [
        (50, Reason.START),
        (1050, Reason.INTERVAL),
        (2050, Reason.INTERVAL),
    ]


def test_the_faster_the_joints_the_sooner_up_to_the_shortest_interval() -> None:
    slow = requests(lambda k: pose(k, 21.0), 60)  # 3 px in 143 ms
    assert slow == [(50, Reason.START)] + [(t, Reason.MOTION) for t in (200, 350, 500)]
    fast = requests(lambda k: pose(k, 1000.0), 20)
    assert [time for time, _ in fast] == [50, 100, 150, 200]


def test_the_bound_is_in_pixels_of_the_view_on_any_sensor() -> None:
    once = requests(lambda k: pose(k, 21.0), 60)
    assert requests(lambda k: pose(k, 42.0), 60, scale=2) == once


def test_motion_means_more_where_confidence_was_lost() -> None:
    fading = requests(lambda k: pose(k, 21.0, 0.8 * 0.97**k), 31)
    assert [time for time, _ in fading] == [50, 150, 250]  # 50, 200 without the loss


def test_events_without_a_known_person_ask_for_it() -> None:
    entering = requests(lambda k: pose(k, 0.0, confidence=0.0), 60, events=1000)
    assert entering[:3] == [(50, Reason.START), (250, Reason.ACTIVITY), (450, Reason.ACTIVITY)]
    assert len(requests(lambda k: pose(k, 0.0, confidence=0.0), 60, events=3)) == 1
    assert len(requests(lambda k: pose(k, 0.0, confidence=0.8), 60, events=1000)) == 1


def test_without_velocities_the_way_of_the_joints_counts() -> None:
    unknown = np.full((NUM_JOINTS, 2), np.nan, np.float32)

    def walking(k: int) -> Pose:
        moved = np.full((NUM_JOINTS, 2), 0.21 * k, np.float32) * np.float32((0.6, 0.8))
        return replace(pose(k, 0.0), velocity=unknown, keypoints=moved)

    assert requests(walking, 60) == requests(lambda k: pose(k, 21.0), 60)


def test_a_request_stays_open_until_an_answer_or_the_longest_interval() -> None:
    demand = AnnDemand(RATE, T, GridView.fit(346, 260))
    asked = [r for k in range(1, 221) if (r := demand.observe(pose(k, 100.0), 0)) is not None]
    assert [request.sensor_time_ns // MS for request in asked] == [50, 1050, 2050]


def test_motion_counts_from_the_moment_of_an_answer_that_comes_late() -> None:
    demand = AnnDemand(RATE, T, GridView.fit(346, 260))
    for k in range(1, 10):  # asked at 50 ms, answered at 90 ms
        demand.observe(pose(k, 20.0), 0)
    demand.taken(50 * MS)
    assert demand.drift_px == pytest.approx(0.8)
    demand.observe(pose(10, 20.0), 0)
    assert demand.drift_px == pytest.approx(1.0)


def test_no_moment_before_the_first_pose_is_asked_for() -> None:
    demand = AnnDemand(RATE, T, GridView.fit(346, 260))
    asked = [demand.observe(pose(k, 0.0), 0) for k in range(103, 106)]
    assert [request and request.sensor_time_ns // MS for request in asked] == [None, None, 1050]


def test_moments_are_multiples_of_the_interval_where_steps_are_merged() -> None:
    demand = AnnDemand(RATE, T, GridView.fit(346, 260))
    assert demand.observe(pose(2, 0.0), 0) is None
    request = demand.observe(pose(7, 0.0), 0)
    assert request is not None and request.sensor_time_ns == 50 * MS


@pytest.mark.parametrize(
    "bounds",
    [
        {"max_drift_px": 0.0},
        {"min_interval_ms": 0.0},
        {"min_interval_ms": 200.0, "max_interval_ms": 100.0},
    ],
)
def test_impossible_bounds_are_refused(bounds: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="must be positive, and the longest interval at least"):
        AutoRate(**bounds)


def test_an_interval_between_steps_is_refused() -> None:
    with pytest.raises(ValueError, match="min_interval_ms 55: it is no multiple of the model's"):
        AnnDemand(AutoRate(min_interval_ms=55.0), T, GridView.fit(346, 260))


def test_poses_do_not_depend_on_how_the_events_are_cut(checkpoint: Checkpoint) -> None:
    rng = np.random.default_rng(3)
    count = 30_000
    times = np.sort(rng.integers(0, 605 * MS, count))
    events = make_events(
        times, rng.integers(0, 346, count), rng.integers(0, 260, count), rng.random(count) < 0.5
    )
    rate = replace(RATE, max_interval_ms=200.0)
    whole = PoseEstimator(346, 260, checkpoint, ann_hz=rate)
    parts = PoseEstimator(346, 260, checkpoint, ann_hz=rate)
    poses = whole.push(events)
    others = [p for i in range(0, count, 997) for p in parts.push(events[i : i + 997])]
    assert len(poses) == len(others) == 60
    assert all(map(equal, poses, others))
    assert whole.ann_runs == parts.ann_runs > 1
    whole.reset()
    assert whole.ann_runs == 0
    assert all(map(equal, whole.push(events), poses))
