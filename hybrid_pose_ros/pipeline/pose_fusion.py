# SPDX-License-Identifier: Apache-2.0
"""Poses of several cameras -> poses in space, without ROS.

Poses of the same moment of sensor time belong together: steps are absolute, so cameras whose
clocks are synchronised have poses of exactly the same times. A moment is done when every camera
that is awaited has delivered its pose of it, or a later one, or when it has waited long enough;
who was missing then is not awaited any more, until it delivers again in time.

When all cameras that are awaited have gone back in sensor time, as in a looped recording, moments
begin anew at once. When only some have, the others go on; once nothing more comes of them, moments
begin anew, too.
"""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from hybrid_pose_ros.geometry.cameras import Camera
from hybrid_pose_ros.geometry.triangulation import triangulate_agreeing
from hybrid_pose_ros.skeleton import NUM_JOINTS

MAX_PENDING = 1000
"""Moments that wait at most; with clocks that have nothing to do with each other all wait."""


@dataclass(frozen=True)
class FusionConfig:
    """Fusion settings.

    Attributes:
        tolerance_ns: poses this far apart still belong together; 0 for synchronised clocks. It
            must be less than half a step.
        max_wait_ns: host time from the first pose of a moment to its end.
        max_error_px: a camera farther than this from the others' common point is left out.
        min_confidence: 0 to 1; less confident image points are not used.
    """

    tolerance_ns: int = 0
    max_wait_ns: int = 500_000_000
    max_error_px: float = 15.0
    min_confidence: float = 0.1


@dataclass(frozen=True)
class Pose3D:
    """A pose in space.

    Attributes:
        sensor_time_ns: the moment; that of the earliest of the poses.
        joints: [13, 3] in metres; where the confidence is 0, the last known position (0, 0, 0
            before there is one).
        confidence: mean of those of the cameras used, 0 to 1, [13]; 0 where no two cameras that
            see the joint agree about it.
        reprojection_px: root mean square over the cameras used, [13]; 0 where confidence is 0.
        used: which camera has a part in which joint, camera -> bool [13].
    """

    sensor_time_ns: int
    joints: NDArray[np.float64]
    confidence: NDArray[np.float64]
    reprojection_px: NDArray[np.float64]
    used: Mapping[str, NDArray[np.bool_]]

    @property
    def views(self) -> int:
        """Number of cameras that have a part in at least one joint."""
        return sum(bool(used.any()) for used in self.used.values())


@dataclass(frozen=True)
class _CameraPose:
    camera: str
    sensor_time_ns: int
    keypoints: NDArray[np.floating]
    confidence: NDArray[np.floating]
    heard_at_ns: int


@dataclass
class _Moment:
    sensor_time_ns: int
    since_ns: int
    poses: dict[str, _CameraPose] = field(default_factory=dict)


class PoseFusion:
    """Pairs the poses of cameras by sensor time and triangulates them.

    Attributes:
        late: poses of each camera that came after their moment was done.
        lonely: moments of which only one camera had a pose.
    """

    def __init__(self, cameras: Mapping[str, Camera], config: FusionConfig) -> None:
        self._cameras = dict(cameras)
        self._config = config
        self.late = dict.fromkeys(self._cameras, 0)
        self.lonely = 0
        self._heard = dict.fromkeys(self._cameras, -1)
        self._heard_at_ns = dict.fromkeys(self._cameras, 0)
        self._again: dict[str, deque[_CameraPose]] = {camera: deque() for camera in self._cameras}
        """Late poses of each camera since it went back in time; none if it has not."""
        self._newest = dict.fromkeys(self._cameras, -1)
        """Sensor time of the newest pose of each camera that is awaited."""
        self._last_joints: NDArray[np.float64] = np.zeros((NUM_JOINTS, 3))
        self._pending: list[_Moment] = []
        self._forget()

    @property
    def awaited(self) -> frozenset[str]:
        """Cameras that moments wait for."""
        return frozenset(self._newest)

    def add(
        self,
        camera: str,
        sensor_time_ns: int,
        keypoints: NDArray[np.floating],
        confidence: NDArray[np.floating],
        now_ns: int,
    ) -> list[Pose3D]:
        """Take a pose of one camera; return the poses in space that are done by it, in order.

        Args:
            keypoints: (u, v) in pixels, [13, 2].
            confidence: 0 to 1, [13].
            now_ns: host time from any clock that does not jump.

        Raises:
            KeyError: no such camera.
        """
        if camera not in self._cameras:
            raise KeyError(camera)
        done = self.expire(now_ns)
        goes_back = sensor_time_ns < self._heard[camera]
        self._heard[camera], self._heard_at_ns[camera] = sensor_time_ns, now_ns
        pose = _CameraPose(camera, sensor_time_ns, keypoints, confidence, now_ns)
        again = self._again[camera]
        if goes_back:
            again.clear()
        tolerance = self._config.tolerance_ns
        if self._done_ns is None or sensor_time_ns > self._done_ns + tolerance:
            again.clear()
            self._put(pose)
            return done + self._finish_complete(now_ns)
        self.late[camera] += 1
        if goes_back or again:
            self._drop_outdated(again, now_ns)
            again.append(pose)
            if self._have_all_gone_back() or self._is_quiet(now_ns):
                return done + self._start_over(now_ns)
        if self._would_have_come(sensor_time_ns, now_ns):
            self._newest[camera] = sensor_time_ns
        return done

    def expire(self, now_ns: int) -> list[Pose3D]:
        """Return what has waited long enough; to be called every few ms."""
        done: list[Pose3D] = []
        while self._pending and now_ns - self._pending[0].since_ns > self._config.max_wait_ns:
            moment = self._pending[0]
            for camera in self.awaited - moment.poses.keys():
                is_silent = now_ns - self._heard_at_ns[camera] > self._config.max_wait_ns
                # behind a camera that is alone there may be others that have each other
                if not self._has_passed(camera, moment) and (len(moment.poses) > 1 or is_silent):
                    del self._newest[camera]
            done += self._finish(now_ns)
            while self._pending and self._is_complete(self._pending[0]):
                done += self._finish(now_ns)
        return done

    def _have_all_gone_back(self) -> bool:
        # One camera alone may have been started anew, and others may come back to the old time.
        return len(self._newest) > 1 and all(self._again[camera] for camera in self._newest)

    def _is_quiet(self, now_ns: int) -> bool:
        # Of a camera that is awaited but has not gone back nothing may come any more.
        return not self._pending and now_ns - self._done_at_ns > self._config.max_wait_ns

    def _start_over(self, now_ns: int) -> list[Pose3D]:
        """Finish the old time and go on with the poses of the new one that have come already."""
        done: list[Pose3D] = []
        while self._pending:
            done += self._finish(now_ns)
        self._forget()
        self._newest = dict.fromkeys(self._newest, -1)
        for camera, again in self._again.items():
            self._drop_outdated(again, now_ns)
            self.late[camera] -= len(again)
            while again:
                self._put(again.popleft())
        return done + self._finish_complete(now_ns)

    def _drop_outdated(self, poses: deque[_CameraPose], now_ns: int) -> None:
        while poses and now_ns - poses[0].heard_at_ns > self._config.max_wait_ns:
            poses.popleft()

    def _forget(self) -> None:
        self._recent: deque[_Moment] = deque()
        self._done_ns: int | None = None
        self._done_at_ns = 0

    def _put(self, pose: _CameraPose) -> None:
        """Put a pose to its moment, and wait for its camera from now on."""
        self._newest[pose.camera] = pose.sensor_time_ns
        moment = self._find(pose.camera, pose.sensor_time_ns)
        if moment is None:
            moment = _Moment(pose.sensor_time_ns, pose.heard_at_ns)
            self._pending.append(moment)
            self._pending.sort(key=lambda waiting: waiting.sensor_time_ns)
        moment.poses[pose.camera] = pose

    def _finish_complete(self, now_ns: int) -> list[Pose3D]:
        done: list[Pose3D] = []
        while self._pending and (
            self._is_complete(self._pending[0]) or len(self._pending) > MAX_PENDING
        ):
            done += self._finish(now_ns)
        return done

    def _would_have_come(self, sensor_time_ns: int, now_ns: int) -> bool:
        """Whether a late pose had been in time, had its moment waited for it."""
        while self._recent and now_ns - self._recent[0].since_ns > self._config.max_wait_ns:
            self._recent.popleft()
        return bool(self._recent) and sensor_time_ns >= self._recent[0].sensor_time_ns

    def _find(self, camera: str, sensor_time_ns: int) -> _Moment | None:
        near = [
            moment
            for moment in self._pending
            if abs(moment.sensor_time_ns - sensor_time_ns) <= self._config.tolerance_ns
            and camera not in moment.poses
        ]
        return min(near, key=lambda m: abs(m.sensor_time_ns - sensor_time_ns), default=None)

    def _is_complete(self, moment: _Moment) -> bool:
        # One camera alone makes no pose: others that come back get their time.
        return len(self._newest) > 1 and all(
            camera in moment.poses or self._has_passed(camera, moment) for camera in self._newest
        )

    def _has_passed(self, camera: str, moment: _Moment) -> bool:
        return self._newest[camera] > moment.sensor_time_ns + self._config.tolerance_ns

    def _finish(self, now_ns: int) -> list[Pose3D]:
        moment = self._pending.pop(0)
        if len(moment.poses) < 2:  # not done: two cameras behind this one may still come to it
            self.lonely += 1
            return []
        self._done_ns, self._done_at_ns = moment.sensor_time_ns, now_ns
        self._recent.append(moment)
        if len(self._recent) > MAX_PENDING:
            self._recent.popleft()
        return [self._fuse(moment)]

    def _fuse(self, moment: _Moment) -> Pose3D:
        names = sorted(moment.poses)
        poses = [moment.poses[name] for name in names]
        points = np.stack([pose.keypoints for pose in poses]).astype(np.float64)
        confidence = np.stack([pose.confidence for pose in poses]).astype(np.float64)
        weights = np.where(confidence >= self._config.min_confidence, confidence, 0.0)
        found = triangulate_agreeing(
            [self._cameras[name] for name in names], points, weights, self._config.max_error_px
        )
        known = np.asarray(np.isfinite(found.points).all(-1))
        joints = np.where(known[:, None], found.points, self._last_joints)
        self._last_joints = joints
        views = np.maximum(found.used.sum(0), 1)
        return Pose3D(
            moment.sensor_time_ns,
            joints,
            np.where(known, (confidence * found.used).sum(0) / views, 0.0),
            np.where(known, found.reprojection_px, 0.0),
            {name: used & known for name, used in zip(names, found.used, strict=True)},
        )
