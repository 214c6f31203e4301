# SPDX-License-Identifier: Apache-2.0
"""Events, poses and figures in the Rerun viewer."""
