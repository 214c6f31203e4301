# SPDX-License-Identifier: Apache-2.0
"""Disturbances that a laboratory keeps away: flickering lamps, a shaking camera."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Flicker:
    """A lamp on alternating current.

    Attributes:
        hertz: twice the mains' frequency.
        phase: in cycles, at time 0.
        depth: float32 [H, W], amplitude of the light's change at each pixel, log intensity.
    """

    hertz: float
    phase: float
    depth: NDArray[np.float32]

    def at(self, time_us: int) -> float:
        """The lamp's state, -1 to 1."""
        return float(np.sin(2 * np.pi * (self.hertz * time_us * 1e-6 + self.phase)))

    @classmethod
    def sample(cls, rng: np.random.Generator, width: int, height: int) -> "Flicker":
        """Draw a lamp or a screen in view, and the little light that it throws on the rest."""
        ys, xs = np.mgrid[0:height, 0:width]
        x, y = rng.uniform(0, width), rng.uniform(0, height)
        half = rng.uniform(0.02, 0.12, 2) * width
        lamp = (np.abs(xs - x) < half[0]) & (np.abs(ys - y) < half[1])
        spread = rng.uniform(0.05, 0.3) * width
        glow = np.exp(-((xs - x) ** 2 + (ys - y) ** 2) / (2 * spread**2))
        depth = rng.uniform(0.2, 0.8) * np.maximum(lamp, rng.uniform(0.0, 0.3) * glow)
        return cls(float(rng.choice((100.0, 120.0))), rng.random(), depth.astype(np.float32))
