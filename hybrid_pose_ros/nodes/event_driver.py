# SPDX-License-Identifier: Apache-2.0
"""Node `event_driver`: camera, recording, network stream, simulator, video, webcam -> events."""

import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sensor_msgs.msg import CameraInfo
from std_msgs.msg import Header

from hybrid_pose_ros.events.array import EventArray, MalformedEventsError
from hybrid_pose_ros.events.encodings import ENCODINGS, encode
from hybrid_pose_ros.events.filters import FilterChain, FilterConfig
from hybrid_pose_ros.events.playback import MAX_EVENTS_PER_PACKET, Pacer, packetise
from hybrid_pose_ros.events.sources import (
    CameraSource,
    EventSource,
    NetworkSource,
    SourceError,
    open_source,
)
from hybrid_pose_ros.geometry.cameras import DHP19_LIKE
from hybrid_pose_ros.graph.description import FRAME_ID, SOURCES
from hybrid_pose_ros.graph.transport import room_for_events
from hybrid_pose_ros.interfaces.messages import (
    CAMERA_INFO_QOS,
    EVENTS_PUBLISHER_QOS,
    camera_info_message,
    stamp_from_ns,
)
from hybrid_pose_ros.nodes.support.base import ManagedNode, RefusedError, StartError
from hybrid_pose_ros.nodes.support.health import Level, Meter, Report
from hybrid_pose_ros.nodes.support.packets import (
    PACKET_TYPE,
    chosen_packet_type,
    serialised_packet,
)
from hybrid_pose_ros.nodes.support.parameters import ParameterSpec
from hybrid_pose_ros.nodes.support.read_ahead import ReadAhead
from hybrid_pose_ros.nodes.support.running import run_node

LIVE_SOURCES = ("camera", "network", "webcam")

VIEWS = tuple(camera.name for camera in DHP19_LIKE)

NO_REGION = [0, 0, 0, 0]

VIDEO_SIZE = [346, 260]

SUBSCRIBER_TIMEOUT_S = 10.0
"""After so long the events start without the subscribers that were waited for."""

TOGETHER_TIMEOUT_S = 120.0
"""The same for cameras that start together, and for the first events of each."""


class EventDriverNode(ManagedNode):
    """Reads a source in a thread of its own, and publishes packets of equal sensor time.

    A recording, video or simulation is played at `rate`; a camera, network stream or webcam sets
    its own pace. Video and webcam are real light on a simulated sensor.
    At the end of the source the process ends, or starts over (`loop`): sensor time then goes
    back, which the other nodes take for a new stream.

    Publishes: events (EventPacket), stamped with the host time of publication, and of the
    simulator camera_info (sensor_msgs/CameraInfo) twice a second. Services: ~/pause
    (SetBool), ~/reset and ~/statistics (Trigger).
    """

    PARAMETERS = (
        ParameterSpec("source", "simulator", "where the events come from", choices=SOURCES),
        ParameterSpec(
            "path",
            "",
            "recording to play, for source recording: AEDAT4, AEDAT 2.0 of one DAVIS, "
            "or Prophesee RAW; video to play, for source video",
        ),
        ParameterSpec(
            "device", 0, "number of the webcam, for source webcam; 0: the first", limits=(0, 255)
        ),
        ParameterSpec(
            "size",
            VIDEO_SIZE,
            "width, height of the simulated sensor (pixels), for sources video and webcam",
        ),
        ParameterSpec(
            "crop",
            False,
            "fill that sensor's view with the picture of video or webcam, and cut off what "
            "protrudes; else empty bars beside it",
        ),
        ParameterSpec("camera", "", "name of the camera, for source camera; empty: the first"),
        ParameterSpec("host", "127.0.0.1", "address of the server, for source network"),
        ParameterSpec(
            "port", 7777, "TCP port of the server, for source network", limits=(1, 65_535)
        ),
        ParameterSpec("motion", "walking", "name of the motion, for source simulator"),
        ParameterSpec(
            "seconds", 30.0, "length of the simulation (s of sensor time)", limits=(0.1, 86_400.0)
        ),
        ParameterSpec(
            "seed",
            0,
            "number that, with motion and seconds, makes person, room and light",
            limits=(0, 2**31 - 1),
        ),
        ParameterSpec(
            "view",
            VIEWS[0],
            "which of the cameras around the simulated person this is; drivers with the same "
            "motion, seconds and seed show the same moment",
            choices=VIEWS,
        ),
        ParameterSpec(
            "rate",
            1.0,
            "speed (sensor seconds per host second) of recording, video, simulator; 0: no limit",
            limits=(0.0, 1000.0),
        ),
        ParameterSpec("loop", False, "start over at the end of the source"),
        ParameterSpec("exit_at_end", True, "end the process at the end of the source"),
        ParameterSpec(
            "packet_ms", 5.0, "length of a packet (ms of sensor time)", limits=(0.1, 1000.0)
        ),
        ParameterSpec("encoding", "mono", "encoding of the events", choices=ENCODINGS),
        PACKET_TYPE,
        ParameterSpec(
            "background_activity_us",
            0,
            "drop events without another one nearby within this time (us); 0: off",
            limits=(0, 10**7),
        ),
        ParameterSpec(
            "hot_pixel_hz",
            0.0,
            "silence pixels that fire faster than this (events per second); 0: off",
            limits=(0.0, 1e6),
        ),
        ParameterSpec(
            "hot_pixel_learn_s",
            1.0,
            "time in which hot pixels are looked for (s of sensor time)",
            limits=(0.1, 3600.0),
        ),
        ParameterSpec(
            "region",
            NO_REGION,
            "x, y, width, height (pixels): events outside are dropped; 0 0 0 0: off",
        ),
        ParameterSpec("frame_id", FRAME_ID, "frame of the camera, for the headers"),
        ParameterSpec(
            "wait_for_subscribers",
            0,
            f"subscribers of events to wait for, at most {SUBSCRIBER_TIMEOUT_S:g} s",
            limits=(0, 100),
        ),
        ParameterSpec(
            "together_with",
            "",
            "namespaces of cameras, with commas: wait for the subscribers of their events, too, "
            f"at most {TOGETHER_TIMEOUT_S:g} s, so that all start at the same time",
        ),
        ParameterSpec(
            "start_delay_s", 0.0, "time (s) from then to the first packet", limits=(0.0, 3600.0)
        ),
    )

    def __init__(self, **kwargs: Any) -> None:
        super().__init__("event_driver", **kwargs)
        self._source: ReadAhead | None = None
        self._thread: threading.Thread | None = None
        self._stopping = threading.Event()
        self._going = threading.Event()
        self._going.set()
        self._again = False
        self._finished = False
        self._trouble = ""
        self.offer_switch("pause", self._pause)
        self.offer("reset", self._reset)

    def configure(self) -> None:
        """Open the source."""
        packet_type = chosen_packet_type(self)
        self._encoding, self._frame_id = self.text("encoding"), self.text("frame_id")
        self._source = self._open()
        if self.text("together_with"):
            # the others take our publisher as the sign that we can start: no compiling after it
            self._source.ready.wait(TOGETHER_TIMEOUT_S)
        self._publisher = self.publish_to(packet_type, "events", EVENTS_PUBLISHER_QOS)
        self._info = self.publish_to(CameraInfo, "camera_info", CAMERA_INFO_QOS)
        self._packets, self._events, self._seq = Meter(), Meter(), 0

    def cleanup(self) -> None:
        """Close the source."""
        if self._source is not None:
            self._source.close()
            self._source = None

    def activate(self) -> None:
        """Play from where the source stands."""
        self._stopping.clear()
        self._going.set()
        self._again = self._finished = False
        self._trouble = ""
        self._thread = threading.Thread(target=self._play, name="source", daemon=True)
        self._thread.start()

    def deactivate(self) -> None:
        """Stop playing."""
        self._stopping.set()
        self._going.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        if self._source is not None:
            self._source.pause()

    def check(self) -> None:
        """End the process with the source; say where the simulated camera is."""
        if self._thread is not None and self.text("source") == "simulator":
            camera = DHP19_LIKE[VIEWS.index(self.text("view"))]
            stamp = stamp_from_ns(self.now_ns())
            header = Header(stamp=stamp, frame_id=self.text("frame_id"))
            self._info.publish(camera_info_message(camera, header))
        if self._thread is None or self._thread.is_alive() or self.exit_code is not None:
            return
        if not self._finished:
            self.get_logger().fatal(self._trouble or "the source thread ended by an error")
            self.exit_code = 1
        elif self.flag("exit_at_end"):
            self.get_logger().info("end of the source")
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
            "finished": str(self._finished).lower(),
        }
        if self._trouble:
            report.add(Level.ERROR, self._trouble)
        elif self._finished:
            report.add(Level.OK, "finished: the source has ended")
        elif not self._going.is_set():
            report.add(Level.WARN, "paused; ~/pause with false goes on")
        elif not packets:
            report.add(Level.WARN, "no events from the source")

    def _pause(self, wanted: bool) -> str:
        self._require_playing("be paused")
        self._going.clear() if wanted else self._going.set()
        return "paused" if wanted else "goes on"

    def _reset(self) -> str:
        self._require_playing("start over")
        self._again = True
        self._going.set()
        return "starts over"

    def _require_playing(self, what: str) -> None:
        self.require_active()
        if self.text("source") in LIVE_SOURCES:
            raise RefusedError(
                f"a {self.text('source')} cannot {what}: its time goes on; pause or reset the "
                "nodes that listen, or deactivate this one"
            )
        if self._finished:
            raise RefusedError(f"the source has ended and cannot {what}; configure the node anew")

    def _open(self) -> ReadAhead:
        kind = self.text("source")
        try:
            if kind == "camera":
                source: EventSource = CameraSource(self.text("camera"))
            elif kind == "recording":
                source = open_source(Path(self.text("path")))
            elif kind == "network":
                source = NetworkSource(self.text("host"), self.integer("port"))
            elif kind in ("video", "webcam"):
                source = self._open_frames(kind)
            else:
                source = _simulator(
                    self.text("motion"),
                    self.number("seconds"),
                    self.integer("seed"),
                    self.text("view"),
                )
        except (SourceError, ValueError) as error:
            raise StartError(str(error)) from error
        try:
            filters = FilterChain(self._filter_config(), source.width, source.height)
        except ValueError as error:
            source.close()
            raise StartError(str(error)) from error
        return ReadAhead(source, filters, self._stopping)

    def _open_frames(self, kind: str) -> EventSource:
        from hybrid_pose_ros.simulation.frame_sensor import FrameSensor  # compiles its kernels
        from hybrid_pose_ros.simulation.video import VideoSource
        from hybrid_pose_ros.simulation.webcam import WebcamSource

        size = self.integers("size")
        if len(size) != 2:
            raise ValueError(f"size has {len(size)} numbers; it takes width, height")
        sensor = FrameSensor(
            (size[0], size[1]), crop=self.flag("crop"), on_cut=self._report_scene_cut
        )
        if kind == "video":
            return VideoSource(Path(self.text("path")), sensor)
        return WebcamSource(self.integer("device"), sensor)

    def _report_scene_cut(self, time_us: int) -> None:
        self.get_logger().warning(
            f"scene cut at {time_us / 1e6:.2f} s of sensor time: the simulated sensor starts anew "
            "at the new picture; further cuts are not reported",
            once=True,
        )

    def _filter_config(self) -> FilterConfig:
        region = self.integers("region")
        if len(region) != 4:
            raise ValueError(f"region has {len(region)} numbers; it takes x, y, width, height")
        x, y, width, height = region
        return FilterConfig(
            background_activity_us=self.integer("background_activity_us"),
            hot_pixel_hz=self.number("hot_pixel_hz"),
            hot_pixel_learn_s=self.number("hot_pixel_learn_s"),
            region=(x, y, width, height) if any(region) else None,
        )

    def _play(self) -> None:
        """Run the source thread: play the source once, or over and over."""
        try:
            self._await_subscribers()
            self._play_once()
            while (self._again or self.flag("loop")) and not self._stopping.is_set():
                assert self._source is not None
                self._again = False
                self._source.close()
                self._source = self._open()
                self._play_once()
        except (SourceError, StartError, MalformedEventsError) as error:
            self._trouble = str(error)
            return
        if self._stopping.is_set():
            return
        if self.text("source") == "camera" and self._source is not None:
            self._trouble = f"{self._source.name}: no more events; is the camera still plugged in?"
        else:
            self._finished = True

    def _await_subscribers(self) -> None:
        wanted = self.integer("wait_for_subscribers")
        names = (name.strip().strip("/") for name in self.text("together_with").split(","))
        others = [f"/{name}/events" for name in names if name]
        timeout_s = TOGETHER_TIMEOUT_S if others else SUBSCRIBER_TIMEOUT_S
        deadline = time.monotonic() + timeout_s
        while (found := self._subscribers(others)) < wanted:
            if time.monotonic() > deadline:
                self.get_logger().warning(
                    f"only {found} of {wanted} subscribers of events came in "
                    f"{timeout_s:g} s; starting without the rest"
                )
                break
            if self._stopping.wait(0.02):
                return
        self._stopping.wait(self.number("start_delay_s"))

    def _subscribers(self, others: Sequence[str]) -> int:
        """Count our subscribers, or those of another topic if that has less."""
        counts = [
            self.count_subscribers(topic) if self.count_publishers(topic) else 0
            for topic in others
        ]
        return min([self._publisher.get_subscription_count(), *counts])

    def _play_once(self) -> None:
        assert self._source is not None
        packet_ns = round(self.number("packet_ms") * 1e6)
        pacer = Pacer(0.0 if self._source.live else self.number("rate"), self._stopping)
        self._source.begin()
        for events in packetise(self._source, packet_ns):
            if self._stopping.is_set() or self._again:
                return
            if not len(events):
                continue
            # A camera would deliver a packet when its time is over.
            pacer.wait_until((int(events["t"][-1]) // packet_ns + 1) * packet_ns)
            if not self._going.is_set():
                self._going.wait()
                pacer = Pacer(self.number("rate"), self._stopping)
            if self._stopping.is_set() or self._again:
                return
            for first in range(0, len(events), MAX_EVENTS_PER_PACKET):
                self._send_packet(events[first : first + MAX_EVENTS_PER_PACKET])

    def _send_packet(self, events: EventArray) -> None:
        assert self._source is not None
        data = serialised_packet(
            encode(self._encoding, events),
            stamp_ns=self.now_ns(),
            frame_id=self._frame_id,
            width=self._source.width,
            height=self._source.height,
            seq=self._seq,
            encoding=self._encoding,
        )
        self._publisher.publish(data)
        self._seq += 1
        self._packets.add()
        self._events.add(len(events))


def _simulator(motion: str, seconds: float, seed: int, view: str) -> EventSource:
    from hybrid_pose_ros.simulation.source import SimulatorSource  # compiles its kernels: seconds

    return SimulatorSource(motion, seconds, seed, view)


def main() -> int:
    """Run the node until it ends; return the exit code."""
    with room_for_events():
        return run_node(EventDriverNode)
