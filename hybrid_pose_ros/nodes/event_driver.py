# SPDX-License-Identifier: Apache-2.0
"""Node `event_driver`: camera, recording, network stream, simulator, video, webcam -> events."""

from functools import partial
from typing import Any

from hybrid_pose_ros.events.array import EventArray
from hybrid_pose_ros.events.encodings import encode
from hybrid_pose_ros.events.sources import SourceError
from hybrid_pose_ros.interfaces.cdr import serialised_packet
from hybrid_pose_ros.interfaces.messages import camera_info_message, header_at
from hybrid_pose_ros.interfaces.topics import CAMERA_INFO
from hybrid_pose_ros.interfaces.transport import room_for_events
from hybrid_pose_ros.nodes.support.base import ManagedNode
from hybrid_pose_ros.nodes.support.boundary import StartError
from hybrid_pose_ros.nodes.support.common_start import (
    START_PARAMETERS,
    await_first_events,
    await_subscribers,
)
from hybrid_pose_ros.nodes.support.event_source import (
    FILTER_PARAMETERS,
    SOURCE_PARAMETERS,
    open_source_of,
    simulated_camera,
)
from hybrid_pose_ros.nodes.support.health import Meter, Report
from hybrid_pose_ros.nodes.support.packets import PACKET_TYPE, events_topic
from hybrid_pose_ros.nodes.support.running import run_node
from hybrid_pose_ros.nodes.support.source_player import (
    PLAYBACK_PARAMETERS,
    SourcePlayer,
    play_options,
)


class EventDriverNode(ManagedNode):
    """Reads a source in a thread of its own, and publishes packets of equal sensor time.

    A recording, video or simulation is played at `rate` and may start over (`loop`), for others a
    new stream; a camera, network stream or webcam sets its own pace.

    Publishes: events (EventPacket), stamped with the host time of publication, and of the
    simulator camera_info (sensor_msgs/CameraInfo) twice a second. Services: ~/pause
    (SetBool), ~/reset and ~/statistics (Trigger).
    """

    PARAMETERS = (
        *SOURCE_PARAMETERS,
        *PLAYBACK_PARAMETERS,
        PACKET_TYPE,
        *FILTER_PARAMETERS,
        *START_PARAMETERS,
    )

    def __init__(self, **kwargs: Any) -> None:
        super().__init__("event_driver", **kwargs)
        self.player = SourcePlayer(
            partial(open_source_of, self),
            lambda stop: await_subscribers(self, self._publisher, stop),
            self._publish,
        )
        self.offer_switch("pause", self._pause)
        self.offer("reset", self._reset)

    def configure(self) -> None:
        """Open the source, and offer the topics."""
        self._encoding, self._frame_id = self.text("encoding"), self.text("frame_id")
        try:
            source = self.player.open()
        except SourceError as error:
            raise StartError(str(error)) from error
        self.about = f"{source.name}, {source.width}x{source.height}"
        await_first_events(self, source.ready)
        self._publisher = self.publish_to(events_topic(self))
        self._info = self.publish_to(CAMERA_INFO)
        self._packets, self._events, self._seq = Meter(), Meter(), 0

    def cleanup(self) -> None:
        """Close the source."""
        self.player.close()

    def activate(self) -> None:
        """Play from where the source stands."""
        self.player.start(play_options(self))

    def deactivate(self) -> None:
        """Stop playing."""
        self.player.stop()

    def check(self) -> None:
        """End the process with the source; say where the simulated camera is."""
        if self.player.is_started and (camera := simulated_camera(self)):
            header = header_at(self.now_ns(), self._frame_id)
            self._info.publish(camera_info_message(camera, header))
        if not self.player.is_over or self.exit_code is not None:
            return
        if not self.player.finished:
            self.get_logger().fatal(self.player.trouble or "the source thread ended by an error")
            self.exit_code = 1
        elif self.flag("exit_at_end"):
            self.get_logger().info("end of the source")
            if lost := self.player.lost:
                self.get_logger().warning(f"the source has losses: {lost}")
            self.exit_code = 0

    def diagnose(self, report: Report) -> None:
        """Report on what was published."""
        packets, packet_rate = self._packets.take()
        _, event_rate = self._events.take()
        report.values |= {
            "source": self.text("source"),
            "packets per second": f"{packet_rate:.1f}",
            "events per second": f"{event_rate:.0f}",
            "packets published": str(self._packets.total),
            "events published": str(self._events.total),
            "finished": str(self.player.finished).lower(),
        }
        self.player.diagnose(report, has_published=packets > 0)

    def _publish(self, events: EventArray) -> None:
        assert self.player.source is not None
        source = self.player.source
        data = serialised_packet(
            encode(self._encoding, events),
            stamp_ns=self.now_ns(),
            frame_id=self._frame_id,
            width=source.width,
            height=source.height,
            seq=self._seq,
            encoding=self._encoding,
        )
        self._publisher.publish(data)
        self._seq += 1
        self._packets.add()
        self._events.add(len(events))

    def _pause(self, wanted: bool) -> str:
        self.require_active()
        return self.player.pause(wanted)

    def _reset(self) -> str:
        self.require_active()
        return self.player.start_over()


def main() -> int:
    """Run the node until it ends; return the exit code."""
    with room_for_events():
        return run_node(EventDriverNode)
