# SPDX-License-Identifier: Apache-2.0
"""Encodings of event packets, as in ``event_camera_msgs/msg/EventPacket``.

=========== =============== ========== =======================================================
name        bytes per event resolution longest packet
=========== =============== ========== =======================================================
mono        8               1 ns       2^32 ns (4.3 s)
libcaer     8               1 us       2^31 us (36 min)
libcaer_cmp 2 to 8          1 us       2^24 us (16.8 s)
evt3        2 to 8          1 us       any, without a gap of 2^24 us; see :mod:`.evt3` for time
=========== =============== ========== =======================================================

All are little-endian. :func:`encode` makes packets that need no other packet to be decoded.
"""

from types import ModuleType
from typing import Final

from hybrid_pose_ros.events.array import EventArray
from hybrid_pose_ros.events.encodings import evt3, libcaer, libcaer_cmp, mono
from hybrid_pose_ros.events.encodings.packet import (
    Buffer,
    Decoder,
    EncodedPacket,
    MalformedPacketError,
    check_encodable,
)
from hybrid_pose_ros.events.losses import Losses

__all__ = [
    "ENCODINGS",
    "Buffer",
    "Decoder",
    "EncodedPacket",
    "MalformedPacketError",
    "encode",
    "make_decoder",
]

_MODULES: Final[dict[str, ModuleType]] = {
    module.NAME: module for module in (mono, libcaer, libcaer_cmp, evt3)
}

ENCODINGS: Final = tuple(_MODULES)
"""Names of the encodings."""


def encode(encoding: str, events: EventArray) -> EncodedPacket:
    """Encode events as one self-contained packet.

    Sensor time is floored to the resolution of the encoding. The time base is a multiple of 1 us,
    except for mono; no events give a packet without bytes.

    Raises:
        ValueError: no such encoding.
        MalformedEventsError: time goes back or is negative, or a coordinate or the length of the
            packet does not fit the encoding.
    """
    if encoding not in _MODULES:
        raise ValueError(_unknown(encoding))
    if not len(events):
        return EncodedPacket(0, b"")
    module = _MODULES[encoding]
    check_encodable(encoding, events, module.MAX_COORDINATE)
    packet: EncodedPacket = module.encode(events)
    return packet


def make_decoder(
    encoding: str, width: int, height: int, near_ns: int = 0, losses: Losses | None = None
) -> Decoder:
    """Return a decoder for one camera with a sensor of this size in pixels.

    Args:
        near_ns: about when the first packet was made, in ns of any clock that does not jump. Where
            an encoding leaves the upper part of sensor time open, the time nearest to this one is
            meant: whoever begins to decode a stream later has the same times.
        losses: the account of bad events, which several decoders may share; None for one of its
            own.

    Raises:
        MalformedPacketError: no such encoding.
    """
    if encoding not in _MODULES:
        raise MalformedPacketError(_unknown(encoding))
    if encoding == evt3.NAME:
        return evt3.Decoder(width, height, near_ns, losses)
    decoder: Decoder = _MODULES[encoding].Decoder(width, height, losses)
    return decoder


def _unknown(encoding: str) -> str:
    return f"unknown encoding {encoding!r}; there are {', '.join(ENCODINGS)}"
