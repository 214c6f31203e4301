# SPDX-License-Identifier: Apache-2.0
"""Reads what is left of the files of a bag: cut off, damaged, without index or metadata.

An mcap file is a sequence of records: one byte for the kind, eight for the length, the content.
Chunks (kind 6) hold such records again, as a rule compressed. A recorder that is killed leaves
whole chunks, part of a record, and neither index nor end. A damaged chunk is skipped; a length
that leads out of the file ends it. Source: mcap.dev/spec.
"""

import sqlite3
import struct
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, Final, NamedTuple

from rosbags.rosbag2.storage_mcap import DECOMPRESSORS, decompress

from hybrid_pose_ros.regular_files import find_obstacle

STORAGE_SUFFIXES: Final = (".mcap", ".db3")

_MCAP_MAGIC: Final = b"\x89MCAP0\r\n"
_ZSTD_MAGIC: Final = b"\x28\xb5\x2f\xfd"
_HEAD: Final = struct.Struct("<BQ")
_CHUNK: Final = struct.Struct("<QQQI")
_MESSAGE: Final = struct.Struct("<HIQQ")
_LENGTH: Final = struct.Struct("<I")
_SIZE: Final = struct.Struct("<Q")
_FOOTER, _SCHEMA, _CHANNEL, _MESSAGE_KIND, _CHUNK_KIND, _DATA_END = 2, 3, 4, 5, 6, 15


class Channel(NamedTuple):
    """A topic of a bag.

    Attributes:
        topic: its name.
        type: of its messages, as in ``std_msgs/msg/Header``.
        definition: text of the type's definition; "" where the bag has none that can be read.
        qualities: what the publishers offered, as the bag writes it.
    """

    topic: str
    type: str
    definition: str
    qualities: str


@dataclass
class Damage:
    """Losses of a reading, in sentences.

    Attributes:
        troubles: sentences that name the file and the place.
    """

    troubles: list[str] = field(default_factory=list)


class Salvaged(NamedTuple):
    """A message that could be read."""

    channel: Channel
    stamp_ns: int
    data: bytes


def plain(data: bytes) -> bytes:
    """Return a message as it came over the wire; in bags that compress each one it is packed.

    A bag's metadata.yaml tells of that, which a lone `.db3` does not have. No message in CDR
    begins like a frame of zstd.

    Raises:
        ValueError: it is no bytes, as the columns of a damaged database may hold.
    """
    if not isinstance(data, bytes):
        raise ValueError(f"a message that is {type(data).__name__} instead of bytes")
    return DECOMPRESSORS["zstd"](data, 0) if data[:4] == _ZSTD_MAGIC else data


def storage_files(path: Path) -> list[Path]:
    """Return the files with messages of a bag, in order: of its folder, or the file itself."""
    if not path.is_dir():
        return [path]
    found = [file for file in path.iterdir() if file.suffix in STORAGE_SUFFIXES]
    return sorted(found, key=lambda file: (len(file.name), file.name))  # _9 before _10


def salvage(path: Path, damage: Damage) -> Iterator[Salvaged]:
    """Yield the messages of a file of a bag that can be read, in its order.

    Args:
        damage: gets what could not be read.
    """
    if obstacle := find_obstacle(path, "a file of a bag (*.mcap, *.db3)"):
        damage.troubles.append(f"{path.name}: {obstacle}")
    elif path.suffix == ".db3":
        yield from _salvage_sqlite3(path, damage)
    else:
        yield from _salvage_mcap(path, damage)


def _salvage_mcap(path: Path, damage: Damage) -> Iterator[Salvaged]:
    with path.open("rb") as file:
        if file.read(len(_MCAP_MAGIC)) != _MCAP_MAGIC:
            damage.troubles.append(f"{path.name}: does not begin as an mcap file")
            return
        reader = _McapReader(path, damage)
        ended = False
        for kind, content in _records(file, path.stat().st_size):
            ended = ended or kind in (_DATA_END, _FOOTER)
            if ended:
                break  # what follows repeats what was
            yield from reader.take(kind, content)
        if not ended:
            damage.troubles.append(
                f"{path.name}: breaks off at byte {reader.done}; what was being written then is "
                "lost"
            )


class _McapReader:
    """Knows the channels that the records so far have defined."""

    def __init__(self, path: Path, damage: Damage) -> None:
        self.done = len(_MCAP_MAGIC)
        self._path, self._damage = path, damage
        self._schemas: dict[int, tuple[str, str]] = {}
        self._channels: dict[int, Channel] = {}
        self._chunked = False

    def take(self, kind: int, content: bytes) -> Iterator[Salvaged]:
        """Yield the messages in a record of the file."""
        first = self.done
        self.done += _HEAD.size + len(content)
        try:
            if kind == _CHUNK_KIND:
                self._chunked = True
                # list: none of a chunk that breaks off in the middle is given twice
                yield from list(self._chunk(content))
            elif kind == _MESSAGE_KIND and self._chunked:
                raise ValueError("a message outside of the chunks")  # of an index, for instance
            else:
                yield from self._record(kind, content)
        except Exception as error:  # whatever the decompressors and damaged numbers raise
            words = " ".join(str(error).split()) or type(error).__name__
            self._damage.troubles.append(
                f"{self._path.name}: bytes {first} to {self.done} are damaged and left out "
                f"({words})"
            )

    def _chunk(self, content: bytes) -> Iterator[Salvaged]:
        _, _, size, crc = _CHUNK.unpack_from(content)
        compression, at = _text(content, _CHUNK.size)
        (length,) = _SIZE.unpack_from(content, at)
        packed = content[at + _SIZE.size :][:length]
        data = decompress(packed, compression.decode(), size, crc)
        at = 0
        while at < len(data):
            kind, length = _HEAD.unpack_from(data, at)
            at += _HEAD.size
            if length > len(data) - at:
                raise ValueError("a record is longer than its chunk")
            yield from self._record(kind, data[at : at + length])
            at += length

    def _record(self, kind: int, content: bytes) -> Iterator[Salvaged]:
        if kind == _SCHEMA:
            (number,) = struct.unpack_from("<H", content)
            name, at = _text(content, 2)
            encoding, at = _text(content, at)
            text, _ = _text(content, at)
            definition = text.decode() if encoding == b"ros2msg" else ""
            self._schemas[number] = name.decode(), definition
        elif kind == _CHANNEL:
            number, schema = struct.unpack_from("<HH", content)
            topic, at = _text(content, 4)
            _, at = _text(content, at)
            entries, _ = _text(content, at)
            type_, definition = self._schemas.get(schema, ("", ""))
            qualities = _entry(entries, b"offered_qos_profiles")
            self._channels[number] = Channel(topic.decode(), type_, definition, qualities)
        elif kind == _MESSAGE_KIND:
            number, _, stamp_ns, _ = _MESSAGE.unpack_from(content)
            yield Salvaged(self._channels[number], stamp_ns, plain(content[_MESSAGE.size :]))


def _records(file: BinaryIO, size: int) -> Iterator[tuple[int, bytes]]:
    """Yield kind and content of the whole records of a file."""
    while len(head := file.read(_HEAD.size)) == _HEAD.size:
        kind, length = _HEAD.unpack(head)
        if length > size - file.tell():
            return
        yield kind, file.read(length)


def _text(data: bytes, at: int) -> tuple[bytes, int]:
    """Return a string with its length before it, and where it ends."""
    (length,) = _LENGTH.unpack_from(data, at)
    at += _LENGTH.size
    if at + length > len(data):
        raise ValueError("a text is longer than its record")
    return data[at : at + length], at + length


def _entry(entries: bytes, wanted: bytes) -> str:
    """Return a value of a map of strings; "" where it is not there."""
    at = 0
    while at < len(entries):
        key, at = _text(entries, at)
        value, at = _text(entries, at)
        if key == wanted:
            return value.decode()
    return ""


def _salvage_sqlite3(path: Path, damage: Damage) -> Iterator[Salvaged]:
    """Read a database as SQLite leaves it after a crash, with its journal."""
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as database:
            channels = _channels(database)
            rows = database.execute("SELECT topic_id, timestamp, data FROM messages ORDER BY id")
            strange = 0
            for number, stamp_ns, data in rows:
                if number in channels and type(stamp_ns) is int and isinstance(data, bytes):
                    yield Salvaged(channels[number], stamp_ns, plain(data))
                else:
                    strange += 1
            if strange:
                damage.troubles.append(
                    f"{path.name}: {strange} rows that are no messages are left out"
                )
    except Exception as error:  # whatever SQLite and damaged rows raise
        damage.troubles.append(f"{path.name}: damaged, the rest is left out ({error})")


def _channels(database: sqlite3.Connection) -> dict[int, Channel]:
    tables = {name for (name,) in database.execute("SELECT name FROM sqlite_master")}
    definitions: dict[str, str] = {}
    if "message_definitions" in tables:  # since Iron
        query = (
            "SELECT topic_type, encoded_message_definition FROM message_definitions "
            "WHERE encoding = 'ros2msg'"
        )
        definitions = dict(database.execute(query))
    columns = {row[1] for row in database.execute("PRAGMA table_info(topics)")}
    qualities = "offered_qos_profiles" if "offered_qos_profiles" in columns else "''"
    query = f"SELECT id, name, type, {qualities} FROM topics"
    return {
        number: Channel(name, type_, _text_of(definitions.get(type_)), _text_of(text))
        for number, name, type_, text in database.execute(query)
        if isinstance(name, str) and isinstance(type_, str)
    }


def _text_of(value: object) -> str:
    """Return a value of a table that should be a text; "" where it is none."""
    return value if isinstance(value, str) else ""
