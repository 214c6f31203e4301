# SPDX-License-Identifier: Apache-2.0
"""Poses of a recording (.aedat4, .aedat, .raw, .npz, .h5 or a bag) as a table.

python recording_to_csv.py walk.aedat4 walk.csv
"""

import csv
import sys

import numpy as np

from hybrid_pose_ros import PoseEstimator, open_recording
from hybrid_pose_ros.skeleton import JOINTS


def main(path: str, out: str) -> None:
    """Write a line per pose: its time in seconds, then x, y and confidence of each joint."""
    recording = open_recording(path)
    estimator = PoseEstimator(recording.width, recording.height)
    with open(out, "w", newline="") as file:
        table = csv.writer(file)
        heads = [f"{joint}_{part}" for joint in JOINTS for part in ("x", "y", "confidence")]
        table.writerow(["time_s", *heads])
        for events in recording:
            for pose in estimator.push(events):
                values = np.column_stack((pose.keypoints, pose.confidence)).ravel()
                table.writerow([pose.sensor_time_ns * 1e-9, *(f"{value:.3f}" for value in values)])


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
