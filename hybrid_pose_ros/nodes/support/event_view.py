# SPDX-License-Identifier: Apache-2.0
"""The events that a person looks at: as a fading picture, and as the newest of them."""

from collections import deque

import numpy as np

from hybrid_pose_ros.drawing import HIDDEN_CONFIDENCE, EventCanvas
from hybrid_pose_ros.events.array import EventArray
from hybrid_pose_ros.nodes.support.parameters import ParameterSpec

VISUAL_PARAMETERS = (
    ParameterSpec("rate_hz", 30.0, "pictures per second of host time", limits=(1.0, 120.0)),
    ParameterSpec("scale", 2, "side of a sensor pixel in the overlay (px)", limits=(1, 8)),
    ParameterSpec(
        "fade_ms", 40.0, "age (ms of sensor time) at which an event has faded", limits=(1, 1e4)
    ),
    ParameterSpec(
        "metres_per_px",
        0.005,
        "size of a sensor pixel in markers and cloud (m)",
        limits=(1e-6, 1.0),
        live=True,
    ),
    ParameterSpec(
        "min_confidence",
        0.3,
        "joints below it (share, 0 to 1) are left out of the markers and drawn hollow in the"
        f" overlay, those below {HIDDEN_CONFIDENCE} not at all",
        limits=(0.0, 1.0),
        live=True,
    ),
    ParameterSpec("cloud_ms", 100.0, "length of the cloud (ms of sensor time)", limits=(1.0, 1e4)),
    ParameterSpec(
        "cloud_metres_per_s", 10.0, "length of a second in the cloud (m)", limits=(0.0, 1e4)
    ),
    ParameterSpec(
        "cloud_points", 20_000, "most points in a cloud: the newest events", limits=(1, 10**6)
    ),
)
"""Parameters that say what is drawn, and how."""


class EventView:
    """The events of a sensor that are looked at.

    Args:
        fade_ms, scale: as of :class:`EventCanvas`.
        length_ns: how much sensor time of events is kept.
        most: how many events are kept at most.

    Attributes:
        canvas: the picture; None before the first events.
    """

    def __init__(self, fade_ms: float, scale: int, length_ns: int, most: int) -> None:
        self.canvas: EventCanvas | None = None
        self._fade_ms, self._scale = fade_ms, scale
        self._length_ns, self._most = length_ns, most
        self._batches: deque[EventArray] = deque()
        self._count = 0

    def add(self, events: EventArray, size: tuple[int, int]) -> None:
        """Add events in order of time, of a sensor of this width and height."""
        if self.canvas is None:
            self.canvas = EventCanvas(*size, fade_ms=self._fade_ms, scale=self._scale)
        if not len(events):
            return
        self.canvas.add(events)
        if self._batches and events["t"][0] < self._batches[-1]["t"][-1]:
            self._batches.clear()
            self._count = 0
        self._batches.append(events)
        self._count += len(events)
        oldest_ns = events["t"][-1] - self._length_ns
        while (
            self._batches[0]["t"][-1] < oldest_ns
            or self._count - len(self._batches[0]) >= self._most
        ):
            self._count -= len(self._batches.popleft())

    @property
    def newest(self) -> EventArray | None:
        """The newest events; None before the first."""
        return np.concatenate(self._batches)[-self._most :] if self._batches else None
