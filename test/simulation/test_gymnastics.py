# SPDX-License-Identifier: Apache-2.0
"""Gymnastics reach poses that no list of movements names."""

import numpy as np
import pytest
from numpy.typing import NDArray

from hybrid_pose_ros.simulation.movements import make_motion
from hybrid_pose_ros.skeleton import joint_id

F64 = NDArray[np.float64]


@pytest.fixture(scope="module")
def poses() -> F64:
    """Poses of 40 people, one per 0.1 s, metres: [F, 13, 3]."""
    return np.concatenate(
        [
            make_motion("gymnastics", np.random.default_rng(seed), 6.0).joints_m[::10]
            for seed in range(40)
        ]
    )


def height(poses: F64, name: str) -> F64:
    return np.asarray(poses[:, joint_id(name), 2])


def test_the_trunk_bends_far_and_stands_upright(poses: F64) -> None:
    shoulders = poses[:, [joint_id("right_shoulder"), joint_id("left_shoulder")]].mean(1)
    hips = poses[:, [joint_id("right_hip"), joint_id("left_hip")]].mean(1)
    trunk = shoulders - hips
    angle = np.degrees(np.arccos(trunk[:, 2] / np.linalg.norm(trunk, axis=-1)))
    assert 0.05 < (angle > 60).mean() < 0.4
    assert (angle < 20).mean() > 0.25


@pytest.mark.parametrize("side", ["right", "left"])
def test_each_foot_is_lifted_and_each_hand_goes_high_and_low(poses: F64, side: str) -> None:
    assert 0.05 < (height(poses, f"{side}_foot") > 0.4).mean() < 0.3
    assert 0.1 < (height(poses, f"{side}_hand") > height(poses, "head")).mean() < 0.6
    assert 0.01 < (height(poses, f"{side}_hand") < 0.7).mean() < 0.3


def test_some_hold_still_and_others_are_quick() -> None:
    speeds = np.concatenate(
        [
            np.linalg.norm(
                np.diff(
                    make_motion("gymnastics", np.random.default_rng(seed), 6.0).joints_m, axis=0
                ),
                axis=-1,
            ).mean(1)
            * 100
            for seed in range(20)
        ]
    )
    assert (speeds < 0.1).mean() > 0.1
    assert (speeds > 0.8).mean() > 0.1
