# SPDX-License-Identifier: Apache-2.0
"""A dynamic vision sensor: log-intensity changes to events, with the faults of a real one.

Each pixel follows the light through a photoreceptor of finite bandwidth, slower in the dark. Its
comparator makes an event where the signal has left the reference by a threshold of its own. For a
dead time after that the comparator does not follow; then the present signal is the new reference,
so that what changed meanwhile is lost.
"""

from dataclasses import dataclass
from typing import Final, Literal

import numba
import numpy as np
from numpy.typing import NDArray

from hybrid_pose_ros.events.array import EVENT_DTYPE, EventArray

_US = 1000

_NEVER = -(2**62)
"""End of a dead time that is over and dealt with."""

_DARK = 0.05
"""Leak through a photoreceptor's bias in darkness, as a share of white."""

_SETTLED = 1e-3
"""Difference in log intensity at which a photoreceptor counts as settled."""

_SQUARINGS = 7
"""exp(x) is taken as (1 + x / 2^n)^(2^n), which a compiler can vectorize; at the darkest that
scenes hold it is 6 % too low, less than any photoreceptor's bandwidth is known."""

_DARKEST = 3.0
"""Most that shot noise in the dark exceeds the picture's middle, as a factor."""

_PROBES = 1021
"""Pixels from which the picture's mean shot noise is estimated."""

_BLOCK = 128
"""Pixels of a row that are passed over together where no light has changed."""

Polarity = Literal["kept", "swapped", "on", "off", "random"]

POLARITIES: Final[tuple[Polarity, ...]] = ("kept", "swapped", "on", "off", "random")
"""How a sensor reports polarity: right, the wrong way round, or not at all (constant, chance)."""


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
        shot_hz: events of either polarity per pixel and second from shot noise, mean over the
            picture.
        shot_in_dark: how much more shot noise there is where it is darker, as the power of
            1 / light to which it is proportional; 0: the same everywhere.
        polarity: how polarity is reported, one of :data:`POLARITIES`.
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
    shot_in_dark: float = 0.0
    polarity: Polarity = "kept"

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

    @classmethod
    def sample_wide(cls, rng: np.random.Generator) -> "SensorConfig":
        """Draw a sensor anywhere in the ranges of DVS128, DAVIS240/346, DVXplorer and Prophesee.

        Thresholds lie between 0.08 and 0.45 with a ratio of ON to OFF between 0.7 and 1.4,
        bandwidths between 10 Hz and 2 kHz, shot noise between 0.003 and 2.5 Hz per pixel.
        """
        threshold = _log_uniform(rng, 0.08, 0.45)
        ratio = _log_uniform(rng, 0.7, 1.4)
        on, off = np.clip((threshold * ratio**0.5, threshold / ratio**0.5), 0.08, 0.45)
        return cls(
            threshold_on=float(on),
            threshold_off=float(off),
            mismatch=threshold * rng.uniform(0.05, 0.25),
            refractory_us=_log_uniform(rng, 100.0, 3000.0),
            cutoff_hz=_log_uniform(rng, 10.0, 2000.0),
            leak_hz=rng.uniform(0.0, 0.3),
            shot_hz=_log_uniform(rng, 0.003, 2.5),
            shot_in_dark=rng.uniform(0.0, 0.8),
            hot_pixels=int(rng.integers(0, 21)),
            hot_hz=_log_uniform(rng, 30.0, 600.0),
        )


def _log_uniform(rng: np.random.Generator, low: float, high: float) -> float:
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))


@numba.njit(cache=True)
def _differs(a: NDArray[np.float32], b: NDArray[np.float32]) -> bool:
    different = 0
    for x in range(len(a)):
        different |= a[x] != b[x]
    return different != 0


@numba.njit(cache=True, fastmath=True)
def _follow(
    target: NDArray[np.float32],
    signal: NDArray[np.float32],
    turns: np.float32,
    now: NDArray[np.float32],
) -> None:
    """Let the photoreceptors of a row follow the light for a frame; writes ``now``."""
    for x in range(len(target)):
        light = np.float32(1.0) + target[x] * np.float32(1.0 / 2**_SQUARINGS)
        for _ in range(_SQUARINGS):
            light *= light
        rate = turns * (np.float32(_DARK) + light)
        change = target[x] - signal[x]
        share = np.float32(1.0) if abs(change) < _SETTLED else rate / (np.float32(1.0) + rate)
        now[x] = target[x] if share == 1.0 else signal[x] + change * share


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
    turns = np.float32(2.0 * np.pi * cutoff_hz * span_us * 1e-6)
    dead = int(max(refractory_us, 1.0))
    lit = np.empty(width, np.float32)
    followed = np.empty(width, np.float32)
    while row < height and count + most <= out.shape[0]:
        y = row
        row += 1
        target = canvas[y]
        if scale != 0.0:
            for x in range(width):
                lit[x] = canvas[y, x] + np.float32(scale) * modulation[y, x]
            target = lit
        for begin in range(0, width, _BLOCK):
            end = min(begin + _BLOCK, width)
            if not _differs(target[begin:end], signal[y, begin:end]):
                continue
            _follow(target[begin:end], signal[y, begin:end], turns, followed[begin:end])
            for x in range(begin, end):
                now, then = followed[x], signal[y, x]
                if now == then:
                    continue
                signal[y, x] = now
                rest = reference[y, x]
                if ready_us[y, x] == _NEVER and (
                    rest - thresholds[0, y, x] <= now <= rest + thresholds[1, y, x]
                ):
                    continue
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
        events["y"], events["polarity"] = rows[:, 2], self._reported(rows[:, 3])
        return events

    def _reported(self, polarity: NDArray[np.int64]) -> NDArray[np.int64]:
        """Polarities [n] as the sensor reports them."""
        match self._config.polarity:
            case "kept":
                return polarity
            case "swapped":
                return 1 - polarity
            case "on":
                return np.ones_like(polarity)
            case "off":
                return np.zeros_like(polarity)
            case "random":
                return self._rng.integers(0, 2, len(polarity))

    def _noise(self, start_us: int, end_us: int) -> NDArray[np.int64]:
        """Background events and hot pixels, [n, 4] as (t in us, x, y, polarity)."""
        height, width = self._signal.shape
        pixel_seconds = height * width * (end_us - start_us) * 1e-6
        leaks = int(self._rng.poisson(self._config.leak_hz * pixel_seconds))
        shots = self._shots(pixel_seconds)
        hot_seconds = len(self._hot) * (end_us - start_us) * 1e-6
        hot = int(self._rng.poisson(self._config.hot_hz * hot_seconds))
        count = leaks + len(shots)
        rows = np.empty((count + hot, 4), np.int64)
        rows[:, 0] = self._rng.integers(start_us, end_us, count + hot)
        rows[:leaks, 1] = self._rng.integers(0, width, leaks)
        rows[:leaks, 2] = self._rng.integers(0, height, leaks)
        rows[leaks:count, 1], rows[leaks:count, 2] = shots % width, shots // width
        if hot:
            rows[count:, 1:3] = self._hot[self._rng.integers(0, len(self._hot), hot)]
        rows[:leaks, 3] = 1
        rows[leaks:, 3] = self._rng.random(count + hot - leaks) < 0.5
        return rows

    def _shots(self, pixel_seconds: float) -> NDArray[np.int64]:
        """Pixels (flat) of shot noise, more of them in the dark."""
        power, rate = self._config.shot_in_dark, self._config.shot_hz * pixel_seconds
        signal = self._signal.ravel()
        if power == 0.0:
            return self._rng.integers(0, signal.size, int(self._rng.poisson(rate)))
        probes = signal[:: max(1, signal.size // _PROBES)]
        middle = np.median(probes)

        def density(light: NDArray[np.float32]) -> NDArray[np.float32]:
            return np.minimum(np.exp(-power * (light - middle)), _DARKEST)

        # candidates everywhere at the darkest pixel's rate, thinned to the pixel's own
        candidates = int(self._rng.poisson(rate * _DARKEST / density(probes).mean()))
        pixels = self._rng.integers(0, signal.size, candidates)
        kept = self._rng.random(candidates) * _DARKEST < density(signal[pixels])
        return pixels[kept]
