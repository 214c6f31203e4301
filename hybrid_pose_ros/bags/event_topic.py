# SPDX-License-Identifier: Apache-2.0
"""The events of a topic of a bag, and a digest of them."""

import contextlib
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np
from rosbags.typesys.store import Typestore

from hybrid_pose_ros.bags.bag import BagError, read_bag, topic_types
from hybrid_pose_ros.events.array import EVENT_DTYPE, EventArray
from hybrid_pose_ros.events.encodings import MalformedPacketError
from hybrid_pose_ros.events.stream import PacketReader, describe_losses
from hybrid_pose_ros.interfaces.topics import is_packet_type

_USED_BITS: Final = np.uint64(0xFF_FFFF_FFFF)
"""Of the second half of an event in memory; the rest is padding, which may hold anything."""


class EventDigest:
    """Counts events and sums them up in their order, however they are cut into pieces.

    Attributes:
        count: events so far.
        first_ns, last_ns: sensor time of the first and last event so far.
        crc32: of the events so far, each as 16 bytes: time in ns (int64), x, y (uint16), polarity
            (uint8), little-endian, and three zeros.
    """

    def __init__(self) -> None:
        self.count = 0
        self.crc32 = 0
        self.first_ns = self.last_ns = 0

    def update(self, events: EventArray) -> None:
        """Take the next events."""
        words = np.array(events, EVENT_DTYPE).view("<u8").reshape(-1, 2)  # a copy
        words[:, 1] &= _USED_BITS
        self.crc32 = zlib.crc32(words.data, self.crc32)
        if len(events):
            self.first_ns = self.first_ns if self.count else int(events["t"][0])
            self.last_ns = int(events["t"][-1])
        self.count += len(events)

    def __str__(self) -> str:
        return f"{self.count:,} events, crc32 {self.crc32:08x}"


class EventTopic:
    """Reads the events of one topic of a bag, packet by packet, as the nodes do.

    Args:
        path: folder of the bag.
        name: of the topic; its type is an `EventPacket` of this package or event_camera_msgs.

    Attributes:
        width, height: of the sensor in pixels, as the first good packet says.
        damaged: number of packets so far that could not be decoded; they are left out.
        trouble: what was lost so far, in words, or "".

    Raises:
        BagError: the bag is missing or damaged, or has no such topic, or no good packet in it.
    """

    def __init__(self, path: Path, name: str, store: Typestore) -> None:
        self._path, self._name, self._store = path, name, store
        self.damaged = 0
        self._done = 0
        self._reader = PacketReader()
        self.width, self.height = self._find_size()

    @property
    def progress(self) -> float:
        """Share of the packets that was read, 0 to 1."""
        return self._done / self._total if self._total else 1.0

    @property
    def trouble(self) -> str:
        """Losses of the topic so far in a sentence, or ""."""
        return describe_losses(self.damaged, self._reader.lost, self._reader.losses)

    def events(self) -> Iterator[EventArray]:
        """Yield the events of each packet.

        Raises:
            BagError: the bag is damaged, or the size of the sensor changes.
        """
        self._reader = reader = PacketReader()
        self._done = self.damaged = 0
        for message in self._messages():
            self._done += 1
            fits = (message.width, message.height) == (self.width, self.height)
            try:
                # One of another size has a reader of its own, which says whether to believe it.
                events = (reader if fits else PacketReader()).read(message)
            except MalformedPacketError:
                self.damaged += 1
                continue
            if not fits:
                raise BagError(f"{self._path}: the size of the sensor changes in {self._name}")
            yield events

    def _find_size(self) -> tuple[int, int]:
        """Return width and height of the first good packet."""
        reader = PacketReader()
        for message in self._messages():
            with contextlib.suppress(MalformedPacketError):
                reader.read(message)
                return message.width, message.height
        if reader.malformed:
            raise BagError(
                f"{self._path}: no packet in {self._name} can be decoded "
                f"({reader.malformed_reason})"
            )
        raise BagError(f"{self._path}: no packet in {self._name}")

    def _messages(self) -> Iterator[Any]:
        types = topic_types(self._path)
        kind, self._total = types.get(self._name, ("", 0))
        if not is_packet_type(kind):
            found = [name for name, (kind, _) in sorted(types.items()) if is_packet_type(kind)]
            raise BagError(
                f"{self._path}: no topic {self._name} with events; there are "
                f"{', '.join(found) or 'none'}"
            )
        for _, _, message in read_bag(self._path, self._store, [self._name]):
            yield message
