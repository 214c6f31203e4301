# SPDX-License-Identifier: Apache-2.0
"""A dynamic vision sensor: log-intensity changes to events, with the faults of a real one.

Each pixel follows the light through a photoreceptor of finite bandwidth, slower in the dark. Its
comparator makes an event where the signal has left the reference by a threshold of its own. For a
dead time after that the comparator does not follow; then the present signal is the new reference,
so that what changed meanwhile is lost.
"""

from dataclasses import dataclass

import numba
import numpy as np
from numpy.typing import NDArray

from hybrid_pose_ros.events.array import EVENT_DTYPE, EventArray

_US = 1000

_NEVER = -(2**62)
"""End of a dead time that is over and dealt with."""

_DARK = 0.05
"""What leaks through a photoreceptor's bias in darkness, as a share of white."""

_SETTLED = 1e-3
"""Difference in log intensity at which a photoreceptor counts as settled."""


@dataclass(frozen=True)
class SensorConfig:
    """Properties of the sensor.

    Attributes:
        threshold_on, threshold_off: contrast in log intensity that makes an event.
        mismatch: standard deviation of the thresholds from pixel to pixel, same unit.
        refractory_us: dead time after an event (microseconds).
        cutoff_hz: bandwidth of a photoreceptor that sees white (log intensity 0); it is
            proportional to the light.
        leak_hz: ON events per pixel and second from the leak of its reference.
        shot_hz: events of either polarity per pixel and second from shot noise.
        hot_pixels: number of pixels that fire by themselves.
        hot_hz: their rate.
    """

    threshold_on: float = 0.25
    threshold_off: float = 0.25
    mismatch: float = 0.03
    refractory_us: float = 1000.0
    cutoff_hz: float = 300.0
    leak_hz: float = 0.1
    shot_hz: float = 0.02
    hot_pixels: int = 3
    hot_hz: float = 300.0

    @classmethod
    def sample(cls, rng: np.random.Generator) -> "SensorConfig":
        """Draw a sensor in the spread of a DAVIS346's bias settings indoors."""
        threshold = rng.uniform(0.08, 0.14)
        return cls(
            threshold_on=threshold * rng.uniform(0.85, 1.2),
            threshold_off=threshold,
            mismatch=threshold * rng.uniform(0.08, 0.18),
            refractory_us=float(1e3 * 10 ** rng.uniform(-0.5, 0.3)),
            cutoff_hz=float(10 ** rng.uniform(1.6, 2.4)),
            leak_hz=rng.uniform(0.01, 0.08),
            shot_hz=float(10 ** rng.uniform(-2.5, -1.0)),
            hot_pixels=int(rng.integers(0, 6)),
        )


@numba.njit(cache=True)
def _fire(
    canvas: NDArray[np.float32],
    modulation: NDArray[np.float32],
    scale: float,
    signal: NDArray[np.float32],
    reference: NDArray[np.float32],
    thresholds: NDArray[np.float32],
    ready_us: NDArray[np.int64],
    start_us: int,
    span_us: int,
    refractory_us: float,
    cutoff_hz: float,
    out: NDArray[np.int64],
    count: int,
    row: int,
) -> tuple[int, int]:
    """Let all pixels from ``row`` on see a frame; returns the number of events and the next row.

    Writes (t in us, x, y, polarity) to ``out`` from ``count`` on, and stops before a row for whose
    events there may be no room.
    """
    height, width = canvas.shape
    most = width * (2 + int(span_us / max(refractory_us, 1.0)))
    turns = 2.0 * np.pi * cutoff_hz * span_us * 1e-6
    dead = int(max(refractory_us, 1.0))
    while row < height and count + most <= out.shape[0]:
        y = row
        row += 1
        for x in range(width):
            target = np.float32(canvas[y, x] + scale * modulation[y, x])
            then = signal[y, x]
            if target == then:
                continue
            if abs(target - then) < _SETTLED:
                now = target
            else:
                rate = turns * (_DARK + np.exp(target))
                now = np.float32(then + (target - then) * rate / (1.0 + rate))
            signal[y, x] = now
            slope = (now - then) / span_us
            since = 0.0
            if ready_us[y, x] != _NEVER:
                since = float(ready_us[y, x] - start_us)
                if since >= span_us:
                    continue
                since = max(since, 0.0)
                reference[y, x] = then + slope * since
                ready_us[y, x] = _NEVER
            polarity = 1 if slope > 0 else 0
            step = thresholds[polarity, y, x] if polarity else -thresholds[polarity, y, x]
            while True:
                crossed = reference[y, x] + step - then
                if (crossed > now - then) if polarity else (crossed < now - then):
                    break
                since = max(since, crossed / slope)
                t = start_us + min(int(since), span_us - 1)
                out[count, 0], out[count, 1], out[count, 2], out[count, 3] = t, x, y, polarity
                count += 1
                since += dead
                if since >= span_us:
                    ready_us[y, x] = t + dead
                    break
                reference[y, x] = then + slope * since
    return count, row


class DynamicVisionSensor:
    """Turns a sequence of log-intensity frames into events.

    Args:
        config: its properties.
        first: the frame at the start, float32 [H, W]; nothing fires for it.
        rng: the source of mismatch and noise; the events are a function of it and the frames.
        modulation: float32 [H, W], how much of a flickering lamp's light each pixel sees, log
            intensity; None: no lamp flickers.
    """

    def __init__(
        self,
        config: SensorConfig,
        first: NDArray[np.float32],
        rng: np.random.Generator,
        modulation: NDArray[np.float32] | None = None,
    ) -> None:
        self._config = config
        self._rng = rng
        height, width = first.shape
        nominal = np.array((config.threshold_off, config.threshold_on))[:, None, None]
        drawn = rng.normal(nominal, config.mismatch, (2, height, width))
        self._thresholds = np.maximum(drawn, 0.03).astype(np.float32)
        self._modulation = np.zeros_like(first) if modulation is None else modulation
        self._signal = first.copy()
        phase = rng.uniform(-0.5, 0.5, first.shape) * self._thresholds.min(0)
        self._reference = (first + phase).astype(np.float32)
        self._ready_us = np.full(first.shape, _NEVER, np.int64)
        hot = rng.choice(first.size, min(config.hot_pixels, first.size), replace=False)
        self._hot = np.stack((hot % width, hot // width), -1)
        self._out = np.empty((200_000, 4), np.int64)
        self._count = 0

    def see(
        self, frame: NDArray[np.float32], start_us: int, span_us: int, flicker: float = 0.0
    ) -> None:
        """Take the next frame.

        Args:
            frame: float32 [H, W], the log intensity at ``start_us + span_us``.
            start_us, span_us: time of the frame before, and since then, in microseconds.
            flicker: the flickering lamp's phase, -1 to 1; times the modulation it is added.
        """
        row = 0
        while row < len(frame):
            self._count, row = _fire(
                frame,
                self._modulation,
                flicker,
                self._signal,
                self._reference,
                self._thresholds,
                self._ready_us,
                start_us,
                span_us,
                self._config.refractory_us,
                self._config.cutoff_hz,
                self._out,
                self._count,
                row,
            )
            if row < len(frame):
                more = np.empty((2 * len(self._out), 4), np.int64)
                more[: self._count] = self._out[: self._count]
                self._out = more

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
        height, width = self._signal.shape
        pixel_seconds = height * width * (end_us - start_us) * 1e-6
        leaks = int(self._rng.poisson(self._config.leak_hz * pixel_seconds))
        count = leaks + int(self._rng.poisson(self._config.shot_hz * pixel_seconds))
        hot_seconds = len(self._hot) * (end_us - start_us) * 1e-6
        hot = int(self._rng.poisson(self._config.hot_hz * hot_seconds))
        rows = np.empty((count + hot, 4), np.int64)
        rows[:, 0] = self._rng.integers(start_us, end_us, count + hot)
        rows[:count, 1] = self._rng.integers(0, width, count)
        rows[:count, 2] = self._rng.integers(0, height, count)
        if hot:
            rows[count:, 1:3] = self._hot[self._rng.integers(0, len(self._hot), hot)]
        rows[:leaks, 3] = 1
        rows[leaks:, 3] = self._rng.random(count + hot - leaks) < 0.5
        return rows
