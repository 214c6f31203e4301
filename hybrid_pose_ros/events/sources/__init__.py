# SPDX-License-Identifier: Apache-2.0
"""Where events come from: one interface, many sources."""

from hybrid_pose_ros.events.sources.aedat2 import Aedat2Source
from hybrid_pose_ros.events.sources.aedat4 import Aedat4Source
from hybrid_pose_ros.events.sources.base import EventSource, SourceError
from hybrid_pose_ros.events.sources.files import FileSource, open_source
from hybrid_pose_ros.events.sources.live import CameraSource, NetworkSource
from hybrid_pose_ros.events.sources.npz import NpzSource
from hybrid_pose_ros.events.sources.raw import RawSource

__all__ = [
    "Aedat2Source",
    "Aedat4Source",
    "CameraSource",
    "EventSource",
    "FileSource",
    "NetworkSource",
    "NpzSource",
    "RawSource",
    "SourceError",
    "open_source",
]
