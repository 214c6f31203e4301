# SPDX-License-Identifier: Apache-2.0
"""Poses as detections of the package `vision_msgs`, which has no message for joints.

A person is the box around the joints, with the class "person". It is as wide as the joints lie
apart: the body's outline is a little wider.
"""

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from hybrid_pose_ros.interfaces.topics import POSE, Topic
from hybrid_pose_ros.pipeline.state import Pose

DETECTIONS: Final = Topic("detections", "vision_msgs/msg/Detection2DArray", POSE.offered)

PERSON: Final = "person"
"""Class of a detection, as in COCO."""


def detections_message(messages: Any, pose: Pose, header: Any, min_confidence: float) -> Any:
    """Return the person of a pose (vision_msgs/Detection2DArray); nobody if no joint is certain.

    The box, centre and sides in pixels, has no angle; the score is the mean confidence of the
    joints in it, and the id is that of the pose.

    Args:
        messages: the module `vision_msgs.msg`, of version 4 (Humble) or later.
        min_confidence: joints below count as not known.
    """
    certain = np.isfinite(pose.keypoints).all(1) & (pose.confidence >= min_confidence)
    certain &= pose.confidence > 0
    detections = []
    if certain.any():
        score = float(pose.confidence[certain].mean())
        hypothesis = messages.ObjectHypothesis(class_id=PERSON, score=score)
        detections.append(
            messages.Detection2D(
                header=header,
                results=[messages.ObjectHypothesisWithPose(hypothesis=hypothesis)],
                bbox=_box(messages, pose.keypoints[certain].astype(np.float64)),
                id=str(pose.id),
            )
        )
    return messages.Detection2DArray(header=header, detections=detections)


def _box(messages: Any, points: NDArray[np.float64]) -> Any:
    low, high = points.min(0), points.max(0)
    (x, y), (width, height) = ((low + high) / 2).tolist(), (high - low).tolist()
    centre = messages.Pose2D(position=messages.Point2D(x=x, y=y), theta=0.0)
    return messages.BoundingBox2D(center=centre, size_x=width, size_y=height)
