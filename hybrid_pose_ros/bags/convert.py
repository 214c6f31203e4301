# SPDX-License-Identifier: Apache-2.0
"""Recordings -> bags, in bounded memory and with every event accounted for."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray
from rosbags.typesys.store import Typestore

from hybrid_pose_ros.bags.bag import Topic
from hybrid_pose_ros.bags.event_bag import BagFile, EventDigest
from hybrid_pose_ros.bags.layout import (
    CAMERA_INFO_TYPE,
    EVENTS_TYPE,
    GROUND_TRUTH_TOPIC,
    GROUND_TRUTH_TYPE,
    camera_info_topic,
    events_topic,
    frame_id,
    host_base_ns,
    make_camera_info,
    make_ground_truth,
    make_header,
    make_qos,
)
from hybrid_pose_ros.events.array import EventArray, MalformedEventsError
from hybrid_pose_ros.events.encodings import encode
from hybrid_pose_ros.events.playback import MAX_EVENTS_PER_PACKET
from hybrid_pose_ros.events.sources.files import FileSource
from hybrid_pose_ros.geometry.cameras import Camera

CAMERA_INFO_NS: Final = 10**9
"""Calibrations are repeated after this time, for those who begin in the middle."""


class Recording(Protocol):
    """Events of one or more cameras that are read together."""

    @property
    def progress(self) -> float:
        """Share that was read, 0 to 1."""

    @property
    def trouble(self) -> str:
        """What could not be read so far, or ""."""

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
        """What could not be read so far, or ""."""
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
    """What a bag holds.

    Attributes:
        digests: of the events of each camera.
        packets: number of messages with events.
        labels: number of messages with ground truth.
    """

    digests: list[EventDigest]
    packets: int = 0
    labels: int = 0


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
    """Write a recording to a bag; see :mod:`.layout` for what it holds.

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
    topics = []
    for number in range(len(cameras)):
        topics += [
            Topic(camera_info_topic(number), CAMERA_INFO_TYPE, make_qos(depth=1, latched=True)),
            Topic(events_topic(number), EVENTS_TYPE, make_qos(depth=512)),
        ]
    if truth is not None:
        topics.append(Topic(GROUND_TRUTH_TOPIC, GROUND_TRUTH_TYPE, make_qos(depth=32)))
    result = Result([EventDigest() for _ in cameras])
    with BagFile(path, topics, store, storage=options.storage, compress=options.compress) as bag:
        messages = _Messages(bag, store, cameras, truth, options, result)
        cutter = PacketCutter(len(cameras), options.packet_ns)
        for batches in recording.batches():
            for digest, events in zip(result.digests, batches, strict=True):
                digest.update(events)
            messages.write(cutter.cut(batches))
            progress(recording.progress)
        messages.write(cutter.rest())
        messages.finish()
        for number, digest in enumerate(result.digests):
            bag.note(events_topic(number), str(digest))
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
        bag: BagFile,
        store: Typestore,
        cameras: Sequence[CameraSetup],
        truth: GroundTruth | None,
        options: Options,
        result: Result,
    ) -> None:
        self._bag, self._store, self._options, self._result = bag, store, options, result
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
            # a camera that lags behind by more than a batch does not turn time back
            self._now_ns = max(self._now_ns, (packet.slot + 1) * self._options.packet_ns)
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
        while self._next_info_ns < self._now_ns:
            host_ns = base_ns + self._next_info_ns
            for number, camera in enumerate(self._cameras):
                size = (camera.width, camera.height)
                info = make_camera_info(self._store, number, host_ns, size, camera.model)
                self._bag.write(camera_info_topic(number), host_ns, info)
            self._next_info_ns += CAMERA_INFO_NS

    def _write_labels(self, base_ns: int, end_ns: int) -> None:
        if self._truth is None:
            return
        end = int(np.searchsorted(self._truth.sensor_ns, end_ns))
        for number in range(self._next_label, end):
            sensor_ns = int(self._truth.sensor_ns[number])
            host_ns = base_ns + sensor_ns
            joints = self._truth.joints_m[number]
            message = make_ground_truth(self._store, joints, sensor_ns, host_ns)
            self._bag.write(GROUND_TRUTH_TOPIC, host_ns, message)
            self._result.labels += 1
        self._next_label = max(self._next_label, end)

    def _write_packet(self, base_ns: int, packet: Packet) -> None:
        host_ns = base_ns + self._now_ns
        encoded = encode(self._options.encoding, packet.events)
        message = self._store.types[EVENTS_TYPE](
            header=make_header(self._store, host_ns, frame_id(packet.camera)),
            height=self._cameras[packet.camera].height,
            width=self._cameras[packet.camera].width,
            seq=self._seq[packet.camera],
            time_base=encoded.time_base,
            encoding=self._options.encoding,
            is_bigendian=False,
            events=np.frombuffer(encoded.data, np.uint8),
        )
        self._bag.write(events_topic(packet.camera), host_ns, message)
        self._seq[packet.camera] += 1
        self._result.packets += 1
