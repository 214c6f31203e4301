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
from hybrid_pose_ros.events.encodings import encode
from hybrid_pose_ros.interfaces.cdr import serialised_packet

EVENT_ARRAY_TYPE: Final = "dvs_msgs/msg/EventArray"

_CDR_LE: Final = b"\x00\x01"
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

    Sensor time is the time stamps, in ns since 1970. An event that is older than the one before
    it gets the time of that one.

    Args:
        seq: number of the packet; an `EventArray` has none that lasts.

    Raises:
        ValueError: the bytes are no `EventArray`.
    """
    try:
        if data[:2] != _CDR_LE:
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
    except (struct.error, UnicodeDecodeError, ValueError) as error:
        raise ValueError(f"not a serialised {EVENT_ARRAY_TYPE}: {error}") from error
    whole = data[at : at + _STRIDE * count].ljust(_STRIDE * count, b"\0")
    rows = np.frombuffer(whole, _ROW)
    x, y = np.roll(rows["next_x"], 1), rows["y"].copy()
    if count:  # of the first event x and y lie together
        x[0], y[0] = struct.unpack_from("<HH", whole)
    times = rows["sec"].astype(np.int64) * 10**9 + rows["nanosec"]
    times = np.maximum.accumulate(times) if count else times
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
