# SPDX-License-Identifier: Apache-2.0
"""Poses of events that are NumPy arrays, as they come from any camera or file.

    python numpy_events.py EVENTS.npz

The file holds t_us, x, y and p, one entry per event, and the sensor's width and height.
"""

import sys

import numpy as np

from hybrid_pose_ros import PoseEstimator, make_events
from hybrid_pose_ros.skeleton import JOINTS


def main(path: str) -> None:
    """Push the events in pieces of 5 ms, as a camera would, and print the last pose."""
    with np.load(path) as file:
        events = make_events(file["t_us"] * 1000, file["x"], file["y"], file["p"] > 0)
        width, height = int(file["width"]), int(file["height"])
    estimator = PoseEstimator(width, height)
    pieces = np.flatnonzero(np.diff(events["t"] // 5_000_000)) + 1
    poses = [pose for piece in np.split(events, pieces) for pose in estimator.push(piece)]
    if not poses:
        sys.exit(f"{path}: too short, there is no whole step of 10 ms in it")
    pose = poses[-1]
    print(f"{len(poses)} poses; at {pose.sensor_time_ns * 1e-9:.2f} s:")
    for name, (x, y), confidence in zip(JOINTS, pose.keypoints, pose.confidence, strict=True):
        print(f"  {name:15} ({x:6.1f}, {y:6.1f})  {confidence:.0%}")


if __name__ == "__main__":
    main(sys.argv[1])
