# SPDX-License-Identifier: Apache-2.0
"""Of a bag's packets `convert bag` gets the events that the nodes get."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.typesys.store import Typestore

from hybrid_pose_ros.bags.bag import BagError
from hybrid_pose_ros.bags.event_topic import EventTopic
from hybrid_pose_ros.events.array import make_events
from hybrid_pose_ros.events.encodings import MalformedPacketError, encode
from hybrid_pose_ros.events.stream import PacketReader
from hybrid_pose_ros.interfaces.messages import header_at
from hybrid_pose_ros.interfaces.topics import EVENTS_TYPE

HOST_NS = 10**18
TOPIC = "/cam0/events"
ADDR_Y, ADDR_X, TIME_LOW, TIME_HIGH = (code << 12 for code in (0, 2, 6, 8))


def packet(store: Typestore, seq: int, data: bytes, **fields: Any) -> Any:
    return store.types[EVENTS_TYPE](
        header=header_at(HOST_NS + seq * 1_000_000, "cam0"),
        events=np.frombuffer(data, np.uint8),
        seq=seq,
        **{
            "height": 260,
            "width": 346,
            "time_base": 0,
            "encoding": "mono",
            "is_bigendian": False,
            **fields,
        },
    )


def mono(store: Typestore, seq: int, **fields: Any) -> Any:
    """A packet with an event at 1 ms, (seq, 2)."""
    encoded = encode("mono", make_events([1_000_000], [seq], [2], [True]))
    return packet(store, seq, encoded.data, **{"time_base": encoded.time_base, **fields})


def evt3(store: Typestore, seq: int, *words: int) -> Any:
    """A packet as drivers make it, with time base 0."""
    return packet(store, seq, np.array(words, "<u2").tobytes(), encoding="evt3")


def time_words(us: int) -> tuple[int, int]:
    return TIME_HIGH | us >> 12 & 0xFFF, TIME_LOW | us & 0xFFF


def write(path: Path, store: Typestore, packets: Sequence[Any]) -> None:
    with Writer(path, version=Writer.VERSION_LATEST, storage_plugin=StoragePlugin.MCAP) as writer:
        link = writer.add_connection(TOPIC, EVENTS_TYPE, typestore=store)
        for message in packets:
            writer.write(link, HOST_NS + message.seq, store.serialize_cdr(message, EVENTS_TYPE))


def read(
    path: Path, store: Typestore, packets: Sequence[Any]
) -> tuple[list[tuple[int, int, int]], int]:
    """Write packets, read them back, and see that the nodes get the same.

    Returns:
        Time (ns), x and y of each event, and the number of damaged packets.
    """
    write(path, store, packets)
    topic = EventTopic(path, TOPIC, store)
    events = np.concatenate(list(topic.events()))
    reader, expected = PacketReader(), []
    for message in packets:
        try:
            expected.append(reader.read(message))
        except MalformedPacketError:
            continue
    assert np.array_equal(events, np.concatenate(expected))
    assert (topic.width, topic.height) == reader.sensor
    assert topic.damaged == reader.malformed
    return [(int(e["t"]), int(e["x"]), int(e["y"])) for e in events], topic.damaged


def test_after_a_lost_packet_of_evt3_the_next_time_is_waited_for(
    tmp_path: Path, store: Typestore
) -> None:
    us = HOST_NS // 1000
    first = evt3(store, 0, *time_words(us), ADDR_Y | 10, ADDR_X | 1)
    third = evt3(store, 2, ADDR_X | 2, *time_words(us + 2000), ADDR_Y | 30, ADDR_X | 3)
    found, damaged = read(tmp_path / "bag", store, [first, third])
    assert found == [(HOST_NS, 1, 10), (HOST_NS + 2_000_000, 3, 30)]
    assert damaged == 0


def test_evt3_without_time_base_is_dated_near_the_stamp(tmp_path: Path, store: Typestore) -> None:
    words = (*time_words(HOST_NS // 1000 - 7), ADDR_Y | 10, ADDR_X | 1)
    found, _ = read(tmp_path / "bag", store, [evt3(store, 0, *words)])
    assert found == [(HOST_NS - 7000, 1, 10)]


@pytest.mark.parametrize(
    "fields",
    [
        {"is_bigendian": True},
        {"time_base": 2**62},
        {"width": 0},
        {"width": 640, "encoding": "jpeg"},
    ],
)
@pytest.mark.parametrize("place", [0, 1, 2])
def test_what_nodes_refuse_is_left_out_and_counted(
    tmp_path: Path, store: Typestore, fields: dict[str, Any], place: int
) -> None:
    packets = [mono(store, seq, **(fields if seq == place else {})) for seq in range(3)]
    found, damaged = read(tmp_path / "bag", store, packets)
    assert found == [(1_000_000, seq, 2) for seq in range(3) if seq != place]
    assert damaged == 1


def test_another_size_of_the_sensor_is_an_error(tmp_path: Path, store: Typestore) -> None:
    write(tmp_path / "bag", store, [mono(store, 0), mono(store, 1, width=640, height=480)])
    topic = EventTopic(tmp_path / "bag", TOPIC, store)
    with pytest.raises(BagError, match="size of the sensor changes in /cam0/events"):
        list(topic.events())
    assert topic.damaged == 0


def test_a_topic_without_a_good_packet_says_why(tmp_path: Path, store: Typestore) -> None:
    write(tmp_path / "bag", store, [mono(store, 0, is_bigendian=True)])
    with pytest.raises(BagError, match=r"no packet in /cam0/events can be decoded .*big-endian"):
        EventTopic(tmp_path / "bag", TOPIC, store)
