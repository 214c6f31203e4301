# SPDX-License-Identifier: Apache-2.0
"""Bags of events: written as a whole or not at all, and read back."""

import contextlib
import shutil
import sqlite3
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Final

import numpy as np
from rosbags.rosbag2 import (
    CompressionFormat,
    CompressionMode,
    StoragePlugin,
    Writer,
    WriterError,
)
from rosbags.typesys import get_types_from_msg
from rosbags.typesys.store import Typestore

from hybrid_pose_ros.bags.bag import BagError, Topic, open_bag
from hybrid_pose_ros.events.array import EVENT_DTYPE, EventArray
from hybrid_pose_ros.events.encodings import MalformedPacketError
from hybrid_pose_ros.events.stream import PacketReader

STORAGES: Final = {"mcap": StoragePlugin.MCAP, "sqlite3": StoragePlugin.SQLITE3}

_USED_BITS: Final = np.uint64(0xFF_FFFF_FFFF)
"""Of the second half of an event in memory; the rest is padding, which may hold anything."""


class EventDigest:
    """Counts events and sums them up in their order, however they are cut into pieces.

    Attributes:
        count: events so far.
        crc32: of the events so far, each as 16 bytes: time in ns (int64), x, y (uint16), polarity
            (uint8), little-endian, and three zeros.
    """

    def __init__(self) -> None:
        self.count = 0
        self.crc32 = 0

    def update(self, events: EventArray) -> None:
        """Take the next events."""
        words = np.array(events, EVENT_DTYPE).view("<u8").reshape(-1, 2)  # a copy
        words[:, 1] &= _USED_BITS
        self.crc32 = zlib.crc32(words.data, self.crc32)
        self.count += len(events)

    def __str__(self) -> str:
        return f"{self.count:,} events, crc32 {self.crc32:08x}"


class BagFile:
    """A bag that is written in the thread of the caller.

    A context manager. The bag is made in a folder beside its place, `NAME.partial`, and moves to
    it at the end: what bears its name is whole. After an error nothing is left.

    Args:
        path: folder to be created.
        topics: all that will be put.
        storage: one of :data:`STORAGES`.
        compress: whether the chunks of an mcap file are compressed (zstd).

    Raises:
        BagError: there is such a bag already, or it cannot be written.
    """

    def __init__(
        self,
        path: Path,
        topics: Sequence[Topic],
        store: Typestore,
        *,
        storage: str = "mcap",
        compress: bool = False,
    ) -> None:
        self._path, self._topics, self._store = path, topics, store
        self._partial = path.with_name(f"{path.name}.partial")
        self._storage = storage
        self._compress = compress and storage == "mcap"

    def __enter__(self) -> "BagFile":
        if self._path.exists():
            raise BagError(f"{self._path}: exists already; remove it or name another bag")
        with self._failures():
            if self._partial.exists():
                shutil.rmtree(self._partial)
            self._writer = Writer(
                self._partial / self._path.name,
                version=Writer.VERSION_LATEST,
                storage_plugin=STORAGES[self._storage],
            )
            if self._compress:
                self._writer.set_compression(CompressionMode.STORAGE, CompressionFormat.ZSTD)
            self._writer.open()
            self._links = {
                topic.name: self._writer.add_connection(
                    topic.name,
                    topic.type,
                    typestore=self._store,
                    offered_qos_profiles=[topic.offered],
                )
                for topic in self._topics
            }
        return self

    def write(self, topic: str, stamp_ns: int, message: Any) -> None:
        """Write a message (of `rosbags`) that arrived at a moment of host time.

        Raises:
            BagError: it cannot be written, for instance because the disk is full.
        """
        link = self._links[topic]
        with self._failures():
            data = self._store.serialize_cdr(message, link.msgtype)
            self._writer.write(link, stamp_ns, data)

    def note(self, key: str, value: str) -> None:
        """Write a line into the metadata (``custom_data``)."""
        self._writer.set_custom_data(key, value)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is None:
            with self._failures():
                self._writer.close()
                (self._partial / self._path.name).rename(self._path)
                self._partial.rmdir()
        else:
            self._discard()

    @contextlib.contextmanager
    def _failures(self) -> Iterator[None]:
        try:
            yield
        except (OSError, WriterError, sqlite3.Error) as error:
            self._discard()
            raise BagError(
                f"{self._path}: the bag cannot be written ({error}); nothing is left of it"
            ) from error

    def _discard(self) -> None:
        with contextlib.suppress(Exception):
            self._writer.abort()
        shutil.rmtree(self._partial, ignore_errors=True)


class EventTopic:
    """Reads the events of one topic of a bag, packet by packet, as the nodes do.

    Args:
        path: folder of the bag.
        name: of the topic; its type is an `EventPacket` of this package or event_camera_msgs.

    Attributes:
        width, height: of the sensor in pixels, as the first good packet says.
        damaged: number of packets so far that could not be decoded; they are left out.

    Raises:
        BagError: the bag is missing or damaged, or has no such topic, or no good packet in it.
    """

    def __init__(self, path: Path, name: str, store: Typestore) -> None:
        self._path, self._name, self._store = path, name, store
        self.damaged = 0
        self._done = 0
        self.width, self.height = self._find_size()

    @property
    def progress(self) -> float:
        """Share of the packets that was read, 0 to 1."""
        return self._done / self._total if self._total else 1.0

    def events(self) -> Iterator[EventArray]:
        """Yield the events of each packet.

        Raises:
            BagError: the bag is damaged, or the size of the sensor changes.
        """
        reader = PacketReader()
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
        with open_bag(self._path) as reader:
            links = [link for link in reader.connections if link.topic == self._name]
            if not links or not links[0].msgtype.endswith("/EventPacket"):
                found = [
                    link.topic
                    for link in reader.connections
                    if link.msgtype.endswith("/EventPacket")
                ]
                raise BagError(
                    f"{self._path}: no topic {self._name} with events; there are "
                    f"{', '.join(sorted(found)) or 'none'}"
                )
            self._total = sum(link.msgcount for link in links)
            kind = links[0].msgtype
            if kind not in self._store.fielddefs:
                self._store.register(get_types_from_msg(links[0].msgdef.data, kind))
            for _, _, data in reader.messages(links):
                yield self._store.deserialize_cdr(data, kind)
