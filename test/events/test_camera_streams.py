# SPDX-License-Identifier: Apache-2.0
"""Streams that only cameras send: state across packets, vectors, rounds of time.

Words are 16 bits: code in the upper 4, value in the lower 12.
"""

import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from hybrid_pose_ros.events.array import check_events, make_events
from hybrid_pose_ros.events.encodings import (
    ENCODINGS,
    MalformedPacketError,
    encode,
    make_decoder,
)

from .conftest import HEIGHT, OFF, ON, ROUND_NS, WIDTH, decode, words


def test_libcaer_skips_invalid_events() -> None:
    data = bytes.fromhex("0f04b202 00000000  0e04b202 ffffffff  09000200 01000000")
    assert decode("libcaer", 0, data) == [(0, 345, 259, ON), (1000, 1, 2, OFF)]


def test_libcaer_times_start_over() -> None:
    data = bytes.fromhex("09000200 feffff7f  09000200 01000000")
    times = [t for t, *_ in decode("libcaer", 10, data)]
    assert times == [(2**31 - 2) * 1000 + 10, (2**31 + 1) * 1000 + 10]


def test_libcaer_cmp_begins_at_its_time_base_without_time_words() -> None:
    assert decode("libcaer_cmp", 123, words(0x2005, 0x3803)) == [(123, 5, 3, ON)]


def test_libcaer_cmp_vectors_move_the_base_on() -> None:
    data = words(0x2005, 0x4808, 0x5001, 0x5FC0, 0x3003, 0x5080)  # upper bits of VECT_8 unused
    expected = [
        (0, 5, y, polarity) for y, polarity in ((8, ON), (22, ON), (23, ON), (3, OFF), (31, ON))
    ]
    assert decode("libcaer_cmp", 0, data) == expected


def test_evt3_vectors_move_the_base_on() -> None:
    data = words(0x8000, 0x6000, 0x0002, 0x3808, 0x4001, 0x4800, 0x2005, 0x5081, 0x5F01)
    expected = [(8, ON), (31, ON), (5, OFF), (32, ON), (39, ON), (40, ON)]
    assert decode("evt3", 0, data) == [(0, x, 2, polarity) for x, polarity in expected]


def test_evt3_skips_what_tells_nothing_about_events() -> None:
    data = words(0x8000, 0x7123, 0x6000, 0xA001, 0x0801, 0xE123, 0xF001, 0x9000, 0x2003)
    assert decode("evt3", 0, data) == [(0, 3, 1, OFF)]  # bit 11 of ADDR_Y: the second camera


def test_evt3_waits_for_time_and_address() -> None:
    decoder = make_decoder("evt3", WIDTH, HEIGHT)
    assert len(decoder.decode(0, words(0x0001, 0x2001, 0x6005, 0x2002))) == 0
    assert len(decoder.decode(0, words(0x0001, 0x2003, 0x8001, 0x2004))) == 0
    assert len(decoder.decode(0, words(0x6007, 0x2005))) == 0
    assert decoder.decode(0, words(0x0002, 0x2006)).tolist() == [((4096 + 7) * 1000, 6, 2, OFF)]
    decoder.reset()
    assert len(decoder.decode(0, words(0x0001, 0x6008, 0x2007))) == 0


def test_evt3_waits_for_time_and_address_in_the_rounds_of_the_hosts_time() -> None:
    decoder = make_decoder("evt3", WIDTH, HEIGHT, 1_760_000_000 * 10**9)
    good = words(0x8001, 0x6002, 0x0001, 0x2001)
    (first,) = decoder.decode(0, good)["t"]
    decoder.reset()
    events = decoder.decode(0, words(0x8002, 0x0001, 0x2003, 0x2004, 0x6002, 0x2005))
    assert events["x"].tolist() == [5]  # the others came before the lower half of the time
    assert events["t"].tolist() == [first + 4096 * 1000]


def test_evt3_tells_the_round_of_a_first_event_at_0() -> None:
    decoder = make_decoder("evt3", WIDTH, HEIGHT, 1_760_000_000 * 10**9)
    packet = encode("evt3", make_events([0, 7000], 1, 1, ON))
    assert decoder.decode(packet.time_base, packet.data)["t"].tolist() == [0, 7000]


def test_evt3_counts_rounds_across_packets_and_resets() -> None:
    decoder = make_decoder("evt3", WIDTH, HEIGHT)

    def first_time(high: int) -> int:
        packet = words(0x8000 | high, 0x6001, 0x0001, 0x2001)
        return int(decoder.decode(0, packet)["t"][0]) // 1000

    assert first_time(0xFFF) == (0xFFF << 12) + 1
    assert first_time(0x000) == 2**24 + 1
    decoder.reset()
    assert first_time(0x800) == 2**24 + (0x800 << 12) + 1
    assert first_time(0x100) == 2 * 2**24 + (0x100 << 12) + 1


@pytest.mark.parametrize(
    ("first", "second", "us"), [(20, 10, 20 << 12), (21, 10, (10 << 12) + 2**24)]
)
def test_evt3_takes_a_step_back_of_more_than_ten_for_a_new_round(
    first: int, second: int, us: int
) -> None:
    line = (0x6000, 0x0001, 0x2001)
    times = [
        t for t, *_ in decode("evt3", 0, words(0x8000 | first, *line, 0x8000 | second, *line))
    ]
    assert times == [(first << 12) * 1000, us * 1000]


def test_evt3_goes_on_with_a_vector_in_the_next_packet() -> None:
    decoder = make_decoder("evt3", WIDTH, HEIGHT)
    decoder.decode(0, words(0x8000, 0x6000, 0x0002, 0x3808, 0x4001))
    assert decoder.decode(0, words(0x4001)).tolist() == [(0, 20, 2, ON)]
    assert decoder.decode(0, words(0x5002)).tolist() == [(0, 33, 2, ON)]


def test_evt3_goes_on_in_the_round_that_a_time_base_told() -> None:
    decoder = make_decoder("evt3", WIDTH, HEIGHT)
    packet = encode("evt3", make_events([7 * ROUND_NS + 1000], 1, 1, ON))
    decoder.decode(packet.time_base, packet.data)
    assert decoder.decode(0, words(0x6005, 0x2002)).tolist() == [(7 * ROUND_NS + 5000, 2, 1, OFF)]


def test_evt3_holds_the_time_where_the_camera_steps_back() -> None:
    decoder = make_decoder("evt3", WIDTH, HEIGHT)
    line = (0x0001, 0x2001)
    data = words(0x8FFF, 0x6005, *line, 0x8000, 0x6001, *line, 0x8FFF, 0x6FFF, *line, 0x6000)
    first, wrapped, held = decoder.decode(0, data)["t"] // 1000
    assert (first, wrapped, held) == ((0xFFF << 12) + 5, 2**24 + 1, 2**24 + 1)
    (still,) = decoder.decode(0, words(*line))["t"] // 1000
    assert still == 2**24 + 1
    (on,) = decoder.decode(0, words(0x8000, 0x6002, *line))["t"] // 1000
    assert on == 2**24 + 2


def test_evt3_believes_a_time_base_only_if_it_fits_the_words() -> None:
    data = words(0x8001, 0x6002, 0x0001, 0x2001)
    time = (4096 + 2) * 1000
    for time_base, expected in (
        (0, time),
        (time, time),
        (time + 7 * ROUND_NS, time + 7 * ROUND_NS),
        (time + 7 * ROUND_NS + 1, time),
        (time + 7 * ROUND_NS - 1000, time),
        (1_700_000_000_123_456_789, time),
    ):
        assert decode("evt3", time_base, data) == [(expected, 1, 1, OFF)]


def test_evt3_time_goes_back_with_a_recording_that_starts_over() -> None:
    decoder = make_decoder("evt3", WIDTH, HEIGHT)
    for start in (9 * ROUND_NS, 5_000_000, 9 * ROUND_NS, 5_000_000):
        packet = encode("evt3", make_events([start, start + 9000], 1, 1, ON))
        times = decoder.decode(packet.time_base, packet.data)["t"].tolist()
        assert times == [start, start + 9000]


def test_evt3_is_sane_after_an_error() -> None:
    decoder = make_decoder("evt3", WIDTH, HEIGHT)
    decoder.decode(0, words(0x8001, 0x6001, 0x0001, 0x2001))
    with pytest.raises(MalformedPacketError):
        decoder.decode(0, words(0x8002, 0x6001, 0x07FF, *[0x2001] * 8))
    assert len(decoder.decode(0, words(0x2001))) == 0  # the line is not known any more
    data = words(0x8003, 0x6001, 0x0001, 0x2001)
    assert decoder.decode(0, data).tolist() == [((3 * 4096 + 1) * 1000, 1, 1, OFF)]


# -- the word decoders against a state machine ----------------------------------------------------

CODES = {  # time_high, time_low, line, single, base, {vector: width}
    "libcaer_cmp": (0, 1, 2, 3, 4, {5: 8}),
    "evt3": (8, 6, 0, 2, 3, {4: 12, 5: 8}),
}


def state_machine(encoding: str, data: list[int]) -> list[tuple[int, int, int, bool]]:
    """Decode word by word, as the format's documents say; returns (us, x, y, polarity)."""
    time_high, time_low, line_code, single, base_code, vectors = CODES[encoding]
    high = low = line = base = sign = 0
    events = []
    for word in data:
        code, value = word >> 12, word & 0xFFF
        place = []
        if code == time_high:
            high = value
        elif code == time_low:
            low = value
        elif code == line_code:
            line = value & 0x7FF
        elif code == base_code:
            base, sign = value & 0x7FF, value >> 11
        elif code == single:
            place = [(value & 0x7FF, value >> 11)]
        elif code in vectors:
            place = [(base + bit, sign) for bit in range(vectors[code]) if value >> bit & 1]
            base += vectors[code]
        for position, polarity in place:
            x, y = (line, position) if encoding == "libcaer_cmp" else (position, line)
            events.append((high << 12 | low, x, y, bool(polarity)))
    return events


@st.composite
def word_streams(draw: st.DrawFn, encoding: str) -> list[int]:
    """Good streams with every kind of word in any order, time going on."""
    time_high, time_low, line, single, base, vectors = CODES[encoding]
    kind = st.sampled_from([line, single, single, base, *vectors, *vectors, time_low])
    stream = [time_high << 12, time_low << 12, line << 12 | 3, base << 12 | 9]
    us = 0
    for code, value in draw(st.lists(st.tuples(kind, st.integers(0, 0xFFF)), max_size=60)):
        if code == time_low:
            us += value * 3
            stream += [time_high << 12 | us >> 12, time_low << 12 | us & 0xFFF]
        else:
            stream.append(code << 12 | value)
    return stream


@given(st.data())
@pytest.mark.parametrize("encoding", CODES)
def test_whole_arrays_decode_like_word_by_word(encoding: str, data: st.DataObject) -> None:
    stream = data.draw(word_streams(encoding))
    decoded = decode(encoding, 0, words(*stream), size=(4096, 4096))
    assert decoded == [(us * 1000, x, y, p) for us, x, y, p in state_machine(encoding, stream)]


@given(word_streams("evt3"), st.lists(st.integers(0, 100), max_size=6))
def test_evt3_does_not_depend_on_the_packets(stream: list[int], cuts: list[int]) -> None:
    decoder = make_decoder("evt3", 4096, 4096)
    pieces = np.split(np.array(stream, "<u2"), sorted(min(cut, len(stream)) for cut in cuts))
    rows = [row for piece in pieces for row in decoder.decode(0, piece.tobytes()).tolist()]
    assert rows == decode("evt3", 0, words(*stream), size=(4096, 4096))


# -- a real recording ----------------------------------------------------------------------------


def test_a_street_in_evt3() -> None:
    root = os.environ.get("HYBRID_POSE_DATA")
    path = Path(root or "") / "events" / "evt3_1280x720.raw"
    if root is None or not path.is_file():
        pytest.skip("HYBRID_POSE_DATA names no folder with events/evt3_1280x720.raw")
    data = path.read_bytes()
    while data.startswith(b"%"):
        data = data[data.index(b"\n") + 1 :]
    decoder = make_decoder("evt3", 1280, 720)
    pieces = [decoder.decode(0, data[at : at + 4096]) for at in range(0, len(data), 4096)]
    events = np.concatenate(pieces)
    assert len(events) == 219_596
    check_events(events, 1280, 720)
    assert (events["t"][0], events["t"][-1]) == (11_718_656_000, 11_727_457_000)
    for encoding in ENCODINGS:
        packet = encode(encoding, events)
        again = make_decoder(encoding, 1280, 720).decode(packet.time_base, packet.data)
        assert_array_equal(again, events)
