# SPDX-License-Identifier: Apache-2.0
"""Rooms: what is shown of them where the camera moves, and how they are drawn."""

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from hybrid_pose_ros.simulation.rooms import sample_background, sample_room, show_room

WIDTH, HEIGHT = 30, 20

Draw = Callable[..., NDArray[np.float32]]


def test_a_moved_room_moves_by_parts_of_pixels() -> None:
    room = np.tile(np.arange(WIDTH, dtype=np.float32), (HEIGHT, 1))
    picture = np.empty_like(room)
    show_room(room, 2.25, -1.0, picture)
    assert np.allclose(picture[:, 3:], room[:, 3:] - 2.25)
    assert np.allclose(picture[:, :2], 0.0)  # beyond the room its border is repeated
    show_room(room.T.copy().T, 0.0, 0.0, picture)
    assert np.array_equal(picture, room)
    show_room(room, 1000.0, 1000.0, picture)
    assert np.array_equal(picture, np.zeros_like(room))


@pytest.mark.parametrize(("du", "dv"), [(0, 0), (-6, 2), (6, -3), (1, 3)])
def test_a_margin_reveals_what_is_there(du: int, dv: int) -> None:
    room = np.random.default_rng(1).random((HEIGHT + 6, WIDTH + 12)).astype(np.float32)
    picture = np.empty((HEIGHT, WIDTH), np.float32)
    show_room(room, float(du), float(dv), picture)
    assert np.array_equal(picture, room[3 - dv : 3 - dv + HEIGHT, 6 - du : 6 - du + WIDTH])


@pytest.mark.parametrize("draw", [sample_background, sample_room])
def test_rooms_are_a_function_of_their_seed(draw: Draw) -> None:
    first, again, other = (
        draw(np.random.default_rng(seed), WIDTH, HEIGHT, 0.02, (5, 3)) for seed in (1, 1, 2)
    )
    assert first.shape == (HEIGHT + 6, WIDTH + 10)
    assert first.dtype == np.float32
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_furnished_rooms_have_fine_texture_and_their_own_contrast() -> None:
    rooms = [sample_room(np.random.default_rng(seed), 346, 260, 0.02) for seed in range(20)]
    assert all(room.min() >= np.log(0.02) and room.max() < 0.5 for room in rooms)
    fine = np.array([np.abs(np.diff(room, axis=1)).mean() for room in rooms])
    plain = np.array(
        [
            np.abs(
                np.diff(sample_background(np.random.default_rng(seed), 346, 260), axis=1)
            ).mean()
            for seed in range(20)
        ]
    )
    assert np.median(fine) > 2 * np.median(plain)
    assert fine.max() > 2 * fine.min()
