# SPDX-License-Identifier: Apache-2.0
"""What is left of a bag after a crash becomes a whole bag; what is lost is said."""

import contextlib
import signal
import sqlite3
import struct
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.typesys import Stores, get_types_from_msg, get_typestore
from rosbags.typesys.store import Typestore

from hybrid_pose_ros.bags.bag import BagError, RawMessage, read_raw, topic_types
from hybrid_pose_ros.bags.recovery import recover_bag
from hybrid_pose_ros.bags.salvage import storage_files
from hybrid_pose_ros.bags.writer import BagWriter
from hybrid_pose_ros.cli.main import main
from hybrid_pose_ros.interfaces.topics import EVENTS, LATCHED_CAMERA_INFO, POSE

CHUNK_BYTES = 2**20
TOPICS = [EVENTS.under("/cam0"), POSE.under("/cam0"), LATCHED_CAMERA_INFO.under("/cam0")]
EVENTS_NAME = TOPICS[0].name


def message(number: int) -> RawMessage:
    """A message of 40 kB that cannot be compressed."""
    data = np.random.default_rng(number).bytes(40_000)
    return RawMessage(EVENTS_NAME, 10**18 + number, b"\0\1\0\0" + data)


def write(path: Path, store: Typestore, count: int = 100, *, storage: str = "mcap") -> None:
    with BagWriter(path, TOPICS, store, storage=storage, compress=True) as writer:
        for number in range(count):
            writer.write(message(number))


def recovered(bag: Path, store: Typestore) -> tuple[list[RawMessage], list[str]]:
    out = bag.parent / "recovered"
    result = recover_bag(bag, out, store)
    assert topic_types(out)[EVENTS_NAME][1] == result.messages[EVENTS_NAME]
    return list(read_raw(out, [EVENTS_NAME])), list(result.troubles)


@pytest.mark.parametrize("storage", ["mcap", "sqlite3"])
def test_without_metadata_nothing_is_lost(tmp_path: Path, store: Typestore, storage: str) -> None:
    bag = tmp_path / "bag"
    write(bag, store, 30, storage=storage)
    (bag / "metadata.yaml").unlink()
    found, troubles = recovered(bag, store)
    assert found == [message(number) for number in range(30)]
    assert not troubles


@pytest.mark.parametrize("part", [0.3, 0.5, 0.99])
def test_a_file_that_is_cut_off_gives_all_whole_chunks(
    tmp_path: Path, store: Typestore, part: float
) -> None:
    bag = tmp_path / "bag"
    write(bag, store)
    (path,) = bag.glob("*.mcap")
    size = round(path.stat().st_size * part)
    path.write_bytes(path.read_bytes()[:size])
    found, (trouble,) = recovered(bag, store)
    assert found == [message(number) for number in range(len(found))]
    per_chunk = CHUNK_BYTES // 40_000 + 1
    assert len(found) == size // (per_chunk * 40_050) * per_chunk
    assert "bag.mcap: breaks off at byte" in trouble


def test_a_damaged_chunk_costs_only_itself(tmp_path: Path, store: Typestore) -> None:
    bag = tmp_path / "bag"
    write(bag, store)
    (path,) = bag.glob("*.mcap")
    data = bytearray(path.read_bytes())
    middle = data.index(struct.pack("<I", 0xFD2FB528), len(data) // 2)
    data[middle : middle + 4] = bytes(4)
    path.write_bytes(data)
    found, (trouble,) = recovered(bag, store)
    numbers = {stored.stamp_ns - 10**18 for stored in found}
    assert 70 <= len(numbers) == len(found) < 100 and {0, 99} <= numbers
    assert "are damaged and left out" in trouble


def test_types_that_only_the_bag_knows_come_along(tmp_path: Path, store: Typestore) -> None:
    foreign = get_typestore(Stores.ROS2_JAZZY)
    foreign.register(get_types_from_msg("uint8 a\nmy_msgs/In b\n", "my_msgs/msg/Out"))
    foreign.register(get_types_from_msg("uint8[] c\n", "my_msgs/msg/In"))
    bag = tmp_path / "bag"
    with Writer(bag, version=9, storage_plugin=StoragePlugin.MCAP) as writer:
        link = writer.add_connection("/mine", "my_msgs/msg/Out", typestore=foreign)
        writer.write(link, 5, b"\0\1\0\0\7")
    (bag / "metadata.yaml").unlink()
    assert recover_bag(bag, tmp_path / "out", store).messages == {"/mine": 1}
    assert topic_types(tmp_path / "out") == {"/mine": ("my_msgs/msg/Out", 1)}


def test_nothing_to_recover_is_said(tmp_path: Path, store: Typestore) -> None:
    with pytest.raises(BagError, match="no files of a bag"):
        recover_bag(tmp_path, tmp_path / "out", store)
    for name in ("a.mcap", "a.db3"):
        path = tmp_path / name
        path.write_bytes(b"nothing of the kind" * 100)
        with pytest.raises(BagError, match=f"nothing can be recovered: {name}: "):
            recover_bag(path, tmp_path / "out", store)
        assert not (tmp_path / "out").exists()


def test_the_command_says_what_there_is_and_what_is_lost(
    tmp_path: Path, store: Typestore, capsys: pytest.CaptureFixture[str]
) -> None:
    bag, out = tmp_path / "bag", tmp_path / "out"
    write(bag, store, 60)
    (path,) = bag.glob("*.mcap")
    path.write_bytes(path.read_bytes()[:-CHUNK_BYTES])
    assert main(["convert", "recover", str(bag), "--out", str(out)]) == 0
    said = capsys.readouterr()
    assert f"{EVENTS_NAME}: " in said.out and str(out) in said.out
    assert "warning" in said.err and "breaks off" in said.err


RECORD = """
import sys
from pathlib import Path
from hybrid_pose_ros.bags.bag import RawMessage, make_typestore
from hybrid_pose_ros.bags.writer import BagRecorder
from hybrid_pose_ros.interfaces.topics import EVENTS
import numpy as np
topic, rng, number = EVENTS.under("/cam0"), np.random.default_rng(0), 0
with BagRecorder(Path(sys.argv[1]), [topic], make_typestore(Path(sys.argv[2]))) as recorder:
    while True:
        number += 1
        data = b"\\0\\1\\0\\0" + rng.bytes(10_000)
        recorder.put(RawMessage(topic.name, number, data))
        if number % 50 == 0:
            __import__("time").sleep(0.01)
            print(number, flush=True)
"""


def kill_recorder(folder: Path, share: Path, store: Typestore, delay_s: float) -> tuple[int, int]:
    """Kill a recorder that writes; return how many messages it had taken, and are recovered."""
    bag, out = folder / "bag", folder / "out"
    command = [sys.executable, "-P", "-c", RECORD, str(bag), str(share)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        while not storage_files(bag) if bag.is_dir() else True:
            assert process.poll() is None
            time.sleep(0.01)
        time.sleep(delay_s)
        process.send_signal(signal.SIGKILL)
        taken = int(process.stdout.read().split()[-1])
    (path,) = storage_files(bag)
    size = path.stat().st_size
    recover_bag(bag, out, store)
    found = list(read_raw(out, [EVENTS_NAME]))
    assert [stored.stamp_ns for stored in found] == list(range(1, len(found) + 1))
    # Random bytes are as long in the file as in memory: all but a chunk, and what the file's
    # buffer holds, is there.
    assert len(found) * 10_050 > size - CHUNK_BYTES - 2 * 10_050
    return taken, len(found)


@pytest.mark.slow
def test_killed_recordings_are_recovered_to_the_last_chunk(
    tmp_path: Path, share: Path, store: Typestore
) -> None:
    for number in range(3):
        folder = tmp_path / str(number)
        folder.mkdir()
        taken, found = kill_recorder(folder, share, store, 0.5 + 0.37 * number)
        assert 0 < found <= taken + 50


ODD_ROWS = {
    "UPDATE messages SET data = 'text' WHERE id = 3": 29,
    "UPDATE messages SET data = 5 WHERE id = 3": 29,
    "UPDATE messages SET topic_id = 99 WHERE id = 3": 29,
    "UPDATE messages SET timestamp = 'noon' WHERE id = 3": 29,
    "UPDATE topics SET offered_qos_profiles = '- history: ['": 30,
    "UPDATE topics SET name = x'00' WHERE id != 1": 30,
    "UPDATE message_definitions SET encoded_message_definition = 'uint8 ['": 30,
    "UPDATE message_definitions SET encoded_message_definition = x'00'": 30,
}


@pytest.mark.parametrize(("statement", "left"), ODD_ROWS.items(), ids=ODD_ROWS)
def test_an_odd_row_of_a_database_costs_itself(
    tmp_path: Path, store: Typestore, statement: str, left: int
) -> None:
    bag = tmp_path / "bag"
    write(bag, store, 30, storage="sqlite3")
    (path,) = storage_files(bag)
    with contextlib.closing(sqlite3.connect(path)) as database:
        database.execute(statement)
        database.commit()
    found, troubles = recovered(bag, store)
    assert len(found) == left
    lost = [f"{path.name}: 1 rows that are no messages are left out"] * (left < 30)
    assert troubles == lost


@pytest.mark.parametrize("value", ["'text'", "7"])
def test_a_message_that_is_no_bytes_is_damage(
    tmp_path: Path, store: Typestore, value: str
) -> None:
    bag = tmp_path / "bag"
    write(bag, store, 3, storage="sqlite3")
    (path,) = storage_files(bag)
    with contextlib.closing(sqlite3.connect(path)) as database:
        database.execute(f"UPDATE messages SET data = {value}")
        database.commit()
    with pytest.raises(BagError, match=r"bag: the bag cannot be read \(.*bytes"):
        list(read_raw(bag, [EVENTS_NAME]))


@pytest.mark.parametrize("column", ["name", "type"])
def test_a_topic_without_name_or_type_is_damage(
    tmp_path: Path, store: Typestore, column: str
) -> None:
    bag = tmp_path / "bag"
    write(bag, store, 3, storage="sqlite3")
    (path,) = storage_files(bag)
    with contextlib.closing(sqlite3.connect(path)) as database:
        database.execute(f"UPDATE topics SET {column} = x'00' WHERE id = 1")
        database.commit()
    with pytest.raises(BagError, match=r"a topic .*b'.x00'"):
        topic_types(path)
