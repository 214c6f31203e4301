# SPDX-License-Identifier: Apache-2.0
"""Frames of an ordinary camera, seen by the simulated event sensor.

The light is real, the sensor is simulated: what the camera's exposure, its frame rate and its tone
curve have lost is not there.
"""

import math
from collections.abc import Callable
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from hybrid_pose_ros.events.array import EventArray, empty_events
from hybrid_pose_ros.simulation.interpolation import MIN_SIDE, FrameInterpolator
from hybrid_pose_ros.simulation.sensor import DynamicVisionSensor, SensorConfig

DEFAULT_SIZE: Final = (346, 260)
"""Width and height of the simulated sensor in pixels: a DAVIS346's."""

MAX_SIDE: Final = 1280

STEP_PX: Final = 0.7
"""Pictures are interpolated so densely that nothing moves further from one to the next."""

MAX_STEP_US: Final = 10_000

MAX_STEPS: Final = 24
"""Most pictures from one frame to the next: real time matters more than the fastest motion."""

_DARK: Final = 0.02
"""Stray light as a share of white: without it 8 bits make steps in the shadows."""

_CUT_CONTRAST: Final = 0.3
_CUT_SHARE: Final = 0.4
"""So large a share of the picture differs so much (log intensity) after a scene cut."""


def log_intensity() -> NDArray[np.float32]:
    """Return the log intensity of each value of an sRGB picture, float32 [256]; white is 0."""
    value = np.arange(256) / 255
    linear = np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)
    return np.log((linear + _DARK) / (1 + _DARK)).astype(np.float32)


class FrameSensor:
    """Turns the frames of a video into events.

    Each frame is scaled uniformly and centred: as a whole, with dark and still bars beside it, or
    so that it fills the view, and what protrudes is cut off. After a scene cut, or a jump of the
    exposure, the sensor starts anew at the new picture, as at the beginning.

    Args:
        size: width and height of the sensor, :data:`MIN_SIDE` to :data:`MAX_SIDE` px each.
        crop: fill the view.
        config: its properties.
        seed: of its mismatch and noise; the events are a function of it and the frames.
        on_cut: called with the time (us) of each scene cut.

    Raises:
        ValueError: a size outside its limits.
    """

    def __init__(
        self,
        size: tuple[int, int] = DEFAULT_SIZE,
        *,
        crop: bool = False,
        config: SensorConfig | None = None,
        seed: int = 0,
        on_cut: Callable[[int], None] = lambda time_us: None,
    ) -> None:
        if not all(MIN_SIDE <= side <= MAX_SIDE for side in size):
            raise ValueError(
                f"size {size[0]}x{size[1]}: width and height must be {MIN_SIDE} to {MAX_SIDE} px"
            )
        self.width, self.height = size
        self._crop = crop
        self._config = config or SensorConfig()
        self._seed = seed
        self._on_cut = on_cut
        self._interpolator = FrameInterpolator()
        self._log_intensity = log_intensity()
        self._canvas = np.full((self.height, self.width), self._log_intensity[0], np.float32)
        self._sensor: DynamicVisionSensor | None = None
        self._grey: NDArray[np.uint8] = np.empty((0, 0), np.uint8)
        self._light: NDArray[np.float32] = np.empty((0, 0), np.float32)
        self._shape: tuple[int, ...] = ()
        self._time_us = 0

    def see(self, frame: NDArray[np.uint8], time_us: int) -> EventArray:
        """Take the next frame; return the events from the frame before until now.

        Args:
            frame: BGR [h, w, 3], always of the same size.
            time_us: when it was taken; later than the one before.

        Raises:
            ValueError: the frame is too narrow, of another size than the one before, or not
                later.
        """
        if self._sensor is not None and frame.shape != self._shape:
            raise ValueError(
                f"its picture changes from {self._shape[1]}x{self._shape[0]} px to "
                f"{frame.shape[1]}x{frame.shape[0]}: convert it to one size first"
            )
        grey = self._fit(frame)
        light = self._log_intensity[grey]
        if self._sensor is None:
            events = self._begin(light)
        elif time_us <= self._time_us:
            raise ValueError(f"a frame at {time_us} us, not after the one at {self._time_us} us")
        else:
            events = self._go_on(grey, light, time_us)
        self._grey, self._light, self._time_us = grey, light, time_us
        self._shape = frame.shape
        return events

    def _fit(self, frame: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return the frame in grey, scaled to its place in the view."""
        height, width = frame.shape[:2]
        scales = self.width / width, self.height / height
        scale = max(scales) if self._crop else min(scales)
        if self._crop:
            kept = min(round(self.width / scale), width), min(round(self.height / scale), height)
            left, top = (width - kept[0]) // 2, (height - kept[1]) // 2
            frame = frame[top : top + kept[1], left : left + kept[0]]
            size = self.width, self.height
        else:
            size = max(round(width * scale), 1), max(round(height * scale), 1)
        if min(size) < MIN_SIDE:
            raise ValueError(
                f"a picture of {width}x{height} px becomes {size[0]}x{size[1]}, and optical flow "
                f"needs {MIN_SIDE} px at each side: take another size, or crop"
            )
        grey = cv2.cvtColor(frame, cv2.COLOR_BGR2GRAY)
        how = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
        return np.asarray(cv2.resize(grey, size, interpolation=how), np.uint8)

    def _picture(self, shape: tuple[int, ...]) -> NDArray[np.float32]:
        """Return the part of the canvas where the picture lies."""
        top, left = (self.height - shape[0]) // 2, (self.width - shape[1]) // 2
        return self._canvas[top : top + shape[0], left : left + shape[1]]

    def _begin(self, light: NDArray[np.float32]) -> EventArray:
        self._picture(light.shape)[:] = light
        # the same seed: after a cut it is the same sensor, with the same mismatch
        rng = np.random.default_rng(self._seed)
        self._sensor = DynamicVisionSensor(self._config, self._canvas, rng)
        return empty_events()

    def _go_on(
        self, grey: NDArray[np.uint8], light: NDArray[np.float32], time_us: int
    ) -> EventArray:
        assert self._sensor is not None
        transition = self._interpolator.between((self._grey, grey), (self._light, light))
        if transition.mismatch(_CUT_CONTRAST) > _CUT_SHARE:
            self._on_cut(time_us)
            return self._begin(light)
        span_us = time_us - self._time_us
        steps = math.ceil(max(transition.motion_px / STEP_PX, span_us / MAX_STEP_US))
        steps = min(steps, MAX_STEPS, span_us)
        picture = self._picture(light.shape)
        start_us = self._time_us
        for step in range(1, steps + 1):
            end_us = self._time_us + span_us * step // steps
            transition.at(step / steps, picture)
            self._sensor.see(self._canvas, start_us, end_us - start_us)
            start_us = end_us
        return self._sensor.collect(self._time_us, time_us)
