# SPDX-License-Identifier: Apache-2.0
"""Topic names, types, quality of service and conversions of messages."""
