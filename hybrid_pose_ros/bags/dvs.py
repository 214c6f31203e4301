# SPDX-License-Identifier: Apache-2.0
"""Events of `dvs_msgs`, the message of rpg_dvs_ros and its bags, as packets.

An `EventArray` has a header, height, width and a list of events: x and y (uint16), a time stamp
(int32 s, uint32 ns) and a polarity. In CDR numbers are aligned to their size, so that the first
event takes 14 bytes, and each further one begins 2 bytes before a multiple of 16 after it.
Source: rpg_dvs_ros, ``dvs_msgs/msg/EventArray.msg`` and ``Event.msg``.
"""

import struct
from typing import Final

import numpy as np

from hybrid_pose_ros.events.array import make_events
from hybrid_pose_ros.events.encodings import EncodedPacket, encode
from hybrid_pose_ros.events.encodings.packet import hold_times
from hybrid_pose_ros.interfaces.cdr import CDR_LE, serialised_packet

EVENT_ARRAY_TYPE: Final = "dvs_msgs/msg/EventArray"

_BEGIN: Final = 4
_HEAD: Final = struct.Struct("<iII")
_SIZES: Final = struct.Struct("<III")
_STRIDE: Final = 16
_ROW: Final = np.dtype(
    {
        "names": ["y", "sec", "nanosec", "polarity", "next_x"],
        "formats": ["<u2", "<i4", "<u4", "u1", "<u2"],
        "offsets": [0, 4, 8, 12, 14],
        "itemsize": _STRIDE,
    }
)
"""16 bytes from one event on; the x of the next one lies at their end."""


def packet_of_event_array(data: bytes, seq: int) -> bytes:
    """Return a serialised `EventPacket` with the events of a serialised `EventArray`.

    Sensor time is the time stamps, in ns since 1970. An event that is out of order gets the time
    of the one before it.

    Args:
        seq: number of the packet; an `EventArray` has none that lasts.

    Returns:
        Where the bytes are no `EventArray`, or its events do not fit into a packet, one of a
        sensor of 0x0 pixels: every reader refuses and counts it.
    """
    try:
        return _convert(data, seq)
    except (ValueError, struct.error):
        nothing = EncodedPacket(0, b"")
        fields = {"stamp_ns": 0, "width": 0, "height": 0, "seq": seq}
        return serialised_packet(nothing, frame_id="", encoding="mono", **fields)


def _convert(data: bytes, seq: int) -> bytes:
    """Return the packet; raises ValueError or struct.error."""
    if data[:2] != CDR_LE:
        raise ValueError("another representation than little-endian CDR")
    sec, nanosec, length = _HEAD.unpack_from(data, _BEGIN)
    at = _BEGIN + _HEAD.size
    frame_id = data[at : at + max(length, 1) - 1].decode()
    at += length
    at += (_BEGIN - at) % 4
    height, width, count = _SIZES.unpack_from(data, at)
    at += _SIZES.size
    if len(data) < at + _STRIDE * count - (3 if count else 0):
        raise ValueError(f"{len(data)} bytes are too few for {count} events")
    whole = data[at : at + _STRIDE * count].ljust(_STRIDE * count, b"\0")
    rows = np.frombuffer(whole, _ROW)
    x, y = np.roll(rows["next_x"], 1), rows["y"].copy()
    if count:  # of the first event x and y lie together
        x[0], y[0] = struct.unpack_from("<HH", whole)
    times = rows["sec"].astype(np.int64) * 10**9 + rows["nanosec"]
    if count:
        times, _ = hold_times(times)
    stamp_ns = sec * 10**9 + nanosec
    packet = encode("mono", make_events(times, x, y, rows["polarity"] != 0))
    return serialised_packet(
        packet,
        stamp_ns=stamp_ns,
        frame_id=frame_id,
        width=width,
        height=height,
        seq=seq,
        encoding="mono",
    )
