# SPDX-License-Identifier: Apache-2.0
"""Whatever is wrong with a bag, reading it ends in one sentence that names it."""

import random
import shutil
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rosbags.rosbag2 import (
    CompressionFormat,
    CompressionMode,
    Reader,
    StoragePlugin,
    Writer,
)
from rosbags.typesys.store import Typestore

from hybrid_pose_ros.bags.bag import BagError, read_bag, read_raw, topic_types
from hybrid_pose_ros.bags.contents import inspect_bag
from hybrid_pose_ros.bags.evaluation import evaluate_recorded
from hybrid_pose_ros.bags.event_topic import EventTopic
from hybrid_pose_ros.cli.main import main
from hybrid_pose_ros.events.array import make_events
from hybrid_pose_ros.events.encodings import encode
from hybrid_pose_ros.interfaces.messages import ground_truth_message, header_at
from hybrid_pose_ros.interfaces.topics import EVENTS_TYPE, GROUND_TRUTH, POSE_3D_TYPE, WORLD_FRAME

TOPICS = ["/cam0/events", GROUND_TRUTH.name]

READERS: dict[str, Callable[[Path, Typestore], object]] = {
    "read_bag": lambda bag, store: list(read_bag(bag, store, TOPICS)),
    "inspect_bag": lambda bag, store: inspect_bag(bag),
    "read_raw": lambda bag, store: list(read_raw(bag, TOPICS)),
    "EventTopic": lambda bag, store: list(EventTopic(bag, TOPICS[0], store).events()),
    "topic_types": lambda bag, store: topic_types(bag),
}
CONTENT_READERS = sorted(READERS.keys() - {"inspect_bag", "topic_types"})


def write(path: Path, store: Typestore, storage: StoragePlugin, *, compress: bool) -> None:
    """Write ten packets and as many labels."""
    writer = Writer(path, version=Writer.VERSION_LATEST, storage_plugin=storage)
    if compress:
        writer.set_compression(CompressionMode.STORAGE, CompressionFormat.ZSTD)
    rng = np.random.default_rng(0)
    with writer:
        kinds = (EVENTS_TYPE, POSE_3D_TYPE)
        links = [
            writer.add_connection(topic, kind, typestore=store)
            for topic, kind in zip(TOPICS, kinds, strict=True)
        ]
        for seq in range(10):
            times = np.sort(rng.integers(seq * 1_000_000, (seq + 1) * 1_000_000, 50))
            x, y = rng.integers(0, 346, 50), rng.integers(0, 260, 50)
            encoded = encode("mono", make_events(times, x, y, x % 2 > 0))
            packet: Any = store.types[EVENTS_TYPE](
                header=header_at(10**18 + seq, "cam0"),
                height=260,
                width=346,
                seq=seq,
                time_base=encoded.time_base,
                encoding="mono",
                is_bigendian=False,
                events=np.frombuffer(encoded.data, np.uint8),
            )
            label = ground_truth_message(
                rng.random((13, 3)), seq, header_at(10**18 + seq, WORLD_FRAME)
            )
            for link, message in zip(links, (packet, label), strict=True):
                writer.write(link, 10**18 + seq, store.serialize_cdr(message, link.msgtype))


@pytest.fixture(scope="module")
def bags(tmp_path_factory: pytest.TempPathFactory, store: Typestore) -> dict[str, Path]:
    """Whole bags by how they are stored."""
    folder = tmp_path_factory.mktemp("whole")
    write(folder / "zstd", store, StoragePlugin.MCAP, compress=True)
    write(folder / "mcap", store, StoragePlugin.MCAP, compress=False)
    write(folder / "sqlite3", store, StoragePlugin.SQLITE3, compress=False)
    return {path.name: path for path in folder.iterdir()}


@pytest.fixture(params=["zstd", "mcap", "sqlite3"])
def bag(request: pytest.FixtureRequest, bags: dict[str, Path], tmp_path: Path) -> Path:
    """A copy of one of them."""
    return copy(bags[request.param], tmp_path)


def copy(whole: Path, folder: Path) -> Path:
    return Path(shutil.copytree(whole, folder / "walk"))


def content(bag: Path) -> Path:
    """The file with the messages."""
    (path,) = (path for path in bag.iterdir() if path.suffix in (".mcap", ".db3"))
    return path


def damages(data: bytes) -> Iterator[bytes]:
    """Yield the file with random bytes damaged: a few or many, anywhere or in its last part."""
    rng = random.Random(0)
    for count in (1, 5, 50) * 4:
        for first in (0, len(data) - 2000):
            damaged = bytearray(data)
            for _ in range(count):
                damaged[rng.randrange(first, len(data))] = rng.randrange(256)
            yield bytes(damaged)


def test_random_damage_is_seen_through_or_named(bag: Path, store: Typestore) -> None:
    path = content(bag)
    said = []
    for damaged in damages(path.read_bytes()):
        path.write_bytes(damaged)
        for read in READERS.values():
            try:
                read(bag, store)
            except BagError as error:
                said.append(str(error))
    assert said
    assert all(words.startswith(f"{bag}: ") for words in said)


@pytest.mark.parametrize("name", CONTENT_READERS)
def test_a_chunk_that_cannot_be_decompressed_is_named(
    bags: dict[str, Path], tmp_path: Path, store: Typestore, name: str
) -> None:
    bag = copy(bags["zstd"], tmp_path)
    path = content(bag)
    magic = struct.pack("<I", 0xFD2FB528)  # of a zstd frame
    path.write_bytes(path.read_bytes().replace(magic, bytes(4)))
    with pytest.raises(BagError, match=f"{bag}: the bag cannot be read") as failure:
        READERS[name](bag, store)
    assert type(failure.value.__cause__).__name__ == "ZstdError"


@pytest.mark.parametrize("name", ["read_bag", "EventTopic"])
def test_a_message_that_cannot_be_deserialised_is_named(
    bags: dict[str, Path], tmp_path: Path, store: Typestore, name: str
) -> None:
    bag = copy(bags["mcap"], tmp_path)
    path = content(bag)
    # The length of the string `cam0` in the header of each packet.
    length = struct.pack("<I", 5) + b"cam0\0"
    path.write_bytes(path.read_bytes().replace(length, b"\xff" * 4 + length[4:]))
    with pytest.raises(BagError, match=f"{bag}: the bag cannot be read"):
        READERS[name](bag, store)


@pytest.mark.parametrize("name", sorted(READERS))
@pytest.mark.parametrize(
    ("error", "words"),
    [
        (PermissionError(13, "Permission denied"), "Permission denied"),
        (OSError(5, "Input/output error"), "Input/output error"),
        (AssertionError(), "AssertionError"),
        (ValueError("two\n  lines"), "two lines"),
    ],
)
def test_errors_of_the_disk_and_of_the_library_are_named(
    bags: dict[str, Path],
    store: Typestore,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    error: Exception,
    words: str,
) -> None:
    def fail(self: Reader) -> None:
        raise error

    monkeypatch.setattr(Reader, "open", fail)
    with pytest.raises(BagError) as failure:
        READERS[name](bags["mcap"], store)
    assert str(failure.value).startswith(f"{bags['mcap']}: the bag cannot be read (")
    assert words in str(failure.value)


def test_a_pose_that_is_damaged_is_named(tmp_path: Path, store: Typestore) -> None:
    bag = tmp_path / "walk"
    label = ground_truth_message(np.ones((13, 3)), 5, header_at(10**18, WORLD_FRAME))
    label.keypoints[3].id = 77
    with Writer(bag, version=Writer.VERSION_LATEST) as writer:
        for topic in ("/pose_3d", GROUND_TRUTH.name):
            link = writer.add_connection(topic, POSE_3D_TYPE, typestore=store)
            writer.write(link, 10**18, store.serialize_cdr(label, POSE_3D_TYPE))
    with pytest.raises(BagError, match=r"walk: the bag cannot be read \(keypoint ids are not"):
        evaluate_recorded(inspect_bag(bag), (), store)


def test_commands_say_it_in_one_line(
    bags: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bag = copy(bags["zstd"], tmp_path)
    path = content(bag)
    path.write_bytes(path.read_bytes().replace(struct.pack("<I", 0xFD2FB528), bytes(4)))
    out = str(tmp_path / "out.aedat4")
    for words in (["convert", "bag", str(bag), "--out", out], ["evaluate-bag", str(bag)]):
        assert main(words) == 1
        error = capsys.readouterr().err
        assert f"{bag}: the bag cannot be read" in error and error.count("\n") == 1
