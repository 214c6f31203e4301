# SPDX-License-Identifier: Apache-2.0
"""People of real shape: a clothed body mesh that follows the 13 joints.

``people.npz`` holds their shapes; its origin and terms are in the README beside it.
"""
