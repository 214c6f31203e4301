# SPDX-License-Identifier: Apache-2.0
"""Packets that are malformed, lost or out of time, without ROS."""

from dataclasses import dataclass, replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hybrid_pose_ros.events.array import make_events
from hybrid_pose_ros.events.binning import GridView
from hybrid_pose_ros.events.encodings import MalformedPacketError, encode
from hybrid_pose_ros.events.stream import PacketReader, StepStream, group_late_steps

STEP_NS = 1000


@dataclass(frozen=True)
class Stamp:
    """The fields of a Time."""

    sec: int = 0
    nanosec: int = 0


@dataclass(frozen=True)
class Header:
    """The fields of a Header."""

    stamp: Stamp = Stamp()


@dataclass(frozen=True)
class Packet:
    """The fields of an EventPacket."""

    events: bytes
    time_base: int
    seq: int = 0
    width: int = 64
    height: int = 48
    encoding: str = "mono"
    is_bigendian: bool = False
    header: Header = Header()


def packet(times: list[int], seq: int = 0) -> Packet:
    encoded = encode("mono", make_events(times, [5] * len(times), [7] * len(times), True))
    return Packet(encoded.data, encoded.time_base, seq)


def stream() -> StepStream:
    return StepStream(
        lambda width, height: GridView.fit(
            width, height, view=(64, 48), cell=4, crop=(0, 0, 16, 12)
        ),
        STEP_NS,
        noise_filter=None,
    )


def test_steps_of_a_stream() -> None:
    steps = stream()
    assert steps.view is None
    assert steps.push(packet([100, 900])).steps == []
    assert steps.view is not None
    assert (steps.view.sensor_width, steps.view.sensor_height) == (64, 48)
    pushed = steps.push(packet([1500, 3200], seq=1))
    assert [(step.index, step.events) for step in pushed.steps] == [(0, 2), (1, 1), (2, 0)]
    assert pushed.steps[0].counts[1, 1, 1] == 2
    assert not pushed.restarted


def test_time_that_goes_back_starts_a_new_stream() -> None:
    steps = stream()
    steps.push(packet([5100]))
    pushed = steps.push(packet([200, 1300], seq=1))
    assert pushed.restarted
    assert [step.index for step in pushed.steps] == [0]
    assert steps.restarts == 1
    assert not steps.push(packet([2300], seq=2)).restarted


def test_an_encoding_may_change_a_resolution_may_not() -> None:
    reader = PacketReader()
    reader.read(packet([1]))
    with pytest.raises(MalformedPacketError, match="changed from 64x48 to 32x48"):
        reader.read(replace(packet([2], 1), width=32))
    assert reader.malformed == 1
    assert "64x48 to 32x48" in reader.malformed_reason
    reader.reset()
    assert len(reader.read(replace(packet([3], 2), width=32))) == 1
    assert reader.sensor == (32, 48)


def test_a_malformed_first_packet_does_not_fix_the_sensor() -> None:
    reader = PacketReader()
    with pytest.raises(MalformedPacketError):
        reader.read(replace(packet([1]), width=640, events=b"odd"))
    assert reader.sensor is None
    reader.read(packet([1], 1))
    assert reader.sensor == (64, 48)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"encoding": "morse"}, "morse"),
        ({"encoding": ""}, ""),
        ({"is_bigendian": True}, "big-endian"),
        ({"events": b"\x00" * 7}, ""),
        ({"events": b"\xff" * 64}, "8 of 8 events lie outside"),
        ({"width": 0}, "0x48"),
        ({"height": 10**6}, "64x1000000"),
        ({"time_base": 2**63}, "time base"),
    ],
)
def test_malformed(changes: dict[str, object], reason: str) -> None:
    reader = PacketReader()
    with pytest.raises(MalformedPacketError, match=reason):
        reader.read(replace(packet([1]), **changes))  # type: ignore[arg-type]
    assert reader.malformed == 1


@given(st.lists(st.integers(1, 50), min_size=1, max_size=30))
def test_lost_packets_are_the_missing_sequence_numbers(strides: list[int]) -> None:
    reader = PacketReader()
    seqs = np.cumsum([7, *strides]).tolist()
    for seq in seqs:
        reader.read(packet([seq], seq))
    assert reader.lost == seqs[-1] - seqs[0] + 1 - len(seqs)


@pytest.mark.parametrize("far", [2**64 - 1, 10**12, 20_000_001])
def test_a_sequence_number_that_is_far_ahead_is_no_loss(far: int) -> None:
    reader = PacketReader()
    for seq in (0, far, 1, 4):
        reader.read(packet([1], seq))
    assert reader.lost == 2


def test_single_bad_events_are_dropped_and_counted() -> None:
    reader = PacketReader()
    good = packet([1, 2, 3])
    data = np.frombuffer(bytearray(good.events), "<u2").copy()
    data[6] = 64  # x of the second event, the sensor being 64 wide
    assert len(reader.read(replace(good, events=data.tobytes()))) == 2
    assert (reader.losses.outside, reader.malformed) == (1, 0)


def test_a_publisher_that_starts_anew_has_lost_nothing() -> None:
    reader = PacketReader()
    for seq in (5, 6, 0, 1):
        reader.read(packet([seq], seq))
    assert reader.lost == 0


@given(st.lists(st.integers(), max_size=40), st.integers(0, 500), st.integers(1, 50))
def test_late_steps_are_grouped_in_proportion(items: list[int], delay: int, most: int) -> None:
    groups = group_late_steps(items, delay, most)
    assert [item for group in groups for item in group] == items
    size = max(1, -(-delay // most))
    assert all(len(group) == size for group in groups[:-1])
    assert all(0 < len(group) <= size for group in groups)


def test_nothing_is_merged_up_to_the_allowed_delay() -> None:
    assert group_late_steps([1, 2, 3], 20, 20) == [[1], [2], [3]]
    assert group_late_steps([1, 2, 3], 21, 20) == [[1, 2], [3]]
