# SPDX-License-Identifier: Apache-2.0
"""The events that the benchmarks run on."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np

from hybrid_pose_ros.events.array import EventArray
from hybrid_pose_ros.simulation.recording import Recording, simulate_recording
from hybrid_pose_ros.simulation.source import sample_scene

MOTION: Final = "walking"
SEED: Final = 1


@dataclass(frozen=True)
class Stream:
    """Events of one camera, from sensor time 0 on.

    Attributes:
        seconds: its length.
    """

    events: EventArray
    width: int
    height: int
    seconds: float

    @property
    def rate_mev_s(self) -> float:
        """Millions of events per second."""
        return len(self.events) / self.seconds * 1e-6

    def packets(self, packet_ns: int) -> Iterator[EventArray]:
        """Cut into packets of equal sensor time, without the empty ones."""
        edges = np.arange(0, round(self.seconds * 1e9) + packet_ns, packet_ns)
        places = np.searchsorted(self.events["t"], edges)
        for first, last in pairwise(places):
            if last > first:
                yield self.events[first:last]


def walking(seconds: float) -> Stream:
    """Simulate a person who walks, seen by a camera as in DHP19 (a whole number of 10 ms)."""
    recording: Recording = simulate_recording(sample_scene(MOTION, seconds, SEED), seconds)
    return Stream(recording.events, recording.width, recording.height, seconds)


def repeat(stream: Stream, seconds: float) -> Iterator[EventArray]:
    """Yield a stream over and over, sensor time going on, until ``seconds`` are full."""
    length_ns = round(stream.seconds * 1e9)
    end_ns = round(seconds * 1e9)
    for start_ns in range(0, end_ns, length_ns):
        events = stream.events.copy()
        events["t"] += start_ns
        yield events[: np.searchsorted(events["t"], end_ns)]


def at_rate(stream: Stream, mev_s: float, seconds: float, slice_ns: int = 10_000_000) -> Stream:
    """Draw a stream of another event rate from one, its first ``seconds``.

    In each slice of time, events are drawn from those of the stream in the same slice, and moved
    by up to a pixel, so that they lie where the person moves; their times are spread evenly.
    """
    rng = np.random.default_rng(SEED)
    count = round(mev_s * 1e6 * slice_ns * 1e-9)
    parts = []
    for start_ns in range(0, round(seconds * 1e9), slice_ns):
        first, last = np.searchsorted(stream.events["t"], (start_ns, start_ns + slice_ns))
        if last == first:
            continue
        part = stream.events[rng.integers(first, last, count)]
        part["t"] = start_ns + np.arange(count) * slice_ns // count
        for axis, size in (("x", stream.width), ("y", stream.height)):
            moved = part[axis].astype(np.int32) + rng.integers(-1, 2, count)
            part[axis] = np.clip(moved, 0, size - 1)
        parts.append(part)
    return Stream(np.concatenate(parts), stream.width, stream.height, seconds)
