# SPDX-License-Identifier: Apache-2.0
"""Things that move and are no person: a door, a curtain, a ball, a dog, a screen."""

from dataclasses import dataclass
from typing import Final

import numba
import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import zoom

from hybrid_pose_ros.arrays import F32, F64
from hybrid_pose_ros.geometry.cameras import Camera

_NARROWEST = 0.05
"""Width of a swinging door seen from its edge, as a share of its full width."""


@dataclass(frozen=True)
class Thing:
    """A textured rectangle or ellipse in the picture, at one depth.

    Attributes:
        texture: log intensity, [rows, columns].
        round: an ellipse instead of a rectangle.
        depth_m: distance; it hides what is farther.
        centre_px: u, v in the middle of its movement.
        half_px: half its width and height.
        sway_px: amplitude of its movement in u and v.
        swing: how much its width changes in a cycle, 0 to 1, as a share.
        hertz: of both.
        phase: in cycles.
        scroll_hz: how often per second its texture runs through, upwards; 0: it keeps still.
    """

    texture: F32
    round: bool
    depth_m: float
    centre_px: tuple[float, float]
    half_px: tuple[float, float]
    sway_px: tuple[float, float]
    swing: float
    hertz: float
    phase: float
    scroll_hz: float

    def places(self, times_us: NDArray[np.integer]) -> F64:
        """Where it is at times [T]: u, v, half width, half height and scroll, [T, 5]."""
        seconds = np.asarray(times_us) * 1e-6
        turn = 2 * np.pi * (self.hertz * seconds + self.phase)
        sway = np.array(self.sway_px) * np.stack((np.sin(turn), np.sin(2 * turn)), -1)
        wide = 1 - self.swing * 0.5 * (1 - np.cos(turn))
        half = np.stack((self.half_px[0] * np.maximum(wide, _NARROWEST), 0 * wide), -1)
        half[:, 1] = self.half_px[1]
        scroll = (self.scroll_hz * seconds)[:, None]
        return np.concatenate((np.array(self.centre_px) + sway, half, scroll), -1)

    def corners(self, times_us: NDArray[np.integer]) -> F64:
        """Two corners of its box, [T, 2, 2] in pixels; a scrolling texture moves them along."""
        places = self.places(times_us)
        corners = places[:, None, :2] + np.array(((-1.0,), (1.0,))) * places[:, None, 2:4]
        corners[..., 1] += 2 * self.half_px[1] * places[:, None, 4]
        return np.asarray(corners)

    def view(self, times_us: NDArray[np.integer]) -> "ThingView":
        """Prepare the pictures at times [F]."""
        return ThingView(self, self.places(times_us))

    @classmethod
    def sample(cls, rng: np.random.Generator, camera: Camera, person_m: float) -> "Thing":
        """Draw a door, curtain, ball, dog-sized box or screen before or behind the person.

        Args:
            person_m: distance of the person.
        """
        name = list(KINDS)[int(rng.integers(len(KINDS)))]
        kind = KINDS[name]
        depth = person_m * (rng.uniform(0.6, 0.9) if rng.random() < 0.25 else rng.uniform(1.1, 2))
        px_per_m = camera.focal_px / depth
        half = 0.5 * px_per_m * np.array((rng.uniform(*kind.width_m), rng.uniform(*kind.height_m)))
        reach = px_per_m * np.array((rng.uniform(*kind.sway_m), 0.05 * rng.random()))
        place = rng.uniform(-0.05, 1.05, 2) * (camera.width, camera.height)
        coarse = rng.standard_normal((8, 8))
        contrast, level = rng.uniform(0.05, 0.6), np.log(rng.uniform(0.05, 0.8))
        return cls(
            texture=(level + contrast * zoom(coarse, 4, order=1)).astype(np.float32),
            round=name == "ball",
            depth_m=float(depth),
            centre_px=(float(place[0]), float(place[1])),
            half_px=(float(half[0]), float(half[1])),
            sway_px=(float(reach[0]), float(reach[1]) * (kind.scroll_hz == 0)),
            swing=rng.uniform(0.3, 1.0) * kind.swing,
            hertz=float(np.exp(rng.uniform(*np.log(kind.hertz)))),
            phase=rng.random(),
            scroll_hz=kind.scroll_hz * rng.uniform(0.2, 1.0),
        )


@dataclass(frozen=True)
class ThingView:
    """A thing in the picture (:class:`~.figure.FigureView`)."""

    thing: Thing
    places: F64

    def move(self, offsets_px: F64) -> None:
        """Move the picture of each frame by [F, 2] pixels."""
        self.places[:, :2] += offsets_px

    def bounds(self, frame: int, width: int, height: int, box: NDArray[np.int64]) -> None:
        """Write the thing's box within the image."""
        u, v, half_u, half_v = self.places[frame, :4]
        box[:2] = np.clip((u - half_u - 1, v - half_v - 1), 0, (width, height))
        box[2:] = np.clip((u + half_u + 2, v + half_v + 2), box[:2], (width, height))

    def draw(self, frame: int, canvas: F32, depth: F32) -> None:
        """Draw the thing over ``canvas`` where it is nearer than ``depth``."""
        thing = self.thing
        box = np.empty(4, np.int64)
        self.bounds(frame, canvas.shape[1], canvas.shape[0], box)
        _draw(self.places[frame], thing.texture, thing.round, thing.depth_m, box, canvas, depth)


@numba.njit(cache=True, fastmath=True)
def _draw(
    place: F64,
    texture: F32,
    round_: bool,
    depth_m: float,
    box: NDArray[np.int64],
    canvas: F32,
    depth: F32,
) -> None:
    rows, columns = texture.shape
    u, v, half_u, half_v, scroll = place
    for y in range(box[1], box[3]):
        for x in range(box[0], box[2]):
            if depth_m > depth[y, x]:
                continue
            across, down = (x - u) / half_u, (y - v) / half_v
            if round_:
                off = (1.0 - np.sqrt(across * across + down * down)) * min(half_u, half_v)
            else:
                off = min((1.0 - abs(across)) * half_u, (1.0 - abs(down)) * half_v)
            coverage = min(off + 0.5, 1.0)
            if coverage <= 0.0:
                continue
            column = min(max(0.5 * (across + 1.0), 0.0), 1.0) * (columns - 1.001)
            row = (0.5 * (down + 1.0) + scroll) * rows
            row -= rows * np.floor(row / rows)
            i, j = min(int(row), rows - 1), int(column)
            fi, fj = row - i, column - j
            k = (i + 1) % rows
            value = (1.0 - fi) * ((1.0 - fj) * texture[i, j] + fj * texture[i, j + 1]) + fi * (
                (1.0 - fj) * texture[k, j] + fj * texture[k, j + 1]
            )
            canvas[y, x] += coverage * (value - canvas[y, x])
            if coverage > 0.5:
                depth[y, x] = depth_m


@dataclass(frozen=True)
class _Kind:
    """Ranges in metres and cycles per second; ``swing`` and ``scroll_hz`` are the largest."""

    width_m: tuple[float, float]
    height_m: tuple[float, float]
    sway_m: tuple[float, float]
    hertz: tuple[float, float]
    swing: float = 0.0
    scroll_hz: float = 0.0


KINDS: Final = {
    "door": _Kind((0.7, 1.0), (1.9, 2.2), (0.0, 0.0), (0.05, 0.3), swing=1.0),
    "curtain": _Kind((0.5, 1.5), (1.2, 2.3), (0.01, 0.1), (0.1, 0.6), swing=0.15),
    "ball": _Kind((0.1, 0.4), (0.1, 0.4), (0.3, 1.5), (0.1, 0.8)),
    "dog": _Kind((0.4, 0.9), (0.3, 0.6), (0.3, 1.5), (0.05, 0.3)),
    "screen": _Kind((0.4, 1.2), (0.3, 0.7), (0.0, 0.0), (0.1, 0.2), scroll_hz=0.5),
}
"""Kinds of moving things."""
