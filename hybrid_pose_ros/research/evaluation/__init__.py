# SPDX-License-Identifier: Apache-2.0
"""Errors against truth, and the comparison of the hybrid with its parts."""
