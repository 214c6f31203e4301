# SPDX-License-Identifier: Apache-2.0
"""What a pose costs, measured beside its peers: `hybrid-pose research bench`."""
