# SPDX-License-Identifier: Apache-2.0
"""Frames of an ordinary camera become the events that the light in them makes."""

from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
import pytest

from hybrid_pose_ros.events.array import check_events
from hybrid_pose_ros.simulation.frame_sensor import MAX_SIDE, FrameSensor, log_intensity
from hybrid_pose_ros.simulation.sensor import SensorConfig

IDEAL = SensorConfig(
    threshold_on=0.25,
    threshold_off=0.25,
    mismatch=0.0,
    refractory_us=1.0,
    cutoff_hz=1e9,
    leak_hz=0.0,
    shot_hz=0.0,
    hot_pixels=0,
)
SIZE = (120, 90)
FRAME_US = 33_333


def sensor(**options: Any) -> FrameSensor:
    return FrameSensor(**{"size": SIZE, "config": IDEAL} | options)


def grey(value: int, width: int = SIZE[0], height: int = SIZE[1]) -> np.ndarray:
    return np.full((height, width, 3), value, np.uint8)


def texture(seed: int) -> np.ndarray:
    noise = np.random.default_rng(seed).normal(size=(SIZE[1], SIZE[0]))
    smooth = cv2.GaussianBlur(noise, (0, 0), 3.0)
    picture = np.clip(128 + 60 * smooth / smooth.std(), 0, 255).astype(np.uint8)
    return np.repeat(picture[..., None], 3, -1)


def disc(x: float) -> np.ndarray:
    """A bright disc on a dark ground, drawn to a fraction of a pixel."""
    picture = grey(40)
    centre = round(x * 16), 45 * 16
    return cv2.circle(picture, centre, 12 * 16, (220, 220, 220), -1, cv2.LINE_AA, 4)


def test_log_intensity_is_that_of_linear_light() -> None:
    table = log_intensity()
    assert table[255] == 0
    assert (np.diff(table) > 0).all()
    # sRGB 188 is half of the light of white
    assert table[188] == pytest.approx(np.log((0.5 + 0.02) / 1.02), abs=0.01)


def test_a_scene_that_stands_still_is_silent() -> None:
    eye, picture = sensor(), texture(0)
    assert [len(eye.see(picture, FRAME_US * k)) for k in range(5)] == [0] * 5


def test_a_brighter_patch_makes_as_many_events_as_thresholds_fit() -> None:
    eye = sensor()
    before, after = grey(100), grey(100)
    after[20:50, 30:70] = 140
    eye.see(before, 0)
    events = eye.see(after, FRAME_US)
    contrast = float(log_intensity()[140] - log_intensity()[100])
    counts = np.zeros((SIZE[1], SIZE[0]), int)
    np.add.at(counts, (events["y"], events["x"]), 1)
    inner = counts[24:46, 34:66]
    # references lie within half a threshold of the first signal; whole thresholds are counted
    assert inner.mean() == pytest.approx(contrast / 0.25 - 0.5, abs=0.05)
    assert set(np.unique(inner)) == {2, 3}
    assert counts[:10].sum() == 0
    assert events["polarity"].all()


def test_events_follow_a_motion_between_the_frames() -> None:
    eye = sensor()
    eye.see(disc(40), 0)
    events = eye.see(disc(52), FRAME_US)
    check_events(events, *SIZE)
    assert events["t"][0] >= 0
    assert events["t"][-1] < FRAME_US * 1000
    share = events["t"] / (FRAME_US * 1000)
    leading = events["polarity"].astype(bool) & (np.abs(events["y"] - 45.0) < 3)
    for k in range(4):
        now = leading & (share >= k / 4) & (share < (k + 1) / 4)
        edge = 40 + 12 * (k + 0.5) / 4 + 12
        assert events["x"][now].mean() == pytest.approx(edge, abs=1.5)


def test_a_scene_cut_is_a_new_start() -> None:
    cuts: list[int] = []
    eye = sensor(on_cut=cuts.append)
    first, second = texture(1), texture(2)
    eye.see(first, 0)
    assert len(eye.see(second, FRAME_US)) == 0
    assert cuts == [FRAME_US]
    assert len(eye.see(second, 2 * FRAME_US)) == 0
    moved = np.roll(second, 2, 1)
    assert len(eye.see(moved, 3 * FRAME_US)) > 1000
    assert cuts == [FRAME_US]


def test_the_sensor_is_the_same_after_a_cut() -> None:
    hot = SensorConfig(**{**IDEAL.__dict__, "hot_pixels": 3, "hot_hz": 3000.0})
    eye = FrameSensor(SIZE, config=hot)

    def hot_pixels(time_us: int, picture: np.ndarray) -> set[tuple[int, int]]:
        eye.see(picture, time_us)
        events = eye.see(picture, time_us + FRAME_US)
        return set(zip(events["x"].tolist(), events["y"].tolist(), strict=True))

    before = hot_pixels(0, texture(1))
    assert len(before) == 3
    assert hot_pixels(2 * FRAME_US, texture(2)) == before


def test_events_are_a_function_of_the_frames_and_the_seed() -> None:
    def run(seed: int) -> np.ndarray:
        eye = FrameSensor(SIZE, seed=seed)
        return np.concatenate([eye.see(disc(40 + 5 * k), FRAME_US * k) for k in range(4)])

    assert np.array_equal(run(1), run(1))
    assert not np.array_equal(run(1), run(2))


@pytest.mark.parametrize(("crop", "columns"), [(False, (42, 77)), (True, (0, 119))])
def test_a_tall_picture_is_shown_whole_or_fills_the_view(
    crop: bool, columns: tuple[int, int]
) -> None:
    eye = sensor(crop=crop)
    frame, brighter = grey(100, 90, 225), grey(100, 90, 225)
    brighter[105:120] = 200  # across its whole width
    eye.see(frame, 0)
    events = eye.see(brighter, FRAME_US)
    assert (events["x"].min(), events["x"].max()) == columns


def narrow(eye: FrameSensor) -> None:
    eye.see(grey(0, 1000, 20), 0)


def resized(eye: FrameSensor) -> None:
    eye.see(grey(0), 0)
    eye.see(grey(0, 60, 45), 1)


def late(eye: FrameSensor) -> None:
    eye.see(grey(0), 5)
    eye.see(grey(0), 5)


@pytest.mark.parametrize(
    ("use", "message"),
    [
        (narrow, "1000x20 px becomes 120x2, and optical flow needs 32 px"),
        (resized, "changes from 120x90 px to 60x45"),
        (late, "at 5 us, not after"),
    ],
)
def test_frames_that_cannot_be_used_are_named(
    use: Callable[[FrameSensor], None], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        use(sensor())


@pytest.mark.parametrize("size", [(31, 260), (346, MAX_SIDE + 1), (0, 0), (-5, 100)])
def test_a_size_outside_the_limits_is_named(size: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match=f"size {size[0]}x{size[1]}: .* 32 to 1280"):
        FrameSensor(size)
