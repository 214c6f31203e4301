# SPDX-License-Identifier: Apache-2.0
"""Errors of poses have the exact values of small examples."""

import numpy as np
import pytest

from hybrid_pose_ros.metrics.pose_errors import joint_errors, mirrored, mpjpe, pck, without_offset
from hybrid_pose_ros.skeleton import MIRROR, joint_id

RNG = np.random.default_rng(0)
TRUTH = RNG.uniform(0, 200, (7, 13, 2))
ALL = np.ones((7, 13), bool)
LEFT = joint_id("left_hand")


def test_the_error_is_the_mean_distance_of_visible_joints() -> None:
    estimate = np.add(TRUTH, (3.0, 4.0))
    estimate[:, 0] += 1000.0
    visible = ALL.copy()
    visible[:, 0] = False
    np.testing.assert_allclose(joint_errors(estimate, TRUTH)[:, 1:], 5.0)
    assert mpjpe(estimate, TRUTH, visible) == pytest.approx(5.0)
    assert np.isnan(mpjpe(estimate, TRUTH, ~ALL))


def test_a_constant_offset_of_each_joint_is_taken_off() -> None:
    offsets = RNG.normal(0, 20, (13, 2))
    np.testing.assert_allclose(without_offset(TRUTH + offsets, TRUTH, ALL), TRUTH)


def test_the_offset_is_the_median_over_the_visible_poses() -> None:
    estimate = TRUTH.copy()
    estimate[:, LEFT] += (8.0, 0.0)
    estimate[5, LEFT] += (500.0, 0.0)  # one odd pose does not move the median
    visible = ALL.copy()
    visible[6] = False
    estimate[6, LEFT] += (0.0, 900.0)
    found = without_offset(estimate, TRUTH, visible)
    assert mpjpe(found[:5], TRUTH[:5], ALL[:5]) == pytest.approx(0.0, abs=1e-9)
    np.testing.assert_allclose(found[5, LEFT] - TRUTH[5, LEFT], (500.0, 0.0))
    np.testing.assert_allclose(estimate[0, LEFT] - TRUTH[0, LEFT], (8.0, 0.0))  # not in place
    np.testing.assert_array_equal(without_offset(estimate, TRUTH, ~ALL), estimate)


def test_swapped_poses_are_mirrored() -> None:
    estimate = TRUTH + RNG.normal(0, 1, TRUTH.shape)
    estimate[2:4] = estimate[2:4][:, list(MIRROR)]
    assert mirrored(estimate, TRUTH, ALL).tolist() == [False, False, True, True] + [False] * 3


def test_only_joints_seen_on_both_sides_tell_the_side() -> None:
    estimate = TRUTH[:, list(MIRROR)]
    visible = ALL.copy()
    visible[:, [j for j in range(13) if j < MIRROR[j]]] = False  # one side is not labelled
    assert not mirrored(estimate, TRUTH, visible).any()


def test_pck_is_the_share_within_the_threshold() -> None:
    estimate = TRUTH.copy()
    estimate[:, LEFT] += (10.0, 0.0)
    estimate[:, 0] += (0.0, 10.5)
    assert pck(estimate, TRUTH, ALL, 10.0 + 1e-9) == pytest.approx(12 / 13)
    assert np.isnan(pck(estimate, TRUTH, ~ALL, 10.0))
