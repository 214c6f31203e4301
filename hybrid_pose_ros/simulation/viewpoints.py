# SPDX-License-Identifier: Apache-2.0
"""Cameras anywhere in a room: all heights, distances, sensors, and bodies cut off at any side."""

from typing import Final

import numpy as np

from hybrid_pose_ros.geometry.cameras import Camera

SENSOR_SIZES: Final = {
    (128, 128): 0.08,
    (240, 180): 0.14,
    (320, 240): 0.14,
    (346, 260): 0.54,
    (640, 480): 0.09,
    (1280, 720): 0.01,
}
"""Width and height in pixels of real sensors -> share of the cameras drawn."""

PORTRAIT: Final = 0.02
"""Share of cameras mounted on their side."""

BODY_SHARES: Final = (((0.4, 1.1), 0.62), ((0.2, 0.4), 0.15), ((1.1, 3.0), 0.23))
"""Height of a standing body as a share of the picture's, log-uniform in each range, and the
range's own share."""

_BODY_M = 1.7

_STANDING: Final = np.array(
    [(0.0, z) for z in (1.65, 1.4, 0.95, 0.5, 0.08)]
    + [(s, z) for s in (-0.2, 0.2) for z in (1.4, 1.1, 0.85, 0.5, 0.08)]
)
"""Points of a standing body: metres to the right and above the floor."""

_LEAST_IN_VIEW = 4
"""Of the points of a standing body."""


def sample_wide_camera(
    rng: np.random.Generator, place: tuple[float, float] = (0.0, 0.0)
) -> Camera:
    """Draw a camera that looks at a person, from any side, height and distance.

    Heights lie between 0.2 and 2.8 m, half of them about a table's or an eye's; standing bodies
    are 20 to 300 % as high as the picture (:data:`BODY_SHARES`), one in four is moved out of the
    picture in part, and of those larger than the picture the upper body is mostly in view. The
    width and height are those of :data:`SENSOR_SIZES`.

    Args:
        place: x and y of the person in metres.
    """
    while True:
        camera = _draw(rng, place)
        away = np.array(place) - camera.centre[:2]
        right = np.array((away[1], -away[0])) / np.linalg.norm(away)
        points = np.column_stack((place + _STANDING[:, :1] * right, _STANDING[:, 1]))
        image = camera.project(points)
        inside = (image > 0) & (image < (camera.width - 1, camera.height - 1))
        if np.sum(inside.all(-1) & (camera.depth(points) > 0.3)) >= _LEAST_IN_VIEW:
            return camera


def _draw(rng: np.random.Generator, place: tuple[float, float]) -> Camera:
    sizes = list(SENSOR_SIZES)
    width, height_px = sizes[int(rng.choice(len(sizes), p=list(SENSOR_SIZES.values())))]
    portrait = rng.random() < PORTRAIT
    extent_px, across_px = (width, height_px) if portrait else (height_px, width)
    chosen = int(rng.choice(len(BODY_SHARES), p=[weight for _, weight in BODY_SHARES]))
    (low, high), _ = BODY_SHARES[chosen]
    share = float(np.exp(rng.uniform(np.log(low), np.log(high))))
    distance = float(np.exp(rng.uniform(np.log(0.7), np.log(7.0))))
    # lenses between 110 degrees across and 14 degrees from top to bottom
    focal = share * extent_px * distance / _BODY_M
    wanted = float(np.clip(focal, 0.35 * width, 4.0 * height_px))
    distance *= wanted / focal
    z = rng.uniform(0.2, 2.8) if rng.random() < 0.5 else np.clip(rng.normal(1.4, 0.35), 0.2, 2.8)
    azimuth = rng.uniform(0, 2 * np.pi)
    outwards = np.array((np.cos(azimuth), np.sin(azimuth)))
    position = (*(place + max(distance, 0.6) * outwards), float(z))
    picture_m = _BODY_M / share  # metres of the person's place from top to bottom
    spare = max(picture_m - _BODY_M, 0.0)
    sideways = rng.normal(0, 0.12) * picture_m * across_px / extent_px
    up = _aim(rng, share, picture_m, spare)
    if rng.random() < 0.25:  # cut off at a side: the body's axis about the picture's border
        border = 0.5 * picture_m * across_px / extent_px
        sideways = rng.choice((-1, 1)) * (border + rng.uniform(-0.35, 0.1))
    target = (*(place + sideways * np.array((-outwards[1], outwards[0]))), up)
    narrow = rng.random() < 0.85
    roll = np.deg2rad(np.clip(rng.normal(0, 2.5), -5, 5) if narrow else rng.uniform(-30, 30))
    if portrait:
        roll += rng.choice((-1, 1)) * np.pi / 2
    return Camera.look_at(position, target, wanted, width, height_px, float(roll), name="wide")


def _aim(rng: np.random.Generator, share: float, picture_m: float, spare: float) -> float:
    """Height above the floor, in metres, at the middle of the picture."""
    kind = rng.random()
    if share > 1.1:  # larger than the picture: head and shoulders, anything, the legs alone
        if kind < 0.7:
            return float(_BODY_M - picture_m * rng.uniform(0.2, 0.5))
        if kind < 0.93:
            return float(rng.uniform(0.5, 1.5))
        return float(rng.uniform(0.2, 0.6))
    middle = _BODY_M / 2 + 0.5 * spare * np.clip(rng.normal(0, 0.6), -1, 1)
    if kind < 0.12:  # the legs are cut off
        return float(rng.uniform(0.35, 0.95) + 0.5 * picture_m)
    if kind < 0.16:  # the head is
        return float(rng.uniform(0.9, 1.4) - 0.5 * picture_m)
    return float(middle)
