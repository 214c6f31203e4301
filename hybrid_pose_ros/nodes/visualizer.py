# SPDX-License-Identifier: Apache-2.0
"""Node `visualizer`: events and poses -> what a person can look at in RViz."""

import time
from typing import Any, NamedTuple

from std_msgs.msg import Header

from hybrid_pose_ros.drawing import EventCanvas, draw_skeleton
from hybrid_pose_ros.events.array import EventArray
from hybrid_pose_ros.events.stream import PacketReader
from hybrid_pose_ros.interfaces.cdr import header_message, read_packet
from hybrid_pose_ros.interfaces.messages import Sensor, pose_from_message
from hybrid_pose_ros.interfaces.topics import CLOUD, MARKERS, OVERLAY, POSE
from hybrid_pose_ros.interfaces.visuals import cloud_message, image_message, skeleton_markers
from hybrid_pose_ros.msg import PoseKeypoints
from hybrid_pose_ros.nodes.support.base import ManagedNode
from hybrid_pose_ros.nodes.support.event_view import VISUAL_PARAMETERS, EventView
from hybrid_pose_ros.nodes.support.health import Meter, Report
from hybrid_pose_ros.nodes.support.packets import PACKET_TYPE, events_topic
from hybrid_pose_ros.nodes.support.running import run_node
from hybrid_pose_ros.pipeline.state import Pose

POSE_HOLD_S = 0.3
"""A pose that is not renewed for so long (host time) is not shown any more."""


class _Shown(NamedTuple):
    """A pose that is shown, and the host time (s) at which it came."""

    pose: Pose
    header: Header
    sensor: Sensor
    since_s: float


class VisualizerNode(ManagedNode):
    """Draws at a steady rate what somebody has subscribed to, and nothing else.

    Subscribes: events (EventPacket), pose (PoseKeypoints). Publishes: overlay (Image, rgb8),
    markers (MarkerArray), cloud (PointCloud2); see `visuals.py` for their geometry. Services:
    ~/statistics (Trigger).
    """

    PARAMETERS = (PACKET_TYPE, *VISUAL_PARAMETERS)

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
        self._view = EventView(
            fade_ms=self.number("fade_ms"),
            scale=self.integer("scale"),
            length_ns=round(self.number("cloud_ms") * 1e6),
            most=self.integer("cloud_points"),
        )
        self._events_wanted = False
        self._header, self._sensor = Header(), Sensor(0, 0)
        self._shown: _Shown | None = None
        self._pictures, self._packets, self._poses = Meter(), Meter(), Meter()
        self.listen_to(self._events_topic, self._on_packet, raw=True)
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
            "packets lost": str(self._reader.lost),
        }
        if not packets and self._events_wanted:
            report.add_missing("no packets on `events`", ever=self._packets.total)

    def _on_packet(self, data: bytes) -> None:
        if not self._events_wanted:
            return
        packet = read_packet(data, self._events_topic.message_class)
        events = self._reader.read(packet)
        self._view.add(events, (packet.width, packet.height))
        self._header = header_message(packet.header)
        self._sensor = Sensor(packet.width, packet.height)
        self._packets.add()

    def _on_pose(self, message: PoseKeypoints) -> None:
        pose, sensor = pose_from_message(message), Sensor(message.width, message.height)
        self._shown = _Shown(pose, message.header, sensor, time.monotonic())
        self._poses.add()

    def _draw(self) -> None:
        if self._shown is not None and time.monotonic() - self._shown.since_s > POSE_HOLD_S:
            self._shown = None
        overlay = self._overlay.get_subscription_count() > 0
        cloud = self._cloud.get_subscription_count() > 0
        if (overlay or cloud) and not self._events_wanted:
            self._reader.skip()  # packets that nobody wanted were not lost
        self._events_wanted = overlay or cloud
        if overlay and self._view.canvas is not None:
            self._publish_overlay(self._view.canvas)
        if cloud and (events := self._view.newest) is not None:
            self._publish_cloud(events)
        if self._shown is not None and self._markers.get_subscription_count():
            self._publish_markers(self._shown)

    def _publish_overlay(self, canvas: EventCanvas) -> None:
        image = canvas.render()
        if self._shown is not None:
            draw_skeleton(
                image,
                self._shown.pose.keypoints,
                self._shown.pose.confidence,
                scale=canvas.scale,
                min_confidence=self.number("min_confidence"),
            )
        self._overlay.publish(image_message(image, self._header))
        self._pictures.add()

    def _publish_cloud(self, events: EventArray) -> None:
        cloud = cloud_message(
            events,
            self._header,
            self._sensor,
            metres_per_px=self.number("metres_per_px"),
            metres_per_s=self.number("cloud_metres_per_s"),
        )
        self._cloud.publish(cloud)

    def _publish_markers(self, shown: _Shown) -> None:
        scale, threshold = self.number("metres_per_px"), self.number("min_confidence")
        markers = skeleton_markers(*shown[:3], metres_per_px=scale, min_confidence=threshold)
        self._markers.publish(markers)


def main() -> int:
    """Run the node until it ends; return the exit code."""
    return run_node(VisualizerNode)
