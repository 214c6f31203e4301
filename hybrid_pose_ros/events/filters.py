# SPDX-License-Identifier: Apache-2.0
"""Noise and region filters, by dv-processing; only the search for hot pixels is our own."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import dv_processing as dv
import numpy as np
from numpy.typing import NDArray

from hybrid_pose_ros.events.array import EventArray
from hybrid_pose_ros.events.dv_events import from_store, to_store


@dataclass(frozen=True)
class FilterConfig:
    """Which filters run; all are off by default.

    Attributes:
        background_activity_us: an event without another one in its neighbourhood within so many
            microseconds is noise; 0: off.
        hot_pixel_hz: pixels that fire faster than this over the learning time are silenced;
            0: off.
        hot_pixel_learn_s: the learning time, from the first event on (seconds of sensor time);
            until then nothing is silenced.
        region: (x, y, width, height) in pixels outside of which events are dropped; None: off.
    """

    background_activity_us: int = 0
    hot_pixel_hz: float = 0.0
    hot_pixel_learn_s: float = 1.0
    region: tuple[int, int, int, int] | None = None

    @property
    def any(self) -> bool:
        """Whether a filter is on."""
        return bool(self.background_activity_us or self.hot_pixel_hz or self.region)


def find_hot_pixels(
    events: EventArray, width: int, height: int, seconds: float, rate_hz: float
) -> NDArray[np.bool_]:
    """Return the pixels [height, width] with more than ``rate_hz`` events per second."""
    flat = events["y"].astype(np.int64) * width + events["x"]
    counts = np.bincount(flat, minlength=width * height).reshape(height, width)
    return np.asarray(counts > rate_hz * seconds)


class FilterChain:
    """Region, then hot pixels, then background activity.

    dv-processing counts microseconds, so the events that pass have their times floored to those.

    Args:
        config: which filters run.
        width, height: of the sensor in pixels.

    Raises:
        ValueError: the region does not lie inside the sensor.
    """

    def __init__(self, config: FilterConfig, width: int, height: int) -> None:
        self._config = config
        self._size = (width, height)
        self._learnt: list[EventArray] = []
        self._learn_from: int | None = None
        self._region: Any = None
        self._mask: Any = None
        self._noise: Any = None
        if config.region is not None:
            x, y, w, h = config.region
            if x < 0 or y < 0 or w < 1 or h < 1 or x + w > width or y + h > height:
                raise ValueError(
                    f"region {config.region} does not lie inside a sensor of {width}x{height}"
                )
            self._region = dv.EventRegionFilter(config.region)
        if config.background_activity_us:
            self._noise = dv.noise.BackgroundActivityNoiseFilter(
                self._size, timedelta(microseconds=config.background_activity_us)
            )

    def apply(self, events: EventArray) -> EventArray:
        """Return the events that pass; batches are given in order of time."""
        if not self._config.any or not len(events):
            return events
        if self._config.hot_pixel_hz and self._mask is None:
            self._learn(events)
        store = to_store(events)
        for stage in (self._region, self._mask, self._noise):
            if stage is not None and not store.isEmpty():
                stage.accept(store)
                store = stage.generateEvents()
        return from_store(store)

    def _learn(self, events: EventArray) -> None:
        if self._learn_from is None:
            self._learn_from = int(events["t"][0])
        elapsed_s = (int(events["t"][-1]) - self._learn_from) * 1e-9
        self._learnt.append(events)
        if elapsed_s < self._config.hot_pixel_learn_s:
            return
        seen = np.concatenate(self._learnt)
        hot = find_hot_pixels(seen, *self._size, elapsed_s, self._config.hot_pixel_hz)
        self._mask = dv.EventMaskFilter(np.where(hot, 0, 255).astype(np.uint8))
        self._learnt.clear()
