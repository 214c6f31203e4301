# SPDX-License-Identifier: Apache-2.0
"""Packets read from the bytes of the wire."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rclpy.serialization import deserialize_message, serialize_message
from std_msgs.msg import Header

from hybrid_pose_ros.events.encodings import EncodedPacket, MalformedPacketError
from hybrid_pose_ros.interfaces import cdr
from hybrid_pose_ros.interfaces.cdr import header_message, read_packet, serialised_packet
from hybrid_pose_ros.interfaces.messages import stamp_from_ns
from hybrid_pose_ros.msg import EventPacket

TEXTS = st.text(st.characters(exclude_characters="\0", codec="utf-8"), max_size=20)
FIELDS = ("height", "width", "seq", "time_base", "encoding", "is_bigendian")


def packet(**changes: Any) -> EventPacket:
    fields = {
        "header": Header(stamp=stamp_from_ns(1_700_000_000_123_456_789), frame_id="cam"),
        "height": 260,
        "width": 346,
        "seq": 2**40,
        "time_base": 2**61 + 3,
        "encoding": "mono",
        "events": bytes(range(24)),
    }
    return EventPacket(**(fields | changes))


@given(TEXTS, TEXTS, st.binary(max_size=40), st.booleans())
def test_a_packet_is_read_as_rclpy_reads_it(
    frame_id: str, encoding: str, events: bytes, bigendian: bool
) -> None:
    header = Header(stamp=stamp_from_ns(1_700_000_000_123_456_789), frame_id=frame_id)
    message = packet(header=header, encoding=encoding, events=events, is_bigendian=bigendian)
    found = read_packet(serialize_message(message), EventPacket)
    assert {name: getattr(found, name) for name in FIELDS} == {
        name: getattr(message, name) for name in FIELDS
    }
    assert bytes(found.events) == events
    assert header_message(found.header) == header


@given(TEXTS, TEXTS, st.binary(max_size=40))
def test_a_packet_that_was_written_is_what_rclpy_reads(
    frame_id: str, encoding: str, events: bytes
) -> None:
    header = Header(stamp=stamp_from_ns(1_700_000_000_123_456_789), frame_id=frame_id)
    message = packet(header=header, encoding=encoding, events=events)
    data = serialised_packet(
        EncodedPacket(message.time_base, events),
        stamp_ns=1_700_000_000_123_456_789,
        frame_id=frame_id,
        width=346,
        height=260,
        seq=message.seq,
        encoding=encoding,
    )
    assert deserialize_message(data, EventPacket) == message


def test_bytes_that_end_too_early_are_malformed() -> None:
    data = serialize_message(packet())
    end = data.index(bytes(range(24))) + 24
    for length in range(4, end):
        with pytest.raises(MalformedPacketError, match="not a serialised EventPacket"):
            read_packet(data[:length], EventPacket)
    assert bytes(read_packet(data[:end], EventPacket).events) == bytes(range(24))


def test_another_representation_is_left_to_rclpy(monkeypatch: pytest.MonkeyPatch) -> None:
    data = serialize_message(packet())
    big_endian = b"\x00\x00" + data[2:]
    monkeypatch.setattr(cdr, "deserialize_message", lambda *arguments: arguments)
    assert read_packet(big_endian, EventPacket) == (big_endian, EventPacket)
