# SPDX-License-Identifier: Apache-2.0
"""The axes of the stress test: one condition of a recording varied at a time."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, Literal

from hybrid_pose_ros.simulation.sensor import POLARITIES, Polarity

Value = float | str
"""A number in the axis' unit, or a name."""

Companion = Literal["none", "at the edge", "crossing"]

USUAL_SIZE: Final = 0.75
"""Height of a standing person as a share of the picture's, where size is not varied."""

FURTHER_REST_S: Final = 1.0
"""Time in which the whole body rests before some limbs go on alone, where it is not varied: as
long as the time in which the ANN counts events."""

ONE_LIMB: Final = "one limb"
"""One of the four limbs, in turn from performance to performance."""

PARTS: Final[dict[str, tuple[str, ...]]] = {
    "both arms": ("right_arm", "left_arm"),
    "right arm": ("right_arm",),
    "right leg": ("right_leg",),
    "head": ("head",),
}
"""Parts of the body that may move alone, and the limbs that they are."""


@dataclass(frozen=True)
class Setting:
    """The conditions of a recording; the defaults are the base scene.

    Attributes:
        noise_hz: shot noise per pixel and second; None: the sensor's own, below 0.1.
        moving: ``all``, one of :data:`PARTS`, or :data:`ONE_LIMB`.
        still_s: how long the whole body rests before the part alone moves.
        size: height of a standing person as a share of the picture's.
        below: share of a standing person that is below the picture.
        side: ``left`` or ``right``, the border of the picture that goes through the middle of the
            person; empty: none.
        heading_deg: 0 faces the camera, 90 turns the person's right side to it.
        textured: whether the room is furnished.
        pan_px_s: speed of the turning camera, in px of a picture 260 px high.
        trembling: whether the camera trembles as in a hand, by about 2 px of that picture.
        threshold: contrast that makes an event; None: the sensor's own.
        cutoff_hz: bandwidth of a photoreceptor that sees white; None: the sensor's own.
        body: ``capsules``, ``mesh``, or ``mixture``: every other person.
        resolution: width and height of the sensor.
        companion: a second person.
        polarity: how the sensor reports it.
    """

    noise_hz: float | None = None
    moving: str = "all"
    still_s: float = FURTHER_REST_S
    size: float = USUAL_SIZE
    below: float = 0.0
    side: Literal["", "left", "right"] = ""
    heading_deg: float = 0.0
    textured: bool = False
    pan_px_s: float = 0.0
    trembling: bool = False
    threshold: float | None = None
    cutoff_hz: float | None = None
    body: str = "mixture"
    resolution: tuple[int, int] = (346, 260)
    companion: Companion = "none"
    polarity: Polarity = "kept"

    @property
    def before_sensor(self) -> "Setting":
        """The setting but for what concerns the sensor, whose pixels then see the same light."""
        default = Setting()
        return replace(
            self,
            noise_hz=default.noise_hz,
            threshold=default.threshold,
            cutoff_hz=default.cutoff_hz,
            polarity=default.polarity,
        )


@dataclass(frozen=True)
class Axis:
    """One axis.

    Attributes:
        title: says what is varied, with its unit.
        settings: the setting of each value.
    """

    title: str
    settings: Mapping[Value, Setting]


def _axis(title: str, values: tuple[Any, ...], setting: Callable[[Any], Setting]) -> Axis:
    return Axis(title, {value: setting(value) for value in values})


_SIZES: Final = ((128, 128), (240, 180), (320, 240), (346, 260), (640, 480), (1280, 720))

AXES: Final[dict[str, Axis]] = {
    "noise": _axis(
        "shot noise (events per pixel and second)",
        (0.0, 0.05, 0.2, 0.35, 0.7, 1.0, 2.0),
        lambda hz: Setting(noise_hz=hz),
    ),
    "moving_share": _axis(
        "what of the body moves, after a rest of 1 s",
        ("all", *PARTS),
        lambda part: Setting(moving=part),
    ),
    "stillness": _axis(
        "rest of the whole body before one limb moves (s)",
        (0.5, 1.0, 3.0, 10.0, 30.0, 60.0),
        lambda seconds: Setting(moving=ONE_LIMB, still_s=seconds),
    ),
    "size": _axis(
        "height of the body as a share of the picture's",
        (0.2, 0.3, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0),
        lambda size: Setting(size=size),
    ),
    "cut_off": Axis(
        "share of the body below the picture, or the border that halves it",
        {
            0.0: Setting(),
            0.3: Setting(below=0.3),
            0.55: Setting(below=0.55),
            "left": Setting(side="left"),
            "right": Setting(side="right"),
        },
    ),
    "heading": _axis(
        "heading of the person (degrees; 0 faces the camera)",
        tuple(45.0 * eighth for eighth in range(8)),
        lambda degrees: Setting(heading_deg=degrees),
    ),
    "camera_motion": Axis(
        "motion of the camera before a furnished room (px/s)",
        {
            **{speed: Setting(textured=True, pan_px_s=speed) for speed in (0.0, 5.0, 20.0, 60.0)},
            "trembling": Setting(textured=True, trembling=True),
        },
    ),
    "threshold": _axis(
        "contrast threshold (log intensity)",
        (0.06, 0.08, 0.11, 0.2, 0.3, 0.45),
        lambda threshold: Setting(threshold=threshold),
    ),
    "bandwidth": _axis(
        "bandwidth of the photoreceptor (Hz)",
        (10.0, 30.0, 100.0, 300.0, 1000.0),
        lambda hertz: Setting(cutoff_hz=hertz),
    ),
    "body": _axis("kind of body", ("capsules", "mesh"), lambda kind: Setting(body=kind)),
    "resolution": Axis(
        "sensor (pixels)",
        {f"{width}x{height}": Setting(resolution=(width, height)) for width, height in _SIZES},
    ),
    "second_person": _axis(
        "second person",
        ("none", "at the edge", "crossing"),
        lambda companion: Setting(companion=companion),
    ),
    "polarity": _axis(
        "polarity as reported", POLARITIES, lambda polarity: Setting(polarity=polarity)
    ),
}
"""All axes, in the order of the page."""
