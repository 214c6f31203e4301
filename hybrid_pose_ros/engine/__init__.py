# SPDX-License-Identifier: Apache-2.0
"""The sparse SNN: compiled kernels that compute what the spiking network does."""
