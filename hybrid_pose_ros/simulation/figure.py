# SPDX-License-Identifier: Apache-2.0
"""One interface for all kinds of bodies: a body, a figure that moves, and its view by a camera."""

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from hybrid_pose_ros.arrays import F32, F64
from hybrid_pose_ros.geometry.cameras import Camera
from hybrid_pose_ros.simulation.motion import Motion
from hybrid_pose_ros.simulation.renderer import Lighting


class FigureView(Protocol):
    """A figure in the image of a camera over a number of frames."""

    def move(self, offsets_px: F64) -> None:
        """Move the picture of each frame by [F, 2] pixels, as a camera does that trembles."""

    def bounds(self, frame: int, width: int, height: int, box: NDArray[np.int64]) -> None:
        """Write x0, y0, x1, y1 (exclusive) of all that :meth:`draw` changes in an image."""

    def draw(self, frame: int, canvas: F32, depth: F32) -> None:
        """Draw over ``canvas`` (log intensity, [H, W]) where it is nearer than ``depth``.

        ``depth`` (metres, [H, W]; 1e9 where nothing is) then holds the figure's. Of several
        figures the nearer hides the farther in any order; edges are exact with the farthest first.
        """


class Figure(Protocol):
    """A body that carries out a motion."""

    def markers_m(self, times_s: NDArray[np.floating]) -> F64:
        """Place the markers that labels mean, [F, 13, 3] in metres, at times [F]."""

    def view(
        self, times_s: NDArray[np.floating], camera: Camera, lighting: Lighting
    ) -> FigureView:
        """Prepare the pictures that a camera takes at times [F]."""


class BodyKind(Protocol):
    """Build and looks of one person."""

    def figure(self, motion: Motion) -> Figure:
        """Let the person carry out a motion."""
