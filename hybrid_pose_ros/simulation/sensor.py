# SPDX-License-Identifier: Apache-2.0
"""A dynamic vision sensor: log-intensity changes to events, with the faults of a real one."""

from dataclasses import dataclass

import numba
import numpy as np
from numpy.typing import NDArray

from hybrid_pose_ros.events.array import EVENT_DTYPE, EventArray

_US = 1000


@dataclass(frozen=True)
class SensorConfig:
    """Properties of the sensor.

    Attributes:
        threshold_on, threshold_off: contrast in log intensity that makes an event.
        mismatch: standard deviation of the thresholds from pixel to pixel, same unit.
        refractory_us: a pixel is silent for so long after an event (microseconds).
        noise_hz: background events per pixel and second.
        hot_pixels: number of pixels that fire by themselves.
        hot_hz: their rate.
    """

    threshold_on: float = 0.25
    threshold_off: float = 0.25
    mismatch: float = 0.03
    refractory_us: float = 300.0
    noise_hz: float = 0.1
    hot_pixels: int = 5
    hot_hz: float = 300.0

    @classmethod
    def sample(cls, rng: np.random.Generator) -> "SensorConfig":
        """Draw a sensor in the spread of bias settings found in practice."""
        threshold = rng.uniform(0.14, 0.35)
        return cls(
            threshold_on=threshold * rng.uniform(0.85, 1.2),
            threshold_off=threshold,
            mismatch=rng.uniform(0.02, 0.05),
            refractory_us=rng.uniform(100, 1000),
            noise_hz=float(10 ** rng.uniform(-2.0, 0.3)),
            hot_pixels=int(rng.integers(0, 12)),
        )


@numba.njit(cache=True)
def _fire(
    canvas: NDArray[np.float32],
    before: NDArray[np.float32],
    reference: NDArray[np.float32],
    thresholds: NDArray[np.float32],
    last_us: NDArray[np.int64],
    box: NDArray[np.int64],
    start_us: int,
    span_us: int,
    refractory_us: float,
    out: NDArray[np.int64],
    count: int,
) -> int:
    """Compare a frame with each pixel's reference in a box; returns the new number of events.

    Writes (t in us, x, y, polarity) to ``out`` from row ``count`` on.
    """
    for y in range(box[1], box[3]):
        for x in range(box[0], box[2]):
            now, then = canvas[y, x], before[y, x]
            if now == then:
                continue
            before[y, x] = now
            while True:
                change = now - reference[y, x]
                polarity = 1 if change > 0 else 0
                threshold = thresholds[polarity, y, x]
                if abs(change) < threshold:
                    break
                reference[y, x] += threshold if polarity else -threshold
                part = (reference[y, x] - then) / (now - then)
                t = start_us + int(min(max(part, 0.0), 0.999) * span_us)
                if t - last_us[y, x] < refractory_us:
                    continue
                last_us[y, x] = t
                out[count, 0], out[count, 1], out[count, 2], out[count, 3] = t, x, y, polarity
                count += 1
    return count


class DynamicVisionSensor:
    """Turns a sequence of log-intensity frames into events.

    Args:
        config: its properties.
        first: the frame at the start, float32 [H, W]; nothing fires for it.
        rng: the source of mismatch and noise; the events are a function of it and the frames.
    """

    def __init__(
        self, config: SensorConfig, first: NDArray[np.float32], rng: np.random.Generator
    ) -> None:
        self._config = config
        self._rng = rng
        height, width = first.shape
        nominal = np.array((config.threshold_off, config.threshold_on))[:, None, None]
        drawn = rng.normal(nominal, config.mismatch, (2, height, width))
        self._thresholds = np.maximum(drawn, 0.03).astype(np.float32)
        self._before = first.copy()
        phase = rng.uniform(-0.5, 0.5, first.shape) * self._thresholds.min(0)
        self._reference = (first + phase).astype(np.float32)
        self._last_us = np.full(first.shape, -(10**12), np.int64)
        hot = rng.choice(first.size, min(config.hot_pixels, first.size), replace=False)
        self._hot = np.stack((hot % width, hot // width), -1)
        self._out = np.empty((200_000, 4), np.int64)
        self._count = 0

    def see(
        self, frame: NDArray[np.float32], box: NDArray[np.int64], start_us: int, span_us: int
    ) -> None:
        """Take the next frame; it differs from the last one only inside ``box``.

        Args:
            frame: float32 [H, W], the log intensity at ``start_us + span_us``.
            box: x0, y0, x1, y1 (exclusive).
            start_us, span_us: time of the frame before, and since then, in microseconds.
        """
        # no pixel can fire more often than its refractory period allows
        most = 2 + int(span_us / max(self._config.refractory_us, 1.0))
        room = int((box[3] - box[1]) * (box[2] - box[0])) * most
        if self._count + room > len(self._out):
            more = np.empty((self._count + 2 * room, 4), np.int64)
            more[: self._count] = self._out[: self._count]
            self._out = more
        self._count = _fire(
            frame,
            self._before,
            self._reference,
            self._thresholds,
            self._last_us,
            box,
            start_us,
            span_us,
            self._config.refractory_us,
            self._out,
            self._count,
        )

    def collect(self, start_us: int, end_us: int) -> EventArray:
        """Return the events since the last call, with the noise of this span, in order of time."""
        signal = self._out[: self._count]
        noise = self._noise(start_us, end_us)
        rows = np.concatenate((signal, noise))
        self._count = 0
        rows = rows[np.argsort(rows[:, 0], kind="stable")]
        events = np.empty(len(rows), EVENT_DTYPE)
        events["t"], events["x"] = rows[:, 0] * _US, rows[:, 1]
        events["y"], events["polarity"] = rows[:, 2], rows[:, 3]
        return events

    def _noise(self, start_us: int, end_us: int) -> NDArray[np.int64]:
        """Background events and hot pixels, [n, 4] as (t in us, x, y, polarity)."""
        height, width = self._before.shape
        seconds = (end_us - start_us) * 1e-6
        count = int(self._rng.poisson(self._config.noise_hz * height * width * seconds))
        hot = int(self._rng.poisson(self._config.hot_hz * len(self._hot) * seconds))
        rows = np.empty((count + hot, 4), np.int64)
        rows[:, 0] = self._rng.integers(start_us, end_us, count + hot)
        rows[:count, 1] = self._rng.integers(0, width, count)
        rows[:count, 2] = self._rng.integers(0, height, count)
        if hot:
            rows[count:, 1:3] = self._hot[self._rng.integers(0, len(self._hot), hot)]
        # leak makes ON events only, shot noise both
        rows[:, 3] = self._rng.random(count + hot) < 0.7
        return rows
