# SPDX-License-Identifier: Apache-2.0
"""True poses and the calibration of a simulated recording, at the moments of its play."""

from collections.abc import Iterator

import numpy as np

from hybrid_pose_ros.bags.bag import RawMessage
from hybrid_pose_ros.events.encodings import MalformedPacketError
from hybrid_pose_ros.geometry.cameras import Camera
from hybrid_pose_ros.interfaces.cdr import read_packet
from hybrid_pose_ros.interfaces.messages import (
    camera_info_message,
    ground_truth_message,
    header_at,
    serialised,
)
from hybrid_pose_ros.interfaces.topics import (
    CAMERA_INFO,
    FRAME_ID,
    GROUND_TRUTH,
    LATCHED_CAMERA_INFO,
    WORLD_FRAME,
    Topic,
)
from hybrid_pose_ros.msg import EventPacket
from hybrid_pose_ros.simulation.recording import Truth


class LabelPlayer:
    """Makes messages of labels, each when the first packet after it has come.

    Args:
        truth: the labels.
        namespace: of the camera.
    """

    def __init__(self, truth: Truth, namespace: str) -> None:
        self._truth, self._namespace = truth, namespace
        self._next = 0
        self._last_ns = -1

    @property
    def topics(self) -> list[Topic]:
        """The topics of the messages."""
        return [GROUND_TRUTH, LATCHED_CAMERA_INFO.under(self._namespace)]

    def follow(self, data: bytes, stamp_ns: int) -> Iterator[RawMessage]:
        """Yield what is due with a serialised packet of events that has arrived at ``stamp_ns``.

        Where sensor time goes back, the labels start over.
        """
        try:
            packet = read_packet(data, EventPacket)
        except MalformedPacketError:
            return
        sensor_ns, labels = int(packet.time_base), self._truth.label_ns
        if self._last_ns < 0:
            camera = Camera(packet.width, packet.height, self._truth.camera_matrix)
            info = camera_info_message(camera, header_at(stamp_ns, FRAME_ID))
            name = CAMERA_INFO.under(self._namespace).name
            yield RawMessage(name, stamp_ns, serialised(info))
        if sensor_ns < self._last_ns or self._last_ns < 0:
            self._next = int(np.searchsorted(labels, sensor_ns))
        self._last_ns = sensor_ns
        end = int(np.searchsorted(labels, sensor_ns, side="right"))
        for number in range(self._next, end):
            header = header_at(stamp_ns, WORLD_FRAME)
            joints = self._truth.joints_m[number]
            message = ground_truth_message(joints, int(labels[number]), header)
            yield RawMessage(GROUND_TRUTH.name, stamp_ns, serialised(message))
        self._next = max(self._next, end)
