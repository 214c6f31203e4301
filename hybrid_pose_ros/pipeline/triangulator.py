# SPDX-License-Identifier: Apache-2.0
"""Poses of several cameras, whose calibrations may come late -> poses in space, without ROS."""

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np

from hybrid_pose_ros.geometry.calibration import make_camera
from hybrid_pose_ros.geometry.cameras import Camera, CameraError
from hybrid_pose_ros.pipeline.pose_fusion import FusionConfig, Pose3D, PoseFusion
from hybrid_pose_ros.pipeline.state import Pose

SAME_PLACE_M: Final = 1e-3


class Triangulator:
    """Joins the poses of those cameras that are calibrated; with a new one it begins anew.

    Args:
        cameras: calibrations that are known from the start.

    Attributes:
        cameras: all that are known, by name.
        fusion: of their poses; None while there are fewer than two.
    """

    def __init__(self, config: FusionConfig, cameras: Mapping[str, Camera] | None = None) -> None:
        self.cameras = dict(cameras or {})
        self.fusion: PoseFusion | None = None
        self._config = config
        self._begin()

    def calibrate(self, name: str, camera: Camera) -> str:
        """Take the calibration of a camera; return why it is refused, or "".

        One that nothing can be triangulated with is refused, and so is the place of another
        camera: such a `p` does not map from a common frame.
        """
        known = self.cameras.get(name)
        if known is not None and np.array_equal(known.matrix, camera.matrix):
            return ""
        try:
            size = (camera.width, camera.height)
            camera = make_camera(*size, camera.matrix, name, camera.distortion)
        except CameraError as error:
            return str(error)
        if known is not None and np.allclose(known.matrix, camera.matrix, rtol=1e-12):
            return ""
        for other, theirs in self.cameras.items():
            if other != name and np.linalg.norm(theirs.centre - camera.centre) < SAME_PLACE_M:
                return (
                    f"{name} and {other} are in the same place, so p does not map from a common "
                    "frame; give their places in a calibration file"
                )
        self.cameras[name] = camera
        self._begin()
        return ""

    def add(self, name: str, pose: Pose, now_ns: int) -> list[Pose3D]:
        """Take a pose of a camera; return the poses in space that are done by it, in order.

        Poses before the first initialisation, and of cameras that are not calibrated, are left
        out.

        Args:
            now_ns: host time from any clock that does not jump.
        """
        # before its first initialisation the SNN knows nothing
        if self.fusion is None or name not in self.cameras or pose.init_age_ns < 0:
            return []
        return self.fusion.add(name, pose.sensor_time_ns, pose.keypoints, pose.confidence, now_ns)

    def expire(self, now_ns: int) -> list[Pose3D]:
        """Return the poses in space of the moments that have waited long enough."""
        return [] if self.fusion is None else self.fusion.expire(now_ns)

    def uncalibrated(self, names: Sequence[str]) -> list[str]:
        """Return those of the cameras whose calibration is not known."""
        return [name for name in names if name not in self.cameras]

    def silent(self) -> list[str]:
        """Return the cameras that moments do not wait for any more."""
        awaited = self.cameras.keys() if self.fusion is None else self.fusion.awaited
        return [name for name in self.cameras if name not in awaited]

    def _begin(self) -> None:
        several = len(self.cameras) > 1
        self.fusion = PoseFusion(self.cameras, self._config) if several else None
