# SPDX-License-Identifier: Apache-2.0
"""Base classes and services that the nodes share."""
