# SPDX-License-Identifier: Apache-2.0
"""The simulator as an event source, like a camera or a file."""

from dataclasses import replace

import numpy as np

from hybrid_pose_ros.events.array import EventArray
from hybrid_pose_ros.geometry.cameras import DHP19_LIKE, VIEWS
from hybrid_pose_ros.simulation.movements import MOVEMENTS, make_motion
from hybrid_pose_ros.simulation.recording import Scene, simulate_chunks


def sample_scene(motion: str, seconds: float, seed: int, view: str = VIEWS[0]) -> Scene:
    """Draw a scene of one of :data:`~hybrid_pose_ros.simulation.movements.MOVEMENTS`.

    Scenes of the same motion, length and seed show the same person at the same time in the same
    light, whatever the view; each view has a background and a sensor of its own.

    Args:
        motion: name of the movement.
        seconds: length of the motion.
        seed: the scene is a function of it.
        view: name of a camera of :data:`~hybrid_pose_ros.geometry.cameras.DHP19_LIKE`.

    Raises:
        ValueError: no such movement or view.
    """
    if motion not in MOVEMENTS:
        raise ValueError(f"no movement is called {motion!r}; there are {', '.join(MOVEMENTS)}")
    if view not in VIEWS:
        raise ValueError(f"no view is called {view!r}; there are {', '.join(VIEWS)}")
    index = VIEWS.index(view)
    rng = np.random.default_rng(seed)
    scene = Scene.sample(make_motion(motion, rng, seconds), DHP19_LIKE[index], rng)
    if not index:
        return scene
    # What is common to all views is drawn before what is not; the rest must not be a copy.
    own = Scene.sample(scene.motion, scene.camera, np.random.default_rng((seed, index)))
    return replace(own, body=scene.body, lighting=scene.lighting)


class SimulatorSource:
    """Simulates while it is read, 100 ms at a time (an ``EventSource``).

    Args:
        motion, seconds, seed, view: as for :func:`sample_scene`.
    """

    live = False

    def __init__(self, motion: str, seconds: float, seed: int, view: str = VIEWS[0]) -> None:
        scene = sample_scene(motion, seconds, seed, view)
        self.name = f"simulator:{motion}:{seed}:{view}"
        self.width = scene.camera.width
        self.height = scene.camera.height
        self._chunks = simulate_chunks(scene, seconds)

    def read(self) -> EventArray | None:
        """Return the next 100 ms of events, or None at the end."""
        chunk = next(self._chunks, None)
        return None if chunk is None else chunk.events

    def close(self) -> None:
        """Nothing to release."""
