# SPDX-License-Identifier: Apache-2.0
"""Pictures between two frames show things where they are in between."""

import cv2
import numpy as np
import pytest

from hybrid_pose_ros.simulation.interpolation import FrameInterpolator, Transition

WIDTH, HEIGHT = 120, 90
MARGIN = 12
"""What comes in at the edge of the picture is known from one frame only."""


def texture(seed: int) -> np.ndarray:
    """A random smooth picture, larger than a frame, 8 bits."""
    noise = np.random.default_rng(seed).normal(size=(HEIGHT + 80, WIDTH + 80))
    smooth = cv2.GaussianBlur(noise, (0, 0), 3.0)
    return np.clip(128 + 45 * smooth / smooth.std(), 0, 255).astype(np.uint8)


def window(picture: np.ndarray, dx: int, dy: int = 0) -> np.ndarray:
    """What a frame shows when the picture has moved by (dx, dy) px."""
    return np.ascontiguousarray(picture[40 - dy : 40 - dy + HEIGHT, 40 - dx : 40 - dx + WIDTH])


def transition(first: np.ndarray, second: np.ndarray) -> Transition:
    light = first.astype(np.float32) / 255, second.astype(np.float32) / 255
    return FrameInterpolator().between((first, second), light)


def at(way: Transition, share: float) -> np.ndarray:
    out = np.empty((HEIGHT, WIDTH), np.float32)
    way.at(share, out)
    return out


@pytest.mark.parametrize(("dx", "dy"), [(8, 0), (-4, 4), (0, 12)])
def test_halfway_a_moving_picture_has_moved_half(dx: int, dy: int) -> None:
    picture = texture(0)
    first, second = window(picture, 0), window(picture, dx, dy)
    halfway = at(transition(first, second), 0.5)
    truth = window(picture, dx // 2, dy // 2) / 255
    blend = (first / 255 + second / 255) / 2
    inner = np.s_[MARGIN:-MARGIN, MARGIN:-MARGIN]
    error = np.abs(halfway - truth)[inner].mean()
    assert error < 0.01
    assert error < np.abs(blend - truth)[inner].mean() / 5


def test_motion_is_measured_in_pixels_of_the_frame() -> None:
    picture = texture(1)
    way = transition(window(picture, 0), window(picture, 6, 8))
    assert way.motion_px == pytest.approx(10, abs=3)
    assert transition(window(picture, 0), window(picture, 0)).motion_px < 0.1


def test_at_its_ends_a_transition_is_its_frames() -> None:
    picture = texture(2)
    first, second = window(picture, 0), window(picture, 5)
    way = transition(first, second)
    np.testing.assert_allclose(at(way, 0.0), first / 255, atol=1e-5)
    np.testing.assert_allclose(at(way, 1.0), second / 255, atol=1e-5)


def test_light_that_changes_in_place_is_interpolated_in_time() -> None:
    first = np.full((HEIGHT, WIDTH), 100, np.uint8)
    np.testing.assert_allclose(at(transition(first, first + 40), 0.25), 110 / 255, atol=1e-5)


def test_frames_of_one_scene_match_and_others_do_not() -> None:
    picture = texture(3)
    assert transition(window(picture, 0), window(picture, 9, 5)).mismatch(0.1) < 0.15
    assert transition(window(picture, 0), window(texture(4), 0)).mismatch(0.1) > 0.4
