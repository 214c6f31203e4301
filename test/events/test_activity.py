# SPDX-License-Identifier: Apache-2.0
"""How long ago cells were active: exact, for several meanings of active, in log time."""

import numpy as np
import pytest

from hybrid_pose_ros.events.activity import LONGEST_S, NEVER, LastActivity, encode_ages


def counts(off: int, on: int) -> np.ndarray:
    """A step of 1x2 cells with events in the first one."""
    found = np.zeros((2, 1, 2), np.uint16)
    found[:, 0, 0] = off, on
    return found


def test_ages_are_exact_in_log_time() -> None:
    last = np.array([500, 499, 401, 0])
    ages = encode_ages(last, 500, 0.01)
    expected = [1 - np.log(1 + age / 0.01) / np.log(12_001) for age in (0.0, 0.01, 0.99, 5.0)]
    assert ages.dtype == np.float32
    assert ages == pytest.approx(expected, abs=1e-6)
    # steps of another length: the same age in seconds
    assert encode_ages(np.array([0]), 1000, 0.005) == pytest.approx(expected[3:], abs=1e-6)


def test_a_step_just_ended_is_one_and_two_minutes_and_never_are_nothing() -> None:
    now = 100_000
    two_minutes = round(LONGEST_S / 0.01)
    last = np.array([now, now - two_minutes + 1, now - two_minutes, now - 10**5, NEVER])
    ages = encode_ages(last, now, 0.01)
    assert ages[0] == 1.0 and ages[1] > 0
    assert ages[2] == pytest.approx(0.0, abs=1e-6)
    assert not ages[3:].any()


def test_older_is_less() -> None:
    ages = encode_ages(np.arange(11_990, -1, -1), 11_990, 0.01)
    assert (np.diff(ages.astype(float)) < 0).all()
    assert ages.min() > 0


def test_each_level_has_its_own_last_step() -> None:
    activity = LastActivity((1, 3), 1, 2)
    assert (activity.last == NEVER).all()
    for index, step in ((7, counts(1, 2)), (9, counts(1, 1)), (12, counts(0, 0))):
        activity.add(index, step)
    assert activity.last[:, 0, 0].tolist() == [9, 7]  # both polarities count together
    assert (activity.last[:, 0, 1] == NEVER).all()


def test_parts_of_a_step_count_together_and_those_of_others_do_not() -> None:
    activity = LastActivity((3,), 1, 2)
    activity.add(4, counts(1, 0))
    activity.add(5, counts(0, 2))
    assert activity.last[0, 0, 0] == NEVER
    activity.add(5, counts(1, 0))
    assert activity.last[0, 0, 0] == 5


def test_nothing_is_left_after_a_reset() -> None:
    activity = LastActivity((1, 3), 1, 2)
    activity.add(5, counts(0, 2))
    activity.reset()
    assert (activity.last == NEVER).all()
    activity.add(5, counts(0, 2))  # the parts before are forgotten, too
    assert activity.last[:, 0, 0].tolist() == [5, NEVER]
