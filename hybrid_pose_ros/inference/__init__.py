# SPDX-License-Identifier: Apache-2.0
"""Streaming estimators without ROS: event steps in, state initialisations and poses out."""

from hybrid_pose_ros.inference.ann_estimator import AnnEstimator
from hybrid_pose_ros.inference.snn_estimator import InitPolicy, SnnEstimator
from hybrid_pose_ros.inference.state import (
    EncodedTensor,
    InitRejectedError,
    PoseEstimate,
    StateInit,
)

__all__ = [
    "AnnEstimator",
    "EncodedTensor",
    "InitPolicy",
    "InitRejectedError",
    "PoseEstimate",
    "SnnEstimator",
    "StateInit",
]
