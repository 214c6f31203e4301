# SPDX-License-Identifier: Apache-2.0
"""Noise and region filters, by dv-processing; only the search for hot pixels is our own."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import dv_processing as dv
import numpy as np
from numpy.typing import NDArray

from hybrid_pose_ros.events.array import EventArray, check_events
from hybrid_pose_ros.events.dv_events import NS_PER_US, from_store, to_store


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


class FilterChain:
    """Region, then hot pixels, then background activity.

    What passes is a part of what came, with its times to the nanosecond; only the filters
    themselves count whole microseconds.

    Args:
        config: which filters run.
        width, height: of the sensor in pixels.

    Raises:
        ValueError: the region does not lie inside the sensor.
    """

    def __init__(self, config: FilterConfig, width: int, height: int) -> None:
        if config.region is not None:
            x, y, w, h = config.region
            if x < 0 or y < 0 or w < 1 or h < 1 or x + w > width or y + h > height:
                raise ValueError(
                    f"region {config.region} does not lie inside a sensor of {width}x{height}"
                )
        self._config = config
        self._size = (width, height)
        self._hot: NDArray[np.bool_] | None = None
        self._last_ns = -(2**63)
        self._reset()

    def apply(self, events: EventArray) -> EventArray:
        """Return the events that pass; batches are given in order of time.

        When sensor time jumps back from one batch to the next (a loop, a camera's reset), the
        filters begin anew; hot pixels once learnt stay silenced.

        Raises:
            MalformedEventsError: events outside the sensor or out of order.
        """
        if not self._config.any or not len(events):
            return events
        check_events(events, *self._size)
        if events["t"][0] < self._last_ns:
            self._reset()
        self._last_ns = int(events["t"][-1])
        if self._config.hot_pixel_hz and self._hot is None:
            self._learn(events)
        store = to_store(events)
        for stage in (self._region, self._mask, self._noise):
            if stage is not None and not store.isEmpty():
                stage.accept(store)
                store = stage.generateEvents()
        return events[_find_in(events, from_store(store), self._size)]

    def _reset(self) -> None:
        config = self._config
        self._learn_from: int | None = None
        self._counts = np.zeros(self._size[::-1], np.int64)
        self._region: Any = None
        self._mask: Any = None
        self._noise: Any = None
        if config.region is not None:
            self._region = dv.EventRegionFilter(config.region)
        if self._hot is not None:
            self._mask = _mask_filter(self._hot)
        if config.background_activity_us:
            self._noise = dv.noise.BackgroundActivityNoiseFilter(
                self._size, timedelta(microseconds=config.background_activity_us)
            )

    def _learn(self, events: EventArray) -> None:
        if self._learn_from is None:
            self._learn_from = int(events["t"][0])
        elapsed_s = (int(events["t"][-1]) - self._learn_from) * 1e-9
        self._counts += _count_pixels(events, *self._size)
        if elapsed_s >= self._config.hot_pixel_learn_s:
            self._hot = self._counts > self._config.hot_pixel_hz * elapsed_s
            self._mask = _mask_filter(self._hot)


def _count_pixels(events: EventArray, width: int, height: int) -> NDArray[np.int64]:
    """Count events per pixel: [height, width]."""
    flat = events["y"].astype(np.int64) * width + events["x"]
    return np.bincount(flat, minlength=width * height).reshape(height, width)


def _mask_filter(hot: NDArray[np.bool_]) -> dv.EventMaskFilter:
    return dv.EventMaskFilter(np.where(hot, 0, 255).astype(np.uint8))


def _find_in(events: EventArray, passed: EventArray, size: tuple[int, int]) -> NDArray[np.intp]:
    """Return the places in ``events`` of those that passed, which know their time only to us.

    Of events that are equal but for the nanoseconds the earliest are taken.
    """
    width, height = size
    start_us = int(events["t"][0]) // NS_PER_US

    def keys(some: EventArray) -> NDArray[np.int64]:
        pixel = some["y"].astype(np.int64) * width + some["x"]
        us = some["t"] // NS_PER_US - start_us
        return (us * (width * height) + pixel) * 2 + some["polarity"]

    every, part = keys(events), np.sort(keys(passed))
    order = np.argsort(every, kind="stable")
    nth = np.arange(len(part)) - np.searchsorted(part, part)  # of those equal to it
    return np.sort(order[np.searchsorted(every, part, sorter=order) + nth])
