# SPDX-License-Identifier: Apache-2.0
"""Streaming estimators without ROS: event steps in, state initialisations and poses out."""
