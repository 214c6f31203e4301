# SPDX-License-Identifier: Apache-2.0
"""What the ANN remembers between its runs: when cells were active."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from hybrid_pose_ros.events.array import make_events
from hybrid_pose_ros.events.binning import GridView, Step, StepBinner
from hybrid_pose_ros.networks.checkpoint import Checkpoint
from hybrid_pose_ros.networks.config import EDGE
from hybrid_pose_ros.pipeline.ann_estimator import AnnEstimator, longest_block
from hybrid_pose_ros.pipeline.step_length import with_step

from .conftest import T

COUNTS = 2 * len(EDGE.ann.window_steps)
AGES = slice(COUNTS, COUNTS + len(EDGE.ann.activity_levels))


def random_steps(seed: int, gaps: Sequence[int]) -> list[Step]:
    """Sparse steps, so many indices apart."""
    rng = np.random.default_rng(seed)
    steps, index = [], 50
    for gap in gaps:
        index += gap
        counts = rng.poisson(0.02, (2, 65, 87)).astype(np.uint16)
        counts *= rng.integers(1, 3, counts.shape, dtype=np.uint16)
        steps.append(Step(index, counts, int(counts.sum())))
    return steps


def plain_ages(steps: Sequence[Step], step_ns: int = T) -> np.ndarray:
    """Ages after the last step, one step of 10 ms after the other."""
    per_10ms = 10_000_000 // step_ns
    sums: dict[int, np.ndarray] = {}
    for step in steps:
        key = step.index // per_10ms
        sums[key] = sums.get(key, 0) + step.counts.sum(0, dtype=np.int64)
    now = steps[-1].index // per_10ms
    ages = np.zeros((len(EDGE.ann.activity_levels), 65, 87))
    for key, events in sorted(sums.items()):
        value = max(0.0, 1 - np.log(1 + (now - key) * 0.01 / 0.01) / np.log(1 + 120 / 0.01))
        for age, level in zip(ages, EDGE.ann.activity_levels, strict=True):
            age[events >= level] = value
    return ages


def pushed(estimator: AnnEstimator, steps: Sequence[Step]) -> AnnEstimator:
    for step in steps:
        estimator.push(step)
    return estimator


def test_ages_are_those_of_a_plain_loop(checkpoint: Checkpoint, view: GridView) -> None:
    rng = np.random.default_rng(1)
    steps = random_steps(0, [int(gap) for gap in rng.choice([1, 1, 2, 40, 300, 5000], 60)])
    ann = AnnEstimator(checkpoint, view)
    for number, step in enumerate(steps, 1):
        ann.push(step)
        if number % 13 == 0 or step.index == steps[-1].index:
            found = ann.snapshot()[0][AGES]
            assert np.allclose(found, plain_ages(steps[:number]), atol=1e-6)
            assert (found > 0).any(axis=(1, 2)).all() and (found < 1).any()


def test_a_gap_that_empties_the_windows_leaves_the_ages(
    checkpoint: Checkpoint, view: GridView
) -> None:
    steps = random_steps(2, [1, 1, 6000])
    steps[-1] = replace(steps[-1], counts=np.zeros_like(steps[-1].counts), events=0)
    inputs, _ = pushed(AnnEstimator(checkpoint, view), steps).snapshot()
    assert not inputs[:COUNTS].any()
    active = (steps[0].counts + steps[1].counts).any(0)
    assert np.array_equal(inputs[AGES][0] > 0, active)
    assert inputs[AGES].max() == pytest.approx(1 - np.log(6001) / np.log(12_001), abs=1e-6)


@pytest.mark.parametrize("step_ns", [5_000_000, 2_000_000, 1_000_000])
def test_shorter_steps_and_blocks_of_them_have_the_same_ages(
    checkpoint: Checkpoint, view: GridView, step_ns: int
) -> None:
    retimed, parts = with_step(checkpoint, step_ns), T // step_ns
    block = longest_block(retimed.config.ann, 10 * parts)
    assert block == parts
    whole, fine = AnnEstimator(checkpoint, view), AnnEstimator(retimed, view)
    blocks = AnnEstimator(retimed, view, block_steps=block)
    rng = np.random.default_rng(4)
    small = []
    for index in (3, 4, 8, 9, 2000):
        cut = rng.poisson(0.2 / parts, (parts, *view.shape)).astype(np.uint16)
        counts, events = cut.sum(0, dtype=np.uint16), int(cut.sum())
        whole.push(Step(index, counts, events))
        blocks.push(Step(index, counts, events))
        small += [Step(parts * index + k, part, int(part.sum())) for k, part in enumerate(cut)]
    pushed(fine, small)
    expected, time_ns = whole.snapshot()
    assert np.allclose(expected[AGES], plain_ages(small, step_ns), atol=1e-6)
    for estimator in (fine, blocks):
        found, same_ns = estimator.snapshot()
        assert same_ns == time_ns
        assert np.array_equal(found, expected)


def test_blocks_fit_the_steps_of_the_ages() -> None:
    wide = replace(EDGE.ann, window_steps=(4, 8), activity_steps=2)
    assert longest_block(wide, 20) == 2
    assert longest_block(replace(wide, activity_levels=()), 20) == 4


def test_the_cut_of_the_stream_changes_nothing(checkpoint: Checkpoint, view: GridView) -> None:
    rng = np.random.default_rng(3)
    t = np.sort(rng.integers(0, 400_000_000, 4000))
    t[2000:] += 3_000_000_000  # longer than what the binner fills with empty steps
    t = np.append(t, t[-1] + 2 * T)
    x, y = rng.integers(0, 346, len(t)), rng.integers(0, 260, len(t))
    events = make_events(t, x, y, rng.random(len(t)) < 0.5)
    found = []
    for cuts in (1, 7, 300):
        ann, binner = AnnEstimator(checkpoint, view), StepBinner(view, T)
        for part in np.array_split(events, cuts):
            pushed(ann, binner.push(part))
        found.append(ann.snapshot()[0])
    assert (found[0][AGES] > 0).mean() > 0.2
    assert all(np.array_equal(found[0], other) for other in found[1:])


def test_a_reset_forgets_ages(checkpoint: Checkpoint, view: GridView, steps: list[Step]) -> None:
    ann = pushed(AnnEstimator(checkpoint, view), steps[:3])
    ann.infer()
    assert ann.snapshot()[0][AGES].any()
    ann.reset()
    assert not ann.snapshot()[0].any()
    fresh = pushed(AnnEstimator(checkpoint, view), steps[5:6])
    assert np.array_equal(pushed(ann, steps[5:6]).snapshot()[0], fresh.snapshot()[0])
