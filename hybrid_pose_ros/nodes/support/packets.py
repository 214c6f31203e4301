# SPDX-License-Identifier: Apache-2.0
"""The packets of the topic `events`: their message type, and how they are read.

Packets come as the bytes of the wire. To read the few fields of an `EventPacket` from them takes
a tenth of the time in which rclpy makes a message of them, which every node has a thousand times
a second.
"""

import struct
from typing import Any, Final, NamedTuple

from builtin_interfaces.msg import Time
from rclpy.serialization import deserialize_message
from std_msgs.msg import Header

from hybrid_pose_ros.events.encodings import EncodedPacket, MalformedPacketError
from hybrid_pose_ros.interfaces.messages import PACKET_TYPES, event_packet_type
from hybrid_pose_ros.nodes.support.base import ManagedNode, StartError
from hybrid_pose_ros.nodes.support.parameters import ParameterSpec

PACKET_TYPE = ParameterSpec(
    "packet_type",
    PACKET_TYPES[0],
    "package whose EventPacket message the topic events carries",
    choices=PACKET_TYPES,
)

_CDR_LE: Final = b"\x00\x01"
_BEGIN: Final = 4
"""Bytes of the encapsulation; alignment counts from there."""


def chosen_packet_type(node: ManagedNode) -> type:
    """Return the message class that a node's ``packet_type`` names; raises StartError."""
    package = node.text(PACKET_TYPE.name)
    try:
        return event_packet_type(package)
    except ModuleNotFoundError as error:
        raise StartError(
            f"packet_type {package}: this package is not installed; "
            f"install it, or use {PACKET_TYPES[0]}"
        ) from error


class ReceivedStamp(NamedTuple):
    """The fields of a `Time`."""

    sec: int
    nanosec: int


class ReceivedHeader(NamedTuple):
    """The fields of a `Header`."""

    stamp: ReceivedStamp
    frame_id: str


def header_message(header: ReceivedHeader) -> Header:
    """Return a `Header` with these fields."""
    stamp = Time(sec=header.stamp.sec, nanosec=header.stamp.nanosec)
    return Header(stamp=stamp, frame_id=header.frame_id)


class ReceivedPacket(NamedTuple):
    """The fields of an `EventPacket`; ``events`` are bytes of the message, not a copy."""

    header: ReceivedHeader
    height: int
    width: int
    seq: int
    time_base: int
    encoding: str
    is_bigendian: bool
    events: memoryview


_STAMP = struct.Struct("<iII")
_SIZES = struct.Struct("<II")
_TIMES = struct.Struct("<QQ")
_LENGTH = struct.Struct("<I")


def read_packet(data: bytes, message_type: type) -> Any:
    """Return the packet in a serialised `EventPacket`: what has the fields of one.

    Args:
        data: classic CDR is read here; any other representation by rclpy.
        message_type: class of the message.

    Raises:
        MalformedPacketError: the bytes end too early, or hold a text that is none.
    """
    if data[:2] != _CDR_LE:
        return deserialize_message(data, message_type)
    try:
        sec, nanosec, length = _STAMP.unpack_from(data, _BEGIN)
        at = _BEGIN + 12
        frame_id = data[at : at + length - 1].decode()
        at = _aligned(at + length, 4)
        height, width = _SIZES.unpack_from(data, at)
        at = _aligned(at + 8, 8)
        seq, time_base = _TIMES.unpack_from(data, at)
        at += 16
        (length,) = _LENGTH.unpack_from(data, at)
        encoding = data[at + 4 : at + 3 + length].decode()
        at += 4 + length
        is_bigendian = data[at] != 0
        at = _aligned(at + 1, 4)
        (length,) = _LENGTH.unpack_from(data, at)
        events = memoryview(data)[at + 4 : at + 4 + length]
    except (struct.error, IndexError, UnicodeDecodeError) as error:
        raise MalformedPacketError(f"not a serialised EventPacket: {error}") from error
    if len(events) != length:
        raise MalformedPacketError(
            f"not a serialised EventPacket: {len(events)} bytes of events instead of {length}"
        )
    header = ReceivedHeader(ReceivedStamp(sec, nanosec), frame_id)
    return ReceivedPacket(header, height, width, seq, time_base, encoding, is_bigendian, events)


def serialised_packet(
    packet: EncodedPacket,
    *,
    stamp_ns: int,
    frame_id: str,
    width: int,
    height: int,
    seq: int,
    encoding: str,
) -> bytes:
    """Return an `EventPacket` as `publish` would serialise it (CDR), in a fourth of the time.

    Args:
        packet: the encoded events.
        stamp_ns: host time in ns since 1970.
        width, height: of the sensor in px.
    """
    frame, name = frame_id.encode() + b"\0", encoding.encode() + b"\0"
    head = _STAMP.pack(*divmod(stamp_ns, 10**9), len(frame)) + frame
    head += bytes(-len(head) % 4) + _SIZES.pack(height, width)
    head += bytes(-len(head) % 8) + _TIMES.pack(seq, packet.time_base)
    head += _LENGTH.pack(len(name)) + name + b"\0"  # not big-endian
    head += bytes(-len(head) % 4) + _LENGTH.pack(len(packet.data))
    return b"".join((_CDR_LE, b"\0\0", head, packet.data))


def _aligned(at: int, size: int) -> int:
    return at + (_BEGIN - at) % size
