# SPDX-License-Identifier: Apache-2.0
"""The simulator as an event source, like a camera or a file."""

import numpy as np

from hybrid_pose_ros.events.array import EventArray
from hybrid_pose_ros.geometry.cameras import DHP19_LIKE
from hybrid_pose_ros.simulation.movements import MOVEMENTS, make_motion
from hybrid_pose_ros.simulation.recording import Scene, simulate_chunks


def sample_scene(motion: str, seconds: float, seed: int, camera: int = 0) -> Scene:
    """Draw a scene of one of :data:`~hybrid_pose_ros.simulation.movements.MOVEMENTS`.

    Args:
        motion: name of the movement.
        seconds: length of the motion.
        seed: the scene is a function of it.
        camera: index into :data:`~hybrid_pose_ros.geometry.cameras.DHP19_LIKE`.

    Raises:
        ValueError: no such movement or camera.
    """
    if motion not in MOVEMENTS:
        raise ValueError(f"no movement is called {motion!r}; there are {', '.join(MOVEMENTS)}")
    if not 0 <= camera < len(DHP19_LIKE):
        raise ValueError(f"no camera {camera}; there are 0 to {len(DHP19_LIKE) - 1}")
    rng = np.random.default_rng(seed)
    return Scene.sample(make_motion(motion, rng, seconds), DHP19_LIKE[camera], rng)


class SimulatorSource:
    """Simulates while it is read, 100 ms at a time (an ``EventSource``).

    Args:
        motion, seconds, seed, camera: as for :func:`sample_scene`.
    """

    live = False

    def __init__(self, motion: str, seconds: float, seed: int, camera: int = 0) -> None:
        scene = sample_scene(motion, seconds, seed, camera)
        self.name = f"simulator:{motion}:{seed}"
        self.width = scene.camera.width
        self.height = scene.camera.height
        self._chunks = simulate_chunks(scene, seconds)

    def read(self) -> EventArray | None:
        """Return the next 100 ms of events, or None at the end."""
        chunk = next(self._chunks, None)
        return None if chunk is None else chunk.events

    def close(self) -> None:
        """Nothing to release."""
