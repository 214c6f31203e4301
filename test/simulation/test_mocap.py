# SPDX-License-Identifier: Apache-2.0
"""Captured motion: the file, its people on the floor, and how they are drawn and varied."""

import os
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from hybrid_pose_ros.simulation.mocap import (
    MocapError,
    draw_clip,
    index_mocap,
    load_clip,
    subject_of,
    vary,
)
from hybrid_pose_ros.simulation.movements import PLACE_M, make_motion
from hybrid_pose_ros.skeleton import joint_id

FEET = [joint_id("right_foot"), joint_id("left_foot")]


def perform(name: str, seconds: float) -> Any:
    return make_motion(name, np.random.default_rng(3), seconds, 0.0)


def to_the_right(joints: NDArray[np.float64]) -> NDArray[np.float64]:
    """From left to right hip, [F, 3]."""
    return np.asarray(joints[:, joint_id("right_hip")] - joints[:, joint_id("left_hip")])


@pytest.fixture
def recorded() -> Path:
    root = os.environ.get("HYBRID_POSE_DATA")
    path = Path(root or "", "mocap", "motions_13joints_60hz.npz")
    if root is None or not path.is_file():
        pytest.skip("HYBRID_POSE_DATA names no folder with mocap/")
    return path


def y_up_clip(frames: int = 90) -> NDArray[np.float32]:
    """A person in the file's convention who faces +z (right side at -x) and walks along +z."""
    person = perform("standing", (frames - 1) / 100).joints_m - (*PLACE_M[:2], PLACE_M[2] + 0.03)
    x, y, z = np.moveaxis(person, -1, 0)
    ahead = np.linspace(0, 5.0, frames)[:, None]
    return np.stack((-x + 3.0, z, y + ahead), -1).astype(np.float32)


def save_clips(folder: Path, **clips: Any) -> Path:
    path = folder / "clips.npz"
    np.savez(path, **clips)
    return path


def test_captured_motion_is_turned_upright_and_kept_in_place(tmp_path: Path) -> None:
    path = save_clips(tmp_path, cmu_s05_01=y_up_clip())
    motion = load_clip(path, "cmu_s05_01")
    joints = motion.joints_m
    assert motion.name == "cmu_s05_01"
    assert motion.duration_s == pytest.approx(89 / 60)
    right = to_the_right(joints).mean(0)
    assert right / np.linalg.norm(right) == pytest.approx((1, 0, 0), abs=0.3)
    assert joints[:, FEET, 2].min(1) == pytest.approx(0.10, abs=0.01)
    assert joints[:, 0, 2].min() > 1.3
    # 5 m of walking are gone from the middle of the clip
    assert np.all(np.abs(joints[30:60, :, :2]) < 1.2)


def test_clips_of_another_shape_are_named(tmp_path: Path) -> None:
    with pytest.raises(MocapError, match=r"a_s1_2.*\(90, 12, 3\)"):
        index_mocap(save_clips(tmp_path, a_s1_2=y_up_clip()[:, 1:]))


@pytest.mark.parametrize("kind", ["text", "empty", "npy", "pickled", "cut off"])
def test_a_file_that_is_no_motion_capture_is_named(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "clips.npz"
    if kind == "npy":
        with path.open("wb") as file:
            np.save(file, y_up_clip())
    elif kind == "pickled":
        np.savez(path, a_s1_1=np.array([{}]))
    elif kind == "cut off":
        path.write_bytes(save_clips(tmp_path, a_s1_1=y_up_clip()).read_bytes()[:-100])
    else:
        path.write_text("frame,joint,x,y,z" * (kind == "text"))
    with pytest.raises(MocapError, match=r"clips\.npz: not an \.npz file of clips"):
        index_mocap(path)


def test_the_way_through_the_room_can_be_kept(tmp_path: Path) -> None:
    path = save_clips(tmp_path, cmu_s05_01=y_up_clip())
    hips = load_clip(path, "cmu_s05_01", in_place=False).joints_m[:, 5:7, :2].mean(1)
    assert np.ptp(hips[:, 1]) == pytest.approx(5.0, abs=0.3)
    assert hips.max(0) == pytest.approx(-hips.min(0))


def test_a_lying_person_is_on_the_floor(tmp_path: Path) -> None:
    clip = y_up_clip()
    x, y, z = np.moveaxis(clip, -1, 0)
    lying = np.stack((x, 0.1 + 0.3 * (z - z.mean()), y), -1)
    lying[..., 1] -= lying[..., 1].min() - 0.04
    motion = load_clip(save_clips(tmp_path, a_s1_1=lying), "a_s1_1")
    assert -0.03 < motion.joints_m[..., 2].min() < 0.12


def test_sources_and_subjects_are_drawn_alike_however_many_clips_they_have(tmp_path: Path) -> None:
    clip = y_up_clip(2)
    names = [f"a_s1_{i}" for i in range(20)] + ["a_s2_0", "b_s1_0", "b_s9_0"]
    path = save_clips(tmp_path, **dict.fromkeys(names, clip))
    assert index_mocap(path) == dict.fromkeys(names, 2)
    rng = np.random.default_rng(0)
    drawn = [draw_clip(path, rng, lambda subject: subject != "b_s9") for _ in range(1200)]
    counts = Counter(map(subject_of, drawn))
    assert set(counts) == {"a_s1", "a_s2", "b_s1"}
    for subject, share in {"a_s1": 0.25, "a_s2": 0.25, "b_s1": 0.5}.items():
        assert counts[subject] / 1200 == pytest.approx(share, abs=0.05)
    with pytest.raises(MocapError, match="no clip of at least 0 s of the subjects"):
        draw_clip(path, rng, lambda _: False)


def test_names_without_a_subject_are_refused(tmp_path: Path) -> None:
    with pytest.raises(MocapError, match="clip s01_01 is not named <source>_<subject>_<clip>"):
        index_mocap(save_clips(tmp_path, s01_01=y_up_clip()))


def test_a_clip_with_gaps_is_refused(tmp_path: Path) -> None:
    clip = y_up_clip()
    clip[3, 4, 1] = np.nan
    with pytest.raises(MocapError, match="clip a_s1_1 holds numbers that are not finite"):
        load_clip(save_clips(tmp_path, a_s1_1=clip), "a_s1_1")


def test_varied_clips_face_where_they_are_told_to() -> None:
    motion = perform("punch_straight_right", 8.0)
    punching = set()
    for seed in range(8):
        varied = vary(motion, np.random.default_rng(seed), 4.0, np.pi / 2)
        assert varied.times_s[0] == 0
        assert 3.9 < varied.duration_s <= 4.0 + 1e-9
        right = to_the_right(varied.joints_m).mean(0)
        assert right / np.linalg.norm(right) == pytest.approx((0, 1, 0), abs=0.15)
        # who faces -x punches towards -x; a mirrored person does so with the left hand
        reach = {
            side: np.ptp(
                varied.joints_m[:, joint_id(f"{side}_shoulder"), 0]
                - varied.joints_m[:, joint_id(f"{side}_hand"), 0]
            )
            for side in ("right", "left")
        }
        side = max(reach, key=lambda name: reach[name])
        hand = varied.joints_m[:, joint_id(f"{side}_hand"), 0]
        assert (hand - varied.joints_m[:, joint_id(f"{side}_shoulder"), 0]).min() < -0.4
        punching.add(side)
    assert punching == {"right", "left"}


def test_recorded_people_stand_upright_on_the_floor(recorded: Path) -> None:
    subjects = ("cmu_s02", "cmu_s14", "ui_s03")
    names = [name for name in index_mocap(recorded) if subject_of(name) in subjects]
    clips = [load_clip(recorded, name) for name in names]
    assert len(clips) > 40
    heads = []
    for clip in clips:
        assert np.percentile(clip.joints_m[:, FEET, 2].min(1), 5) == pytest.approx(0.10, abs=0.03)
        heads.append(np.median(clip.joints_m[:, 0, 2]))
    assert 1.4 < np.median(heads) < 1.8
