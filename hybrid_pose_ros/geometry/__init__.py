# SPDX-License-Identifier: Apache-2.0
"""Cameras and projection (numpy)."""
