# SPDX-License-Identifier: Apache-2.0
"""Events, words and counts in few words."""

import numpy as np
from numpy.typing import NDArray

from hybrid_pose_ros.events.array import EventArray, make_events
from hybrid_pose_ros.events.binning import GridView
from hybrid_pose_ros.events.encodings import make_decoder

WIDTH, HEIGHT = 346, 260
ROUND_NS = 2**24 * 1000
ON, OFF = True, False


def events_of(*rows: tuple[int, int, int, bool]) -> EventArray:
    return make_events(*zip(*rows, strict=True))


def words(*values: int) -> bytes:
    return np.array(values, "<u2").tobytes()


def decode(
    encoding: str, time_base: int, data: bytes, size: tuple[int, int] = (WIDTH, HEIGHT)
) -> list[tuple[int, ...]]:
    rows: list[tuple[int, ...]] = make_decoder(encoding, *size).decode(time_base, data).tolist()
    return rows


def histogram(view: GridView, events: EventArray) -> NDArray[np.uint16]:
    """Count events per polarity and cell, without a filter."""
    view.check(events)
    counts = np.zeros(view.shape, np.uint16)
    view.count_until(events, 0, np.iinfo(np.int64).max, counts, view.noise_memory(None))
    return counts
