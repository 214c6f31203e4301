# SPDX-License-Identifier: Apache-2.0
"""Human pose from an event camera: a hybrid ANN-SNN perception package for ROS 2."""
