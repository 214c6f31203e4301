# SPDX-License-Identifier: Apache-2.0
"""Node `visualizer`: events and poses -> what a person can look at in RViz."""

import time
from collections import deque
from typing import Any

import numpy as np
from std_msgs.msg import Header

from hybrid_pose_ros.drawing import HIDDEN_CONFIDENCE, EventCanvas, draw_skeleton
from hybrid_pose_ros.events.array import EventArray
from hybrid_pose_ros.events.encodings import MalformedPacketError
from hybrid_pose_ros.events.stream import PacketReader
from hybrid_pose_ros.interfaces.messages import Sensor, pose_from_message
from hybrid_pose_ros.interfaces.topics import CLOUD, MARKERS, OVERLAY, POSE
from hybrid_pose_ros.interfaces.visuals import cloud_message, image_message, skeleton_markers
from hybrid_pose_ros.msg import PoseKeypoints
from hybrid_pose_ros.nodes.support.base import ManagedNode
from hybrid_pose_ros.nodes.support.health import Level, Meter, Report
from hybrid_pose_ros.nodes.support.packets import PACKET_TYPE, events_topic
from hybrid_pose_ros.nodes.support.parameters import ParameterSpec
from hybrid_pose_ros.nodes.support.running import run_node
from hybrid_pose_ros.pipeline.state import Pose

POSE_HOLD_S = 0.3
"""A pose that is not renewed for so long (host time) is not shown any more."""


class VisualizerNode(ManagedNode):
    """Draws at a steady rate what somebody has subscribed to, and nothing else.

    Subscribes: events (EventPacket), pose (PoseKeypoints). Publishes: overlay (Image, rgb8),
    markers (MarkerArray), cloud (PointCloud2); see `visuals.py` for their geometry. Services:
    ~/statistics (Trigger).
    """

    PARAMETERS = (
        PACKET_TYPE,
        ParameterSpec("rate_hz", 30.0, "pictures per second of host time", limits=(1.0, 120.0)),
        ParameterSpec("scale", 2, "side of a sensor pixel in the overlay (px)", limits=(1, 8)),
        ParameterSpec(
            "fade_ms", 40.0, "age (ms of sensor time) at which an event has faded", limits=(1, 1e4)
        ),
        ParameterSpec(
            "metres_per_px",
            0.005,
            "size of a sensor pixel in markers and cloud (m)",
            limits=(1e-6, 1.0),
            live=True,
        ),
        ParameterSpec(
            "min_confidence",
            0.3,
            "joints below it (share, 0 to 1) are left out of the markers and drawn hollow in the"
            f" overlay, those below {HIDDEN_CONFIDENCE} not at all",
            limits=(0.0, 1.0),
            live=True,
        ),
        ParameterSpec(
            "cloud_ms", 100.0, "length of the cloud (ms of sensor time)", limits=(1.0, 1e4)
        ),
        ParameterSpec(
            "cloud_metres_per_s", 10.0, "length of a second in the cloud (m)", limits=(0.0, 1e4)
        ),
        ParameterSpec(
            "cloud_points", 20_000, "most points in a cloud: the newest events", limits=(1, 10**6)
        ),
    )

    def __init__(self, **kwargs: Any) -> None:
        super().__init__("visualizer", **kwargs)

    def configure(self) -> None:
        """Offer the topics."""
        self._events_topic = events_topic(self)
        self._overlay = self.publish_to(OVERLAY)
        self._markers = self.publish_to(MARKERS)
        self._cloud = self.publish_to(CLOUD)

    def activate(self) -> None:
        """Listen, and draw by the clock."""
        self._reader = PacketReader()
        self._canvas: EventCanvas | None = None
        self._recent: deque[EventArray] = deque()
        self._events_wanted = False
        self._header = Header()
        self._pose: Pose | None = None
        self._pose_since = 0.0
        self._pose_header = Header()
        self._pose_sensor = Sensor(0, 0)
        self._pictures, self._packets, self._poses = Meter(), Meter(), Meter()
        self._malformed_reported = 0
        self.listen_to(self._events_topic, self._on_packet)
        self.listen_to(POSE, self._on_pose)
        self.repeat(1.0 / self.number("rate_hz"), self._draw)

    def diagnose(self, report: Report) -> None:
        """Report on what was drawn."""
        _, rate = self._pictures.take()
        packets, packet_rate = self._packets.take()
        _, pose_rate = self._poses.take()
        report.values |= {
            "pictures per second": f"{rate:.1f}",
            "packets per second": f"{packet_rate:.1f}",
            "poses per second": f"{pose_rate:.1f}",
            "packets malformed": str(self._reader.malformed),
        }
        if not packets and self._events_wanted:
            report.add(Level.WARN, "no packets on `events`")
        if self._reader.malformed > self._malformed_reported:
            self._malformed_reported = self._reader.malformed
            report.add(
                Level.WARN, f"malformed packets dropped, the last: {self._reader.malformed_reason}"
            )

    def _on_packet(self, packet: Any) -> None:
        if not self._events_wanted:
            return
        try:
            events = self._reader.read(packet)
        except MalformedPacketError as error:
            self.complain(f"malformed packet dropped: {error}")
            return
        self._packets.add()
        self._header = packet.header
        if self._canvas is None:
            self._canvas = EventCanvas(
                packet.width,
                packet.height,
                fade_ms=self.number("fade_ms"),
                scale=self.integer("scale"),
            )
        if not len(events):
            return
        self._canvas.add(events)
        if self._recent and events["t"][0] < self._recent[-1]["t"][-1]:
            self._recent.clear()
        self._recent.append(events)
        oldest = events["t"][-1] - self.number("cloud_ms") * 1e6
        while self._recent[0]["t"][-1] < oldest:
            self._recent.popleft()

    def _on_pose(self, message: PoseKeypoints) -> None:
        try:
            self._pose = pose_from_message(message)
        except ValueError as error:
            self.complain(f"pose dropped: {error}")
            return
        self._pose_since = time.monotonic()
        self._pose_header = message.header
        self._pose_sensor = Sensor(message.width, message.height)
        self._poses.add()

    def _draw(self) -> None:
        if time.monotonic() - self._pose_since > POSE_HOLD_S:
            self._pose = None
        overlay = self._overlay.get_subscription_count() > 0
        cloud = self._cloud.get_subscription_count() > 0
        self._events_wanted = overlay or cloud
        if self._canvas is not None and overlay:
            self._publish_overlay(self._canvas)
        if self._recent and cloud:
            self._publish_cloud()
        if self._pose is not None and self._markers.get_subscription_count():
            self._publish_markers(self._pose)

    def _publish_overlay(self, canvas: EventCanvas) -> None:
        image = canvas.render()
        if self._pose is not None:
            draw_skeleton(
                image,
                self._pose.keypoints,
                self._pose.confidence,
                scale=canvas.scale,
                min_confidence=self.number("min_confidence"),
            )
        self._overlay.publish(image_message(image, self._header))
        self._pictures.add()

    def _publish_cloud(self) -> None:
        events = np.concatenate(self._recent)[-self.integer("cloud_points") :]
        assert self._reader.sensor is not None
        cloud = cloud_message(
            events,
            self._header,
            Sensor(*self._reader.sensor),
            metres_per_px=self.number("metres_per_px"),
            metres_per_s=self.number("cloud_metres_per_s"),
        )
        self._cloud.publish(cloud)

    def _publish_markers(self, pose: Pose) -> None:
        markers = skeleton_markers(
            pose,
            self._pose_header,
            self._pose_sensor,
            metres_per_px=self.number("metres_per_px"),
            min_confidence=self.number("min_confidence"),
        )
        self._markers.publish(markers)


def main() -> int:
    """Run the node until it ends; return the exit code."""
    return run_node(VisualizerNode)
