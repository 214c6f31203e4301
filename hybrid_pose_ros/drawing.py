# SPDX-License-Identifier: Apache-2.0
"""Pictures of events and poses: RGB images, uint8 [height, width, 3], drawn with OpenCV.

Pixel coordinates are those of the sensor: an integer is the centre of a pixel. An image drawn
``scale`` times as large as the sensor shows sensor pixel x at ``(x + 0.5) * scale - 0.5``.
"""

from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

from hybrid_pose_ros.events.array import EventArray
from hybrid_pose_ros.skeleton import JOINTS, LIMBS, NUM_JOINTS

Image = NDArray[np.uint8]
Colour = tuple[int, int, int]

BACKGROUND: Final[Colour] = (14, 17, 27)
ON_COLOUR: Final[Colour] = (226, 230, 240)
OFF_COLOUR: Final[Colour] = (88, 112, 196)
CAPTION_COLOUR: Final[Colour] = (240, 240, 240)

MIN_CONFIDENCE: Final = 0.3
"""A joint below this confidence is drawn hollow, its limbs thin."""

HIDDEN_CONFIDENCE: Final = 0.2
"""A joint below this confidence is anywhere: it is not drawn."""

_FRACTION_BITS: Final = 4
"""OpenCV draws antialiased shapes at multiples of 1/16 px."""

_FARTHEST_PX: Final = 2**15
"""A joint further away than this cannot be handed to OpenCV, and is in no picture anyway."""

_AGES: Final = 64
"""Shades between a new event and none."""


@dataclass(frozen=True)
class SkeletonStyle:
    """Colours (RGB) and sizes of a skeleton; sizes in px of a picture 346 px wide.

    Attributes:
        right, left, middle: colours of the person's right side, left side, and of what belongs
            to neither.
        outline: colour of the rim that sets the skeleton apart from the events.
        limb_px: width of a limb.
        joint_px: radius of a joint.
    """

    right: Colour = (255, 138, 48)
    left: Colour = (62, 222, 160)
    middle: Colour = (250, 226, 120)
    outline: Colour | None = (8, 9, 14)
    limb_px: float = 1.6
    joint_px: float = 2.9


ESTIMATE_STYLE: Final = SkeletonStyle()

TRUTH_STYLE: Final = SkeletonStyle(
    right=(240, 200, 225),
    left=(240, 200, 225),
    middle=(240, 200, 225),
    outline=None,
    limb_px=0.5,
    joint_px=1.0,
)
"""Thin and pale, to be seen under an estimate without hiding the events."""


class EventCanvas:
    """The latest events of a sensor as a picture in which they fade.

    Each pixel shows its latest event: ON bright, OFF blue, the older the nearer to the background.

    Args:
        width, height: size of the sensor in px.
        fade_ms: age in ms of sensor time at which an event has gone.
        scale: side of a sensor pixel in the picture, in px.

    Raises:
        ValueError: a size, ``fade_ms`` or ``scale`` is not positive.
    """

    def __init__(self, width: int, height: int, *, fade_ms: float = 40.0, scale: int = 1) -> None:
        if min(width, height, scale) < 1 or fade_ms <= 0:
            raise ValueError(
                f"a canvas of {width}x{height} px, scale {scale}, fading in {fade_ms} ms "
                "cannot be drawn: all must be positive"
            )
        self.width, self.height, self.scale = width, height, scale
        self._tick_ns = max(1, round(fade_ms * 1e6 / _AGES))
        self._latest = np.zeros((height, width), np.int64)
        self._first_shade = np.zeros((height, width), np.uint8)
        self._palette = _palette()
        self.clear()

    def clear(self) -> None:
        """Forget all events."""
        self._now_ns = 0
        # So long ago that it has faded at any time, and can be subtracted without overflow.
        self._latest.fill(-(2**62))
        self._first_shade.fill(0)

    def add(self, events: EventArray) -> None:
        """Draw events in order of time.

        Events older than those already drawn mean that sensor time was set back: the canvas is
        cleared first.

        Raises:
            IndexError: an event lies outside the sensor.
        """
        if len(events) == 0:
            return
        if events["t"][0] < self._now_ns:
            self.clear()
        self._now_ns = int(events["t"][-1])
        # Where a pixel occurs twice, NumPy's assignment keeps the last, which is the latest.
        pixels = events["y"], events["x"]
        self._latest[pixels] = events["t"] // self._tick_ns
        self._first_shade[pixels] = events["polarity"] * np.uint8(_AGES + 1)

    def render(self, now_ns: int | None = None) -> Image:
        """Return the picture [height * scale, width * scale, 3].

        Args:
            now_ns: sensor time at which to look, in ns; by default that of the latest event.
        """
        now = self._now_ns if now_ns is None else now_ns
        age = np.clip(now // self._tick_ns - self._latest, 0, _AGES).astype(np.uint8)
        image: Image = np.take(self._palette, age + self._first_shade, axis=0, mode="clip")
        return enlarge(image, self.scale)


def enlarge(image: Image, scale: int) -> Image:
    """Return the image with each pixel as a square of ``scale`` px."""
    if scale == 1:
        return image
    size = (image.shape[1] * scale, image.shape[0] * scale)
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_NEAREST), np.uint8)


def scale_for(width: int, height: int, side_px: int = 690) -> int:
    """Return the whole factor that makes a small sensor's longer side about ``side_px`` px."""
    return max(1, round(side_px / max(width, height)))


def draw_skeleton(
    image: Image,
    keypoints: ArrayLike,
    confidence: ArrayLike,
    *,
    scale: int = 1,
    min_confidence: float = MIN_CONFIDENCE,
    style: SkeletonStyle = ESTIMATE_STYLE,
) -> None:
    """Draw a pose into ``image``.

    A joint below ``min_confidence`` is a ring instead of a disc, and its limbs are thin. A joint
    that is not finite or below :data:`HIDDEN_CONFIDENCE` is left out, and so are its limbs.

    Args:
        image: RGB, changed in place.
        keypoints: [13, 2] in px of the sensor.
        confidence: [13] in 0..1.
        scale: the image's size in units of the sensor's.

    Raises:
        ValueError: not 13 keypoints.
    """
    points = np.asarray(keypoints, np.float64)
    trust = np.asarray(confidence, np.float64)
    sure = trust >= min_confidence
    if points.shape != (NUM_JOINTS, 2) or sure.shape != (NUM_JOINTS,):
        raise ValueError(
            f"a pose has {NUM_JOINTS} keypoints, not {points.shape} with {sure.shape} confidences"
        )
    points = (points + 0.5) * scale - 0.5
    # both are False for NaN, too
    drawable = np.all(np.abs(points) < _FARTHEST_PX, axis=1) & (trust >= HIDDEN_CONFIDENCE)
    fixed = np.where(drawable[:, None], points, 0) * 2**_FRACTION_BITS
    at = [(x, y) for x, y in fixed.round().astype(int).tolist()]

    limbs = [(a, b) for a, b in LIMBS if drawable[a] and drawable[b]]
    joints = [joint for joint in range(NUM_JOINTS) if drawable[joint]]
    zoom = max(image.shape[1] / 346, 1.0)
    rim = max(1, round(zoom))

    def width(a: int, b: int) -> int:
        return max(1, round(style.limb_px * zoom * (1 if sure[a] and sure[b] else 0.4)))

    def disc(joint: int, colour: Colour, grown: int = 0, thickness: int = cv2.FILLED) -> None:
        radius = round((style.joint_px * zoom + grown) * 2**_FRACTION_BITS)
        cv2.circle(image, at[joint], radius, colour, thickness, cv2.LINE_AA, _FRACTION_BITS)

    def line(a: int, b: int, colour: Colour, thickness: int) -> None:
        cv2.line(image, at[a], at[b], colour, thickness, cv2.LINE_AA, _FRACTION_BITS)

    if style.outline is not None:
        for a, b in limbs:
            line(a, b, style.outline, width(a, b) + 2 * rim)
        for joint in joints:
            disc(joint, style.outline, grown=rim)
    for a, b in limbs:
        line(a, b, limb_colour(a, b, style), width(a, b))
    for joint in joints:
        colour = joint_colour(joint, style)
        if sure[joint]:
            disc(joint, colour)
        else:
            disc(joint, style.outline or BACKGROUND)
            disc(joint, colour, thickness=max(1, round(zoom * 0.7)))


def draw_caption(image: Image, text: str) -> None:
    """Write one line of text (ASCII) on a dark band at the bottom; changes ``image`` in place.

    The letters shrink until the text fits into the width of the image.
    """
    font, zoom = cv2.FONT_HERSHEY_SIMPLEX, max(image.shape[1] / 346, 1.0)
    margin = round(5 * zoom)
    size = 0.36 * zoom
    (wide, _), _ = cv2.getTextSize(text, font, size, 1)
    size *= min(1.0, (image.shape[1] - 2 * margin) / max(wide, 1))
    band = image[-round(17 * zoom) :]
    band[:] = band // 4 + np.array(BACKGROUND, np.uint8) // 2
    at = (margin, image.shape[0] - margin)
    weight = max(1, round(0.5 * zoom))
    cv2.putText(image, text, at, font, size, CAPTION_COLOUR, weight, cv2.LINE_AA)


def joint_colour(joint: int, style: SkeletonStyle) -> Colour:
    """Return the colour of a joint, by its side."""
    side = JOINTS[joint].partition("_")[0]
    return {"right": style.right, "left": style.left}.get(side, style.middle)


def limb_colour(a: int, b: int, style: SkeletonStyle) -> Colour:
    """Return the colour of the limb between two joints, by their side."""
    colours = {joint_colour(a, style), joint_colour(b, style)}
    return colours.pop() if len(colours) == 1 else style.middle


def _palette() -> Image:
    """Return the colours [2 * (_AGES + 1), 3]: OFF from new to gone, then ON."""
    # Squared, so that an edge stays bright for most of its life and then goes quickly.
    left = 1 - (np.arange(_AGES + 1) / _AGES)[:, None] ** 2
    background = np.array(BACKGROUND)
    shades = [background + left * (np.array(c) - background) for c in (OFF_COLOUR, ON_COLOUR)]
    return np.concatenate(shades).round().astype(np.uint8)
