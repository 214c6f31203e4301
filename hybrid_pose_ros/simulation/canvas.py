# SPDX-License-Identifier: Apache-2.0
"""The picture of a scene over time, and how often it must be drawn."""

from collections.abc import Callable
from typing import Final

import numpy as np
from numpy.typing import NDArray

from hybrid_pose_ros.geometry.cameras import NEAREST_M
from hybrid_pose_ros.simulation.figure import Figure, FigureView
from hybrid_pose_ros.simulation.renderer import clear
from hybrid_pose_ros.simulation.rooms import show_room
from hybrid_pose_ros.simulation.scene import Scene

FRAMES_US: Final = (1_000, 2_000, 5_000, 10_000, 20_000)
"""Times between rendered frames, in between of which light is interpolated; the longest is taken
in which nothing moves further than :data:`STEP_PX`."""

STEP_PX: Final = 0.7

STILL_PX: Final = 0.02
"""Where nothing moves further in a chunk, two frames are enough for it."""

_SAMPLE_US = 10_000
"""Time between the points by which speed is measured."""


class Canvas:
    """The picture that the sensor sees, drawn over each time.

    Args:
        scene: what is drawn.
        figure: the person of the scene; it is not drawn where the scene is empty.

    Attributes:
        image: log intensity, float32 [H, W]; the same array for all times.
    """

    def __init__(self, scene: Scene, figure: Figure) -> None:
        self._scene = scene
        people = [(figure, scene.motion)] if scene.present else []
        people += [(body.figure(motion), motion) for body, motion in scene.others]
        self._people = people
        shape = (scene.camera.height, scene.camera.width)
        self._room = np.empty(shape, np.float32)
        self._shown: tuple[float, float] | None = None
        self._depth = np.full(shape, 1e9, np.float32)
        self._boxes = np.zeros((len(people) + len(scene.things), 4), np.int64)
        self.image = np.empty(shape, np.float32)

    def show(self, times_us: NDArray[np.int64], seen: Callable[[int], None]) -> None:
        """Draw the scene at each time, and call ``seen`` with it."""
        scene = self._scene
        views = self._views(times_us)
        moved: NDArray[np.float64] = np.zeros((len(times_us), 2))
        if scene.camera_motion is not None:
            moved = scene.camera_motion.at(times_us)
            for view in views:
                view.move(moved)
        height, width = self.image.shape
        for frame, time_us in enumerate(times_us):
            self._show_room(float(moved[frame, 0]), float(moved[frame, 1]))
            for box, view in zip(self._boxes, views, strict=True):
                view.bounds(frame, width, height, box)
                view.draw(frame, self.image, self._depth)
            seen(int(time_us))

    def _views(self, times_us: NDArray[np.int64]) -> list[FigureView]:
        """All that is before the room, the farthest first."""
        scene = self._scene
        middle = times_us[[len(times_us) // 2]] * 1e-6
        near: list[tuple[float, FigureView]] = [
            (thing.depth_m, thing.view(times_us)) for thing in scene.things
        ]
        for figure, motion in self._people:
            depth = float(scene.camera.depth(motion.at(middle)).mean())
            near.append((depth, figure.view(times_us * 1e-6, scene.camera, scene.lighting)))
        return [view for _, view in sorted(near, key=lambda item: -item[0])]

    def _show_room(self, du: float, dv: float) -> None:
        """Restore the room where something was drawn, or all of it where it has moved."""
        if (du, dv) != self._shown:
            show_room(self._scene.background, du, dv, self._room)
            self.image[:] = self._room
            self._shown = (du, dv)
        for box in self._boxes:
            clear(self.image, self._depth, self._room, *box)


def frame_times(scene: Scene, start_us: int, stop_us: int) -> NDArray[np.int64]:
    """Choose when a scene is drawn in (start, stop]: the faster things move, the more often."""
    if scene.flicker is not None:
        span = FRAMES_US[0]
    else:
        furthest, speed = _movement(scene, start_us, stop_us)
        span = max([span for span in FRAMES_US if span * speed <= STEP_PX], default=FRAMES_US[0])
        if furthest <= STILL_PX and start_us + span < stop_us:
            # the first is soon, so that photoreceptors which still follow do so in time
            return np.array((start_us + span, stop_us))
    return np.append(np.arange(start_us + span, stop_us, span), stop_us)


def _movement(scene: Scene, start_us: int, stop_us: int) -> tuple[float, float]:
    """The longest way of a point in the picture (px), and the highest speed (px per us)."""
    times = np.append(np.arange(start_us, stop_us, _SAMPLE_US), stop_us)
    camera = scene.camera
    tracks: list[NDArray[np.float64]] = [np.zeros((len(times), 1, 2))]  # the room
    tracks += [thing.corners(times) for thing in scene.things]
    people = [scene.motion] if scene.present else []
    for motion in people + [motion for _, motion in scene.others]:
        joints = motion.at(times * 1e-6)
        # fingers and toes move faster than hands and feet
        points = 2 * joints - joints.mean(1, keepdims=True)
        image = points @ camera.matrix[:, :3].T + camera.matrix[:, 3]
        depth = image[..., 2:]
        behind = depth < NEAREST_M
        tracks.append(np.where(behind, 0.0, image[..., :2] / np.where(behind, 1.0, depth)))
    track = np.concatenate(tracks, 1)
    if scene.camera_motion is not None:
        track = track + scene.camera_motion.at(times)[:, None]
    # what moves far outside the picture is not seen
    size = np.array((camera.width, camera.height))
    track = np.clip(track, -0.5 * size, 1.5 * size)
    steps = np.linalg.norm(np.diff(track, axis=0), axis=-1).max(1)
    furthest = np.linalg.norm(np.ptp(track, axis=0), axis=-1).max()
    return float(furthest), float((steps / np.diff(times)).max())
