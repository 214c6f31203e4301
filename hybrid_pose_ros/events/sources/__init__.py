# SPDX-License-Identifier: Apache-2.0
"""Where events come from: one interface, many sources."""

from hybrid_pose_ros.events.sources.aedat4 import Aedat4Source
from hybrid_pose_ros.events.sources.base import EventSource, SourceError
from hybrid_pose_ros.events.sources.live import CameraSource, NetworkSource

__all__ = ["Aedat4Source", "CameraSource", "EventSource", "NetworkSource", "SourceError"]
