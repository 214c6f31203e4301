# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest

from hybrid_pose_ros.drawing import (
    BACKGROUND,
    ESTIMATE_STYLE,
    OFF_COLOUR,
    ON_COLOUR,
    EventCanvas,
    SkeletonStyle,
    draw_caption,
    draw_skeleton,
    scale_for,
)
from hybrid_pose_ros.events.array import empty_events, make_events
from hybrid_pose_ros.skeleton import JOINTS, MIRROR, joint_id

MS = 1_000_000

POSE = np.array(
    [
        (60, 15), (45, 30), (75, 30), (40, 50), (80, 50), (50, 65), (70, 65),
        (35, 70), (85, 70), (48, 85), (72, 85), (46, 108), (74, 108),
    ],
    float,
)  # fmt: skip
SURE = np.full(13, 0.9)


def blank(width: int = 120, height: int = 120) -> np.ndarray:
    return np.zeros((height, width, 3), np.uint8)


def test_new_events_have_the_pure_colours_and_the_rest_is_background() -> None:
    canvas = EventCanvas(5, 4)
    canvas.add(make_events([10, 10], [1, 3], [2, 0], [True, False]))
    image = canvas.render()
    assert image.shape == (4, 5, 3)
    assert image.dtype == np.uint8
    expected = np.tile(np.array(BACKGROUND, np.uint8), (4, 5, 1))
    expected[2, 1] = ON_COLOUR
    expected[0, 3] = OFF_COLOUR
    np.testing.assert_array_equal(image, expected)


def test_the_latest_event_of_a_pixel_wins() -> None:
    canvas = EventCanvas(2, 2)
    canvas.add(make_events([1, 2, 3], [0, 0, 0], [0, 0, 0], [False, False, True]))
    assert tuple(canvas.render()[0, 0]) == ON_COLOUR
    canvas.add(make_events([4], [0], [0], [False]))
    assert tuple(canvas.render()[0, 0]) == OFF_COLOUR


def test_an_event_fades_steadily_and_is_gone_at_the_end() -> None:
    canvas = EventCanvas(1, 1, fade_ms=40)
    canvas.add(make_events([7 * MS], [0], [0], [True]))
    shades = [int(canvas.render((7 + age) * MS)[0, 0].sum()) for age in range(42)]
    assert shades[0] == sum(ON_COLOUR)
    assert shades == sorted(shades, reverse=True)
    assert shades[10] > shades[20] > shades[30]
    assert shades[38] > sum(BACKGROUND)
    assert shades[41] == sum(BACKGROUND)


def test_sensor_time_set_back_clears_the_canvas() -> None:
    canvas = EventCanvas(2, 1)
    canvas.add(make_events([900 * MS], [0], [0], [True]))
    canvas.add(make_events([10 * MS], [1], [0], [True]))
    image = canvas.render()
    assert tuple(image[0, 0]) == BACKGROUND
    assert tuple(image[0, 1]) == ON_COLOUR


def test_no_events_leave_the_picture_as_it_was() -> None:
    canvas = EventCanvas(2, 1)
    canvas.add(make_events([0], [0], [0], [True]))
    before = canvas.render()
    canvas.add(empty_events())
    np.testing.assert_array_equal(canvas.render(), before)


def test_scale_makes_squares_of_pixels() -> None:
    canvas = EventCanvas(3, 2, scale=4)
    canvas.add(make_events([0], [2], [1], [True]))
    image = canvas.render()
    assert image.shape == (8, 12, 3)
    assert (image[4:, 8:] == ON_COLOUR).all()
    assert (image[:4] == BACKGROUND).all()
    assert (image[4:, :8] == BACKGROUND).all()


def test_an_impossible_canvas_is_refused() -> None:
    with pytest.raises(ValueError, match="must be positive"):
        EventCanvas(0, 4)
    with pytest.raises(ValueError, match="must be positive"):
        EventCanvas(4, 4, fade_ms=0)


def test_small_sensors_are_enlarged_and_large_ones_left() -> None:
    assert scale_for(346, 260) == 2
    assert scale_for(1280, 720) == 1
    assert scale_for(128, 128) == 5


@pytest.mark.parametrize("scale", [1, 3])
def test_each_joint_is_drawn_in_its_side_s_colour(scale: int) -> None:
    image = blank(120 * scale, 120 * scale)
    draw_skeleton(image, POSE, SURE, scale=scale)
    for joint, (x, y) in zip(JOINTS, POSE, strict=True):
        side = {"right": ESTIMATE_STYLE.right, "left": ESTIMATE_STYLE.left}.get(
            joint.split("_")[0], ESTIMATE_STYLE.middle
        )
        centre = (np.array((x, y)) + 0.5) * scale - 0.5
        column, row = centre.round().astype(int)
        assert tuple(image[row, column]) == side, joint


def test_a_limb_is_drawn_between_its_joints_and_nothing_far_from_them() -> None:
    image = blank()
    draw_skeleton(image, POSE, SURE)
    upper_arm = (POSE[joint_id("right_shoulder")] + POSE[joint_id("right_elbow")]) / 2
    column, row = upper_arm.round().astype(int)
    assert (image[row, column - 2 : column + 3] == ESTIMATE_STYLE.right).all(axis=-1).any()
    ys, xs = np.nonzero(image.any(axis=-1))
    margin = ESTIMATE_STYLE.joint_px + 3
    low, high = POSE.min(0) - margin, POSE.max(0) + margin
    assert (xs >= low[0]).all() and (xs <= high[0]).all()
    assert (ys >= low[1]).all() and (ys <= high[1]).all()
    assert not image[22:26, 59:62].any()  # below the head, between the limbs to the shoulders


def test_a_mirrored_pose_is_the_mirrored_picture_with_the_sides_exchanged() -> None:
    # Odd width: the mirror maps pixel centres onto pixel centres.
    image, mirrored = blank(121), blank(121)
    draw_skeleton(image, POSE, SURE)
    flipped = POSE[list(MIRROR)] * (-1, 1) + (120, 0)
    exchanged = SkeletonStyle(right=ESTIMATE_STYLE.left, left=ESTIMATE_STYLE.right)
    draw_skeleton(mirrored, flipped, SURE, style=exchanged)
    difference = np.abs(mirrored[:, ::-1].astype(int) - image)
    # Antialiasing rounds differently on the two flanks of a line.
    assert difference.max(axis=-1).mean() < 1.0
    assert (difference.max(axis=-1) > 60).mean() < 0.005


def test_an_unsure_joint_is_hollow_and_its_limbs_are_thinner() -> None:
    unsure = SURE.copy()
    hand, elbow = joint_id("left_hand"), joint_id("left_elbow")
    unsure[hand] = 0.25
    large = POSE * 4
    sure_image, image = blank(480, 480), blank(480, 480)
    draw_skeleton(sure_image, large, SURE)
    draw_skeleton(image, large, unsure)
    column, row = large[hand].astype(int)
    assert tuple(sure_image[row, column]) == ESTIMATE_STYLE.left
    assert tuple(image[row, column]) == ESTIMATE_STYLE.outline
    column, row = ((large[hand] + large[elbow]) / 2).astype(int)

    def width(picture: np.ndarray) -> int:
        return int((picture[row, column - 10 : column + 11, 1] > 100).sum())

    assert width(sure_image) > width(image) >= 1


def test_a_joint_that_may_be_anywhere_is_left_out_with_its_limbs() -> None:
    image, without = blank(), blank()
    confidence, broken = SURE.copy(), POSE.copy()
    confidence[joint_id("left_hand")] = 0.19
    broken[joint_id("left_hand")] = np.nan
    draw_skeleton(image, POSE, confidence)
    draw_skeleton(without, broken, SURE)
    assert (image == without).all()


def test_joints_that_are_not_finite_or_far_outside_are_left_out() -> None:
    broken = POSE.copy()
    broken[joint_id("left_foot")] = np.nan
    broken[joint_id("right_foot")] = (1e12, 0)
    image = blank()
    draw_skeleton(image, broken, SURE)
    assert not image[95:].any()
    assert tuple(image[15, 60]) == ESTIMATE_STYLE.middle


def test_a_pose_of_another_size_is_refused() -> None:
    with pytest.raises(ValueError, match="13 keypoints"):
        draw_skeleton(blank(), POSE[:12], SURE[:12])


@pytest.mark.parametrize("text", ["short", "long " * 60])
def test_a_caption_stays_inside_the_picture_s_lower_edge(text: str) -> None:
    image = np.full((100, 200, 3), 90, np.uint8)
    draw_caption(image, text)
    assert (image[:80] == 90).all()
    assert (image[80:] > 200).any()
    assert (image[84:, -3:] < 90).all()  # no letter is cut off
