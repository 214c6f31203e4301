# SPDX-License-Identifier: Apache-2.0
"""Description of the nodes of a graph, and the processes made of it."""
