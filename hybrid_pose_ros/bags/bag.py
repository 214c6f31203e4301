# SPDX-License-Identifier: Apache-2.0
"""Reads bags (rosbag2) without a ROS distribution: the one reader."""

import contextlib
import heapq
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from rosbags.interfaces import Connection
from rosbags.rosbag2 import Reader
from rosbags.rosbag2.storage_mcap import McapReader
from rosbags.typesys import Stores, get_types_from_msg, get_typestore
from rosbags.typesys.store import Typestore

from hybrid_pose_ros import PACKAGE
from hybrid_pose_ros.bags.dvs import EVENT_ARRAY_TYPE, packet_of_event_array
from hybrid_pose_ros.bags.salvage import STORAGE_SUFFIXES, plain, storage_files
from hybrid_pose_ros.errors import UserError
from hybrid_pose_ros.installation import find_prefix, share_directory
from hybrid_pose_ros.interfaces.topics import CAMERA_INFO_TYPE, EVENTS_TYPE, is_packet_type
from hybrid_pose_ros.plain_yaml import check_plain
from hybrid_pose_ros.regular_files import find_obstacle

REORDER_NS: Final = 10 * 10**9
"""Messages of an mcap file without index may be out of order by so much of their time."""

MAX_METADATA_BYTES: Final = 2**20
"""Of `metadata.yaml`; a bag of a thousand topics has less."""

MAX_METADATA_VALUES: Final = 40_000
"""Keys and values in `metadata.yaml`, each of which takes `rosbags` some 0.01 ms, or 0.05 ms
where its parser is not compiled. Eight hundred topics with their qualities of service have
fewer."""

RECOVER: Final = "`hybrid-pose convert recover` makes a whole bag of what can be read"
"""The remedy for damaged bags."""


class BagError(UserError):
    """A bag cannot be written or read; the message names it."""


@dataclass(frozen=True)
class RawMessage:
    """A message as it came over the wire and lies in a bag.

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


def installed_typestore() -> Typestore:
    """Return the message types of ROS 2 Jazzy and those of this package as it is installed.

    Raises:
        NotInstalledError: it is not.
    """
    return make_typestore(share_directory(find_prefix()))


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
        remedy = f"; {RECOVER}" if path.exists() and not isinstance(error, OSError) else ""
        raise BagError(f"{path}: the bag cannot be read ({words}){remedy}") from error


@contextlib.contextmanager
def open_bag(path: Path) -> Iterator[Reader]:
    """Open a bag to read it in the block: its folder, or a file of one (.mcap, .db3).

    Raises:
        BagError: the bag is missing or damaged, which may show in the block.
    """
    if path.is_dir():
        _check_folder(path)
    elif obstacle := find_obstacle(path, "a bag or a file of one"):
        raise BagError(f"{path}: the bag cannot be read ({obstacle})")
    elif path.suffix not in STORAGE_SUFFIXES:
        raise BagError(
            f"{path}: no bag, which is a folder, nor a file of one (*.mcap, *.db3); `hybrid-pose "
            "convert` makes bags of recordings"
        )
    with reading(path), Reader(path) as reader:
        for link in reader.connections:
            if not (isinstance(link.topic, str) and isinstance(link.msgtype, str)):
                raise ValueError(f"a topic {link.topic!r} of the type {link.msgtype!r}")
            if type(link.msgcount) is not int or link.msgcount < 0:
                raise ValueError(f"{link.topic} is said to hold {link.msgcount!r} messages")
        yield reader


def _check_folder(path: Path) -> None:
    """Raise BagError for a bag at which `rosbags` would stand still."""
    metadata = path / "metadata.yaml"
    if not metadata.exists() and not storage_files(path):
        raise BagError(f"{path}: a folder without a bag (metadata.yaml and *.mcap or *.db3)")
    if not metadata.exists():
        raise BagError(f"{path}: the bag cannot be read (it has no metadata.yaml); {RECOVER}")
    with reading(path):
        for file in (metadata, *storage_files(path)):
            if obstacle := find_obstacle(file, "a file of a bag"):
                raise ValueError(f"{file.name}: {obstacle}")
        if metadata.stat().st_size > MAX_METADATA_BYTES:
            raise ValueError(f"metadata.yaml is larger than {MAX_METADATA_BYTES} bytes")
        try:
            check_plain(metadata.read_text(encoding="utf-8"), MAX_METADATA_VALUES)
        except ValueError as error:
            raise ValueError(f"metadata.yaml: {error}") from error


def read_raw(
    path: Path, topics: Collection[str], *, start_ns: int | None = None
) -> Iterator[RawMessage]:
    """Yield messages in order of arrival.

    Args:
        topics: those to read; what the bag does not hold is left out.
        start_ns: messages before are left out, but of the last camera_info of each camera: who
            listens later has got it, too.

    Raises:
        BagError: the bag is missing or damaged, or does not hold as many messages as it says.
    """
    with open_bag(path) as reader:
        links = [link for link in reader.connections if link.topic in topics]
        if not links:
            return
        latched = [link for link in links if link.msgtype == CAMERA_INFO_TYPE]
        if start_ns is not None and latched:
            last = {}
            for link, _, data in reader.messages(latched, stop=start_ns):
                last[link.topic] = data
            for topic, data in last.items():
                yield RawMessage(topic, start_ns, plain(data))
        counts: Counter[str] = Counter()
        for link, stamp_ns, data in _messages(reader, links, start_ns):
            message = plain(data)
            if link.msgtype == EVENT_ARRAY_TYPE:
                message = packet_of_event_array(message, counts[link.topic])
            counts[link.topic] += 1
            yield RawMessage(link.topic, stamp_ns, message)
        if start_ns is None:
            _check_counts(path, links, counts)


def _messages(
    reader: Reader, links: Sequence[Connection], start_ns: int | None
) -> Iterator[tuple[Connection, int, bytes]]:
    """Yield (connection, arrival, data) in order of arrival."""
    storages = getattr(reader.storage, "storages", [reader.storage])
    if all(isinstance(storage, McapReader) and not storage.chunks for storage in storages):
        yield from _reordered(storages, {link.topic for link in links}, start_ns)
    else:
        yield from reader.messages(links, start=start_ns)


def _reordered(
    storages: Sequence[McapReader], topics: Collection[str], start_ns: int | None
) -> Iterator[tuple[Connection, int, bytes]]:
    """Yield the messages of files without index in order of arrival.

    Raises:
        BagError: they are out of order by more than :data:`REORDER_NS`.
    """
    for storage in storages:
        links = [link for link in storage.connections if link.topic in topics]
        waiting: list[tuple[int, int, Connection, bytes]] = []
        done_ns = -1
        for number, (link, stamp_ns, data) in enumerate(storage.messages_scan(links, start_ns)):
            if stamp_ns < done_ns:
                raise BagError(
                    f"{storage.path}: without index, and out of order by more than "
                    f"{REORDER_NS / 1e9:g} s; {RECOVER}"
                )
            heapq.heappush(waiting, (stamp_ns, number, link, data))
            while stamp_ns - waiting[0][0] > REORDER_NS:
                done_ns, _, first, content = heapq.heappop(waiting)
                yield first, done_ns, content
        while waiting:
            stamp_ns, _, link, data = heapq.heappop(waiting)
            yield link, stamp_ns, data


def _check_counts(path: Path, links: Sequence[Connection], counts: Counter[str]) -> None:
    """Raise BagError unless as many messages were read as the bag says that it holds."""
    told: Counter[str] = Counter()
    for link in links:
        told[link.topic] += link.msgcount
    for topic, count in told.items():
        if counts[topic] != count:
            raise BagError(
                f"{path}: {counts[topic]} messages in {topic} were read, but the bag says that it "
                f"holds {count}; copy it again, or {RECOVER}"
            )


def topic_types(path: Path) -> dict[str, tuple[str, int]]:
    """Return type and number of messages of each topic, as read_raw gives them.

    Raises:
        BagError: the bag is missing or damaged.
    """
    with open_bag(path) as reader:
        return {
            name: (read_type(info.msgtype or ""), info.msgcount)
            for name, info in reader.topics.items()
        }


def read_type(message_type: str) -> str:
    """Return the type in which :func:`read_raw` gives messages that are stored as another."""
    return EVENTS_TYPE if message_type == EVENT_ARRAY_TYPE else message_type


def recorded_types(path: Path, store: Typestore) -> Typestore:
    """Return the message types as they were when a bag was recorded.

    Bags of older versions of this package hold their own definitions of its messages; others are
    those of ``store``.

    Raises:
        BagError: the bag is missing or damaged, or holds messages of another version without
            their definition.
    """
    older = {}
    with open_bag(path) as reader:
        for link in reader.connections:
            is_ours = link.msgtype.startswith(f"{PACKAGE}/")
            if not is_ours or link.digest in ("", store.hash_rihs01(link.msgtype)):
                continue
            if not link.msgdef.data:
                raise BagError(
                    f"{path}: {link.topic} holds messages of another version of "
                    f"{link.msgtype}, without their definition; evaluate or replay the bag's "
                    "events instead"
                )
            older.update(get_types_from_msg(link.msgdef.data, link.msgtype))
    if not older:
        return store
    ours = {name: fields for name, fields in store.fielddefs.items() if name.startswith(PACKAGE)}
    types = get_typestore(Stores.ROS2_JAZZY)
    types.register(ours | {name: d for name, d in older.items() if name.startswith(PACKAGE)})
    return types


def read_bag(
    path: Path, store: Typestore, topics: Collection[str]
) -> Iterator[tuple[str, int, Any]]:
    """Yield (topic, arrival in ns since 1970, message) in order of arrival.

    Packets of another package are read as ours: the two are equal field by field. Messages of
    this package are read as they were defined when they were recorded.

    Args:
        topics: those to read; what the bag does not hold is left out.

    Raises:
        BagError: the bag is missing or damaged.
    """
    kinds = {
        name: EVENTS_TYPE if is_packet_type(kind) else kind
        for name, (kind, _) in topic_types(path).items()
    }
    types = recorded_types(path, store)
    for raw in read_raw(path, topics):
        with reading(path):
            message = types.deserialize_cdr(raw.data, kinds[raw.topic])
        yield raw.topic, raw.stamp_ns, message
