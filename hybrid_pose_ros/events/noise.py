# SPDX-License-Identifier: Apache-2.0
"""The background-activity filter in front of the networks.

A pixel's noise comes alone, the events of a moving edge come beside each other. So an event passes
when enough of the eight pixels around it have had an event a short time ago (the filter of
Delbruck, "Frame-free dynamic digital vision", 2008, with a number of supporting pixels). The pixel
itself does not count, so a hot pixel does not support its own events.

How short a time is set by the noise. A sensor that is quiet needs no strict filter, and what is
slow, far away or seen with a high threshold makes so few events that a strict one would drop most
of them. So the rate of the noise is estimated every 100 ms of sensor time from the quietest
quarter of the pixels, where the body is not, and the window is as long as that rate allows.
"""

from dataclasses import dataclass
from math import log
from typing import Final

import numba
import numpy as np
from numba import types
from numpy.typing import NDArray

from hybrid_pose_ros.events.compiled import TIMES

NEIGHBOURS: Final = 8

ADAPT_NS: Final = 100_000_000
"""The window is set anew at the multiples of this sensor time."""

_SAMPLED: Final = 2048  # pixels from which the rate is estimated
_QUIET: Final = 4  # the quietest 1 / _QUIET of them
_ONE: Final = np.uint64(1)
_TWO: Final = np.uint64(2)
_NEVER: Final = np.iinfo(np.int64).min


@dataclass(frozen=True)
class NoiseFilter:
    """Settings of the background-activity filter.

    Attributes:
        support: how many of the eight neighbouring pixels must have had an event, of either
            polarity, whether or not it passed, within the window.
        noise_events: the window is so long that noise alone makes so many events in it in the
            eight pixels together; of noise alone 1 - exp(-n) passes with a support of 1,
            and 1 - (1 + n) exp(-n) with a support of 2.
        shortest_us, longest_us: limits of the window (microseconds of sensor time); equal: fixed.
    """

    support: int
    noise_events: float
    shortest_us: int
    longest_us: int

    def __post_init__(self) -> None:
        if not 1 <= self.support <= NEIGHBOURS:
            raise ValueError(
                f"a noise filter's support is 1 to {NEIGHBOURS} neighbours, not {self.support}"
            )
        if not self.noise_events > 0:
            raise ValueError(
                f"a noise filter's noise_events is more than 0, not {self.noise_events}"
            )
        if not 1 <= self.shortest_us <= self.longest_us:
            raise ValueError(
                "a noise filter's window is 1 us or longer, the longest no shorter than the "
                f"shortest, not {self.shortest_us} to {self.longest_us} us"
            )


class NoiseMemory:
    """Memory of a noise filter: the time of the last event of each pixel of a sensor.

    Args:
        settings: of the filter; None: everything passes and nothing is remembered.
        width, height: of the sensor in pixels.

    Attributes:
        support: as in the settings; 0: everything passes.
        window_ns: for how long an event supports those around it, both ends included.
        stride: of the rows of ``times_ns``.
        times_ns: of the last event of each pixel, flat, with a border of one pixel all around in
            which nothing ever happens; int64 [(height + 2) * (width + 2)].
    """

    def __init__(self, settings: NoiseFilter | None, width: int, height: int) -> None:
        self._settings = settings
        self.support = settings.support if settings else 0
        self.stride = width + 2
        size = self.stride * (height + 2) if settings else 0
        self.times_ns: NDArray[np.int64] = np.empty(size, np.int64)
        pixels = np.arange(min(_SAMPLED, width * height)) * (width * height)
        pixels //= min(_SAMPLED, width * height)
        self._sampled = (pixels // width + 1) * self.stride + pixels % width + 1
        self.forget()

    def forget(self) -> None:
        """Begin anew: nothing has happened yet."""
        self.times_ns.fill(_NEVER)
        self.window_ns = 1000 * self._settings.shortest_us if self._settings else 0
        self._begin_ns: int | None = None
        self._period = 0

    def adapt(self, t: int) -> int:
        """Set the window for events from ``t`` on; return the time up to which it holds."""
        period = t // ADAPT_NS
        if self._settings is not None:
            if self._begin_ns is None:
                self._begin_ns, self._period = t, period
            elif period != self._period:
                self._period = period
                self._set_window(period * ADAPT_NS - self._begin_ns, period * ADAPT_NS)
        return (period + 1) * ADAPT_NS

    def _set_window(self, elapsed: int, now: int) -> None:
        assert self._settings is not None
        times = self.times_ns[self._sampled]
        quiet = max(1, len(times) // _QUIET)
        newest_of_quiet = int(np.partition(times, quiet - 1)[quiet - 1])
        silence = min(elapsed, now - newest_of_quiet)
        if silence <= 0:
            return
        silent = np.count_nonzero(times <= now - silence) / len(times)
        # of pixels of rate r, exp(-r * silence) are silent for so long
        noise = NEIGHBOURS * -log(silent) / silence if silent else np.inf
        shortest, longest = 1000 * self._settings.shortest_us, 1000 * self._settings.longest_us
        wanted = self._settings.noise_events / noise if noise else longest
        self.window_ns = int(min(max(wanted, shortest), longest))


@numba.njit(
    types.boolean(TIMES, types.uint64, types.uint64, types.int64, types.int64, types.int64),
    cache=True,
    nogil=True,
    inline="always",
)
def is_supported(
    times_ns: NDArray[np.int64],
    stride: int,
    corner: int | np.unsignedinteger,
    t: int,
    window_ns: int,
    support: int,
) -> bool:
    """Say whether an event at time ``t`` passes, and remember it.

    Args:
        times_ns, stride, window_ns, support: as in :class:`NoiseMemory`.
        corner: ``y * stride + x``: the place of the pixel's upper left neighbour. Unsigned, as
            Numba asks of every signed index whether it counts from the end, which takes longer
            than all the rest.
    """
    oldest = t - window_ns
    middle = corner + stride
    below = middle + stride
    near = (
        (times_ns[corner] >= oldest)
        + (times_ns[corner + _ONE] >= oldest)
        + (times_ns[corner + _TWO] >= oldest)
        + (times_ns[middle] >= oldest)
        + (times_ns[middle + _TWO] >= oldest)
        + (times_ns[below] >= oldest)
        + (times_ns[below + _ONE] >= oldest)
        + (times_ns[below + _TWO] >= oldest)
    )
    times_ns[middle + _ONE] = t
    return near >= support
