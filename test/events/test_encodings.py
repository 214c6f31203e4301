# SPDX-License-Identifier: Apache-2.0
"""The encodings: exact bytes worked out by hand, round trips, and what is malformed.

Of the byte strings, the spaces separate words; all words are little-endian.
"""

from array import array

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from hybrid_pose_ros.events.array import (
    EventArray,
    MalformedEventsError,
    check_events,
    empty_events,
    make_events,
)
from hybrid_pose_ros.events.encodings import (
    ENCODINGS,
    MalformedPacketError,
    encode,
    make_decoder,
)
from hybrid_pose_ros.events.losses import Losses

from .conftest import HEIGHT, OFF, ON, ROUND_NS, WIDTH, decode, events_of, words

# -- exact bytes ---------------------------------------------------------------------------------

GOLDEN = {
    "mono": (
        events_of((5_000_000_123, 345, 259, ON), (5_000_000_130, 1, 2, OFF)),
        5_000_000_123,
        # dt 0, x 0x159, y 0x103 with bit 15; dt 7, x 1, y 2
        "00000000 5901 0381  07000000 0100 0200",
    ),
    "libcaer": (
        events_of((5_000_000_000, 345, 259, ON), (5_004_096_000, 1, 2, OFF)),
        5_000_000_000,
        # x << 17 | y << 2 | polarity << 1 | 1 = 0x02b2040f, 0 us; 0x00020009, 4096 us
        "0f04b202 00000000  09000200 00100000",
    ),
    "libcaer_cmp": (
        events_of(
            (7_000, 5, 16, ON),
            (7_000, 5, 18, ON),
            (7_000, 5, 23, ON),
            (4_105_000, 5, 3, OFF),  # 4098 us later
            (4_105_000, 6, 3, OFF),
        ),
        7_000,
        # ADDR_X 5, VECT_BASE_Y 16 ON, VECT_8 0b10000101, TIME_HIGH 1, TIME_LOW 2, ADDR_Y 3,
        # ADDR_X 6, ADDR_Y 3
        "0520 1048 8550 0100 0210 0330 0620 0330",
    ),
    "evt3": (
        events_of(
            (12_293_000, 24, 7, ON),  # 3 * 4096 + 5 us
            (12_293_000, 26, 7, ON),
            (12_293_000, 35, 7, ON),
            (12_294_000, 100, 7, OFF),
            (12_294_000, 100, 8, OFF),
        ),
        12_293_000,
        # TIME_HIGH 3, TIME_LOW 5, ADDR_Y 7, VECT_BASE_X 24 ON, VECT_12 0b100000000101, TIME_LOW 6,
        # ADDR_X 100, ADDR_Y 8, ADDR_X 100
        "0380 0560 0700 1838 0548 0660 6420 0800 6420",
    ),
}


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_events_give_these_bytes(encoding: str) -> None:
    events, time_base, data = GOLDEN[encoding]
    packet = encode(encoding, events)
    assert packet.time_base == time_base
    assert packet.data.hex() == data.replace(" ", "")


@pytest.mark.parametrize("lend", [bytes, bytearray, memoryview, lambda data: array("B", data)])
@pytest.mark.parametrize("encoding", ENCODINGS)
def test_these_bytes_give_events(encoding: str, lend: type) -> None:
    events, time_base, data = GOLDEN[encoding]
    decoded = make_decoder(encoding, WIDTH, HEIGHT).decode(time_base, lend(bytes.fromhex(data)))
    assert_array_equal(decoded, events)
    assert decoded.dtype == events.dtype
    decoded["x"] = 0  # an array of its own


# -- round trips ---------------------------------------------------------------------------------

gaps_us = st.one_of(st.just(0), st.integers(0, 3), st.integers(4000, 4200), st.integers(0, 60_000))
rows_st = st.lists(
    st.tuples(gaps_us, st.integers(0, 40), st.integers(0, 30), st.booleans()),
    min_size=1,
    max_size=60,
)
start_us = st.one_of(st.integers(0, 5000), st.integers(0, 10**12), st.just(2**24 - 10))


def stream(rows: list[tuple[int, int, int, bool]], start: int, *, runs: bool) -> EventArray:
    """Events us apart; with ``runs`` mostly along a column or a row, so that vectors pay."""
    gaps, x, y, polarity = (np.array(column) for column in zip(*rows, strict=True))
    if runs:
        gaps = np.where(gaps > 3, gaps, 0)
        x, y = np.cumsum(x < 3), np.cumsum(y // 4)
    return make_events((start + np.cumsum(gaps)) * 1000, x, y, polarity & (not runs))


@given(rows_st, start_us, st.booleans(), st.booleans())
@pytest.mark.parametrize("encoding", ENCODINGS)
def test_events_come_back_as_they_were(
    encoding: str,
    rows: list[tuple[int, int, int, bool]],
    start: int,
    runs: bool,
    swap: bool,
) -> None:
    events = stream(rows, start, runs=runs)
    if swap:
        events["x"], events["y"] = events["y"].copy(), events["x"].copy()
    packet = encode(encoding, events)
    decoded = make_decoder(encoding, 2048, 2048).decode(packet.time_base, packet.data)
    assert_array_equal(decoded, events)


@given(st.lists(st.integers(0, 10**6), min_size=1, max_size=20), st.integers(0, 2**60))
def test_mono_keeps_nanoseconds(gaps: list[int], start: int) -> None:
    times = (start + np.cumsum(np.array(gaps))).tolist()
    events = make_events(times, [1] * len(times), [2] * len(times), [True] * len(times))
    packet = encode("mono", events)
    assert_array_equal(make_decoder("mono", 4, 4).decode(packet.time_base, packet.data), events)


@pytest.mark.parametrize("encoding", ["libcaer", "libcaer_cmp", "evt3"])
def test_other_encodings_floor_to_microseconds(encoding: str) -> None:
    packet = encode(encoding, events_of((1999, 1, 1, ON), (2001, 1, 1, ON), (2999, 1, 2, ON)))
    assert packet.time_base == 1000
    assert [t for t, *_ in decode(encoding, packet.time_base, packet.data)] == [1000, 2000, 2000]


@given(st.lists(rows_st, min_size=1, max_size=4), start_us)
@pytest.mark.parametrize("encoding", ENCODINGS)
def test_packets_are_self_contained(
    encoding: str, packets: list[list[tuple[int, int, int, bool]]], start: int
) -> None:
    """One decoder reads packets in any order, hence also after lost ones."""
    decoder = make_decoder(encoding, 64, 64)
    for rows in reversed(packets):
        events = stream(rows, start + 1, runs=False)
        packet = encode(encoding, events)
        assert_array_equal(decoder.decode(packet.time_base, packet.data), events)


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_no_events_no_bytes(encoding: str) -> None:
    packet = encode(encoding, empty_events())
    assert packet.data == b""
    assert decode(encoding, packet.time_base, packet.data) == []


def test_vectors_pay_from_three_events_on() -> None:
    def size(encoding: str, count: int) -> int:
        rows = [(0, i, 0, ON) if encoding == "evt3" else (0, 0, i, ON) for i in range(count)]
        return len(encode(encoding, events_of(*rows)).data) // 2

    assert [size("libcaer_cmp", n) for n in (1, 2, 3, 8, 9)] == [2, 3, 3, 3, 4]
    assert [size("evt3", n) for n in (1, 2, 3, 12, 13)] == [4, 5, 5, 5, 6]


@pytest.mark.parametrize(
    ("encoding", "end"),
    [("libcaer_cmp", words(0x0001, 0x1005, 0x3002)), ("evt3", words(0x8001, 0x6005, 0x2001))],
)
def test_the_lower_half_of_the_time_follows_the_upper(encoding: str, end: bytes) -> None:
    """Some decoders start the lower half anew with the upper, others keep it."""
    events = events_of((0, 9, 9, OFF), (5000, 1, 2, OFF), (4_101_000, 1, 2, OFF))
    assert encode(encoding, events).data.endswith(end)


# -- what cannot be encoded ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("encoding", "rows", "reason"),
    [
        ("mono", [(-1, 0, 0, ON)], "-1 ns is negative"),
        ("mono", [(5, 0, 0, ON), (4, 0, 0, ON)], "event 1 is older"),
        ("mono", [(0, 2**15, 0, ON)], "32768 does not fit; the largest is 32767"),
        ("mono", [(0, 0, 0, ON), (2**32, 0, 0, ON)], "limit is 2\\^32 ns"),
        ("libcaer", [(0, 0, 2**15, ON)], "32768 does not fit"),
        ("libcaer", [(0, 0, 0, ON), (2**31 * 1000, 0, 0, ON)], "limit is 2\\^31 us"),
        ("libcaer_cmp", [(0, 2048, 0, ON)], "2048 does not fit; the largest is 2047"),
        ("libcaer_cmp", [(0, 0, 0, ON), (ROUND_NS, 0, 0, ON)], "limit is 2\\^24 us"),
        ("evt3", [(0, 0, 2048, ON)], "2048 does not fit"),
        ("evt3", [(0, 0, 0, ON), (ROUND_NS - 4096_000 * 10, 0, 0, ON)], "a gap .* is too long"),
    ],
)
def test_what_does_not_fit_is_refused(
    encoding: str, rows: list[tuple[int, int, int, bool]], reason: str
) -> None:
    with pytest.raises(MalformedEventsError, match=f"{encoding}: .*{reason}"):
        encode(encoding, events_of(*rows))


@pytest.mark.parametrize(
    ("encoding", "last"),
    [
        ("mono", 2**32 - 1),
        ("libcaer", 2**31 * 1000 - 1),
        ("libcaer_cmp", ROUND_NS - 1),
        ("evt3", ROUND_NS - 4096_000 * 11),
    ],
)
def test_the_longest_packet(encoding: str, last: int) -> None:
    packet = encode(encoding, events_of((0, 0, 0, ON), (last, 0, 0, ON)))
    resolution = 1 if encoding == "mono" else 1000
    decoded = decode(encoding, packet.time_base, packet.data)
    assert [t for t, *_ in decoded] == [0, last // resolution * resolution]


def test_unknown_encodings_are_named() -> None:
    with pytest.raises(ValueError, match="'morse'; there are mono, libcaer, libcaer_cmp, evt3"):
        encode("morse", empty_events())
    with pytest.raises(MalformedPacketError, match="unknown encoding ''"):
        make_decoder("", 1, 1)


# -- what cannot be decoded ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("encoding", "data", "reason"),
    [
        ("mono", b"\0" * 12, "12 bytes are not a whole number of words of 8"),
        ("libcaer", b"\0" * 7, "7 bytes"),
        ("libcaer_cmp", b"\0" * 3, "3 bytes are not a whole number of words of 2"),
        ("evt3", b"\0", "1 bytes"),
        ("mono", bytes.fromhex("000000005a010000") * 8, r"8 of 8 events lie .*\(346, 0\)"),
        ("libcaer", bytes.fromhex("01000000ffffffff") * 8, "8 of 8 valid events have a negative"),
        ("libcaer_cmp", words(*[0x6000] * 8), "8 of 8 words have codes .* word 0 with the code 6"),
        # the base moves on with each vector, and so out of any sensor
        ("libcaer_cmp", words(0x2000, 0x47FF, *[0x5001] * 20), r"lie .* at \(0, 2047\)"),
        ("evt3", words(0x8000, 0x6000, *[0x1000] * 8), "8 of 10 words .* word 2 with the code 1"),
        ("evt3", words(0x8000, 0x6000, 0x0001, *[0x215A] * 8), r"8 of 8 events .*\(346, 1\)"),
    ],
)
def test_malformed_packets_say_why(encoding: str, data: bytes, reason: str) -> None:
    with pytest.raises(MalformedPacketError, match=f"{encoding}: .*{reason}"):
        decode(encoding, 0, data)


SOME = make_events(np.arange(300) * 1000, np.arange(300), 7, True)


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_a_bad_event_costs_itself(encoding: str) -> None:
    """Whether it is dropped or held, all others are as they were."""
    bad = SOME.copy()
    bad["x"][150] = 347
    decoder = make_decoder(encoding, WIDTH, HEIGHT)
    packet = encode(encoding, bad)
    assert_array_equal(decoder.decode(packet.time_base, packet.data), np.delete(SOME, 150))
    assert decoder.losses == Losses(outside=1)


@pytest.mark.parametrize(
    ("encoding", "place", "bit"),
    [("mono", 150 * 8, 31), ("libcaer", 150 * 8 + 4, 30), ("mono", 150 * 8, 14)],
)
def test_a_time_far_ahead_or_back_is_that_of_the_event_before(
    encoding: str, place: int, bit: int
) -> None:
    packet = encode(encoding, SOME)
    data = np.frombuffer(bytearray(packet.data), np.uint8)
    data[place + bit // 8] ^= 1 << bit % 8
    decoder = make_decoder(encoding, WIDTH, HEIGHT)
    decoded = decoder.decode(packet.time_base, data)
    assert_array_equal(decoded[["x", "y", "polarity"]], SOME[["x", "y", "polarity"]])
    assert np.flatnonzero(decoded["t"] != SOME["t"]).tolist() == [150]
    assert decoded["t"][150] == SOME["t"][149]
    assert decoder.losses == Losses(held=1)


def test_libcaer_time_starts_over_all_the_same() -> None:
    data = np.array([(1 | 4, 2**31 - 2), (1 | 4, 2**31 - 1), (1 | 4, 0), (1 | 4, 1)], "<u4,<i4")
    times = [t for t, *_ in decode("libcaer", 0, data.tobytes())]
    assert times == [1000 * (2**31 + us) for us in (-2, -1, 0, 1)]


@pytest.mark.parametrize(
    ("encoding", "data", "expected", "losses"),
    [
        ("mono", "0500000000000000 0400000000000000", 2, Losses(held=1)),
        ("libcaer", "0100000005000000 0100000004000000", 2, Losses(held=1)),
        ("libcaer", "01000000ffffffff 0100000004000000", 1, Losses(skipped=1)),
        ("libcaer_cmp", words(0x2005, 0x3003, 0x6000).hex(), 1, Losses(skipped=1)),
        ("libcaer_cmp", words(0x1005, 0x3003, 0x2001, 0x3003).hex(), 1, Losses(skipped=1)),
        ("libcaer_cmp", words(0x2005, 0x3001, 0x5001).hex(), 1, Losses(skipped=1)),
        ("libcaer_cmp", words(0x2005, 0x1005, 0x3001, 0x1004, 0x3001).hex(), 2, Losses(held=1)),
        ("evt3", words(0x8000, 0x6000, 0x1000, 0x0001, 0x2001).hex(), 1, Losses(skipped=1)),
        ("evt3", words(0x8000, 0x6000, 0x0001, 0x215A).hex(), 0, Losses(outside=1)),
    ],
)
def test_single_bad_words_are_counted(
    encoding: str, data: str, expected: int, losses: Losses
) -> None:
    decoder = make_decoder(encoding, WIDTH, HEIGHT)
    events = decoder.decode(0, bytes.fromhex(data))
    check_events(events, WIDTH, HEIGHT)
    assert len(events) == expected
    assert decoder.losses == losses


@pytest.mark.parametrize("bit", range(12))
def test_a_damaged_time_high_of_evt3_costs_no_round(bit: int) -> None:
    highs = [0x8000 | 2000 + i // 3 for i in range(30)]
    stream = np.array([[high, 0x6000 | i, 1, 0x2001] for i, high in enumerate(highs)], "<u2")
    good = make_decoder("evt3", WIDTH, HEIGHT).decode(0, stream.ravel().tobytes())
    stream[14, 0] ^= 1 << bit
    events = make_decoder("evt3", WIDTH, HEIGHT).decode(0, stream.ravel().tobytes())
    assert len(events) == 30
    # up to two units of 4 ms forwards are no damage that can be told, and time is held until then
    assert set(np.flatnonzero(events["t"] != good["t"]).tolist()) <= {14, 15, 16, 17}
    assert abs(events["t"] - good["t"]).max() < 3 * 4096_000


@pytest.mark.parametrize("lost", [0, 1, 2, (0, 1), (0, 2)])
@pytest.mark.parametrize("cut", [False, True])
def test_a_lost_time_high_of_evt3_costs_nothing(lost: int | tuple[int, int], cut: bool) -> None:
    """Lost between two events, where the lower half of the time starts over."""
    index = np.arange(160)
    events = make_events(5_000_000 + index * 100_000, index, 7, index % 2 == 0)  # 16 ms
    data = np.frombuffer(encode("evt3", events).data, "<u2")
    highs = np.flatnonzero(data >> 12 == 8)
    assert len(highs) == 5
    damaged = np.delete(data, highs[1:][np.array(lost)])
    decoder = make_decoder("evt3", WIDTH, HEIGHT)
    # the border of two packets does not matter where enough words are on each side
    parts = np.split(damaged, [highs[1] - 60]) if cut else [damaged]
    found = np.concatenate([decoder.decode(0, part.tobytes()) for part in parts])
    np.testing.assert_array_equal(found, events)
    assert decoder.losses == Losses(inferred=np.size(lost))


def test_a_damaged_time_low_of_evt3_is_no_lost_time_high() -> None:
    index = np.arange(20)
    events = make_events(5_000_000 + index * 20_000, index, 7, index % 2 == 0)
    data = np.frombuffer(encode("evt3", events).data, "<u2").copy()
    lows = np.flatnonzero(data >> 12 == 6)
    data[lows[9]] |= 0x800
    decoder = make_decoder("evt3", WIDTH, HEIGHT)
    found = decoder.decode(0, data.tobytes())
    assert decoder.losses.inferred == 0
    np.testing.assert_array_equal(found["t"][:9], events["t"][:9])


@pytest.mark.parametrize("time_base", [-1, 2**62, 2**64 - 1])
@pytest.mark.parametrize("encoding", ENCODINGS)
def test_impossible_time_bases(encoding: str, time_base: int) -> None:
    with pytest.raises(MalformedPacketError, match="out of range"):
        decode(encoding, time_base, b"")


@settings(max_examples=200)
@given(st.binary(max_size=400), st.integers(0, 2**62 - 1))
@pytest.mark.parametrize("encoding", ENCODINGS)
def test_any_bytes_give_good_events_or_an_error(
    encoding: str, data: bytes, time_base: int
) -> None:
    decoder = make_decoder(encoding, 2000, 2000)
    for _ in range(2):
        try:
            events = decoder.decode(time_base, data)
        except MalformedPacketError:
            continue
        check_events(events, 2000, 2000)
    good, base, golden = GOLDEN[encoding]
    assert_array_equal(decoder.decode(base, bytes.fromhex(golden)), good)
