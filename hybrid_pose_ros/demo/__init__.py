# SPDX-License-Identifier: Apache-2.0
"""The demonstration: record a running graph, measure what it did, and show it."""
