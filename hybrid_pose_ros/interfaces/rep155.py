# SPDX-License-Identifier: Apache-2.0
"""From our 13 joints to the 18 points of REP-155's 2D skeleton.

The points are those of OpenPose's COCO model, in its order. Coordinates are shares of the image's
width and height, from its upper left corner: the centre of pixel 0 lies half a pixel inside.
"""

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from hybrid_pose_ros.pipeline.state import Pose
from hybrid_pose_ros.skeleton import joint_id

POINTS: Final = (
    "NOSE",
    "NECK",
    "RIGHT_SHOULDER",
    "RIGHT_ELBOW",
    "RIGHT_WRIST",
    "LEFT_SHOULDER",
    "LEFT_ELBOW",
    "LEFT_WRIST",
    "RIGHT_HIP",
    "RIGHT_KNEE",
    "RIGHT_ANKLE",
    "LEFT_HIP",
    "LEFT_KNEE",
    "LEFT_ANKLE",
    "LEFT_EYE",
    "RIGHT_EYE",
    "LEFT_EAR",
    "RIGHT_EAR",
)
"""Names of the points as constants of `hri_msgs/msg/Skeleton2D`; the index is the constant."""

_SAME: Final = {
    "NOSE": "head",
    "RIGHT_SHOULDER": "right_shoulder",
    "RIGHT_ELBOW": "right_elbow",
    "RIGHT_WRIST": "right_hand",
    "LEFT_SHOULDER": "left_shoulder",
    "LEFT_ELBOW": "left_elbow",
    "LEFT_WRIST": "left_hand",
    "RIGHT_HIP": "right_hip",
    "RIGHT_KNEE": "right_knee",
    "RIGHT_ANKLE": "right_foot",
    "LEFT_HIP": "left_hip",
    "LEFT_KNEE": "left_knee",
    "LEFT_ANKLE": "left_foot",
}
"""The joint of ours nearest to a point. NECK is the middle of the shoulders; eyes and ears are not
known."""


@dataclass(frozen=True)
class Skeleton:
    """A skeleton of REP-155.

    Attributes:
        points: (x, y) in [0, 1], float32 [18, 2].
        confidence: in [0, 1], float32 [18]; 0 where a point is not known, lies outside the image,
            or is less certain than wanted. Such a point is at (0, 0).
    """

    points: NDArray[np.float32]
    confidence: NDArray[np.float32]


def rep155_skeleton(pose: Pose, width: int, height: int, min_confidence: float = 0.0) -> Skeleton:
    """Convert a pose in pixels of an image of this size.

    Args:
        min_confidence: joints below count as not known.
    """
    points = np.zeros((len(POINTS), 2))
    confidence = np.zeros(len(POINTS))
    for name, joint in _SAME.items():
        index = POINTS.index(name)
        points[index] = (pose.keypoints[joint_id(joint)] + 0.5) / (width, height)
        confidence[index] = pose.confidence[joint_id(joint)]
    neck, *shoulders = map(POINTS.index, ("NECK", "RIGHT_SHOULDER", "LEFT_SHOULDER"))
    points[neck] = points[shoulders].mean(0)
    confidence[neck] = confidence[shoulders].min()
    unknown = (confidence < min_confidence) | ((points < 0) | (points > 1)).any(-1)
    points[unknown], confidence[unknown] = 0.0, 0.0
    return Skeleton(points.astype(np.float32), confidence.astype(np.float32))


def skeleton_message(messages: Any, skeleton: Skeleton, header: Any) -> Any:
    """Return a skeleton as a message (hri_msgs/Skeleton2D).

    Args:
        messages: the module `hri_msgs.msg`.
    """
    rows = zip(skeleton.points.tolist(), skeleton.confidence.tolist(), strict=True)
    points = [messages.NormalizedPointOfInterest2D(x=x, y=y, c=c) for (x, y), c in rows]
    return messages.Skeleton2D(header=header, skeleton=points)
