# SPDX-License-Identifier: Apache-2.0
"""Bags (rosbag2): written, read, converted and replayed without a ROS distribution."""
