# SPDX-License-Identifier: Apache-2.0
import io

import numpy as np
from PIL import Image

from hybrid_pose_ros.demo.pictures import (
    ANIMATION_MS,
    FRAME_MS,
    Frame,
    busiest,
    encode_animation,
    typical,
)
from hybrid_pose_ros.drawing import ESTIMATE_STYLE, draw_skeleton

MS = 1_000_000


def frames(count: int, seed: int = 0) -> list[np.ndarray]:
    """Dark pictures with some noise and a white square that moves."""
    rng = np.random.default_rng(seed)
    pictures = []
    for number in range(count):
        image = np.full((60, 80, 3), (14, 17, 27), np.uint8)
        image[rng.random((60, 80)) < 0.02] = (88, 112, 196)
        image[20:30, 2 * number : 2 * number + 10] = 255
        pictures.append(image)
    return pictures


def test_the_busiest_seconds_are_found() -> None:
    stamps = [5 * MS * number for number in range(2000)]  # 10 s
    sizes = [10] * 2000
    sizes[900] = 5000  # at 4.5 s
    start = busiest(stamps, sizes)
    assert start <= 4500 * MS < start + ANIMATION_MS * MS
    sizes[1700] = 9000  # at 8.5 s: 4.0 s later, just too late to be in one animation
    assert busiest(stamps, sizes) > 4500 * MS


def test_a_run_shorter_than_the_animation_starts_at_its_beginning() -> None:
    assert busiest([7 * MS, 12 * MS, 17 * MS], [3, 3, 3]) == 7 * MS


def test_an_animation_holds_all_frames_in_their_colours_and_time() -> None:
    pictures = frames(12)
    with Image.open(io.BytesIO(encode_animation(pictures))) as animation:
        assert animation.n_frames == 12
        assert animation.info["duration"] == FRAME_MS
        assert animation.info["loop"] == 0
        animation.seek(7)
        seen = np.asarray(animation.convert("RGB")).astype(int)
    assert np.abs(seen - pictures[7]).max() <= 8


def test_a_skeleton_that_comes_late_has_its_colours() -> None:
    pictures = frames(12)
    points = np.array([(10 + 4 * joint, 30) for joint in range(13)], float)
    draw_skeleton(pictures[11], points, np.ones(13))
    with Image.open(io.BytesIO(encode_animation(pictures))) as animation:
        animation.seek(11)
        seen = np.asarray(animation.convert("RGB"))
    for colour in (ESTIMATE_STYLE.right, ESTIMATE_STYLE.left, ESTIMATE_STYLE.middle):
        assert (seen == colour).all(-1).sum() > 3


def test_an_animation_that_is_too_large_is_cut_at_its_end() -> None:
    pictures = frames(20)
    whole = encode_animation(pictures)
    limit = len(whole) // 2
    cut = encode_animation(pictures, max_bytes=limit)
    assert len(cut) <= limit
    with Image.open(io.BytesIO(cut)) as animation:
        assert 5 <= animation.n_frames < 12
        seen = np.asarray(animation.convert("RGB")).astype(int)
    assert np.abs(seen - pictures[0]).max() <= 8


def test_the_typical_picture_has_the_median_error_of_those_with_a_pose() -> None:
    errors = [None, 300.0, 2.0, 9.0, 4.0, 50.0, 5.0]
    pictures = [
        Frame(image, error, n >= 2)
        for n, (image, error) in enumerate(zip(frames(7), errors, strict=True))
    ]
    assert typical(pictures) == 6


def test_without_labels_the_typical_picture_is_as_full_as_most() -> None:
    images = [np.full((10, 10, 3), (14, 17, 27), np.uint8) for _ in range(5)]
    for image, full in zip(images, (0, 90, 40, 50, 60), strict=True):
        image.reshape(-1, 3)[:full] = 255
    assert typical([Frame(image, None, True) for image in images]) == 3
    assert typical([Frame(image, None, False) for image in images]) == 3
