# SPDX-License-Identifier: Apache-2.0
"""Samples hold what the ANN remembers in use: the age of each cell's activity."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from hybrid_pose_ros.events.activity import NEVER, LastActivity, encode_ages
from hybrid_pose_ros.events.binning import Step
from hybrid_pose_ros.networks.checkpoint import Checkpoint
from hybrid_pose_ros.networks.config import EDGE, PAPER
from hybrid_pose_ros.networks.hybrid import HybridPoseNetwork
from hybrid_pose_ros.pipeline.ann_estimator import AnnEstimator, sum_windows
from hybrid_pose_ros.research.training.sampling import (
    NO_AUGMENTATION,
    Augmentation,
    BatchSource,
    Sample,
    make_sample,
)
from hybrid_pose_ros.research.training.shards import Shard

from .conftest import make_shard

COUNTS = 2 * len(EDGE.ann.window_steps)
AGES = slice(COUNTS, COUNTS + len(EDGE.ann.activity_levels))


@pytest.fixture(scope="module")
def shard() -> Shard:
    """Sparse events, so that many cells are active only now and then, and joints that wander."""
    rng = np.random.default_rng(0)
    counts = rng.poisson(0.004, (330, 2, 65, 87)).astype(np.uint8)
    counts *= rng.integers(1, 4, counts.shape, dtype=np.uint8)
    labels = np.ones((330, 13, 3), np.float32)
    labels[..., :2] = rng.uniform(10, 50, (13, 2)) + 0.02 * np.arange(330)[:, None, None]
    return make_shard(counts, labels)


def cut(
    shard: Shard, start: int, augmentation: Augmentation, seed: int = 0, inits: int = 1
) -> Sample:
    rng = np.random.default_rng(seed)
    return make_sample(shard, start, 10 * inits, EDGE, augmentation, rng, inits)


def plain_last(shard: Shard, step: int) -> np.ndarray:
    activity = LastActivity(EDGE.ann.activity_levels, 65, 87)
    for index in range(step):
        activity.add(index, shard.counts[index])
    return activity.last


@pytest.mark.parametrize("step", [0, 1, 49, 50, 51, 99, 100, 299, 330])
def test_the_last_activity_before_a_step_is_that_of_a_plain_loop(shard: Shard, step: int) -> None:
    assert np.array_equal(shard.last_before(step), plain_last(shard, step))


@pytest.mark.parametrize("start", [10, 60, 230])
def test_inputs_are_what_the_estimator_sees_of_the_same_steps(shard: Shard, start: int) -> None:
    checkpoint = Checkpoint(HybridPoseNetwork(EDGE).eval(), "0123456789abcdef", {})
    estimator = AnnEstimator(checkpoint, EDGE.view.fit(346, 260))
    windows = cut(shard, start, NO_AUGMENTATION, inits=3).windows
    assert windows.shape == (3, EDGE.ann.input_planes, 65, 87)
    for index in range(start + 20):
        if index in (start, start + 10):
            assert np.array_equal(windows[(index - start) // 10], estimator.snapshot()[0])
        counts = shard.counts[index].astype(np.uint16)
        estimator.push(Step(index, counts, int(counts.sum())))
    assert np.array_equal(windows[2], estimator.snapshot()[0])
    assert windows[:, AGES].any(axis=(1, 2, 3)).all()


def test_a_model_without_memory_has_samples_without_it(shard: Shard) -> None:
    config = replace(PAPER, view=EDGE.view)
    bare = make_shard(shard.counts, shard.labels, config)
    sample = make_sample(bare, 100, 10, config, NO_AUGMENTATION, np.random.default_rng(0))
    assert sample.windows.shape == (1, 20, 65, 87)
    assert np.array_equal(sample.windows[0, :2], shard.counts[99])


def test_a_pause_ages_what_is_older_and_leaves_the_newer_alone(shard: Shard) -> None:
    rested = replace(NO_AUGMENTATION, pause=1.0)
    start, length = 230, EDGE.ann.history_steps
    last = plain_last(shard, start)
    plain = cut(shard, start, NO_AUGMENTATION).windows[0]
    began, pauses = set(), []
    for seed in range(40):
        found = cut(shard, start, rested, seed).windows[0]
        aged = found[AGES] < plain[AGES]
        if not aged.any():
            continue  # nothing is older
        at = int(last[aged].max()) + 1  # cells were active in every step, and in few ones again
        assert at < start
        assert np.array_equal(aged, (last != NEVER) & (last < at))
        age = np.exp((1 - found[AGES][aged]) * np.log(12_001)) - 1
        pause = round(float(np.median(age - (start - 1 - last[aged]))))
        assert 30 <= pause <= 9000
        ages = encode_ages(last - pause * aged, start - 1, 0.01)
        assert np.allclose(found[AGES], ages, atol=1e-6)
        # the same stream, with empty steps in it
        rest = np.zeros((min(pause, length), *shard.counts.shape[1:]), np.uint8)
        history = np.concatenate((shard.counts[:at], rest, shard.counts[at:start]))
        assert np.array_equal(
            found[:COUNTS], sum_windows(history[-length:], EDGE.ann.window_steps)
        )
        began.add(at)
        pauses.append(pause)
    assert len(began) > 15 and max(pauses) > 30 * min(pauses)


def test_what_a_stream_that_has_just_begun_has_not_seen_has_no_age(shard: Shard) -> None:
    forget = replace(NO_AUGMENTATION, forget=1.0)
    last = plain_last(shard, 230)
    lengths = set()
    for seed in range(10):
        ages = cut(shard, 230, forget, seed).windows[0, AGES]
        oldest = last[ages > 0].min()
        assert np.array_equal(ages > 0, last >= oldest)
        lengths.add(230 - int(oldest))
    assert max(lengths) <= 98 and len(lengths) > 4


def test_mirroring_takes_ages_along(shard: Shard) -> None:
    plain = cut(shard, 200, NO_AUGMENTATION, 5)
    turned = cut(shard, 200, replace(NO_AUGMENTATION, mirror=1.0), 5)
    assert np.array_equal(turned.windows, plain.windows[..., ::-1])


def test_a_shift_moves_ages_with_the_joints(shard: Shard) -> None:
    plain = cut(shard, 200, NO_AUGMENTATION, 2)
    moved = cut(shard, 200, replace(NO_AUGMENTATION, shift=(8, 6)), 2)
    dx, dy = (moved.points - plain.points)[0, 0].round().astype(int)
    assert dx or dy
    rolled = np.roll(plain.windows, (dy, dx), (-2, -1))
    inside = (slice(6, -6), slice(8, -8))
    assert np.array_equal(moved.windows[..., *inside], rolled[..., *inside])


def test_exchanged_polarities_leave_the_ages(shard: Shard) -> None:
    plain = cut(shard, 200, NO_AUGMENTATION).windows
    inverted = cut(shard, 200, replace(NO_AUGMENTATION, invert=1.0)).windows
    assert np.array_equal(inverted[:, COUNTS:], plain[:, COUNTS:])
    assert np.array_equal(inverted[:, 0:COUNTS:2], plain[:, 1:COUNTS:2])
    assert np.array_equal(inverted[:, 1:COUNTS:2], plain[:, 0:COUNTS:2])


def test_batches_with_memory_are_a_function_of_seed_and_number(shard: Shard) -> None:
    def source(seed: int) -> BatchSource:
        always = Augmentation(pause=1.0, forget=0.5)
        return BatchSource([shard], EDGE, batch=3, steps=4, seed=seed, augmentation=always)

    first = source(1)[7]
    assert all(map(torch.equal, first, source(1)[7]))
    for other in (source(1)[8], source(2)[7]):
        assert not torch.equal(first.windows[:, :, AGES], other.windows[:, :, AGES])
