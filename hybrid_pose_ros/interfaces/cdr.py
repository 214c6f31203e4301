# SPDX-License-Identifier: Apache-2.0
"""Packets of events and poses as the bytes of the wire (CDR), without rclpy's detour.

Every node has these messages hundreds of times a second. To read or write their few fields takes
a tenth to a fourth of the time in which rclpy converts a message field by field.
"""

import struct
from typing import Any, Final, NamedTuple

import numpy as np
from builtin_interfaces.msg import Time
from rclpy.serialization import deserialize_message
from std_msgs.msg import Header

from hybrid_pose_ros.events.encodings import EncodedPacket, MalformedPacketError
from hybrid_pose_ros.interfaces.messages import MAX_AGE_NS, MAX_STEPS, POSE_SOURCES, Sensor
from hybrid_pose_ros.pipeline.state import Pose
from hybrid_pose_ros.skeleton import NUM_JOINTS

CDR_LE: Final = b"\x00\x01"
"""First two bytes of a message in classic little-endian CDR."""

_BEGIN: Final = 4
"""Bytes of the encapsulation; alignment counts from there."""

_STAMP: Final = struct.Struct("<iII")
_SIZES: Final = struct.Struct("<II")
_TIMES: Final = struct.Struct("<QQ")
_LENGTH: Final = struct.Struct("<I")
_POSE: Final = struct.Struct("<QqIIIB3xi4xq")
_AGE: Final = struct.Struct("<q")
_KEYPOINTS: Final = np.zeros((NUM_JOINTS, 8), "<f4")
"""A row is a `Keypoint`: four bytes that begin with the id, point (2), confidence, variance,
velocity (2), velocity's variance."""
_KEYPOINTS.view(np.uint8)[:, 0] = range(NUM_JOINTS)


class ReceivedStamp(NamedTuple):
    """The fields of a `Time`."""

    sec: int
    nanosec: int


class ReceivedHeader(NamedTuple):
    """The fields of a `Header`."""

    stamp: ReceivedStamp
    frame_id: str


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


def header_message(header: ReceivedHeader) -> Header:
    """Return a `Header` with these fields."""
    stamp = Time(sec=header.stamp.sec, nanosec=header.stamp.nanosec)
    return Header(stamp=stamp, frame_id=header.frame_id)


def read_packet(data: bytes, message_type: type) -> Any:
    """Return the packet in a serialised `EventPacket`: what has the fields of one.

    Args:
        data: classic CDR is read here; any other representation by rclpy.
        message_type: class of the message.

    Raises:
        MalformedPacketError: the bytes end too early, or hold a text that is none.
    """
    if data[:2] != CDR_LE:
        try:
            return deserialize_message(data, message_type)
        except (RuntimeError, ValueError) as error:  # the middleware's errors; a text that is none
            raise MalformedPacketError("not a serialised EventPacket") from error
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
    """Return an `EventPacket` as `publish` would serialise it.

    Args:
        packet: the encoded events.
        stamp_ns: host time in ns since 1970.
        width, height: of the sensor in px.
    """
    name = encoding.encode() + b"\0"
    head = _header(*divmod(stamp_ns, 10**9), frame_id)
    head += bytes(-len(head) % 4) + _SIZES.pack(height, width)
    head += bytes(-len(head) % 8) + _TIMES.pack(seq, packet.time_base)
    head += _LENGTH.pack(len(name)) + name + b"\0"  # not big-endian
    head += bytes(-len(head) % 4) + _LENGTH.pack(len(packet.data))
    return b"".join((CDR_LE, b"\0\0", head, packet.data))


def serialised_pose(pose: Pose, header: Any, sensor: Sensor) -> bytes:
    """Return the message of a pose as `publish` would serialise it.

    Args:
        header: a `Header`, or what has the same fields; of the packet that completed the step.
            The stamp of the message lies as far after it as the pose is predicted ahead.
    """
    carried, nanosec = divmod(header.stamp.nanosec + pose.prediction_ns, 10**9)
    head = _header(header.stamp.sec + carried, nanosec, header.frame_id)
    head += bytes(-len(head) % 8) + _POSE.pack(
        pose.sensor_time_ns,
        pose.prediction_ns,
        pose.id,
        sensor.width,
        sensor.height,
        POSE_SOURCES[pose.source],
        min(pose.steps_since_init, MAX_STEPS),
        min(pose.init_age_ns, MAX_AGE_NS),
    )
    keypoints = _KEYPOINTS.copy()
    keypoints[:, 1:3] = pose.keypoints
    keypoints[:, 3] = pose.confidence
    keypoints[:, 4] = pose.variance
    keypoints[:, 5:7] = pose.velocity
    keypoints[:, 7] = pose.velocity_variance
    return b"".join((CDR_LE, b"\0\0", head, keypoints.tobytes()))


def stamp_ns(data: bytes) -> int:
    """Return the stamp (ns since 1970) of a serialised message that begins with a header.

    Any bytes will do: those that are too short have the stamp 0.
    """
    if len(data) < _BEGIN + _STAMP.size:
        return 0
    sec, nanosec, _ = _STAMP.unpack_from(data, _BEGIN)
    return int(sec) * 10**9 + int(nanosec)


def init_age_ns(data: bytes) -> int:
    """Return the age of the initialisation (ns) in a serialised `PoseKeypoints`; -1: none.

    Any bytes will do: those that are too short have the age -1.
    """
    at = len(data) - _KEYPOINTS.nbytes - _AGE.size
    return int(_AGE.unpack_from(data, at)[0]) if at > _BEGIN else -1


def _header(sec: int, nanosec: int, frame_id: str) -> bytes:
    frame = frame_id.encode() + b"\0"
    return _STAMP.pack(sec, nanosec, len(frame)) + frame


def _aligned(at: int, size: int) -> int:
    return at + (_BEGIN - at) % size
