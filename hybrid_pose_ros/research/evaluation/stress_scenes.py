# SPDX-License-Identifier: Apache-2.0
"""Scenes of the stress test: the same people before the same camera, under any setting.

Each part of a scene (motion, body, room, sensor) is drawn with a generator of its own, so that a
setting changes nothing but what it says and curves over an axis are paired.
"""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from hybrid_pose_ros.geometry.cameras import Camera
from hybrid_pose_ros.research.evaluation.stress_axes import ONE_LIMB, PARTS, Setting
from hybrid_pose_ros.research.training.splits import REPERTOIRES
from hybrid_pose_ros.simulation.bodies import make_body
from hybrid_pose_ros.simulation.camera_motion import RAMP_S, CameraMotion, ImageMotion, Pan, Shake
from hybrid_pose_ros.simulation.figure import BodyKind
from hybrid_pose_ros.simulation.mocap import draw_clip, load_clip, vary
from hybrid_pose_ros.simulation.modifiers import hold, join, only_limbs
from hybrid_pose_ros.simulation.motion import Motion, rotate_about_vertical
from hybrid_pose_ros.simulation.motion_sampler import moment_on_floor
from hybrid_pose_ros.simulation.movement_parts import phase_of, stand
from hybrid_pose_ros.simulation.movements import MOVEMENTS, PLACE_M, make_motion
from hybrid_pose_ros.simulation.renderer import Lighting
from hybrid_pose_ros.simulation.rooms import sample_background, sample_room
from hybrid_pose_ros.simulation.scene import Scene
from hybrid_pose_ros.simulation.sensor import SensorConfig
from hybrid_pose_ros.simulation.skeleton_motion import JointAngles, Proportions, joints_of

PERFORMED: Final = ("walking", "star_jumps", "punch_straight_right", "kick_left")
"""Movements of every person."""

CAPTURED: Final = 2
"""Captured motions beside them, where there is motion capture."""

BODY_M: Final = 1.7
"""Stature by which the size of a body in the picture is meant."""

LEAD_S: Final = 1.0
"""Poses of the first second do not count: so long is what the ANN sees."""

_DISTANCE_M, _EYE_M, _AIM_M = 3.0, 1.3, 0.95
_FACING: Final = np.pi
"""Yaw of a person who faces the camera."""

_ACTIVE_S: Final = 1.7
"""About when a body that is to rest comes to rest."""
_SETTLED_S: Final = 0.15
"""Time after that moment from which on nothing moves."""
_BEGUN_S: Final = 0.3
"""Time after which a limb that begins to move is well in motion, and poses count."""
_JOINING_S: Final = 0.5
"""Time in which a limb goes over from rest into its movement."""

_LIMB_MOVEMENTS: Final = {
    "right_arm": "figure_8_right",
    "left_arm": "figure_8_left",
    "right_leg": "kick_right",
    "left_leg": "kick_left",
}
_FOUR: Final = tuple(_LIMB_MOVEMENTS)

_PAN_REACH_PX: Final = 40.0
"""To both sides, in a picture 260 px high."""
_TREMBLING_PX: Final = 2.0
"""Standard deviation of a trembling camera's picture, likewise."""
_MARGIN_PX: Final = 50.0
"""Of a room before a camera that moves, likewise."""

_MOTION, _BODY, _ROOM, _SENSOR, _LIMB, _CAMERA, _OTHER = range(7)
"""Generators of one performance."""


@dataclass(frozen=True)
class Performance:
    """One person's performance; all that is random in it is a function of these numbers.

    Attributes:
        seed: of the whole test.
        person: number of the person.
        number: of the performance: first those of :data:`PERFORMED`, then captured ones.
    """

    seed: int
    person: int
    number: int

    @property
    def name(self) -> str:
        """Name of the movement, for people."""
        count = len(PERFORMED)
        if self.number < count:
            return PERFORMED[self.number]
        return f"captured {self.number - count + 1}"

    def generator(self, of: int) -> np.random.Generator:
        """Make the generator of one part of the scene."""
        return np.random.default_rng((self.seed, self.person, self.number, of))


@dataclass(frozen=True)
class StressScene:
    """A scene, its length, and the time from which on its poses count, in seconds."""

    scene: Scene
    seconds: float
    counted_from_s: float


def check_mocap(mocap: Path, seconds: float) -> None:
    """Raise the error that the scenes of captured performances would.

    Raises:
        OSError, MocapError: the motion capture cannot be read, or is too short.
    """
    _draw_captured(mocap, np.random.default_rng(0), _base_s(seconds))


def make_scene(
    performance: Performance, setting: Setting, seconds: float, mocap: Path | None
) -> StressScene:
    """Build the scene of a performance under a setting.

    Args:
        seconds: time in which poses count.
        mocap: motion capture; needed for captured performances alone.

    Raises:
        OSError, MocapError: the motion capture cannot be read.
    """
    motion, counted_from_s = _motion(performance, setting, seconds, mocap)
    turned = rotate_about_vertical(motion.joints_m, np.deg2rad(setting.heading_deg))
    motion = replace(motion, joints_m=turned)
    length = counted_from_s + seconds
    camera = stress_camera(setting)
    margin = (0, 0)
    if setting.textured:  # the same room for every motion of the camera
        margin = (round(_MARGIN_PX * camera.height / 260),) * 2
    rng = performance.generator(_ROOM)
    lighting = Lighting.sample(rng)
    draw_room = sample_room if setting.textured else sample_background
    others: tuple[tuple[BodyKind, Motion], ...] = ()
    if setting.companion != "none":
        others = (_companion(performance, setting, camera, length, counted_from_s + seconds / 2),)
    sensor_rng = performance.generator(_SENSOR)
    scene = Scene(
        motion=motion,
        body=_body(performance, setting.body, performance.generator(_BODY)),
        camera=camera,
        lighting=lighting,
        background=draw_room(rng, camera.width, camera.height, lighting.glare, margin),
        sensor=_sensor(SensorConfig.sample(sensor_rng), setting),
        seed=int(sensor_rng.integers(2**31)),
        camera_motion=_camera_motion(performance, setting, length, counted_from_s + seconds / 2),
        others=others,
    )
    return StressScene(scene, length, counted_from_s)


def stress_camera(setting: Setting) -> Camera:
    """Place the camera, 3 m before a person at the origin who faces -y."""
    width, height = setting.resolution
    focal = setting.size * height * _DISTANCE_M / BODY_M
    picture_m = BODY_M / setting.size
    aim = _AIM_M
    if setting.size > 1.1:  # the upper body is in view
        aim = BODY_M + 0.05 - 0.42 * picture_m
    if setting.below:  # the picture's lower border is so high at the person's place
        border = np.arctan2(setting.below * BODY_M - _EYE_M, _DISTANCE_M)
        half = np.arctan2(height / 2, focal)
        aim = _EYE_M + _DISTANCE_M * float(np.tan(border + half))
    towards = {"": 0.0, "left": 0.5, "right": -0.5}[setting.side] * picture_m * width / height
    return Camera.look_at(
        (0.0, -_DISTANCE_M, _EYE_M), (towards, 0.0, aim), focal, width, height, name="stress"
    )


def _motion(
    performance: Performance, setting: Setting, seconds: float, mocap: Path | None
) -> tuple[Motion, float]:
    """The motion of a person who faces the camera, and when poses begin to count."""
    rng = performance.generator(_MOTION)
    length = _base_s(seconds)
    if performance.number < len(PERFORMED):
        motion = make_motion(PERFORMED[performance.number], rng, length, _FACING)
        joints = motion.joints_m - (0.0, 0.0, PLACE_M[2])
    else:
        if mocap is None:
            raise ValueError("a captured performance needs motion capture")
        clip = _draw_captured(mocap, rng, length)
        motion = vary(load_clip(mocap, clip), rng, length, _FACING)
        joints = motion.joints_m.copy()
    joints[..., :2] -= joints[..., :2].mean((0, 1))
    motion = replace(motion, joints_m=joints)
    if setting.moving == "all":
        return motion, LEAD_S
    if setting.moving == ONE_LIMB:
        limbs: tuple[str, ...] = (_FOUR[(performance.number + performance.person) % len(_FOUR)],)
    else:
        limbs = PARTS[setting.moving]
    resting_s = moment_on_floor(motion, _ACTIVE_S)
    begins_s = resting_s + _SETTLED_S + setting.still_s
    resting = hold(motion, resting_s, setting.still_s + 1.0)
    times = np.arange(round(100 * (begins_s + _JOINING_S)) + 1) / 100
    resting = replace(resting, times_s=times, joints_m=resting.at(times))
    lively = _limb_motion(performance, limbs, motion, _JOINING_S + _BEGUN_S + seconds)
    alone = only_limbs(join(resting, lively), limbs, resting_s + _SETTLED_S)
    return alone, begins_s + _BEGUN_S


def _base_s(seconds: float) -> float:
    """Length of a motion, the same under all settings."""
    return max(LEAD_S + seconds, _ACTIVE_S + 1.0)


def _draw_captured(mocap: Path, rng: np.random.Generator, seconds: float) -> str:
    """Name of a clip of the test subjects, which may be played at up to 1.25 of its tempo."""
    return draw_clip(mocap, rng, REPERTOIRES["test"].may_see, least_s=1.3 * seconds)


def _limb_motion(
    performance: Performance, limbs: tuple[str, ...], motion: Motion, seconds: float
) -> Motion:
    """Let a person of the same size, who stands, move the limbs."""
    rng = performance.generator(_LIMB)
    pose = JointAngles(np.arange(int(np.ceil(100 * seconds)) + 2) / 100)
    stand(pose, rng)
    for limb in limbs:
        if limb == "head":
            pose.nod += 0.5 * np.sin(2 * np.pi * phase_of(rng, pose.times, (0.6, 1.0)))
            pose.cock += 0.4 * np.sin(2 * np.pi * phase_of(rng, pose.times, (0.4, 0.8)))
        else:
            MOVEMENTS[_LIMB_MOVEMENTS[limb]](pose, rng)
    joints = joints_of(pose, Proportions.of(motion.joints_m), _FACING)
    return Motion(pose.times, joints, motion.name)


def _body(performance: Performance, kind: str, rng: np.random.Generator) -> BodyKind:
    if kind == "mixture":
        kind = ("capsules", "mesh")[(performance.number + performance.person) % 2]
    return make_body(kind, rng)


def _sensor(sensor: SensorConfig, setting: Setting) -> SensorConfig:
    """Change what the setting says; a threshold keeps the ratios to ON and to the mismatch."""
    if setting.noise_hz is not None:
        sensor = replace(sensor, shot_hz=setting.noise_hz)
    if setting.threshold is not None:
        factor = setting.threshold / sensor.threshold_off
        sensor = replace(
            sensor,
            threshold_on=factor * sensor.threshold_on,
            threshold_off=setting.threshold,
            mismatch=factor * sensor.mismatch,
        )
    if setting.cutoff_hz is not None:
        sensor = replace(sensor, cutoff_hz=setting.cutoff_hz)
    return replace(sensor, polarity=setting.polarity)


def _camera_motion(
    performance: Performance, setting: Setting, length_s: float, middle_s: float
) -> CameraMotion | None:
    scale = setting.resolution[1] / 260
    parts: list[ImageMotion] = []
    if setting.pan_px_s:
        parts.append(_pan(setting.pan_px_s * scale, _PAN_REACH_PX * scale, length_s, middle_s))
    if setting.trembling:
        shake = Shake.sample(performance.generator(_CAMERA))
        spread = np.sqrt((shake.amplitude_px**2).sum() / 4)  # over time, mean of u and v
        amplitude = scale * _TREMBLING_PX / spread * shake.amplitude_px
        parts.append(replace(shake, amplitude_px=amplitude))
    return CameraMotion(tuple(parts)) if parts else None


def _pan(speed: float, reach: float, length_s: float, middle_s: float) -> Pan:
    """To and fro at a speed, through the middle of the picture at ``middle_s``."""
    leg_s = 2 * reach / speed + RAMP_S
    first = middle_s - leg_s * (0.5 + np.ceil(middle_s / leg_s))
    corners = first + leg_s * np.arange(int(np.ceil((length_s - first) / leg_s)) + 1)
    places = reach * (1 - 2 * (np.arange(len(corners)) % 2))
    return Pan(corners, np.stack((places, np.zeros_like(places)), -1))


def _companion(
    performance: Performance, setting: Setting, camera: Camera, length_s: float, middle_s: float
) -> tuple[BodyKind, Motion]:
    """A second person who walks: on the spot at the right edge, or by behind the first."""
    rng = performance.generator(_OTHER)
    crossing = setting.companion == "crossing"
    yaw = -np.pi / 2 if crossing else _FACING
    motion = make_motion("walking", rng, length_s, yaw)
    joints = motion.joints_m - (0.0, 0.0, PLACE_M[2])
    joints[..., :2] -= joints[..., :2].mean((0, 1))
    if crossing:
        joints += _way(1.2 * (motion.times_s - middle_s), 1.2)
    else:
        behind = 0.5
        half_m = 0.5 * camera.width / camera.focal_px * (_DISTANCE_M + behind)
        joints += (0.8 * half_m, behind, 0.0)
    return _body(performance, setting.body, rng), replace(motion, joints_m=joints)


def _way(across_m: NDArray[np.float64], behind_m: float) -> NDArray[np.float64]:
    """Places [F, 1, 3] of someone who walks by."""
    return np.stack((across_m, np.full_like(across_m, behind_m), 0 * across_m), -1)[:, None]
