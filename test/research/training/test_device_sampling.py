# SPDX-License-Identifier: Apache-2.0
"""Batches cut on a device equal those that NumPy cuts, whatever is drawn."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from hybrid_pose_ros.events.array import make_events
from hybrid_pose_ros.networks.config import EDGE
from hybrid_pose_ros.research.training.device_sampling import DeviceShards, DeviceSource
from hybrid_pose_ros.research.training.sampling import (
    NO_AUGMENTATION,
    Augmentation,
    BatchSource,
)
from hybrid_pose_ros.research.training.shards import Shard, open_shards, write_shard
from hybrid_pose_ros.research.training.sources import FollowingSource
from hybrid_pose_ros.simulation.recording import Truth

SMALL = replace(
    EDGE,
    view=replace(EDGE.view, view_width=64, view_height=48, grid_width=16, grid_height=12),
    noise_filter=None,
)
NO_AGES = replace(SMALL, ann=replace(SMALL.ann, activity_levels=()))

ALL = Augmentation(pause=0.5, forget=0.3, invert=0.5, shift=(3, 2), strip=11)


def write_small_shard(folder: Path, seed: int, seconds: float = 1.8) -> None:
    """A recording of noise and wandering joints that lies below ``folder``."""
    rng = np.random.default_rng(seed)
    times = np.sort(rng.integers(0, round(seconds * 1e9), 2000))
    x, y = rng.integers(0, 64, 2000), rng.integers(0, 48, 2000)
    labels = np.arange(1, round(seconds * 100)) * 10_000_000
    points = rng.uniform(15, 35, (13, 2)) + 5 * np.sin(labels / 3e8)[:, None, None]
    visible = np.ones((len(labels), 13), bool)
    truth = Truth(labels, points, np.zeros((*visible.shape, 3)), visible, np.eye(3, 4), "")
    write_shard(
        folder / f"{seed:05d}",
        SMALL,
        events=make_events(times, x, y, rng.integers(0, 2, 2000)),
        sensor_size=(64, 48),
        truth=truth,
        meta={},
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("shards")
    for seed in range(2):
        write_small_shard(folder, seed)
    return folder


@pytest.fixture(scope="module")
def shards(folder: Path) -> list[Shard]:
    return open_shards(folder, SMALL)


@pytest.mark.parametrize("augmentation", [NO_AUGMENTATION, ALL], ids=["as it is", "augmented"])
def test_a_device_cuts_what_numpy_cuts(shards: list[Shard], augmentation: Augmentation) -> None:
    source = BatchSource(
        shards, SMALL, batch=8, steps=4, seed=1, augmentation=augmentation, earlier=(0, 2)
    )
    device = DeviceSource(source, DeviceShards(SMALL, torch.device("cpu")))
    inits = set()
    for number, found in enumerate(device.batches(range(6))):
        expected = source[number]
        inits.add(len(expected.windows))
        for name in ("counts", "points", "visible"):
            assert torch.equal(getattr(found, name), getattr(expected, name)), name
        torch.testing.assert_close(found.windows, expected.windows, rtol=0, atol=1e-6)
        assert found.windows.any() and found.counts.dtype == torch.uint8
    assert inits == {1, 3}


def test_pauses_and_cut_off_histories_are_the_same(shards: list[Shard]) -> None:
    always = replace(NO_AUGMENTATION, pause=1.0, forget=1.0)
    source = BatchSource(shards, SMALL, batch=16, steps=2, seed=0, augmentation=always)
    (found,) = DeviceSource(source, DeviceShards(SMALL, torch.device("cpu"))).batches(range(1))
    torch.testing.assert_close(found.windows, source[0].windows, rtol=0, atol=1e-6)


def test_a_network_without_ages_needs_none(shards: list[Shard]) -> None:
    plain = [replace(shard, last=shard.last[:, :0], levels=()) for shard in shards]
    source = BatchSource(plain, NO_AGES, batch=4, steps=2, seed=0, augmentation=ALL)
    (found,) = DeviceSource(source, DeviceShards(NO_AGES, torch.device("cpu"))).batches(range(1))
    assert torch.equal(found.windows, source[0].windows)


def test_each_recording_is_read_once(folder: Path, shards: list[Shard]) -> None:
    memory = DeviceShards(SMALL, torch.device("cpu"))
    assert memory.add(shards[1:]) == [0]
    gone = replace(shards[1], counts=np.zeros(0), last=np.zeros(0))
    assert memory.add([shards[0], gone]) == [1, 0]
    source = BatchSource(shards, SMALL, batch=4, steps=2, seed=3, augmentation=ALL)
    (found,) = DeviceSource(source, memory).batches(range(1))
    assert torch.equal(found.counts, source[0].counts)


def test_a_followed_folder_is_opened_again_and_again(tmp_path: Path) -> None:
    write_small_shard(tmp_path, 0)
    opened: list[int] = []

    def reopen() -> BatchSource:
        shards = open_shards(tmp_path, SMALL)
        opened.append(len(shards))
        write_small_shard(tmp_path, len(shards))
        return BatchSource(shards, SMALL, batch=2, steps=2, seed=0, augmentation=NO_AUGMENTATION)

    batches = list(FollowingSource(reopen, 2).batches(range(1, 9, 2)))
    assert opened == [1, 2]
    first = BatchSource(
        open_shards(tmp_path, SMALL)[:1],
        SMALL,
        batch=2,
        steps=2,
        seed=0,
        augmentation=NO_AUGMENTATION,
    )
    assert torch.equal(batches[1].points, first[3].points)
    assert len(batches) == 4
