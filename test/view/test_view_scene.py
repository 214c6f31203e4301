# SPDX-License-Identifier: Apache-2.0
"""Packets of events in the scene: the events that the nodes get, whatever comes."""

from typing import Any

import cv2
import numpy as np
import pytest
from rosbags.typesys.store import Typestore

from hybrid_pose_ros.drawing import BACKGROUND
from hybrid_pose_ros.events.array import make_events
from hybrid_pose_ros.events.encodings import encode
from hybrid_pose_ros.interfaces.messages import header_at
from hybrid_pose_ros.interfaces.topics import EVENTS, EVENTS_TYPE

from .conftest import HOST_NS

pytest.importorskip("rerun")

TOPIC = EVENTS.under("/cam0")
ADDR_Y, ADDR_X, TIME_LOW, TIME_HIGH = (code << 12 for code in (0, 2, 6, 8))
PICTURE_NS = 34_000_000
"""After this time there is a new picture, in which the events of the last one have not gone."""


class Pictures:
    """Takes the pictures of events that the scene logs.

    Attributes:
        taken: sensor time in ns and picture [height, width, 3] of each.
    """

    def __init__(self) -> None:
        self.taken: list[tuple[int, np.ndarray]] = []
        self._sensor_ns = 0

    def set_time(self, timeline: str, **when: Any) -> None:
        if timeline == "sensor_time":
            self._sensor_ns = int(when["duration"].astype(np.int64))

    def log(self, path: str, *entities: Any, **options: Any) -> None:
        if path == "world/cam0/events":
            png = np.frombuffer(bytes(entities[0].blob.as_arrow_array()[0].values), np.uint8)
            self.taken.append((self._sensor_ns, cv2.imdecode(png, cv2.IMREAD_COLOR)))

    def lit(self) -> set[tuple[int, int]]:
        """Return the pixels (x, y) of the last picture that show an event."""
        y, x = np.nonzero((self.taken[-1][1][:, :, ::-1] != BACKGROUND).any(-1))
        return set(zip(x.tolist(), y.tolist(), strict=True))


def show(store: Typestore, *packets: Any) -> tuple[Pictures, int]:
    """Return the pictures of packets, and how many were malformed."""
    from hybrid_pose_ros.view.entities import Scene

    pictures = Pictures()
    scene = Scene(pictures)  # type: ignore[arg-type]
    for packet in packets:
        scene.add(TOPIC, HOST_NS, packet)
    return pictures, scene.malformed


def packet(store: Typestore, seq: int, data: bytes, **fields: Any) -> Any:
    return store.types[EVENTS_TYPE](
        header=header_at(HOST_NS, "cam0"),
        events=np.frombuffer(data, np.uint8),
        seq=seq,
        **{
            "height": 48,
            "width": 64,
            "time_base": 0,
            "encoding": "mono",
            "is_bigendian": False,
            **fields,
        },
    )


def mono(store: Typestore, seq: int, **fields: Any) -> Any:
    """A packet with an event at (seq, 2), PICTURE_NS after that of the packet before."""
    encoded = encode("mono", make_events([seq * PICTURE_NS], [seq], [2], [True]))
    return packet(store, seq, encoded.data, **{"time_base": encoded.time_base, **fields})


def evt3(store: Typestore, seq: int, *words: int) -> Any:
    """A packet as drivers make it, with time base 0."""
    return packet(store, seq, np.array(words, "<u2").tobytes(), encoding="evt3")


def time_words(us: int) -> tuple[int, int]:
    return TIME_HIGH | us >> 12 & 0xFFF, TIME_LOW | us & 0xFFF


def test_after_a_lost_packet_of_evt3_the_next_time_is_waited_for(store: Typestore) -> None:
    us, step_us = HOST_NS // 1000, PICTURE_NS // 1000
    first = evt3(store, 0, *time_words(us), ADDR_Y | 10, ADDR_X | 1)
    third = evt3(store, 2, ADDR_X | 2, *time_words(us + step_us), ADDR_Y | 30, ADDR_X | 3)
    pictures, malformed = show(store, first, third)
    assert [at_ns for at_ns, _ in pictures.taken] == [HOST_NS, HOST_NS + PICTURE_NS]
    assert pictures.lit() == {(1, 10), (3, 30)}
    assert malformed == 0


@pytest.mark.parametrize(
    "fields",
    [
        {"is_bigendian": True},
        {"width": 0},
        {"width": 2**31},
        {"time_base": 2**62},
        {"width": 640, "encoding": "jpeg"},
    ],
)
@pytest.mark.parametrize("place", [0, 1, 2])
def test_what_nodes_refuse_is_not_shown(
    store: Typestore, fields: dict[str, Any], place: int
) -> None:
    packets = [mono(store, seq, **(fields if seq == place else {})) for seq in range(3)]
    pictures, malformed = show(store, *packets)
    good = [seq for seq in range(3) if seq != place]
    assert [at_ns for at_ns, _ in pictures.taken] == [seq * PICTURE_NS for seq in good]
    assert {picture.shape for _, picture in pictures.taken} == {(48, 64, 3)}
    assert malformed == 1


def test_a_sensor_of_another_size_is_shown_from_its_first_packet_on(store: Typestore) -> None:
    other = {"width": 32, "height": 24}
    packets = [mono(store, 0), mono(store, 1), mono(store, 2, **other), mono(store, 3, **other)]
    pictures, malformed = show(store, *packets)
    assert [p.shape[:2] for _, p in pictures.taken] == [(48, 64), (48, 64), (24, 32), (24, 32)]
    assert pictures.lit() == {(2, 2), (3, 2)}
    assert malformed == 0
