# SPDX-License-Identifier: Apache-2.0
"""Bags (rosbag2, mcap) of a graph's topics, written and read without a ROS distribution.

Messages stay the bytes (CDR) that came over the wire. The definitions of the package's own types
go into the bag, so that any reader can open it.
"""

import contextlib
import queue
import threading
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Final

from rosbags.interfaces import Qos
from rosbags.rosbag2 import (
    CompressionFormat,
    CompressionMode,
    Reader,
    StoragePlugin,
    Writer,
    WriterError,
)
from rosbags.typesys import Stores, get_types_from_msg, get_typestore
from rosbags.typesys.store import Typestore

from hybrid_pose_ros import PACKAGE
from hybrid_pose_ros.errors import UserError

MAX_PENDING_BYTES: Final = 128 * 2**20
"""Messages that wait for the disk; what comes on top is dropped and counted."""


BATCH_S: Final = 0.05
"""Messages are written this often: waking up for each costs more than writing it."""


class BagError(UserError):
    """A bag cannot be written or read; the message names it."""


@dataclass(frozen=True)
class Topic:
    """A topic of a bag.

    Attributes:
        type: as in ``std_msgs/msg/Header``.
        offered: what its publishers offer.
    """

    name: str
    type: str
    offered: Qos


@dataclass(frozen=True)
class Received:
    """A message as it came.

    Attributes:
        stamp_ns: host time of its arrival, ns since 1970.
        data: serialised message (CDR).
    """

    topic: str
    stamp_ns: int
    data: bytes


def make_typestore(share: Path) -> Typestore:
    """Return the message types of ROS 2 Jazzy and those in ``share``/msg of this package."""
    store = get_typestore(Stores.ROS2_JAZZY)
    types = {}
    for path in sorted((share / "msg").glob("*.msg")):
        text = path.read_text(encoding="utf-8")
        types.update(get_types_from_msg(text, f"{PACKAGE}/msg/{path.stem}"))
    store.register(types)
    return store


class BagWriter:
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
        written: Callable[[Sequence[Received]], None] = lambda batch: None,
    ) -> None:
        self.dropped = 0
        self.failure: str | None = None
        self._path, self._topics, self._store, self._written = path, topics, store, written
        self._queue: queue.SimpleQueue[Received | None] = queue.SimpleQueue()
        self._put_bytes = self._taken_bytes = 0
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._write, name="bag")

    def __enter__(self) -> "BagWriter":
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._queue.put(None)
        self._thread.join()

    def put(self, received: Received) -> None:
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
            writer = Writer(
                self._path, version=Writer.VERSION_LATEST, storage_plugin=StoragePlugin.MCAP
            )
            # Whole chunks: images of events shrink to a tenth, and every mcap reader knows zstd.
            writer.set_compression(CompressionMode.STORAGE, CompressionFormat.ZSTD)
            with writer:
                connections = {
                    topic.name: writer.add_connection(
                        topic.name,
                        topic.type,
                        typestore=self._store,
                        offered_qos_profiles=[topic.offered],
                    )
                    for topic in self._topics
                }
                for batch in self._batches():
                    for received in batch:
                        self._taken_bytes += len(received.data)
                        writer.write(connections[received.topic], received.stamp_ns, received.data)
                    self._written(batch)
        except (OSError, WriterError) as error:
            self.failure = f"{self._path}: the bag cannot be written ({error})"

    def _batches(self) -> Iterator[list[Received]]:
        """Yield every BATCH_S what has come, until the end."""
        ended = False
        while not ended:
            time.sleep(BATCH_S)
            batch: list[Received] = []
            while not self._queue.empty():
                received = self._queue.get()
                if received is None:
                    ended = True
                else:
                    batch.append(received)
            if batch:
                yield batch


@contextlib.contextmanager
def reading(path: Path) -> Iterator[None]:
    """Turn whatever reading a bag in the block raises into a BagError that names the bag.

    `rosbags` checks little of what it reads: of damaged bytes its decompressors, its database, or
    Python itself raise what they come upon.
    """
    try:
        yield
    except BagError:
        raise
    except Exception as error:
        words = " ".join(str(error).split()) or type(error).__name__
        raise BagError(f"{path}: the bag cannot be read ({words})") from error


@contextlib.contextmanager
def open_bag(path: Path) -> Iterator[Reader]:
    """Open a bag to read it in the block: its folder, or a file of one (.mcap, .db3).

    Raises:
        BagError: the bag is missing or damaged, which may show in the block.
    """
    with reading(path), Reader(path) as reader:
        yield reader


def read_bag(
    path: Path, store: Typestore, topics: Collection[str]
) -> Iterator[tuple[str, int, Any]]:
    """Yield (topic, arrival in ns since 1970, message) in order of arrival.

    Args:
        topics: those to read; what the bag does not hold is left out.

    Raises:
        BagError: the bag is missing or damaged.
    """
    with open_bag(path) as reader:
        connections = [link for link in reader.connections if link.topic in topics]
        if not connections:
            return
        for link, stamp_ns, data in reader.messages(connections):
            yield link.topic, stamp_ns, store.deserialize_cdr(data, link.msgtype)
