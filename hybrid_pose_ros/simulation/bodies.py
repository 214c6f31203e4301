# SPDX-License-Identifier: Apache-2.0
"""All kinds of bodies by name."""

from collections.abc import Callable
from typing import Final

import numpy as np

from hybrid_pose_ros.simulation.body import Body
from hybrid_pose_ros.simulation.figure import BodyKind
from hybrid_pose_ros.simulation.mesh.mesh_body import MeshBody

BODIES: Final[dict[str, Callable[[np.random.Generator], BodyKind]]] = {
    "capsules": Body.sample,
    "mesh": MeshBody.sample,
}
"""Kind of people -> function that draws one."""


def make_body(kind: str, rng: np.random.Generator) -> BodyKind:
    """Draw a person of a kind.

    Raises:
        ValueError: there is no such kind.
    """
    if kind not in BODIES:
        raise ValueError(f"no kind of body is called {kind!r}; choose one of {sorted(BODIES)}")
    return BODIES[kind](rng)
