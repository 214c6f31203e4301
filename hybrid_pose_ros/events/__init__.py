# SPDX-License-Identifier: Apache-2.0
"""The event array and all that reads, writes, encodes, filters or bins it (no torch, no ROS)."""
