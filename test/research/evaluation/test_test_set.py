# SPDX-License-Identifier: Apache-2.0
"""The test set: what it consists of, and labels and events that belong together."""

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from hybrid_pose_ros.geometry.triangulation import triangulate
from hybrid_pose_ros.networks.config import EDGE
from hybrid_pose_ros.research.evaluation.test_set import (
    LEAD_NS,
    MOVEMENT_NAMES,
    BinnedPerformance,
    Performance,
    TestPlan,
    Truth,
    generator,
    mean_pose,
    simulate_performance,
)
from hybrid_pose_ros.research.training.splits import SPLITS

VIEW = EDGE.view
PLAN = TestPlan(
    seed=3, people=1, windows=3, captured=0, close=1, absent=1, movements=("star_jumps", "clap")
)
CELLS = EDGE.view.fit(346, 260)


@pytest.fixture(scope="module")
def jump() -> BinnedPerformance:
    return simulate_performance(PLAN, PLAN.performances()[0], EDGE)


def test_performances_of_a_plan() -> None:
    plan = TestPlan(
        seed=0, people=2, windows=6, captured=5, close=4, absent=3, mocap=Path("captured.npz")
    )
    kinds = [performance.kind for performance in plan.performances()]
    assert len(MOVEMENT_NAMES) == 33
    assert {kind: kinds.count(kind) for kind in kinds} == {
        "movement": 66,
        "mocap": 5,
        "close": 4,
        "absent": 3,
    }
    assert len(set(plan.performances())) == len(kinds)
    assert "mocap" not in [p.kind for p in replace(plan, mocap=None).performances()]
    assert plan.seconds == pytest.approx(1.1 + 0.6)
    with pytest.raises(ValueError, match="multiple of 3"):
        replace(plan, windows=4)


def test_no_two_performances_and_no_training_shard_share_a_seed() -> None:
    def first(performance: Performance) -> float:
        return generator(PLAN, performance.kind, performance.name, performance.person).random()

    several = [
        Performance("movement", "clap", 0),
        Performance("movement", "clap", 1),
        Performance("close", "clap", 0),
        Performance("movement", "walking", 0),
    ]
    shards = [
        np.random.default_rng((PLAN.seed, split, number)).random()
        for split in SPLITS.values()
        for number in range(200)
    ]
    drawn = [*map(first, several), *shards]
    assert len(set(drawn)) == len(drawn)


def test_performance_is_a_function_of_the_plan() -> None:
    empty = Performance("absent", "clap", 0)  # there is the least to draw
    first, again = (simulate_performance(PLAN, empty, EDGE) for _ in range(2))
    assert first.counts.any()
    assert (again.counts == first.counts).all()
    assert (again.truth.points_px == first.truth.points_px).all()
    other = simulate_performance(replace(PLAN, seed=4), empty, EDGE)
    assert (other.counts != first.counts).any()
    assert not first.truth.visible.any()


def test_shapes_and_lead(jump: BinnedPerformance) -> None:
    assert jump.counts.shape == (2, (LEAD_NS + 300_000_000) // 1_000_000, 2, 65, 87)
    assert jump.truth.points_px.shape == (2, 30, 13, 2)
    assert jump.truth.joints_m.shape == (30, 13, 3)
    # somebody jumps from the first to the last bin
    assert (jump.counts.sum((2, 3, 4)) > 0).mean() > 0.95


def test_both_cameras_see_the_points_in_space(jump: BinnedPerformance) -> None:
    images = CELLS.to_sensor(jump.truth.points_px / VIEW.cell)
    found = triangulate(PLAN.cameras(), images).points
    assert found == pytest.approx(jump.truth.joints_m, abs=1e-3)


def test_events_are_where_the_moving_joints_are(jump: BinnedPerformance) -> None:
    """At the right time, too: hands move fast enough in a star jump to tell."""
    hands = [7, 8]
    cells = np.rint(jump.truth.points_px[:, :, hands] / VIEW.cell).astype(int)
    steps = jump.steps(10_000_000)[:, 110:].sum(2).astype(float)

    def events_at(shift: int) -> float:
        total = 0.0
        for camera in range(2):
            for instant in range(8, 22):
                for x, y in cells[camera, instant + shift]:
                    around = steps[camera, instant, max(y - 1, 0) : y + 2, max(x - 1, 0) : x + 2]
                    total += around.sum()
        return total

    now = events_at(0)
    assert now > 1.2 * events_at(-8)
    assert now > 1.2 * events_at(8)


def test_steps_are_sums_of_ticks() -> None:
    counts = np.random.default_rng(0).integers(0, 255, (2, 20, 2, 3, 4)).astype(np.uint8)
    truth = Truth(np.zeros((2, 2, 13, 2)), np.ones((2, 2, 13), bool), np.zeros((2, 13, 3)))
    binned = BinnedPerformance(counts, truth)
    assert (binned.steps(1_000_000) == counts).all()
    two = binned.steps(2_000_000)
    assert (two == counts[:, ::2].astype(int) + counts[:, 1::2]).all()
    assert (binned.steps(10_000_000)[:, 1] == two[:, 5:].sum(1)).all()
    more = binned.steps(10_000_000, empty=3)
    assert (more[:, :2] == binned.steps(10_000_000)).all() and not more[:, 2:].any()
    assert more.shape[1] == 5
    with pytest.raises(ValueError, match="500000 ns"):
        binned.steps(500_000)


def test_cameras_close_up_see_the_upper_body_only() -> None:
    close = simulate_performance(PLAN, Performance("close", "leg_abduction_left", 0), EDGE)
    assert close.truth.visible[..., 1:3].mean() > 0.9  # the shoulders
    assert not close.truth.visible[..., 11:].any()  # the feet


def test_mean_pose_is_a_pose_in_the_image() -> None:
    means = mean_pose(replace(PLAN, movements=MOVEMENT_NAMES), VIEW)
    assert means.shape == (2, 13, 2)
    head, feet = means[:, 0], means[:, 11:]
    assert (feet[..., 1] > head[:, None, 1] + 80).all()
    assert ((means > 0) & (means < (346, 260))).all()


def test_captured_people_are_test_subjects_who_face_the_cameras() -> None:
    root = os.environ.get("HYBRID_POSE_DATA")
    if root is None or not (Path(root) / "mocap").is_dir():
        pytest.skip("HYBRID_POSE_DATA names no folder with mocap/")
    mocap = Path(root) / "mocap" / "motions_13joints_60hz.npz"
    plan = replace(PLAN, mocap=mocap, captured=1, subjects=("cmu_s03", "cmu_s06"))
    found = simulate_performance(plan, Performance("mocap", "0", 0), VIEW)
    right, left = found.truth.joints_m[:, 5], found.truth.joints_m[:, 6]
    # who faces -y has the right side at -x
    assert (right[:, 0] < left[:, 0]).mean() > 0.9
    with pytest.raises(ValueError, match="no clip"):
        simulate_performance(replace(plan, windows=30_000), Performance("mocap", "0", 0), EDGE)
