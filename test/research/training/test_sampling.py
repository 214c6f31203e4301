# SPDX-License-Identifier: Apache-2.0
"""Training samples: windows, labels, augmentation, reproducibility."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from hybrid_pose_ros.events.array import make_events
from hybrid_pose_ros.networks.config import EDGE, PAPER, in_parts
from hybrid_pose_ros.networks.heatmaps import decode_heatmaps, draw_heatmaps
from hybrid_pose_ros.research.training.sampling import (
    NO_AUGMENTATION,
    Augmentation,
    BatchSource,
    make_sample,
)
from hybrid_pose_ros.research.training.shards import (
    Shard,
    ShardError,
    open_shards,
    recordings_digest,
    write_shard,
)
from hybrid_pose_ros.simulation.recording import Truth
from hybrid_pose_ros.skeleton import joint_id

from .conftest import make_shard

COUNTS = 2 * len(EDGE.ann.window_steps)
"""Planes of the ANN's input that are counts."""


@pytest.fixture(scope="module")
def shard() -> Shard:
    """150 steps of a dot that wanders with the right hand; all other joints stand still."""
    rng = np.random.default_rng(2)
    counts = np.zeros((150, 2, 65, 87), np.uint8)
    labels = np.zeros((150, 13, 3), np.float32)
    labels[..., 2] = 1
    labels[..., :2] = rng.uniform(20, 40, (13, 2))
    hand = joint_id("right_hand")
    for step in range(150):
        x, y = 30 + step % 20, 20 + step % 7
        counts[step, 1, y, x] = 1 + step % 3
        labels[step, hand, :2] = x, y
    return make_shard(counts, labels)


def make_truth(label_ns: np.ndarray, keypoints_px: np.ndarray, visible: np.ndarray) -> Truth:
    return Truth(label_ns, keypoints_px, np.zeros((*visible.shape, 3)), visible, np.eye(3, 4), "")


def test_a_sample_holds_the_history_the_steps_after_it_and_the_labels(shard: Shard) -> None:
    rng = np.random.default_rng(0)
    windows, counts, points, visible = make_sample(shard, 120, 5, EDGE, NO_AUGMENTATION, rng)
    assert len(windows) == 1
    assert np.array_equal(windows[0, 0:2], shard.counts[119])
    assert np.array_equal(windows[0, 8:10], shard.counts[114:116].sum(0))  # the fifth: two steps
    assert windows[:, :COUNTS].sum() == shard.counts[120 - 98 : 120].sum()
    assert np.array_equal(counts, shard.counts[120:125])
    assert np.array_equal(points, shard.labels[119:125, :, :2])
    assert visible.all()


def test_later_windows_of_the_ann_end_where_they_part_the_steps(shard: Shard) -> None:
    def cut(start: int, steps: int, inits: int) -> tuple[np.ndarray, ...]:
        rng = np.random.default_rng(0)
        return make_sample(shard, start, steps, EDGE, NO_AUGMENTATION, rng, inits)

    windows, counts, points, *_ = cut(100, 20, 2)
    assert np.array_equal(windows[0], cut(100, 10, 1)[0][0])
    assert np.array_equal(windows[1], cut(110, 10, 1)[0][0])
    assert len(counts) == 20 and len(points) == 21
    assert np.array_equal(counts[10:], cut(110, 10, 1)[1])


def test_batches_with_earlier_windows_are_longer(shard: Shard) -> None:
    source = BatchSource(
        [shard], EDGE, batch=2, steps=4, seed=0, augmentation=NO_AUGMENTATION, earlier=(0, 2)
    )
    batches = [source[number] for number in range(9)]
    shapes = {(len(b.windows), len(b.counts), len(b.points)) for b in batches}
    assert shapes == {(1, 4, 5), (3, 12, 13)}


def test_before_the_recording_there_is_silence(shard: Shard) -> None:
    rng = np.random.default_rng(0)
    windows, *_ = make_sample(shard, 12, 5, EDGE, NO_AUGMENTATION, rng)
    assert windows[:, :COUNTS].sum() == shard.counts[:12].sum()


def test_mirroring_moves_events_and_joints_together_and_swaps_sides(shard: Shard) -> None:
    mirror = replace(NO_AUGMENTATION, mirror=1.0)
    rng = np.random.default_rng(0)
    _, counts, points, *_ = make_sample(shard, 120, 1, EDGE, mirror, rng)
    left = points[1, joint_id("left_hand")]
    y, x = np.argwhere(counts[0, 1])[0]
    assert left.tolist() == [x, y]
    original = shard.labels[120, joint_id("left_hip"), :2]
    assert points[1, joint_id("right_hip")] == pytest.approx([86 - original[0], original[1]])


def test_a_shift_moves_events_and_joints_together(shard: Shard) -> None:
    shifted = replace(NO_AUGMENTATION, shift=(8, 6))
    hand = joint_id("right_hand")
    seen = set()
    for seed in range(20):
        rng = np.random.default_rng(seed)
        _, counts, points, *_ = make_sample(shard, 120, 1, EDGE, shifted, rng)
        y, x = np.argwhere(counts[0, 1])[0]
        assert points[1, hand].tolist() == [x, y]
        seen.add((x, y))
    assert len(seen) > 10


def test_joints_shifted_out_of_the_grid_do_not_count(shard: Shard) -> None:
    labels = shard.labels.copy()
    labels[:, 0, :2] = 86.0, 10.0
    edge = make_shard(shard.counts, labels)
    for seed in range(20):
        rng = np.random.default_rng(seed)
        shifted = replace(NO_AUGMENTATION, shift=(8, 0))
        _, _, points, visible = make_sample(edge, 120, 1, EDGE, shifted, rng)
        assert visible[1, 0] == (points[1, 0, 0] < 86.5)


def test_inverted_polarity_and_forgotten_history(shard: Shard) -> None:
    invert = replace(NO_AUGMENTATION, invert=1.0)
    _, counts, *_ = make_sample(shard, 120, 1, EDGE, invert, np.random.default_rng(0))
    assert np.array_equal(counts[0, ::-1], shard.counts[120])
    forget = replace(NO_AUGMENTATION, forget=1.0)
    windows, *_ = make_sample(shard, 120, 1, EDGE, forget, np.random.default_rng(3))
    assert 0 < windows[:, :COUNTS].sum() < shard.counts[22:120].sum()
    assert np.array_equal(windows[0, :8:2], [shard.counts[119 - k, 0] for k in range(4)])


def test_batches_are_a_function_of_seed_and_number(shard: Shard) -> None:
    def source(seed: int) -> BatchSource:
        return BatchSource([shard], EDGE, batch=3, steps=4, seed=seed, augmentation=Augmentation())

    first, again = source(1)[7], source(1)[7]
    assert all(map(torch.equal, first, again))
    assert not torch.equal(first.windows, source(1)[8].windows)
    assert not torch.equal(first.windows, source(2)[7].windows)
    assert first.windows.shape == (1, 3, EDGE.ann.input_planes, 65, 87) and first.counts.shape == (
        4,
        3,
        2,
        65,
        87,
    )
    assert first.points.shape == (5, 3, 13, 2) and first.visible.shape == (5, 3, 13)


def test_fast_movements_are_drawn_more_often() -> None:
    """Joints that stand still for 400 steps, and a hand that jumps to and fro for 100 more."""
    counts = np.zeros((500, 2, 65, 87), np.uint8)
    counts[:, 0, 0, 0] = np.arange(500) % 200  # tells where a sample begins
    counts[:, 0, 0, 1] = np.arange(500) // 200
    labels = np.zeros((500, 13, 3), np.float32)
    labels[..., :2], labels[..., 2] = 30.0, 1.0
    labels[400:, 7, 0] += 13.0 * (np.arange(100) % 2)
    labels[:, 3] = 0.0  # never seen, wherever it is
    labels[::2, 3, 0] = 80.0

    def fast_share(still: float | None) -> float:
        plain = replace(NO_AUGMENTATION, still=still)
        source = BatchSource(
            [make_shard(counts, labels)], EDGE, batch=64, steps=4, seed=0, augmentation=plain
        )
        starts = np.concatenate(
            [
                source[i].counts[0, :, 0, 0, :2].float() @ torch.tensor([1.0, 200.0])
                for i in range(6)
            ]
        )
        assert starts.min() >= 10 and starts.max() <= 496
        return float((starts >= 400).mean())

    assert fast_share(None) == pytest.approx(97 / 487, abs=0.06)
    fast = 97 * (0.1 + 13 / 12)
    assert fast_share(0.1) == pytest.approx(fast / (fast + 390 * 0.1), abs=0.06)


def test_shards_hold_each_step_with_the_label_at_its_end(tmp_path: Path) -> None:
    # one event per 10 ms at pixel (4k + 1, 8), labels every 5 ms
    times = np.arange(20) * 10_000_000 + 3_000_000
    events = make_events(times, 4 * np.arange(20) + 1, np.full(20, 8), np.ones(20))
    label_ns = np.arange(0, 40) * 5_000_000
    keypoints = np.zeros((40, 13, 2), np.float32)
    keypoints[..., 0] = label_ns[:, None] / 1e6
    keypoints[:, 3, 0] = -50.0
    visible = np.ones((40, 13), bool)
    visible[:, 4] = False
    config = replace(EDGE, noise_filter=None)  # the events are far from each other
    write_shard(
        tmp_path / "0",
        config,
        events=events,
        sensor_size=(346, 260),
        truth=Truth(
            label_ns, keypoints, np.zeros((len(label_ns), 13, 3)), visible, np.eye(3, 4), ""
        ),
        meta={"name": "test"},
    )
    (shard,) = open_shards(tmp_path, config)
    assert len(shard.counts) == 19
    for step in range(19):
        assert np.argwhere(shard.counts[step]).tolist() == [[1, 2, step]]
        expected = ((step + 1) * 10 - 1.5) / 4
        assert shard.labels[step, 0, 0] == pytest.approx(expected)
    assert shard.labels[:, 0, 2].all() and not shard.labels[:, 3:5, 2].any()
    with pytest.raises(ShardError, match="the model needs"):
        open_shards(tmp_path, PAPER)
    with pytest.raises(ShardError, match="binned in steps of 10000000 ns"):
        open_shards(tmp_path, in_parts(EDGE, 2))
    with pytest.raises(ShardError, match="binned with the noise filter None"):
        open_shards(tmp_path, EDGE)
    with pytest.raises(ShardError, match="no training data"):
        open_shards(tmp_path / "nothing", EDGE)
    more = replace(config, ann=replace(config.ann, activity_levels=(1, 2, 3)))
    with pytest.raises(ShardError, match="made for 2 levels of activity, the model has 3"):
        open_shards(tmp_path, more)
    (tmp_path / "0" / "last.npy").unlink()
    with pytest.raises(ShardError, match=r"has no last\.npy.* render the shards anew"):
        open_shards(tmp_path, config)


def test_labels_between_two_are_interpolated(tmp_path: Path) -> None:
    config = in_parts(EDGE, 2)
    times = np.arange(40) * 5_000_000 + 1_000_000
    events = make_events(times, np.full(40, 5), np.full(40, 8), np.ones(40))
    label_ns = np.arange(1, 21) * 10_000_000
    keypoints = np.zeros((20, 13, 2), np.float32)
    keypoints[..., 0] = label_ns[:, None] / 1e6
    visible = np.ones((20, 13), bool)
    visible[9:, 2] = False
    write_shard(
        tmp_path / "0",
        config,
        events=events,
        sensor_size=(346, 260),
        truth=Truth(
            label_ns, keypoints, np.zeros((len(label_ns), 13, 3)), visible, np.eye(3, 4), ""
        ),
        meta={},
    )
    (shard,) = open_shards(tmp_path, config)
    found = 4 * shard.labels[:, 0, 0] + 1.5
    assert found[:4] == pytest.approx([10.0, 15.0, 20.0, 25.0])
    assert shard.labels[:, 2, 2].sum() == 17  # from 10 to 90 ms, not at 95


def test_a_strip_holds_the_person_and_moves_events_and_joints_together(shard: Shard) -> None:
    hand = joint_id("right_hand")
    narrow = replace(NO_AUGMENTATION, strip=40)
    for seed in range(10):
        rng = np.random.default_rng(seed)
        windows, counts, points, visible = make_sample(shard, 120, 1, EDGE, narrow, rng)
        assert windows.shape == (1, EDGE.ann.input_planes, 65, 40) and counts.shape == (
            1,
            2,
            65,
            40,
        )
        inside = (points[..., 0] > -0.5) & (points[..., 0] < 39.5)
        assert np.array_equal(visible, inside) and visible.mean() > 0.8
        if visible[1, hand]:
            y, x = np.argwhere(counts[0, 1])[0]
            assert points[1, hand].tolist() == [x, y]


def test_targets_decode_to_the_labels(shard: Shard) -> None:
    batch = BatchSource([shard], EDGE, batch=2, steps=3, seed=0, augmentation=NO_AUGMENTATION)[0]
    heatmaps = draw_heatmaps(batch.points, batch.visible, 65, 87, EDGE.sigma)
    found, _ = decode_heatmaps(heatmaps)
    assert torch.allclose(found, batch.points, atol=1e-3)


def test_recordings_are_told_apart(shard: Shard) -> None:
    other = make_shard(shard.counts, shard.labels + 1)
    sets = ([shard], [other], [shard, other], [other, shard])
    assert len({recordings_digest(shards) for shards in sets}) == 4
    same = make_shard(shard.counts, shard.labels.copy())
    assert recordings_digest([same, other]) == recordings_digest([shard, other])
