# SPDX-License-Identifier: Apache-2.0
"""Human pose from an event camera: a hybrid ANN-SNN perception package for ROS 2."""

PACKAGE = "hybrid_pose_ros"
"""Name of the ROS package."""
