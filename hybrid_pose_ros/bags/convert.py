# SPDX-License-Identifier: Apache-2.0
"""Recordings -> bags, in bounded memory and with every event accounted for.

A bag holds:

============================ ===================================== =============================
topic                        type                                  when
============================ ===================================== =============================
/camN/events                 hybrid_pose_ros/msg/EventPacket       every packet that has events
/camN/camera_info            sensor_msgs/msg/CameraInfo            at the start, then each second
/ground_truth/pose_3d        hybrid_pose_ros/msg/PoseKeypoints3D   100 Hz
============================ ===================================== =============================

Host time (stamps, times of arrival) is sensor time plus :func:`host_base_ns`. A packet is stamped
with the end of its interval of sensor time, when a camera would deliver it.

The field ``p`` of a camera_info is the whole projection: homogeneous metres in the frame `world`
to homogeneous pixels, scaled so that the third coordinate is the depth. ``k`` and ``r`` are the
camera matrix and the rotation from `world` in it: p = k (r | t). Without calibration all are 0.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol

import numpy as np
from numpy.typing import NDArray
from rosbags.typesys.store import Typestore

from hybrid_pose_ros.bags.bag import RawMessage
from hybrid_pose_ros.bags.contents import MAX_STAMP_NS
from hybrid_pose_ros.bags.event_topic import EventDigest
from hybrid_pose_ros.bags.writer import BagWriter
from hybrid_pose_ros.events.array import EventArray, MalformedEventsError
from hybrid_pose_ros.events.encodings import encode
from hybrid_pose_ros.events.playback import MAX_EVENTS_PER_PACKET
from hybrid_pose_ros.events.sources.files import FileSource
from hybrid_pose_ros.geometry.cameras import Camera
from hybrid_pose_ros.interfaces.cdr import serialised_packet
from hybrid_pose_ros.interfaces.messages import (
    camera_info_message,
    ground_truth_message,
    header_at,
    serialised,
)
from hybrid_pose_ros.interfaces.topics import (
    EVENTS,
    GROUND_TRUTH,
    LATCHED_CAMERA_INFO,
    WORLD_FRAME,
    Topic,
)

_UNIX_FROM_NS: Final = 10**17
_BASE_NS: Final = 10**18

CAMERA_INFO_NS: Final = 10**9
"""Calibrations are repeated after this time, for those who begin in the middle."""


def host_base_ns(first_sensor_ns: int) -> int:
    """Return what is added to sensor time to get host time, in ns.

    A sensor clock that counts from 1970 on (of 1973 or later) is taken as it is; others are moved
    to 2001-09-09 01:46:40 UTC, so that no stamp is 0.
    """
    return 0 if first_sensor_ns >= _UNIX_FROM_NS else _BASE_NS


def camera_topic(topic: Topic, camera: int) -> Topic:
    """Return a topic of the camera of this number."""
    return topic.under(f"/cam{camera}")


def frame_id(camera: int) -> str:
    """Return the name of a camera's optical frame."""
    return f"cam{camera}_optical"


class Recording(Protocol):
    """Events of one or more cameras that are read together."""

    @property
    def progress(self) -> float:
        """Share that was read, 0 to 1."""

    @property
    def trouble(self) -> str:
        """Words on the part that could not be read so far, or ""."""

    def batches(self) -> Iterator[list[EventArray]]:
        """Yield the next events of each camera, in order of time."""


class SourceRecording:
    """A recording of one camera."""

    def __init__(self, source: FileSource) -> None:
        self._source = source

    @property
    def progress(self) -> float:
        """Share that was read, 0 to 1."""
        return self._source.progress

    @property
    def trouble(self) -> str:
        """Words on the part that could not be read so far, or ""."""
        return self._source.trouble

    def batches(self) -> Iterator[list[EventArray]]:
        """Yield the next events.

        Raises:
            SourceError: the source failed.
        """
        while (events := self._source.read()) is not None:
            yield [events]


@dataclass(frozen=True)
class GroundTruth:
    """Labels: sensor time int64 [M] in ns, in order; joints [M, 13, 3] in metres, NaN: unknown."""

    sensor_ns: NDArray[np.int64]
    joints_m: NDArray[np.floating]


@dataclass(frozen=True)
class CameraSetup:
    """Size of a camera in pixels, and its calibration if that is known."""

    width: int
    height: int
    model: Camera | None = None


@dataclass(frozen=True)
class Options:
    """How events become messages.

    Attributes:
        encoding: of the events.
        packet_ns: packets end at multiples of this (ns of sensor time).
        storage: `mcap` or `sqlite3`.
        compress: whether the bag is compressed; mcap only.
    """

    encoding: str = "mono"
    packet_ns: int = 5_000_000
    storage: str = "mcap"
    compress: bool = False


@dataclass
class Result:
    """Contents of a bag.

    Attributes:
        digests: of the events of each camera.
        packets: number of messages with events.
        labels: number of messages with ground truth.
        longest_gap_ns: longest time without a packet.
    """

    digests: list[EventDigest]
    packets: int = 0
    labels: int = 0
    longest_gap_ns: int = 0


def write_bag(
    path: Path,
    recording: Recording,
    cameras: Sequence[CameraSetup],
    store: Typestore,
    *,
    truth: GroundTruth | None = None,
    options: Options = Options(),
    progress: Callable[[float], None] = lambda share: None,
) -> Result:
    """Write a recording to a bag; the module says what it holds.

    Args:
        path: folder to be created.
        recording: where the events come from.
        cameras: in its order.
        truth: labels; those up to the end of the last packet are written.
        progress: called with the share that was read.

    Raises:
        BagError: the bag cannot be written; nothing is left of it.
        MalformedEventsError: events cannot be encoded as asked.
    """
    topics = [
        camera_topic(topic, number)
        for number in range(len(cameras))
        for topic in (LATCHED_CAMERA_INFO, EVENTS)
    ]
    if truth is not None:
        topics.append(GROUND_TRUTH)
    result = Result([EventDigest() for _ in cameras])
    with BagWriter(
        path,
        topics,
        store,
        storage=options.storage,
        compress=options.compress,
        whole=True,
    ) as bag:
        messages = _Messages(bag, cameras, truth, options, result)
        cutter = PacketCutter(len(cameras), options.packet_ns)
        for batches in recording.batches():
            for digest, events in zip(result.digests, batches, strict=True):
                digest.update(events)
            messages.write(cutter.cut(batches))
            progress(recording.progress)
        messages.write(cutter.rest())
        messages.finish()
        for number, digest in enumerate(result.digests):
            bag.note(camera_topic(EVENTS, number).name, str(digest))
    return result


@dataclass(frozen=True)
class Packet:
    """Events of one camera in one interval of sensor time, number ``slot``."""

    slot: int
    camera: int
    events: EventArray


class PacketCutter:
    """Cuts the events of several cameras at absolute multiples of ``packet_ns``."""

    def __init__(self, cameras: int, packet_ns: int) -> None:
        self._packet_ns = packet_ns
        self._held: list[list[EventArray]] = [[] for _ in range(cameras)]
        self._latest_ns = [-(2**63)] * cameras

    def cut(self, batches: Sequence[EventArray]) -> list[Packet]:
        """Take the next events of each camera and return packets that are complete, in order.

        Raises:
            MalformedEventsError: time goes back from one batch to the next.
        """
        for camera, events in enumerate(batches):
            if not len(events):
                continue
            if events["t"][0] < self._latest_ns[camera]:
                raise MalformedEventsError(
                    f"camera {camera}: time jumps back from {self._latest_ns[camera]} ns to "
                    f"{events['t'][0]} ns; a bag holds one recording"
                )
            self._latest_ns[camera] = int(events["t"][-1])
            self._held[camera].append(events)
        latest_ns = max((int(events["t"][-1]) for events in batches if len(events)), default=0)
        return self._take(latest_ns // self._packet_ns * self._packet_ns)

    def rest(self) -> list[Packet]:
        """Return what is held back."""
        return self._take(None)

    def _take(self, end_ns: int | None) -> list[Packet]:
        """Return packets of the events before a moment, or of all."""
        packets: list[Packet] = []
        for camera, held in enumerate(self._held):
            if not held:
                continue
            events = np.concatenate(held)
            times = np.ascontiguousarray(events["t"])
            complete = len(events) if end_ns is None else int(np.searchsorted(times, end_ns))
            packets += self._cut(camera, events[:complete], times[:complete])
            self._held[camera] = [events[complete:]] if complete < len(events) else []
        return sorted(packets, key=lambda packet: (packet.slot, packet.camera))

    def _cut(self, camera: int, events: EventArray, times: NDArray[np.int64]) -> Iterator[Packet]:
        start = 0
        while start < len(events):
            slot = int(times[start]) // self._packet_ns
            end = start + int(np.searchsorted(times[start:], (slot + 1) * self._packet_ns))
            while start < end:
                stop = min(end, start + MAX_EVENTS_PER_PACKET)
                yield Packet(slot, camera, events[start:stop])
                start = stop


class _Messages:
    """Writes packets, and what is due before each of them."""

    def __init__(
        self,
        bag: BagWriter,
        cameras: Sequence[CameraSetup],
        truth: GroundTruth | None,
        options: Options,
        result: Result,
    ) -> None:
        self._bag, self._options, self._result = bag, options, result
        self._cameras = cameras
        self._truth = truth
        self._seq = [0] * len(cameras)
        self._base_ns: int | None = None
        self._now_ns = self._next_info_ns = self._next_label = 0

    def write(self, packets: Sequence[Packet]) -> None:
        """Write packets, in order of time."""
        for packet in packets:
            if self._base_ns is None:
                self._base_ns = self._begin(packet.slot * self._options.packet_ns)
            start_ns = packet.slot * self._options.packet_ns
            gap_ns = start_ns - self._now_ns
            self._result.longest_gap_ns = max(self._result.longest_gap_ns, gap_ns)
            # a camera that lags behind by more than a batch does not turn time back
            self._now_ns = max(self._now_ns, start_ns + self._options.packet_ns)
            if self._base_ns + self._now_ns > MAX_STAMP_NS:
                raise MalformedEventsError(
                    f"camera {packet.camera}: an event at {packet.events['t'][0]} ns, after the "
                    "last stamp that a bag can hold (of 2038): a damaged time stamp"
                )
            self._write_infos(self._base_ns)
            self._write_labels(self._base_ns, self._now_ns)
            self._write_packet(self._base_ns, packet)

    def finish(self) -> None:
        """Write the label of the moment at which the last packet ends."""
        if self._base_ns is not None:
            self._write_labels(self._base_ns, self._now_ns + 1)

    def _begin(self, start_ns: int) -> int:
        self._next_info_ns = self._now_ns = start_ns
        if self._truth is not None:
            self._next_label = int(np.searchsorted(self._truth.sensor_ns, start_ns))
        return host_base_ns(start_ns)

    def _write_infos(self, base_ns: int) -> None:
        if self._next_info_ns < self._now_ns:
            late_ns = self._now_ns - 1 - self._next_info_ns
            self._next_info_ns += late_ns // CAMERA_INFO_NS * CAMERA_INFO_NS  # one after a gap
            host_ns = base_ns + self._next_info_ns
            for number, camera in enumerate(self._cameras):
                size = (camera.width, camera.height)
                header = header_at(host_ns, frame_id(number))
                info = camera_info_message(camera.model, header, size)
                self._put(camera_topic(LATCHED_CAMERA_INFO, number), host_ns, info)
            self._next_info_ns += CAMERA_INFO_NS

    def _write_labels(self, base_ns: int, end_ns: int) -> None:
        if self._truth is None:
            return
        end = int(np.searchsorted(self._truth.sensor_ns, end_ns))
        for number in range(self._next_label, end):
            sensor_ns = int(self._truth.sensor_ns[number])
            host_ns = base_ns + sensor_ns
            joints = self._truth.joints_m[number]
            header = header_at(host_ns, WORLD_FRAME)
            self._put(GROUND_TRUTH, host_ns, ground_truth_message(joints, sensor_ns, header))
            self._result.labels += 1
        self._next_label = max(self._next_label, end)

    def _write_packet(self, base_ns: int, packet: Packet) -> None:
        host_ns = base_ns + self._now_ns
        data = serialised_packet(
            encode(self._options.encoding, packet.events),
            stamp_ns=host_ns,
            frame_id=frame_id(packet.camera),
            width=self._cameras[packet.camera].width,
            height=self._cameras[packet.camera].height,
            seq=self._seq[packet.camera],
            encoding=self._options.encoding,
        )
        self._bag.write(RawMessage(camera_topic(EVENTS, packet.camera).name, host_ns, data))
        self._seq[packet.camera] += 1
        self._result.packets += 1

    def _put(self, topic: Topic, host_ns: int, message: Any) -> None:
        self._bag.write(RawMessage(topic.name, host_ns, serialised(message)))
