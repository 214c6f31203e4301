# SPDX-License-Identifier: Apache-2.0
"""The event array."""

import numpy as np
import pytest

from hybrid_pose_ros.events.array import (
    EVENT_DTYPE,
    EventArray,
    MalformedEventsError,
    check_events,
    empty_events,
    make_events,
)


def test_an_event_takes_16_bytes() -> None:
    assert EVENT_DTYPE.itemsize == 16
    assert EVENT_DTYPE.names == ("t", "x", "y", "polarity")


def test_columns_become_events() -> None:
    events = make_events([1, 2**62], [3, 65535], [4, 0], [True, False])
    assert events.tolist() == [(1, 3, 4, True), (2**62, 65535, 0, False)]
    assert len(empty_events()) == 0


def test_good_events_pass() -> None:
    check_events(make_events([5, 5, 6], [0, 345, 1], [259, 0, 1], [True] * 3), 346, 260)
    check_events(empty_events(), 1, 1)


@pytest.mark.parametrize(
    ("events", "reason"),
    [
        (make_events([1, 2], [0, 346], [0, 1], True), r"event 1 lies at \(346, 1\).*346x260"),
        (make_events([1, 2], [9, 0], [260, 0], True), r"event 0 lies at \(9, 260\)"),
        (make_events([3, 4, 3], [0] * 3, [0] * 3, True), "event 2 is older"),
        (np.zeros(3, np.int64), "not an event array but a ndarray of int64"),
        (make_events([1, 2], [0] * 2, [0] * 2, True).reshape(1, 2), "2 dimensions"),
    ],
)
def test_bad_events_are_named(events: EventArray, reason: str) -> None:
    with pytest.raises(MalformedEventsError, match=reason):
        check_events(events, 346, 260)
