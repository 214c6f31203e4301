# SPDX-License-Identifier: Apache-2.0
"""All that a recording is made of, and how scenes are drawn: a laboratory's, and anywhere."""

from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from hybrid_pose_ros.geometry.cameras import Camera
from hybrid_pose_ros.simulation.body import Body
from hybrid_pose_ros.simulation.camera_motion import CameraMotion
from hybrid_pose_ros.simulation.disturbances import Flicker
from hybrid_pose_ros.simulation.figure import BodyKind
from hybrid_pose_ros.simulation.mesh.mesh_body import MeshBody
from hybrid_pose_ros.simulation.motion import Motion
from hybrid_pose_ros.simulation.movements import MOVEMENTS, make_motion
from hybrid_pose_ros.simulation.renderer import Lighting
from hybrid_pose_ros.simulation.rooms import sample_background, sample_room
from hybrid_pose_ros.simulation.sensor import POLARITIES, SensorConfig
from hybrid_pose_ros.simulation.things import Thing

ABSENT: Final = 0.03
"""Share of wild scenes in which nobody is there."""

FLICKERING: Final = 0.05
"""Share of wild scenes with a lamp on alternating current."""

TREMBLING, PANNING = 0.09, 0.09
"""Shares of wild scenes with a camera that trembles, and with one that turns."""

ACCOMPANIED: Final = 0.10
"""Share of wild scenes with a second person, who is not labelled."""

CLUTTERED: Final = 0.08
"""Share of wild scenes with a moving thing."""

WIDE_SENSOR: Final = 0.70
"""Share of wild scenes with any make of sensor; the others have a DAVIS346 indoors."""

POLARITY_LOST: Final = 0.06
"""Share of wild scenes whose sensor reports polarity the wrong way round or not at all."""

FURNISHED, FURNISHED_PANNING = 0.4, 0.75
"""Shares of textured rooms before a camera that does not turn, and before one that does."""


@dataclass(frozen=True)
class Scene:
    """All that a recording is made of; the recording is a function of it.

    Attributes:
        motion: joints over time.
        body: build and clothes, of any kind.
        camera: where the sensor is; its width and height are the sensor's.
        lighting: one lamp.
        background: the room, log intensity [height, width]; larger by the same margin on both
            sides where the camera moves. Where that is not enough, its border is repeated.
        sensor: the sensor's properties.
        seed: of the sensor's noise and mismatch.
        present: whether the person is there; else no joint is visible.
        flicker: a lamp on alternating current, or None.
        camera_motion: the camera's movement, or None. Keypoints and their visibility are those in
            the moved image.
        others: further people, body and motion; they are not labelled.
        things: what else moves.
    """

    motion: Motion
    body: BodyKind
    camera: Camera
    lighting: Lighting
    background: NDArray[np.float32]
    sensor: SensorConfig
    seed: int
    present: bool = True
    flicker: Flicker | None = None
    camera_motion: CameraMotion | None = None
    others: tuple[tuple[BodyKind, Motion], ...] = ()
    things: tuple[Thing, ...] = ()

    @classmethod
    def sample(cls, motion: Motion, camera: Camera, rng: np.random.Generator) -> "Scene":
        """Draw a person, a room, a lamp and a sensor for a motion seen by a camera.

        The room is a laboratory's: the person is there, the light steady, the camera fixed.
        """
        lighting = Lighting.sample(rng)
        return cls(
            motion=motion,
            body=Body.sample(rng),
            camera=camera,
            lighting=lighting,
            background=sample_background(rng, camera.width, camera.height, lighting.glare),
            sensor=SensorConfig.sample(rng),
            seed=int(rng.integers(2**31)),
        )

    @classmethod
    def sample_wild(
        cls, motion: Motion, camera: Camera, rng: np.random.Generator, mesh_share: float = 0.0
    ) -> "Scene":
        """Draw a scene as they are anywhere, meant for training.

        The shares of what disturbs it are the constants of this module; they are independent.

        Args:
            mesh_share: share of people whose body is a mesh; the others are of capsules.
        """
        lighting, width, height = Lighting.sample(rng), camera.width, camera.height
        sensor = SensorConfig.sample(rng)
        if rng.random() < WIDE_SENSOR:
            sensor = SensorConfig.sample_wide(rng)
        if rng.random() < POLARITY_LOST:
            polarity = POLARITIES[int(rng.integers(1, len(POLARITIES)))]
            sensor = replace(sensor, polarity=polarity)
        camera_motion, margin = None, (0, 0)
        moves = rng.random()
        if moves < TREMBLING:
            camera_motion = CameraMotion.sample_trembling(rng, motion.duration_s, height / 260)
        elif moves < TREMBLING + PANNING:
            camera_motion = CameraMotion.sample_panning(rng, motion.duration_s, width, height)
        if camera_motion is not None:
            margin = camera_motion.reach_px(motion.duration_s)
        panning = TREMBLING <= moves < TREMBLING + PANNING
        furnished = rng.random() < (FURNISHED_PANNING if panning else FURNISHED)
        draw_room = sample_room if furnished else sample_background
        flickering, accompanied, cluttered, absent = rng.random(4) < (
            FLICKERING,
            ACCOMPANIED,
            CLUTTERED,
            ABSENT,
        )
        person_m = float(camera.depth(motion.joints_m.mean((0, 1))))
        return cls(
            motion=motion,
            body=sample_body(rng, mesh_share),
            camera=camera,
            lighting=lighting,
            background=draw_room(rng, width, height, lighting.glare, margin),
            sensor=sensor,
            seed=int(rng.integers(2**31)),
            present=not absent,
            flicker=Flicker.sample(rng, width, height) if flickering else None,
            camera_motion=camera_motion,
            others=(sample_companion(motion, camera, rng, mesh_share),) if accompanied else (),
            things=(Thing.sample(rng, camera, max(person_m, 1.0)),) if cluttered else (),
        )


def sample_body(rng: np.random.Generator, mesh_share: float) -> BodyKind:
    """Draw a body of flesh with the probability ``mesh_share``, else one of capsules."""
    return MeshBody.sample(rng) if rng.random() < mesh_share else Body.sample(rng)


def sample_companion(
    motion: Motion, camera: Camera, rng: np.random.Generator, mesh_share: float
) -> tuple[BodyKind, Motion]:
    """Draw a second person behind the first or at the edge of the picture, with any movement."""
    names = list(MOVEMENTS)
    own = make_motion(
        names[int(rng.integers(len(names)))], rng, motion.duration_s, rng.uniform(0, 2 * np.pi)
    )
    first = motion.joints_m.mean((0, 1))[:2] - camera.centre[:2]
    distance = max(float(np.linalg.norm(first)), 0.5)
    ahead = first / distance
    right = np.array((ahead[1], -ahead[0]))
    half = 0.5 * camera.width / camera.focal_px  # tangent of half the angle of view
    if rng.random() < 0.5:
        away, aside = distance * rng.uniform(1.2, 2.5), half * rng.normal(0, 0.5)
    else:
        away = max(distance * rng.uniform(0.8, 1.8), 1.0)
        aside = half * rng.choice((-1, 1)) * rng.uniform(0.75, 1.1)
    place = camera.centre[:2] + away * (ahead + aside * right)
    joints = own.joints_m.copy()
    joints[..., :2] += place - joints.mean((0, 1))[:2]
    return sample_body(rng, mesh_share), replace(own, joints_m=joints)
