# SPDX-License-Identifier: Apache-2.0
"""The networks in the formats of other programs: NIR and ONNX, and their fit to chips."""
