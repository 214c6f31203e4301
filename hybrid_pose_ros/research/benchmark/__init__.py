# SPDX-License-Identifier: Apache-2.0
"""The cost of a pose, measured beside its peers: `hybrid-pose research bench`."""
