# SPDX-License-Identifier: Apache-2.0
"""Bags with damaged metadata or files: no hang, no invented message, one sentence."""

import json
import os
import re
import shutil
import struct
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from hybrid_pose_ros.bags.bag import MAX_METADATA_BYTES, MAX_METADATA_VALUES, BagError, read_raw
from hybrid_pose_ros.bags.contents import inspect_bag
from hybrid_pose_ros.bags.salvage import Damage, salvage, storage_files
from hybrid_pose_ros.plain_yaml import check_plain

HEAD = struct.Struct("<BQ")
CHUNK, MESSAGE, INDEX = 6, 5, 7


@pytest.fixture
def bag(tmp_path: Path, small_bag: Path) -> Path:
    return Path(shutil.copytree(small_bag, tmp_path / "bag"))


def make_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def make_device(path: Path) -> None:
    path.unlink()
    path.symlink_to("/dev/zero")


@pytest.mark.parametrize("make", [make_pipe, make_device])
@pytest.mark.parametrize("name", ["metadata.yaml", "small.mcap"])
def test_a_file_of_a_bag_that_is_none_is_refused_at_once(
    bag: Path, name: str, make: Callable[[Path], None]
) -> None:
    make(bag / name)
    start = time.perf_counter()
    with pytest.raises(BagError, match=rf"bag: .*{re.escape(name)}: a (pipe|device)"):
        inspect_bag(bag)
    assert time.perf_counter() - start < 2.0


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[" * 3000, "nested"),
        ("{a: " * 3000, "nested"),
        ("a: &a [x, x]\nb: *a\n", "aliases"),
        ("a: b\n" * 10**6, "larger than"),
        (f"a: [{'1,' * 500_000}]", "metadata.yaml: more than 40,000 values"),
        ("- - - x\n" * 100_000, "metadata.yaml: more than 40,000 values"),
    ],
    ids=["lists", "maps", "aliases", "size", "values", "short lists"],
)
def test_metadata_that_would_take_for_ever_are_refused(bag: Path, text: str, words: str) -> None:
    (bag / "metadata.yaml").write_text(text)
    start = time.perf_counter()
    with pytest.raises(BagError, match=rf"bag: .*{words}.*convert recover"):
        inspect_bag(bag)
    assert time.perf_counter() - start < 2.0


def test_metadata_of_many_topics_are_not_too_large(bag: Path) -> None:
    content = yaml.safe_load((bag / "metadata.yaml").read_text())
    topics = content["rosbag2_bagfile_information"]["topics_with_message_count"]
    pattern = topics[0]["topic_metadata"]
    quality = {"history": 1, "depth": 10, "reliability": 1, "durability": 2, "liveliness": 1}
    times = ("deadline", "lifespan", "liveliness_lease_duration")
    quality |= {name: {"sec": 9223372036, "nsec": 854775807} for name in times}
    quality["avoid_ros_namespace_conventions"] = False
    for number in range(800):
        own = {**pattern, "name": f"/topic{number}", "offered_qos_profiles": [quality]}
        topics.append({"message_count": 0, "topic_metadata": own})
    text = json.dumps(content)  # which is YAML, too
    assert 200_000 < len(text) < MAX_METADATA_BYTES
    check_plain(text, MAX_METADATA_VALUES)


@pytest.mark.parametrize(
    "change",
    [
        {"starting_time": {"nanoseconds_since_epoch": -5}},
        {"starting_time": {"nanoseconds_since_epoch": 10**40}},
        {"duration": {"nanoseconds": -5}},
        {"duration": {"nanoseconds": 10**25}},
    ],
)
def test_times_that_no_bag_can_have_are_refused(bag: Path, change: dict[str, Any]) -> None:
    path = bag / "metadata.yaml"
    content = yaml.safe_load(path.read_text())
    content["rosbag2_bagfile_information"].update(change)
    path.write_text(yaml.safe_dump(content))
    with pytest.raises(BagError, match="bag: the bag says that it lasts from"):
        inspect_bag(bag)


def records(data: bytes, at: int, end: int) -> list[tuple[int, int, int]]:
    """Return place, kind and length of the records between two places."""
    found = []
    while at < end - HEAD.size:
        kind, length = HEAD.unpack_from(data, at)
        found.append((at, kind, length))
        at += HEAD.size + length
    return found


def test_an_index_is_not_taken_for_messages(bag: Path) -> None:
    (path,) = storage_files(bag)
    whole = list(salvage(path, Damage()))
    data = bytearray(path.read_bytes())
    places = [at for at, kind, _ in records(data, 8, len(data)) if kind == INDEX]
    data[places[0]] = MESSAGE  # one bit of it
    path.write_bytes(data)
    damage = Damage()
    assert list(salvage(path, damage)) == whole
    assert "a message outside of the chunks" in damage.troubles[0]


def test_a_record_that_is_longer_than_its_chunk_is_damage(bag: Path) -> None:
    (path,) = storage_files(bag)
    data = bytearray(path.read_bytes())
    ((at, _, length),) = [one for one in records(data, 8, len(data)) if one[1] == CHUNK]
    start = at + HEAD.size + 28 + 4 + 8  # sizes and times, no name of a compression, size
    last, _, size = records(data, start, at + HEAD.size + length)[-1]
    HEAD.pack_into(data, last, MESSAGE, size + 1000)
    path.write_bytes(data)
    damage = Damage()
    assert not list(salvage(path, damage))
    assert "a record is longer than its chunk" in damage.troubles[0]
    with pytest.raises(BagError, match="bag: "):
        list(read_raw(bag, ["/cam0/events", "/cam1/events", "/ground_truth/pose_3d"]))
