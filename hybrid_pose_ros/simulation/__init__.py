# SPDX-License-Identifier: Apache-2.0
"""Synthetic recordings with exact labels: motion, a body with volume, cameras and a DVS."""
