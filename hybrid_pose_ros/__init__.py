# SPDX-License-Identifier: Apache-2.0
"""Human pose from an event camera: a hybrid ANN-SNN perception package for ROS 2.

>>> from hybrid_pose_ros import PoseEstimator, open_recording
>>> recording = open_recording("walk.aedat4")  # doctest: +SKIP
>>> estimator = PoseEstimator(recording.width, recording.height)  # doctest: +SKIP
>>> for events in recording:  # doctest: +SKIP
...     for pose in estimator.push(events):
...         print(pose.sensor_time_ns, pose.keypoints, pose.confidence)
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hybrid_pose_ros.bags.opening import open_recording as open_recording
    from hybrid_pose_ros.events.array import make_events as make_events
    from hybrid_pose_ros.networks.checkpoint import load_checkpoint as load_model
    from hybrid_pose_ros.pipeline.ann_demand import AutoRate as AutoRate
    from hybrid_pose_ros.pipeline.pose_estimator import PoseEstimator as PoseEstimator
    from hybrid_pose_ros.pipeline.state import Pose as Pose

PACKAGE = "hybrid_pose_ros"
"""Name of the ROS package."""

__all__ = ["PoseEstimator", "Pose", "AutoRate", "load_model", "make_events", "open_recording"]  # noqa: RUF022

_HOMES = {
    "PoseEstimator": ("pipeline.pose_estimator", "PoseEstimator"),
    "Pose": ("pipeline.state", "Pose"),
    "AutoRate": ("pipeline.ann_demand", "AutoRate"),
    "load_model": ("networks.checkpoint", "load_checkpoint"),
    "make_events": ("events.array", "make_events"),
    "open_recording": ("bags.opening", "open_recording"),
}
"""Modules of the public names, which are imported when they are first asked for."""


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from hybrid_pose_ros.version import package_version

        return package_version()
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib

    module, attribute = _HOMES[name]
    return getattr(importlib.import_module(f"{__name__}.{module}"), attribute)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, "__version__"})
