# SPDX-License-Identifier: Apache-2.0
"""Writes bags (rosbag2) without a ROS distribution: the one writer, and a thread for it.

Messages stay the bytes (CDR) that came over the wire. The definitions of the package's own types
go into the bag, so that any reader can open it.
"""

import contextlib
import queue
import shutil
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Final

from rosbags.interfaces import (
    Qos,
    QosDurability,
    QosHistory,
    QosLiveliness,
    QosReliability,
    QosTime,
)
from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin, Writer, WriterError
from rosbags.typesys.store import Typestore

from hybrid_pose_ros.bags.bag import BagError, RawMessage
from hybrid_pose_ros.interfaces.topics import Quality, Topic

STORAGES: Final = {"mcap": StoragePlugin.MCAP, "sqlite3": StoragePlugin.SQLITE3}

MAX_PENDING_BYTES: Final = 128 * 2**20
"""Messages that wait for the disk; what comes on top is dropped and counted."""

BATCH_S: Final = 0.05
"""Messages are written this often: waking up for each costs more than writing it."""


class BagWriter:
    """A bag that is written in the thread of the caller.

    A context manager.

    Args:
        path: folder to be created.
        topics: all that will be written.
        storage: one of :data:`STORAGES`.
        compress: whether the chunks of an mcap file are compressed (zstd): images of events
            shrink to a tenth, and every mcap reader knows zstd.
        whole: the bag is made in a folder beside its place, `NAME.partial`, and moves to it at
            the end: what bears its name is whole, and after an error nothing is left. Else what
            has been written by then stays.

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
        whole: bool = False,
    ) -> None:
        self._path, self._topics, self._store, self._whole = path, topics, store, whole
        self._storage = storage
        self._compress = compress and storage == "mcap"

    def __enter__(self) -> "BagWriter":
        if self._path.exists():
            raise BagError(f"{self._path}: exists already; remove it or name another bag")
        self._partial = self._path.with_name(f"{self._path.name}.partial")
        with self._failures():
            if self._whole and self._partial.exists():
                shutil.rmtree(self._partial)
            self._writer = Writer(
                self._partial / self._path.name if self._whole else self._path,
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
                    offered_qos_profiles=[_qos(topic.offered)],
                )
                for topic in self._topics
            }
        return self

    def write(self, message: RawMessage) -> None:
        """Write a message.

        Raises:
            BagError: it cannot be written, for instance because the disk is full.
        """
        with self._failures():
            self._writer.write(self._links[message.topic], message.stamp_ns, message.data)

    def note(self, key: str, value: str) -> None:
        """Write a line into the metadata (``custom_data``)."""
        self._writer.set_custom_data(key, value)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is None or not self._whole:
            with self._failures():
                self._writer.close()
                if self._whole:
                    (self._partial / self._path.name).rename(self._path)
                    self._partial.rmdir()
        else:
            self._discard()

    @contextlib.contextmanager
    def _failures(self) -> Iterator[None]:
        try:
            yield
        except (OSError, WriterError, sqlite3.Error) as error:
            rest = ""
            if self._whole:
                self._discard()
                rest = "; nothing is left of it"
            raise BagError(f"{self._path}: the bag cannot be written ({error}){rest}") from error

    def _discard(self) -> None:
        with contextlib.suppress(Exception):
            self._writer.abort()
        shutil.rmtree(self._partial, ignore_errors=True)


class BagRecorder:
    """Writes a bag in a thread of its own, so that receiving never waits for the disk.

    A context manager; its end writes what is pending and closes the bag.

    Args:
        path: folder to be created.
        topics: all that will be put.
        written: called in the writing thread with the messages just written.

    Attributes:
        dropped: messages refused because too many were pending.
        failure: why writing ended early, or None.
    """

    def __init__(
        self,
        path: Path,
        topics: Sequence[Topic],
        store: Typestore,
        *,
        written: Callable[[Sequence[RawMessage]], None] = lambda batch: None,
    ) -> None:
        self.dropped = 0
        self.failure: str | None = None
        self._path, self._topics, self._store, self._written = path, topics, store, written
        self._queue: queue.SimpleQueue[RawMessage | None] = queue.SimpleQueue()
        self._put_bytes = self._taken_bytes = 0
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._write, name="bag")

    def __enter__(self) -> "BagRecorder":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._queue.put(None)
        self._thread.join()

    def put(self, received: RawMessage) -> None:
        """Have a message written; returns at once. Any thread may call it.

        Raises:
            RuntimeError: the writing thread has ended by an error that is none of the disk's.
        """
        if not self._thread.is_alive() and self.failure is None:
            raise RuntimeError(f"{self._path}: the writing thread is gone")
        with self._lock:
            pending = self._put_bytes - self._taken_bytes
            if self.failure or pending + len(received.data) > MAX_PENDING_BYTES:
                self.dropped += 1
                return
            self._put_bytes += len(received.data)
            self._queue.put(received)

    def _write(self) -> None:
        try:
            with BagWriter(self._path, self._topics, self._store, compress=True) as writer:
                for batch in self._batches():
                    for received in batch:
                        self._taken_bytes += len(received.data)
                        writer.write(received)
                    self._written(batch)
        except BagError as error:
            self.failure = str(error)

    def _batches(self) -> Iterator[list[RawMessage]]:
        """Yield every BATCH_S what has come, until the end."""
        ended = False
        while not ended:
            time.sleep(BATCH_S)
            batch: list[RawMessage] = []
            while not self._queue.empty():
                received = self._queue.get()
                if received is None:
                    ended = True
                else:
                    batch.append(received)
            if batch:
                yield batch


def _qos(quality: Quality) -> Qos:
    """Return a quality of service in the terms of `rosbags`."""
    forever = QosTime(sec=0, nsec=0)
    return Qos(
        history=QosHistory.KEEP_LAST,
        depth=quality.depth,
        reliability=QosReliability.RELIABLE if quality.reliable else QosReliability.BEST_EFFORT,
        durability=QosDurability.TRANSIENT_LOCAL if quality.latched else QosDurability.VOLATILE,
        deadline=forever,
        lifespan=forever,
        liveliness=QosLiveliness.AUTOMATIC,
        liveliness_lease_duration=forever,
        avoid_ros_namespace_conventions=False,
    )
