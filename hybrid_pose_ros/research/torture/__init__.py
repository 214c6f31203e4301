# SPDX-License-Identifier: Apache-2.0
"""Faults on purpose: a table of them, done to a running graph, and what came of it."""
