# SPDX-License-Identifier: Apache-2.0
"""Movements of the camera, as movements of its picture: trembling, panning, being knocked."""

from dataclasses import dataclass
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from hybrid_pose_ros.arrays import F64

RAMP_S: Final = 0.4
"""Time in which a pan gathers its speed, and in which it comes to rest."""

_SETTLING = 5.0
"""Time constants of a knock after which nothing of it is left to speak of."""


class ImageMotion(Protocol):
    """A movement of the picture."""

    def at(self, times_us: NDArray[np.integer]) -> F64:
        """How far the image is moved at times [T], [T, 2] in pixels."""


@dataclass(frozen=True)
class Shake:
    """Small movements of the camera, as sums of sines.

    Attributes:
        amplitude_px: [n, 2], of each sine in u and v.
        hertz: [n].
        phase: [n, 2] in cycles.
    """

    amplitude_px: F64
    hertz: F64
    phase: F64

    def at(self, times_us: NDArray[np.integer]) -> F64:
        """How far the image is moved at times [T], [T, 2] in pixels."""
        cycles = self.hertz[:, None] * times_us[:, None, None] * 1e-6 + self.phase
        return np.asarray(np.sum(self.amplitude_px * np.sin(2 * np.pi * cycles), 1))

    @classmethod
    def sample(cls, rng: np.random.Generator, scale: float = 1.0) -> "Shake":
        """Draw a shake of up to about 4 px times ``scale``, as of a hand that trembles."""
        hertz = rng.uniform(0.5, 8.0, 4)
        size = scale * 10 ** rng.uniform(-0.5, 0.6)
        return cls(
            size * rng.normal(0, 0.5, (4, 2)) / hertz[:, None] ** 0.7, hertz, rng.random((4, 2))
        )


@dataclass(frozen=True)
class Pan:
    """A slow turn of the camera, at rest at every corner of its way.

    Attributes:
        times_s: of the corners, [K], increasing.
        offsets_px: of the image there, [K, 2]; in between the speed is constant but for
            :data:`RAMP_S` at both ends (half of the way's time where that is too short).
    """

    times_s: F64
    offsets_px: F64

    def at(self, times_us: NDArray[np.integer]) -> F64:
        """How far the image is moved at times [T], [T, 2] in pixels."""
        times_s = np.clip(times_us * 1e-6, self.times_s[0], self.times_s[-1])
        leg = np.clip(np.searchsorted(self.times_s, times_s) - 1, 0, len(self.times_s) - 2)
        length_s = np.diff(self.times_s)[leg]
        since = times_s - self.times_s[leg]
        ramp = np.minimum(RAMP_S, length_s / 2)
        # whole seconds of full speed: the ramps are parabolas
        done = np.where(since < ramp, since**2 / (2 * ramp), since - ramp / 2)
        left = np.maximum(length_s - since, 0.0)
        done = np.where(left < ramp, length_s - ramp - left**2 / (2 * ramp), done)
        share = (done / (length_s - ramp))[:, None]
        return np.asarray((1 - share) * self.offsets_px[leg] + share * self.offsets_px[leg + 1])

    @classmethod
    def sample(
        cls, rng: np.random.Generator, seconds: float, reach_px: tuple[float, float]
    ) -> "Pan":
        """Draw a pan of 2 to 60 px/s, one way or back and forth, in places with a rest between.

        Args:
            seconds: length of the recording.
            reach_px: farthest that the image is moved, in u and v.
        """
        speed = float(np.exp(rng.uniform(np.log(2.0), np.log(60.0))))
        angle = rng.normal(0, 0.35) + np.pi * rng.integers(2)
        if rng.random() < 0.2:  # a tilt
            angle += np.pi / 2
        along = np.array((np.cos(angle), np.sin(angle)))
        reach = float(np.min(np.array(reach_px) / np.maximum(np.abs(along), 1e-6)))
        rests = rng.random() < 0.4
        # a start amid the way, so that the person passes through the middle of the picture
        place = -np.clip(speed * seconds / 2, 0.0, reach) * rng.uniform(0.3, 1.0)
        times, places, towards = [0.0], [place], 1.0
        while times[-1] < seconds:
            if rests:
                times.append(times[-1] + rng.uniform(0.3, 0.3 + 0.4 * seconds))
                places.append(places[-1])
            goal = towards * reach * rng.uniform(0.6, 1.0)
            times.append(times[-1] + max(abs(goal - places[-1]) / speed, RAMP_S) + RAMP_S)
            places.append(goal)
            towards = -towards
        return cls(np.array(times), np.array(places)[:, None] * along)


@dataclass(frozen=True)
class Knock:
    """A blow against the camera's stand, which then swings out.

    Attributes:
        start_s: when.
        amplitude_px: [2], of the first swing.
        hertz: of the swinging.
        decay_s: time in which it falls to 1/e.
    """

    start_s: float
    amplitude_px: F64
    hertz: float
    decay_s: float

    def at(self, times_us: NDArray[np.integer]) -> F64:
        """How far the image is moved at times [T], [T, 2] in pixels."""
        since = np.clip(times_us * 1e-6 - self.start_s, 0.0, _SETTLING * self.decay_s)
        fading = np.exp(-since / self.decay_s) - np.exp(-_SETTLING)
        return np.asarray((fading * np.sin(2 * np.pi * self.hertz * since))[:, None]) * np.asarray(
            self.amplitude_px
        )

    @classmethod
    def sample(cls, rng: np.random.Generator, seconds: float, scale: float = 1.0) -> "Knock":
        """Draw a knock of 2 to 15 px times ``scale`` at any time."""
        size, angle = scale * 2 * 7.5 ** rng.random(), rng.uniform(0, 2 * np.pi)
        along = size * np.array((np.cos(angle), np.sin(angle)))
        return cls(rng.uniform(0, seconds), along, rng.uniform(2, 8), rng.uniform(0.1, 0.5))


@dataclass(frozen=True)
class CameraMotion:
    """All that moves the camera, added up."""

    parts: tuple[ImageMotion, ...]

    def at(self, times_us: NDArray[np.integer]) -> F64:
        """How far the image is moved at times [T], [T, 2] in pixels."""
        return np.sum([part.at(times_us) for part in self.parts], axis=0)

    def reach_px(self, seconds: float) -> tuple[int, int]:
        """Margin that a room must have around the picture, in u and v: pixels, rounded up."""
        moved = np.abs(self.at(np.arange(0, round(seconds * 1e6) + 1, 5000))).max(0)
        across, down = np.ceil(moved).astype(int) + 2
        return int(across), int(down)

    @classmethod
    def sample_trembling(
        cls, rng: np.random.Generator, seconds: float, scale: float = 1.0
    ) -> "CameraMotion":
        """Draw a hand or a stand that trembles, one in four with a knock."""
        parts: list[ImageMotion] = [Shake.sample(rng, scale)]
        if rng.random() < 0.25:
            parts.append(Knock.sample(rng, seconds, scale))
        return cls(tuple(parts))

    @classmethod
    def sample_panning(
        cls, rng: np.random.Generator, seconds: float, width: int, height: int
    ) -> "CameraMotion":
        """Draw a pan or tilt, half of them by a hand that trembles a little."""
        parts: list[ImageMotion] = [Pan.sample(rng, seconds, (0.35 * width, 0.25 * height))]
        if rng.random() < 0.5:
            parts.append(Shake.sample(rng, 0.5 * height / 260))
        return cls(tuple(parts))
