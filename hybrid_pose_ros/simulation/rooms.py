# SPDX-License-Identifier: Apache-2.0
"""Rooms behind the person, as log intensity; larger than the picture where the camera moves."""

import numba
import numpy as np
from scipy.ndimage import gaussian_filter

from hybrid_pose_ros.arrays import F32, F64

_LENS_PX = 0.7
"""Blur of the lens (standard deviation); without it a moving room would sparkle."""

_DARKEST, _BRIGHTEST = -4.0, 0.3


@numba.njit(cache=True, fastmath=True)
def show_room(room: F32, du: float, dv: float, picture: F32) -> None:
    """Show a room that is moved by (du, dv) pixels, bilinear between its own.

    Args:
        room: [H + 2 m, W + 2 n], about the picture's middle; beyond it its border is repeated.
        du, dv: to the right and down.
        picture: [H, W], is written.
    """
    rows, columns = room.shape
    height, width = picture.shape
    v, u = (rows - height) // 2 - dv, (columns - width) // 2 - du
    i0, j0 = int(np.floor(v)), int(np.floor(u))
    fv, fu = np.float32(v - i0), np.float32(u - j0)
    one = np.float32(1.0)
    first, last = min(max(-j0, 0), width), min(max(columns - 1 - j0, 0), width)
    for y in range(height):
        above = room[min(max(y + i0, 0), rows - 1)]
        below = room[min(max(y + i0 + 1, 0), rows - 1)]
        start = (one - fv) * above[0] + fv * below[0]
        end = (one - fv) * above[columns - 1] + fv * below[columns - 1]
        for x in range(first):
            picture[y, x] = start
        for x in range(first, last):
            top = (one - fu) * above[x + j0] + fu * above[x + j0 + 1]
            bottom = (one - fu) * below[x + j0] + fu * below[x + j0 + 1]
            picture[y, x] = (one - fv) * top + fv * bottom
        for x in range(max(first, last), width):
            picture[y, x] = end


def sample_background(
    rng: np.random.Generator,
    width: int,
    height: int,
    glare: float = 0.0,
    margin: tuple[int, int] = (0, 0),
) -> F32:
    """Draw a plain wall, smooth with some edges.

    Args:
        width, height: of the picture in pixels.
        glare: stray light on every pixel, as a share of white.
        margin: pixels of the room on each side of the picture, in u and v.

    Returns:
        Log intensity, [height + 2 margin[1], width + 2 margin[0]].
    """
    level = np.log(rng.uniform(0.08, 0.6))
    xs, ys = _grid(width, height, margin)
    slope = rng.normal(0, 0.3, 2)
    image = level + slope[0] * (xs - 0.5) + slope[1] * (ys - 0.5)
    for _ in range(int(rng.integers(0, 7))):
        x0, y0 = rng.uniform(-0.2, 1.2), rng.uniform(-0.2, 0.9)
        w, h = rng.uniform(0.1, 0.7, 2)
        inside = (xs > x0) & (xs < x0 + w) & (ys > y0) & (ys < y0 + h)
        image = image + inside * rng.normal(0, 0.35)
    if any(margin):
        image = gaussian_filter(image, _LENS_PX)
    return np.log(np.exp(image) + glare).astype(np.float32)


def sample_room(
    rng: np.random.Generator,
    width: int,
    height: int,
    glare: float = 0.0,
    margin: tuple[int, int] = (0, 0),
) -> F32:
    """Draw a furnished room: floor, shelves, posters, a window, and fine texture on everything.

    Arguments and result are those of :func:`sample_background`; all contrasts are random.
    """
    xs, ys = _grid(width, height, margin)
    left, right, top, bottom = xs.min(), xs.max(), ys.min(), ys.max()
    image = np.log(rng.uniform(0.05, 0.5)) + rng.normal(0, 0.3) * xs + rng.normal(0, 0.3) * ys
    fine = _texture(rng, image.shape)
    contrast = 10 ** rng.uniform(-1.6, -0.5)
    image += contrast * fine
    border = rng.uniform(0.55, 1.1) + rng.normal(0, 0.05) * (xs - 0.5)
    floor = ys > border
    image += floor * (rng.normal(0, 0.5) + rng.uniform(0, 1.5) * contrast * fine[::-1])
    image -= rng.uniform(0, 0.8) * (np.abs(ys - border) < rng.uniform(0.004, 0.02))  # its board
    area = (right - left) * (bottom - top)
    for _ in range(int(rng.integers(2, 6) * np.sqrt(area)) + 1):
        x0, y0 = rng.uniform(left - 0.2, right), rng.uniform(top - 0.1, bottom - 0.1)
        w, h = rng.uniform(0.08, 0.6, 2)
        kind = _PIECES[int(rng.integers(len(_PIECES)))]
        across, down = (xs - x0) / w, (ys - y0) / h
        inside = (across > 0) & (across < 1) & (down > 0) & (down < 1)
        if inside.any():
            image[inside] = kind(rng, image[inside], across[inside], down[inside], fine[inside])
    image = gaussian_filter(np.clip(image, _DARKEST, _BRIGHTEST), _LENS_PX)
    return np.log(np.exp(image) + glare).astype(np.float32)


def _grid(width: int, height: int, margin: tuple[int, int]) -> tuple[F64, F64]:
    """Places of pixels as shares of the picture's height, each [rows, columns]."""
    ys, xs = np.mgrid[-margin[1] : height + margin[1], -margin[0] : width + margin[0]] / height
    return xs, ys


def _texture(rng: np.random.Generator, shape: tuple[int, ...]) -> F64:
    """Noise of unit variance whose amplitude falls as 1/f."""
    rows, columns = shape
    frequency = np.hypot(np.fft.fftfreq(rows)[:, None], np.fft.rfftfreq(columns)[None])
    frequency[0, 0] = np.inf
    noise = np.fft.irfft2(np.fft.rfft2(rng.standard_normal(shape)) / frequency, shape)
    return np.asarray(noise / noise.std())


def _shelf(rng: np.random.Generator, image: F64, across: F64, down: F64, fine: F64) -> F64:
    """Boards, and books of all colours on them."""
    boards, books = int(rng.integers(2, 6)), int(rng.integers(6, 30))
    colours = rng.normal(0, rng.uniform(0.1, 0.7), (boards, books))
    heights = rng.uniform(0.55, 0.95, (boards, books))
    row = np.minimum((down * boards).astype(int), boards - 1)
    column = np.minimum((across * books).astype(int), books - 1)
    standing = 1 - (down * boards - row) < heights[row, column]
    shade = np.where(standing, colours[row, column], -rng.uniform(0.3, 1.0))
    return image.mean() + np.where(down * boards % 1 > 0.92, rng.normal(0, 0.4), shade)


def _cupboard(rng: np.random.Generator, image: F64, across: F64, down: F64, fine: F64) -> F64:
    """A plain front with dark gaps between its doors."""
    doors = int(rng.integers(1, 4))
    gap = (np.abs(across * doors % 1 - 0.5) > 0.48) | (np.abs(down - 0.5) > 0.485)
    grain = rng.uniform(0.0, 0.1) * fine
    return image.mean() + rng.normal(0, 0.5) + grain - rng.uniform(0, 0.8) * gap


def _poster(rng: np.random.Generator, image: F64, across: F64, down: F64, fine: F64) -> F64:
    """A picture of large contrast in a frame."""
    framed = (np.abs(across - 0.5) > 0.46) | (np.abs(down - 0.5) > 0.46)
    inner = rng.normal(0, 0.4) + rng.uniform(0.1, 0.7) * fine
    return image.mean() + np.where(framed, rng.normal(0, 0.6), inner)


def _window(rng: np.random.Generator, image: F64, across: F64, down: F64, fine: F64) -> F64:
    """Bright panes between bars."""
    panes = rng.integers(1, 4, 2)
    bars = (np.abs(across * panes[0] % 1 - 0.5) > 0.46) | (
        np.abs(down * panes[1] % 1 - 0.5) > 0.46
    )
    outside = rng.uniform(0.4, 1.4) + rng.uniform(0, 0.4) * fine
    return image.mean() + np.where(bars, rng.normal(0, 0.3), outside)


_PIECES = (_shelf, _cupboard, _cupboard, _poster, _window)
