# SPDX-License-Identifier: Apache-2.0
"""The rasteriser: sub-pixel coverage, depth, light, texture, and the box that is redrawn."""

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from hybrid_pose_ros.geometry.cameras import Camera
from hybrid_pose_ros.simulation.body import TEXTURE_SHAPE, Capsules
from hybrid_pose_ros.simulation.motion import rotate_about_vertical
from hybrid_pose_ros.simulation.renderer import (
    Lighting,
    bounds,
    clear,
    draw,
    project_parts,
)
from hybrid_pose_ros.simulation.rooms import sample_background

WIDTH, HEIGHT = 64, 48
FRONT = Camera.look_at((0, -3, 1), (0, 0, 1), 60.0, WIDTH, HEIGHT)
"""Looks along +y, so that +x is to the right in the image; 20 px per metre at the origin."""
NO_SHADING = Lighting((0.0, 0.0, 1.0), ambient=1.0)
FLAT = np.ones((1, *TEXTURE_SHAPE), np.float32)
"""Textures are written as logarithms of the reflectance here."""


def upright(x: float = 0.0, y: float = 0.0, radius: float = 0.2, half: float = 0.6) -> Capsules:
    """One vertical capsule that faces -y, towards the camera."""
    ends = np.array(((x, y, 1 - half), (x, y, 1 + half)))[None, None]
    return Capsules(ends, np.full((1, 2), radius), np.array(((0.0, -1.0, 0.0),)))


def together(*capsules: Capsules) -> Capsules:
    ends = np.concatenate([each.ends for each in capsules], 1)
    return Capsules(ends, np.concatenate([each.radii for each in capsules]), capsules[0].forward)


def picture(
    capsules: Capsules,
    textures: NDArray[np.float32] = FLAT,
    lighting: Lighting = NO_SHADING,
    camera: Camera = FRONT,
) -> NDArray[np.float32]:
    """The log intensity of the first frame before a background of 0."""
    canvas = np.zeros((HEIGHT, WIDTH), np.float32)
    depth = np.full(canvas.shape, 1e9, np.float32)
    parts = project_parts(capsules, camera, lighting)
    draw(
        parts.image[0],
        parts.facing[0],
        parts.thickness,
        np.exp(textures),
        lighting.ambient,
        lighting.glare,
        lighting.rim,
        canvas,
        depth,
    )
    return canvas


@pytest.mark.parametrize("shift_px", [0.0, 0.17, 0.5, 0.83])
def test_an_edge_covers_parts_of_pixels(shift_px: float) -> None:
    row = picture(upright(shift_px / 20))[HEIGHT // 2]
    # a radius of 0.2 m is 4 px, wherever the edge falls between the pixels
    assert row.sum() == pytest.approx(8.0, abs=0.2)
    assert (row * np.arange(WIDTH)).sum() / row.sum() == pytest.approx(31.5 + shift_px, abs=0.08)


def test_a_capsule_ends_in_round_caps() -> None:
    canvas = picture(upright())
    # a cap of radius 4 px at both ends of 24 px
    assert canvas.sum() == pytest.approx(24 * 8 + np.pi * 16, rel=0.01)


def test_twice_as_far_is_half_as_thick() -> None:
    near, far = (project_parts(upright(y=y), FRONT, NO_SHADING).image[0, 0, 0] for y in (0, 3))
    assert near[2:] == pytest.approx((4.0, 3.0))
    assert far[2:] == pytest.approx((2.0, 6.0))


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_the_nearer_part_hides_the_other(order: tuple[int, int]) -> None:
    both = upright(y=-0.5, radius=0.1), upright(y=0.5, radius=0.4)
    textures = np.concatenate((FLAT * 2, FLAT * -1))
    canvas = picture(together(*(both[k] for k in order)), textures[list(order)])
    row = canvas[HEIGHT // 2]
    assert row[31] == row[32] == 2.0
    assert row[26] == row[37] == -1.0


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_the_edge_of_the_nearer_part_is_mixed_with_what_is_behind(order: tuple[int, int]) -> None:
    # its edge is in the middle of pixel 34: 2.5 px right of the middle at 24 px per metre
    both = upright(y=-0.5, radius=2.5 / 24), upright(y=0.5, radius=0.4)
    textures = np.concatenate((FLAT * 2, FLAT * -1))
    row = picture(together(*(both[k] for k in order)), textures[list(order)])[HEIGHT // 2]
    assert row[34] == pytest.approx(0.5, abs=1e-3)


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_of_two_crossed_parts_each_hides_the_other_where_it_is_nearer(
    order: tuple[int, int],
) -> None:
    rising = np.array(((0.0, -0.5, 0.5), (0.0, 0.5, 1.5)))
    falling = rising * (1, -1, 1)
    ends = np.stack((rising, falling))[None, list(order)]
    capsules = Capsules(ends, np.full((2, 2), 0.1), np.array(((0.0, -1.0, 0.0),)))
    textures = np.concatenate((FLAT * 2, FLAT * -1))[list(order)]
    column = picture(capsules, textures)[:, 31]
    assert column[30] == 2.0  # below, the rising part is near
    assert column[17] == -1.0


def test_light_from_the_right_falls_on_the_right() -> None:
    lit = Lighting((1.0, 0.0, 0.0), ambient=0.4)
    row = picture(upright(), lighting=lit)[HEIGHT // 2] - 1.0
    sides = (np.arange(32, 35) - 31.5) / 4
    assert row[32:35] == pytest.approx(np.log(0.4 + 0.6 * sides), abs=0.01)
    assert row[29:31] == pytest.approx(np.log(0.4))  # turned away: ambient light alone


@pytest.mark.parametrize(
    ("bright_at", "yaw", "expected"),
    [
        ("front", 0.0, 1.0),
        ("front", np.pi / 3, 0.5),
        ("front", np.pi, -1.0),
        ("right", 0.0, 0.0),
        ("right", np.pi / 2, 1.0),  # who faced the camera now turns the right side to it
        ("right", -np.pi / 2, -1.0),
    ],
)
def test_the_texture_turns_with_the_body(bright_at: str, yaw: float, expected: float) -> None:
    angle = 2 * np.pi * np.arange(TEXTURE_SHAPE[1]) / TEXTURE_SHAPE[1]
    pattern = np.cos(angle) if bright_at == "front" else -np.sin(angle)
    texture = np.broadcast_to(pattern, FLAT.shape).astype(np.float32)
    capsules = upright()
    turned = replace(capsules, forward=rotate_about_vertical(capsules.forward, yaw))
    assert picture(turned, texture)[HEIGHT // 2, 31:33].mean() == pytest.approx(expected, abs=0.03)


def test_stray_light_lowers_the_contrast() -> None:
    glare = 0.5
    row = picture(upright(), lighting=replace(NO_SHADING, glare=glare))[HEIGHT // 2]
    assert row[31] == pytest.approx(np.log(np.e + glare))
    background = sample_background(np.random.default_rng(1), 60, 40)
    veiled = sample_background(np.random.default_rng(1), 60, 40, glare)
    assert np.allclose(np.exp(veiled) - np.exp(background), glare, atol=1e-5)
    assert np.ptp(veiled) < np.ptp(background)


def test_rims_are_darker_where_light_comes_from_all_around() -> None:
    row = picture(upright(), lighting=replace(NO_SHADING, rim=0.5))[HEIGHT // 2]
    middle = row[28:36]
    assert middle[3:5] == pytest.approx(1.0, abs=0.01)
    assert np.all(np.diff(middle[4:7]) < 0) and np.all(np.diff(middle[1:4]) > 0)


def test_a_body_turned_with_camera_and_lamp_looks_the_same() -> None:
    rng = np.random.default_rng(2)
    textures = rng.normal(0, 0.5, (3, *TEXTURE_SHAPE)).astype(np.float32)
    ends = rng.normal((0, 0, 1), 0.4, (1, 3, 2, 3))
    radii = rng.uniform(0.05, 0.2, (3, 2))
    forward, lamp = np.array(((0.6, -0.8, 0.0),)), np.array((0.48, -0.64, 0.6))

    def seen(yaw: float) -> NDArray[np.float32]:
        position = rotate_about_vertical(np.array((0.0, -3.0, 1.2)), yaw)
        camera = Camera.look_at(position, (0, 0, 1), 60.0, WIDTH, HEIGHT)
        x, y, z = rotate_about_vertical(lamp, yaw)
        body = Capsules(
            rotate_about_vertical(ends, yaw), radii, rotate_about_vertical(forward, yaw)
        )
        return picture(body, textures, Lighting((x, y, z), 0.5), camera)

    assert np.abs(seen(0.0)).max() > 0.5
    assert np.allclose(seen(0.0), seen(2.1), atol=1e-4)


def test_all_that_is_drawn_lies_in_the_box_and_is_cleared_with_it() -> None:
    rng = np.random.default_rng(1)
    background = sample_background(rng, WIDTH, HEIGHT)
    textures = np.full((4, *TEXTURE_SHAPE), 3.0, np.float32)
    box = np.zeros(4, np.int64)
    for _ in range(50):
        # many of them lie partly or wholly outside the image
        ends = rng.normal((0, 0, 1), (1.5, 0.8, 1.0), (1, 4, 2, 3))
        capsules = Capsules(ends, rng.uniform(0.02, 0.3, (4, 2)), np.array(((0.0, -1.0, 0.0),)))
        parts = project_parts(capsules, FRONT, NO_SHADING)
        canvas, depth = background.copy(), np.full(background.shape, 1e9, np.float32)
        bounds(parts.image[0], WIDTH, HEIGHT, box)
        draw(
            parts.image[0],
            parts.facing[0],
            parts.thickness,
            textures,
            1.0,
            0.0,
            0.0,
            canvas,
            depth,
        )
        x0, y0, x1, y1 = box
        changed = canvas != background
        assert not np.any(changed[:y0]) and not np.any(changed[y1:])
        assert not np.any(changed[:, :x0]) and not np.any(changed[:, x1:])
        clear(canvas, depth, background, x0, y0, x1, y1)
        assert np.array_equal(canvas, background)
        assert np.all(depth == np.float32(1e9))


@pytest.mark.parametrize("y", [-2.95, -3.05, -6.0])
def test_what_is_behind_the_camera_is_not_drawn(y: float) -> None:
    capsules = upright(y=y)
    assert not picture(capsules).any()
    box = np.zeros(4, np.int64)
    bounds(project_parts(capsules, FRONT, NO_SHADING).image[0], WIDTH, HEIGHT, box)
    assert box[0] == box[2] and box[1] == box[3]
