# SPDX-License-Identifier: Apache-2.0
"""Pictures between two frames of a video, by optical flow in both directions.

The intermediate flow is that of Super SloMo (Jiang et al., CVPR 2018, equation 4): at the share t
of the way from frame 0 to frame 1,

    F(t->0) = -(1 - t) t F(0->1) + t^2 F(1->0)
    F(t->1) = (1 - t)^2 F(0->1) - t (1 - t) F(1->0)

and the picture is (1 - t) times frame 0 seen along the first plus t times frame 1 along the
second.
"""

import math
from typing import Final

import cv2
import numba
import numpy as np
from numpy.typing import NDArray

FLOW_SCALE: Final = 2
"""Optical flow is computed in pictures smaller by this factor."""

MIN_SIDE: Final = 32
"""Shortest side of a picture in px: the flow's patches must fit in what is left of it."""

_STILL_PX: Final = 0.35
"""Where nothing moves further than this, light is interpolated in place."""

_SAME: Final = 0.02
"""Where values change by less than this, they change at the end: far below any threshold of a
sensor, which has less to do where nothing changes."""

_FASTEST_SHARE: Final = 0.001
"""Share of the pixels whose flow may be faster than :func:`motion_px` says: outliers."""


@numba.njit(cache=True, fastmath=True, inline="always")
def _sample(picture: NDArray[np.float32], x: np.float32, y: np.float32) -> float:
    """Read a picture between its pixels; outside it continues its edge."""
    height, width = picture.shape
    column = min(max(x, np.float32(0)), np.float32(width - 1))
    row = min(max(y, np.float32(0)), np.float32(height - 1))
    left, top = min(int(column), width - 2), min(int(row), height - 2)
    u, v = column - np.float32(left), row - np.float32(top)
    upper = picture[top, left] + u * (picture[top, left + 1] - picture[top, left])
    lower = picture[top + 1, left] + u * (picture[top + 1, left + 1] - picture[top + 1, left])
    return upper + v * (lower - upper)


@numba.njit(cache=True, fastmath=True)
def _interpolate(
    before: NDArray[np.float32],
    after: NDArray[np.float32],
    forward: NDArray[np.float32],
    backward: NDArray[np.float32],
    share: float,
    out: NDArray[np.float32],
) -> None:
    """Write the picture at a share of the way from ``before`` to ``after`` to ``out``."""
    height, width = out.shape
    t = np.float32(share)
    s = np.float32(1) - t
    still, same = np.float32(_STILL_PX), np.float32(_SAME)
    for y in range(height):
        for x in range(width):
            fx, fy = forward[y, x, 0], forward[y, x, 1]
            bx, by = backward[y, x, 0], backward[y, x, 1]
            if max(abs(fx), abs(fy), abs(bx), abs(by)) < still:
                old, new = before[y, x], after[y, x]
                if abs(new - old) < same:
                    out[y, x] = new if t == 1 else old
                else:
                    out[y, x] = s * old + t * new
                continue
            xf, yf = np.float32(x), np.float32(y)
            earlier = _sample(before, xf - s * t * fx + t * t * bx, yf - s * t * fy + t * t * by)
            later = _sample(after, xf + s * s * fx - s * t * bx, yf + s * s * fy - s * t * by)
            out[y, x] = s * earlier + t * later


@numba.njit(cache=True, fastmath=True)
def _mismatch(
    before: NDArray[np.float32],
    after: NDArray[np.float32],
    forward: NDArray[np.float32],
    contrast: float,
) -> float:
    """Share of the pixels whose value differs by more than ``contrast`` where the flow leads."""
    height, width = before.shape
    count = 0
    for y in range(height):
        for x in range(width):
            xf, yf = np.float32(x) + forward[y, x, 0], np.float32(y) + forward[y, x, 1]
            count += abs(_sample(after, xf, yf) - before[y, x]) > contrast
    return count / (height * width)


class FrameInterpolator:
    """Makes pictures between consecutive frames of a video.

    Optical flow is dense inverse search (Kroeger et al., ECCV 2016; OpenCV's DIS, fast preset) at
    half resolution.
    """

    def __init__(self) -> None:
        self._search = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_FAST)

    def between(
        self,
        grey: tuple[NDArray[np.uint8], NDArray[np.uint8]],
        light: tuple[NDArray[np.float32], NDArray[np.float32]],
    ) -> "Transition":
        """Return the transition from a frame to the next.

        Args:
            grey: both frames as 8-bit pictures [H, W], for the flow; sides of :data:`MIN_SIDE`
                px or more.
            light: both frames in the quantity that is interpolated, float32 [H, W].
        """
        height, width = grey[0].shape
        small = width // FLOW_SCALE, height // FLOW_SCALE
        first, second = (
            np.asarray(cv2.resize(picture, small, interpolation=cv2.INTER_AREA), np.uint8)
            for picture in grey
        )
        return Transition(
            *light, self._flow(first, second, width), self._flow(second, first, width)
        )

    def _flow(
        self, first: NDArray[np.uint8], second: NDArray[np.uint8], width: int
    ) -> NDArray[np.float32]:
        still = np.zeros((*first.shape, 2), np.float32)
        flow = np.asarray(self._search.calc(first, second, still), np.float32)
        return flow * np.float32(width / first.shape[1])


class Transition:
    """The way from one frame to the next.

    Args:
        before, after: the frames, float32 [H, W].
        forward, backward: flow from the one to the other and back, in px of the frames,
            float32 [h, w, 2] at the resolution at which it was computed.
    """

    def __init__(
        self,
        before: NDArray[np.float32],
        after: NDArray[np.float32],
        forward: NDArray[np.float32],
        backward: NDArray[np.float32],
    ) -> None:
        self._before, self._after = before, after
        self._forward = _enlarged(forward, before.shape)
        self._backward = _enlarged(backward, before.shape)
        self.motion_px = max(_fastest(forward), _fastest(backward))
        """How far the fastest parts of the picture move; one pixel in 1,000 may be faster."""

    def mismatch(self, contrast: float) -> float:
        """Return the share of pixels that differ by more than ``contrast`` along the flow.

        It is 0 to 1, and near 1 where the two frames do not show the same scene.
        """
        return float(_mismatch(self._before, self._after, self._forward, contrast))

    def at(self, share: float, out: NDArray[np.float32]) -> None:
        """Write the picture at a share of the way, 0 to 1, to ``out``, float32 [H, W]."""
        _interpolate(self._before, self._after, self._forward, self._backward, share, out)


def _enlarged(flow: NDArray[np.float32], shape: tuple[int, ...]) -> NDArray[np.float32]:
    size = shape[1], shape[0]
    return np.asarray(cv2.resize(flow, size, interpolation=cv2.INTER_LINEAR), np.float32)


def _fastest(flow: NDArray[np.float32]) -> float:
    speed = np.hypot(flow[..., 0], flow[..., 1]).ravel()
    kept = math.ceil(len(speed) * (1 - _FASTEST_SHARE)) - 1
    return float(np.partition(speed, kept)[kept])
