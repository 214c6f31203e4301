# SPDX-License-Identifier: Apache-2.0
"""Rendering training data: a function of seed and number, resumable."""

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hybrid_pose_ros.geometry.cameras import DHP19_LIKE, CameraError
from hybrid_pose_ros.networks.config import EDGE
from hybrid_pose_ros.research.training.rendering import (
    RenderPlan,
    disturb,
    render_shard,
    render_shards,
    sample_scene,
)
from hybrid_pose_ros.research.training.shards import ShardError, is_finished, open_shards
from hybrid_pose_ros.research.training.splits import (
    HELD_OUT_MOVEMENTS,
    REPERTOIRES,
)
from hybrid_pose_ros.simulation.dhp19 import write_calibration
from hybrid_pose_ros.simulation.mesh.mesh_body import MeshBody
from hybrid_pose_ros.simulation.mocap import MocapError
from hybrid_pose_ros.simulation.movements import MOVEMENTS
from hybrid_pose_ros.simulation.scene import Scene

PLAN = RenderPlan(seconds=2.0, seed=3, mesh_share=0.0, short_s=(1.0, 1.0), long_s=(1.0, 1.0))


def test_a_shard_is_a_function_of_seed_split_and_number(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        render_shard(tmp_path / folder, PLAN, "train", 1)
    render_shard(tmp_path / "c", PLAN, "validation", 1)
    a, b, c = (open_shards(tmp_path / folder, EDGE)[0] for folder in "abc")
    assert np.array_equal(a.counts, b.counts) and np.array_equal(a.labels, b.labels)
    assert not np.array_equal(a.labels[0], c.labels[0])
    assert len(a.counts) == len(a.labels) >= 98
    assert a.counts.any()


def finished(data: Path) -> list[Path]:
    return [meta.parent for meta in data.glob("*/*/meta.json")]


def interrupt(done: int, _total: int) -> None:
    if done > 0:
        raise InterruptedError


def test_rendering_goes_on_where_it_was(tmp_path: Path) -> None:
    counted: list[tuple[int, int]] = []
    with pytest.raises(InterruptedError):
        render_shards(tmp_path, PLAN, workers=1, progress=interrupt)
    assert len(finished(tmp_path)) < 7  # of 10: only what had been begun was finished
    shutil.rmtree(tmp_path / "validation")
    render_shard(tmp_path / "train", PLAN, "train", 0)
    before = (tmp_path / "train" / "00000" / "counts.npy").stat().st_mtime_ns
    unfinished = tmp_path / "train" / "00001"
    unfinished.mkdir()
    (unfinished / "counts.npy").write_bytes(b"cut off")
    render_shards(tmp_path, PLAN, workers=1, progress=lambda *done: counted.append(done))
    assert counted[0] == (1, 10) and counted[-1] == (10, 10)
    assert (tmp_path / "train" / "00000" / "counts.npy").stat().st_mtime_ns == before
    assert is_finished(unfinished)
    assert len(open_shards(tmp_path / "train", EDGE)) == 2
    assert len(open_shards(tmp_path / "validation", EDGE)) == 4
    assert len(open_shards(tmp_path / "test", EDGE)) == 4


def test_machines_share_the_rendering(tmp_path: Path) -> None:
    """Of ten recordings, four for validation, four for the test, each of five renders two."""

    def begin(number: int) -> tuple[int, int]:
        counted: list[tuple[int, int]] = []

        def stop(*done: int) -> None:
            counted.append((done[0], done[1]))
            raise InterruptedError

        with pytest.raises(InterruptedError):
            render_shards(tmp_path, PLAN, workers=1, progress=stop, part=(number, 5))
        return counted[0]

    assert [begin(number) for number in range(1, 6)] == [(0, 2)] * 5
    for place in ("validation/00000", "test/00001", "test/00003"):
        (tmp_path / place).mkdir(parents=True)
        (tmp_path / place / "meta.json").write_text("{}")
    assert [begin(number) for number in range(1, 6)] == [(2, 2), (0, 2), (1, 2), (0, 2), (0, 2)]


def save_clips(path: Path, *subjects: str) -> Path:
    rng = np.random.default_rng(0)
    np.savez(path, **{f"{subject}_01": rng.normal(0, 1, (90, 13, 3)) for subject in subjects})
    return path


@pytest.fixture
def begun(tmp_path: Path) -> Path:
    """A folder of data with one shard, rendered by PLAN."""
    data = tmp_path / "data"
    with pytest.raises(InterruptedError):
        render_shards(data, PLAN, workers=1, progress=lambda *_: interrupt(1, 0))
    shard = data / "train" / "00000"
    shard.mkdir(parents=True)
    (shard / "meta.json").write_text("{}")
    return data


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"seed": 99}, "another seed;"),
        ({"mocap": "clips.npz"}, "another mocap;"),
        ({"calibration": "dhp19"}, "another calibration;"),
        ({"seed": 4, "short_s": (1.0, 2.0)}, "another seed and lengths;"),
        ({"mesh_share": 1.0}, "another mesh_share;"),
    ],
)
def test_shards_of_another_plan_are_not_kept(
    changes: dict[str, Any], says: str, begun: Path, tmp_path: Path
) -> None:
    save_clips(tmp_path / "clips.npz", "cmu_s01", "cmu_s03")
    (tmp_path / "dhp19").mkdir()
    write_calibration(tmp_path / "dhp19", DHP19_LIKE)
    changes = {
        name: tmp_path / value if isinstance(value, str) else value
        for name, value in changes.items()
    }
    before = sorted(begun.rglob("*"))
    with pytest.raises(ShardError, match=f"data: rendered with {says}"):
        render_shards(begun, replace(PLAN, **changes), workers=1, progress=interrupt)
    assert sorted(begun.rglob("*")) == before


def test_motion_capture_counts_by_its_content(tmp_path: Path) -> None:
    data = tmp_path / "data"
    for name, subjects, error in (
        ("clips.npz", ("cmu_s01", "cmu_s03"), InterruptedError),
        ("moved.npz", ("cmu_s01", "cmu_s03"), InterruptedError),
        ("clips_2.npz", ("cmu_s02", "cmu_s03"), ShardError),
    ):
        plan = replace(PLAN, mocap=save_clips(tmp_path / name, *subjects))
        with pytest.raises(error):
            render_shards(data, plan, workers=1, progress=lambda *_: interrupt(1, 0))


def test_shards_without_a_plan_are_not_kept(begun: Path) -> None:
    (begun / "plan.json").unlink()
    with pytest.raises(ShardError, match=r"plan\.json: missing"):
        render_shards(begun, PLAN, workers=1, progress=interrupt)


def test_more_of_the_same_is_no_other_plan(begun: Path) -> None:
    counted: list[tuple[int, int]] = []

    def stop(*done: int) -> None:
        counted.append(done)
        raise InterruptedError

    with pytest.raises(InterruptedError):
        render_shards(begun, replace(PLAN, seconds=20.0), workers=1, progress=stop)
    assert counted == [(1, 28)]


def test_what_cannot_be_read_is_said_before_anything_is_rendered(tmp_path: Path) -> None:
    data = tmp_path / "data"
    mocap = save_clips(tmp_path / "clips.npz", "cmu_s01", "cmu_s02")
    for changes, error in (
        ({"mocap": tmp_path / "absent.npz"}, FileNotFoundError),
        ({"mocap": mocap}, MocapError),  # none for the test
        ({"calibration": tmp_path}, CameraError),
    ):
        with pytest.raises(error):
            render_shards(data, replace(PLAN, **changes), workers=1, progress=interrupt)
    assert not data.exists()


def test_an_error_of_one_shard_ends_the_rendering(tmp_path: Path) -> None:
    (tmp_path / "validation").mkdir()
    (tmp_path / "validation" / "00000").write_text("not a folder")
    with pytest.raises(NotADirectoryError):
        render_shards(tmp_path, PLAN, workers=1, progress=lambda *_: None)
    assert len(finished(tmp_path)) < 6  # of 9


@pytest.fixture(scope="module")
def drawn() -> list[Scene]:
    """Scenes for training, half of their people with a mesh."""
    plan = replace(PLAN, mesh_share=0.5)
    return [sample_scene(plan, "train", np.random.default_rng(i))[0] for i in range(120)]


def test_three_in_ten_are_seen_as_in_a_laboratory_and_the_others_from_all_sides(
    drawn: list[Scene],
) -> None:
    wide = [scene for scene in drawn if scene.camera.name == "wide"]
    assert 0.17 < 1 - len(wide) / len(drawn) < 0.43
    facing = []
    for scene in wide:
        hips = scene.motion.joints_m[0, 5:7]  # right, left
        right = (hips[0] - hips[1])[:2]
        ahead = np.array((-right[1], right[0])) / max(np.linalg.norm(right), 1e-9)
        towards = scene.camera.centre[:2] - hips.mean(0)[:2]
        facing.append(ahead @ towards / np.linalg.norm(towards))
    # cosines of angles that are drawn alike: as often in front as behind, half beyond 45 degrees
    assert abs(np.mean(facing)) < 0.25
    assert 0.33 < np.mean(np.abs(facing) < np.sqrt(0.5)) < 0.67


def test_the_cameras_of_the_test_are_not_trained_on() -> None:
    rng = np.random.default_rng(0)
    corners = np.array([(x, y, z) for x in (-0.5, 0.5) for y in (-0.5, 0.5) for z in (0.1, 1.8)])
    for camera in DHP19_LIKE:
        moved = disturb(camera, rng)
        off = np.linalg.norm(moved.project(corners) - camera.project(corners), axis=-1)
        assert 2 < off.mean() < 60
        assert moved.focal_px == pytest.approx(camera.focal_px, rel=0.25)
        assert moved.depth(corners) == pytest.approx(camera.depth(corners), abs=0.6)


def test_held_out_movements_are_for_the_test_alone(drawn: list[Scene]) -> None:
    assert set(HELD_OUT_MOVEMENTS) < set(MOVEMENTS)
    for scene in drawn:
        assert scene.motion.name.split("+")[0] not in HELD_OUT_MOVEMENTS
    for split in ("train", "validation"):
        assert not set(REPERTOIRES[split].movements) & set(HELD_OUT_MOVEMENTS)
    assert set(HELD_OUT_MOVEMENTS) <= set(REPERTOIRES["test"].movements)
    seen = {
        split: {
            sample_scene(PLAN, split, np.random.default_rng(i))[0].motion.name.split("+")[0]
            for i in range(60)
        }
        for split in ("validation", "test")
    }
    assert not seen["validation"] & set(HELD_OUT_MOVEMENTS)
    assert seen["test"] & set(HELD_OUT_MOVEMENTS)


def test_people_are_meshes_as_often_as_is_planned(drawn: list[Scene]) -> None:
    assert 40 <= sum(isinstance(scene.body, MeshBody) for scene in drawn) <= 80


def test_test_subjects_are_not_trained_on(tmp_path: Path) -> None:
    plan = replace(PLAN, mocap=save_clips(tmp_path / "clips.npz", "cmu_s01", "cmu_s03"))
    for split, subject in (("train", "cmu_s01"), ("test", "cmu_s03")):
        for number in range(6):
            render_shard(tmp_path / split, plan, split, number)
        captured = {
            shard.meta["motion"].split("+")[0] for shard in open_shards(tmp_path / split, EDGE)
        }
        assert {name for name in captured if name.startswith("cmu_")} == {f"{subject}_01"}


def test_an_unknown_split_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(KeyError):
        render_shard(tmp_path, PLAN, "tests", 0)
