# SPDX-License-Identifier: Apache-2.0
"""Drawn motions: their kinds, lengths, changes and bodies."""

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hybrid_pose_ros.simulation.everyday_movements import EVERYDAY
from hybrid_pose_ros.simulation.floor_contact import clearance
from hybrid_pose_ros.simulation.motion import Motion
from hybrid_pose_ros.simulation.motion_sampler import Repertoire, sample_motion
from hybrid_pose_ros.simulation.movements import MOVEMENTS, PLACE_M, make_motion

TRAIN = Repertoire(("a_s2",), ("clap", "walking"), test=False)
TEST = Repertoire(("a_s2",), ("clap", "walking"), test=True)


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("clips") / "clips.npz"
    found: dict[str, Any] = {}
    for i, name in enumerate(("a_s1_1", "a_s2_1", "b_s1_1")):
        joints = make_motion("star_jumps", np.random.default_rng(i), 4.0, 0.0).joints_m - PLACE_M
        x, y, z = np.moveaxis(joints, -1, 0)
        found[name] = np.stack((-x, z - 0.03, y), -1).astype(np.float32)
    np.savez(path, **found)
    return path


def draw(
    seed: int, mocap: Path | None, repertoire: Repertoire = TRAIN, seconds: float = 5.0
) -> Motion:
    rng = np.random.default_rng((1, seed))
    return sample_motion(rng, seconds, repertoire, mocap=mocap, yaw=0.3)


def test_motions_last_as_long_as_asked_and_have_human_bodies(clips: Path) -> None:
    for seed in range(80):
        motion = draw(seed, clips, seconds=4.37 if seed % 2 else 12.0)
        assert motion.duration_s == pytest.approx(4.37 if seed % 2 else 12.0, abs=1e-9)
        assert np.isfinite(motion.joints_m).all()
        speed = np.linalg.norm(np.diff(motion.joints_m, axis=0), axis=-1).max(1)
        assert (speed / np.diff(motion.times_s)).max() < 12
        above = clearance(motion.joints_m).min(1)
        assert above.min() > -0.03
        assert np.median(above) < 0.08


def test_all_kinds_and_changes_occur_and_nothing_held_out(clips: Path) -> None:
    names = [draw(seed, clips, seconds=3.0).name.split("+") for seed in range(400)]
    heads = Counter(name[0] for name in names)
    captured = {name for name in heads if name.endswith("_1")}
    assert captured == {"a_s1_1", "b_s1_1"}
    assert sum(heads[n] for n in captured) / 400 == pytest.approx(0.38, abs=0.08)
    assert sum(heads[n] for n in EVERYDAY) / 400 == pytest.approx(0.4, abs=0.08)
    assert not {"clap", "walking"} & set(heads)
    changes = Counter(change.split("_")[0] for name in names for change in name[1:])
    for change, share in {"only": 0.25, "hold": 0.2, "approach": 0.1, "walk": 0.1}.items():
        assert changes[change] / 400 == pytest.approx(share, abs=0.06)


def test_the_test_shows_its_own_people_and_what_was_held_out(clips: Path) -> None:
    heads = {draw(seed, clips, TEST, 2.0).name.split("+")[0] for seed in range(200)}
    assert {name for name in heads if name.endswith("_1")} == {"a_s2_1"}
    assert {"clap", "walking"} <= heads


def test_without_motion_capture_there_are_movements_alone() -> None:
    heads = {draw(seed, None, seconds=2.0).name.split("+")[0] for seed in range(40)}
    assert heads <= set(MOVEMENTS) | set(EVERYDAY)


def test_a_motion_is_a_function_of_its_generator(clips: Path) -> None:
    for seed in range(6):
        assert np.array_equal(draw(seed, clips).joints_m, draw(seed, clips).joints_m)
