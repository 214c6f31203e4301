# SPDX-License-Identifier: Apache-2.0
"""PoseEstimator: exact, independent of how events are cut, and unharmed by bad input."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from hybrid_pose_ros.events.array import (
    EventArray,
    MalformedEventsError,
    empty_events,
    make_events,
)
from hybrid_pose_ros.events.binning import StepBinner
from hybrid_pose_ros.networks.checkpoint import Checkpoint
from hybrid_pose_ros.pipeline.ann_estimator import AnnEstimator
from hybrid_pose_ros.pipeline.pose_estimator import AnnPoseEstimator, PoseEstimator
from hybrid_pose_ros.pipeline.snn_estimator import SnnEstimator
from hybrid_pose_ros.pipeline.state import Pose

from .conftest import T, equal

SIZE = 346, 260


@pytest.fixture(scope="module")
def events() -> EventArray:
    """0.35 s of events all over the sensor, from second 10 on."""
    rng = np.random.default_rng(3)
    count = 40_000
    times = np.sort(rng.integers(10_000_000_000, 10_350_000_000, count))
    return make_events(
        times, rng.integers(0, 346, count), rng.integers(0, 260, count), rng.random(count) < 0.5
    )


@pytest.fixture(scope="module")
def whole(checkpoint: Checkpoint, events: EventArray) -> list[Pose]:
    """The poses of all events pushed at once."""
    return PoseEstimator(*SIZE, checkpoint).push(events)


def same(first: Sequence[Pose], second: Sequence[Pose]) -> bool:
    return len(first) == len(second) and all(map(equal, first, second))


def test_poses_are_those_of_answers_that_come_before_the_next_step(
    checkpoint: Checkpoint, events: EventArray, whole: list[Pose]
) -> None:
    view = checkpoint.config.view.fit(*SIZE)
    ann, snn = AnnEstimator(checkpoint, view), SnnEstimator(checkpoint, view)
    expected = []
    binner = StepBinner(view, T, noise_filter=checkpoint.config.noise_filter)
    for step in binner.push(events):
        if step.index % 10 == 0 and expected:
            snn.initialise(ann.infer())
        expected.append(snn.step(step))
        ann.push(step)
    assert same(whole, expected)
    assert [pose.sensor_time_ns for pose in whole] == [
        10_000_000_000 + T * k for k in range(1, 35)
    ]
    assert [pose.steps_since_init for pose in whole] == [-1] * 10 + [*range(1, 11)] * 2 + [
        *range(1, 5)
    ]


@pytest.mark.parametrize("size", [1, 37, 1000])
def test_poses_do_not_depend_on_how_the_events_are_cut(
    checkpoint: Checkpoint, events: EventArray, whole: list[Pose], size: int
) -> None:
    estimator = PoseEstimator(*SIZE, checkpoint)
    first = 20_000 if size == 1 else 0  # single events around the second initialisation
    poses = estimator.push(events[:first])
    for start in range(first, len(events) if size > 1 else first + 8000, size):
        poses += estimator.push(events[start : start + size])
        poses += estimator.push(empty_events())
    assert poses
    assert same(poses, whole[: len(poses)])
    assert size == 1 or len(poses) == len(whole)


def test_reset_forgets_everything(
    checkpoint: Checkpoint, events: EventArray, whole: list[Pose]
) -> None:
    estimator = PoseEstimator(*SIZE, checkpoint)
    estimator.push(events[::-1][:1])  # later than all that comes
    estimator.reset()
    assert same(estimator.push(events), whole)
    estimator.reset()
    assert estimator.last_ann is None


def test_a_jump_back_in_time_begins_anew(
    checkpoint: Checkpoint, events: EventArray, whole: list[Pose]
) -> None:
    estimator = PoseEstimator(*SIZE, checkpoint)
    estimator.push(events)
    assert same(estimator.push(events), whole)


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        (np.zeros((3, 4)), "not an event array but a ndarray of float64, 2 dim.*make_events"),
        ([(1, 2, 3, True)], "not an event array but a list"),
        (make_events([10_100_000_000], [346], [5], True), "outside the sensor of 346x260"),
        (make_events([10_200_000_000, 10_100_000_000], 1, 1, True), "event 1 is older"),
    ],
    ids=["type", "list", "place", "order"],
)
def test_bad_events_are_refused_and_nothing_is_lost(
    checkpoint: Checkpoint,
    events: EventArray,
    whole: list[Pose],
    bad: Any,
    words: str,
) -> None:
    estimator = PoseEstimator(*SIZE, checkpoint)
    poses = estimator.push(events[:20_000])
    with pytest.raises(MalformedEventsError, match=words):
        estimator.push(bad)
    assert same(poses + estimator.push(events[20_000:]), whole)


def test_the_ann_alone_gives_its_own_poses(checkpoint: Checkpoint, events: EventArray) -> None:
    estimator = AnnPoseEstimator(*SIZE, checkpoint, hz=20.0)
    poses = [pose for part in np.array_split(events, 100) for pose in estimator.push(part)]
    assert [pose.sensor_time_ns for pose in poses] == [
        10_000_000_000 + 5 * T * k for k in range(1, 7)
    ]
    assert {pose.source for pose in poses} == {"ann"}
    hybrid = PoseEstimator(*SIZE, checkpoint, ann_hz=20.0)
    hybrid.push(events)
    assert hybrid.last_ann is not None
    assert equal(hybrid.last_ann, poses[5])
    estimator.reset()
    assert same(estimator.push(events), poses)
    assert same(estimator.push(events), poses)  # time has gone back


@pytest.mark.parametrize("hz", [0.0, -5.0, 33.0, 200.0])
def test_a_rate_that_no_whole_number_of_steps_gives_is_refused(
    checkpoint: Checkpoint, hz: float
) -> None:
    with pytest.raises(ValueError, match="whole number of steps of 10 ms"):
        PoseEstimator(*SIZE, checkpoint, ann_hz=hz)
