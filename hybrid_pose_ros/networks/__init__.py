# SPDX-License-Identifier: Apache-2.0
"""The hybrid ANN-SNN: neurons, networks, heatmaps and checkpoints (torch, no ROS)."""
