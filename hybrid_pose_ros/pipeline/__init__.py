# SPDX-License-Identifier: Apache-2.0
"""Estimators: events to poses without ROS, fusion of cameras, and the codec of states."""
