# SPDX-License-Identifier: Apache-2.0
"""AEDAT 2.0: header, words, time, and what is wrong with a file; a real recording."""

import os
import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hybrid_pose_ros.events.aedat2 import (
    Aedat2Error,
    Aedat2Reader,
    Columns,
    Words,
    pack,
    pack_specials,
    read_header,
    unpack,
)
from hybrid_pose_ros.events.array import check_events
from hybrid_pose_ros.events.sources import Aedat2Source, SourceError, open_source

HEADER = b"#!AER-DAT2.0\r\n# created Fri Sep 18 2015\r\n# AEChip: eu.ini.chips.davis.DAVIS240C\r\n"


def word(address: int, us: int) -> bytes:
    return struct.pack(">II", address, us)


def event(x: int, y: int, us: int, on: bool = False) -> bytes:
    return word(y << 22 | x << 12 | on << 11, us)


def write(path: Path, *words: bytes, header: bytes = HEADER) -> Path:
    path.write_bytes(header + b"".join(words))
    return path


def read(path: Path, chunk: int = 2**19) -> tuple[list[int], list[int], str]:
    reader = Aedat2Reader(path)
    parts = list(reader.words(chunk))
    address = [int(a) for part in parts for a in part.address]
    return address, [int(us) for part in parts for us in part.us], reader.trouble


def test_the_header_names_the_chip_and_its_size(tmp_path: Path) -> None:
    header = read_header(write(tmp_path / "a.aedat"))
    assert (header.chip, header.created, header.size) == (
        "DAVIS240C",
        "Fri Sep 18 2015",
        (240, 180),
    )
    assert header.offset == len(HEADER)
    unknown = read_header(
        write(tmp_path / "b.aedat", header=b"#!AER-DAT2.0\n# AEChip: a.Dvs128\n")
    )
    assert (unknown.chip, unknown.size) == ("Dvs128", None)


@pytest.mark.parametrize("ending", [b"", b"#End Of ASCII Header\r\n"])
def test_a_word_that_begins_like_a_comment_is_a_word(tmp_path: Path, ending: bytes) -> None:
    # the byte of a `#`, of a line feed and of printable characters
    first, second = word(0x23414243, 0x0D0A2020), word(0x23000A00, 0x0D0A2020)
    if not ending:
        first = second
    path = write(tmp_path / "a.aedat", first, event(1, 2, 0x0D0A2020), header=HEADER + ending)
    address, _, _ = read(path)
    assert address == [int.from_bytes(first[:4]), 2 << 22 | 1 << 12]


@given(
    st.lists(
        st.tuples(st.integers(0, 15), st.integers(0, 1023), st.integers(0, 511), st.booleans()),
        max_size=50,
    )
)
def test_events_are_unpacked_as_they_were_packed(rows: list[tuple[int, int, int, bool]]) -> None:
    camera, x, y, polarity = (
        (
            np.array(column, kind)
            for column, kind in zip(zip(*rows, strict=True), (int, int, int, bool), strict=True)
        )
        if rows
        else (np.empty(0, kind) for kind in (int, int, int, bool))
    )
    columns = Columns(np.arange(len(rows)), camera, x, y, polarity)
    words = pack(columns)
    assert words.tobytes() == b"".join(
        word(yy << 22 | xx << 12 | on << 11 | cam, us) for us, (cam, xx, yy, on) in enumerate(rows)
    )
    found = unpack(Words(words["address"].astype(np.uint32), words["us"].astype(np.int64)))
    for name in ("us", "camera", "x", "y", "polarity"):
        assert np.array_equal(getattr(found, name), getattr(columns, name))


def test_frames_motion_data_and_special_events_are_no_events(tmp_path: Path) -> None:
    special = pack_specials(np.array([7])).tobytes()
    assert special == word(1 << 10, 7)
    path = write(tmp_path / "a.aedat", event(1, 2, 5), word(1 << 31, 6), special, word(3 << 30, 8))
    (words,) = Aedat2Reader(path).words()
    assert words.is_event.tolist() == [True, False, False, False]
    assert words.is_special.tolist() == [False, False, True, False]
    assert len(unpack(words).us) == 1


@pytest.mark.parametrize("chunk", [1, 2, 100])
def test_time_goes_on_where_its_32_bits_start_over(tmp_path: Path, chunk: int) -> None:
    times = [2**32 - 10, 2**32 - 1, 0, 5, 3, 9]  # 3: merged streams may be a little out of order
    path = write(tmp_path / "a.aedat", *(event(1, 1, us) for us in times))
    _, us, trouble = read(path, chunk)
    assert us == [2**32 - 10, 2**32 - 1, 2**32, 2**32 + 5, 2**32 + 3, 2**32 + 9]
    assert trouble == ""


@pytest.mark.parametrize("chunk", [1, 2, 100])
def test_reading_ends_where_the_clock_was_reset(tmp_path: Path, chunk: int) -> None:
    times = [5_000_000, 5_000_001, 100, 200]
    path = write(tmp_path / "a.aedat", *(event(1, 1, us) for us in times))
    _, us, trouble = read(path, chunk)
    assert us == times[:2]
    assert trouble == (
        "the clock jumps back by 5.000 s at word 2: the 2 words from there on are left out"
    )


def test_what_is_whole_of_a_cut_off_file_is_read(tmp_path: Path) -> None:
    path = write(tmp_path / "a.aedat", event(1, 1, 10), event(2, 1, 20)[:5])
    _, us, trouble = read(path)
    assert us == [10]
    assert trouble == "the last 5 bytes are no whole word: the file is cut off"


def test_other_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(Aedat2Error, match=r"missing\.aedat: no such file"):
        Aedat2Reader(tmp_path / "missing.aedat")
    other = tmp_path / "a.aedat"
    other.write_bytes(b"#!AER-DAT3.1\r\n")
    with pytest.raises(Aedat2Error, match=r"not an AEDAT 2\.0 file"):
        Aedat2Reader(other)


def test_a_source_turns_the_sensor_s_axes_into_those_of_an_image(tmp_path: Path) -> None:
    path = write(tmp_path / "a.aedat", event(0, 0, 10, True), event(239, 100, 9), event(1, 1, 12))
    source = Aedat2Source(path)
    events = source.read()
    assert events is not None
    assert (source.width, source.height, source.live) == (240, 180, False)
    assert events["x"].tolist() == [239, 0, 238]
    assert events["y"].tolist() == [179, 79, 178]
    assert events["polarity"].tolist() == [True, False, False]
    assert events["t"].tolist() == [10_000, 10_000, 12_000]
    assert source.progress == 1.0
    assert source.read() is None


@pytest.mark.parametrize(
    ("header", "words", "message"),
    [
        (b"#!AER-DAT2.0\n# AEChip: a.MultiDAVIS346BCameraChip\n", b"", "of several cameras"),
        (b"#!AER-DAT2.0\n# AEChip: a.Dvs128\n", b"", "not known"),
        (HEADER, event(240, 0, 5) * 8, "8 of 8 events .* outside .* 240x180.* another camera"),
    ],
)
def test_a_source_refuses_what_it_would_misread(
    tmp_path: Path, header: bytes, words: bytes, message: str
) -> None:
    path = write(tmp_path / "a.aedat", words, header=header)
    with pytest.raises(SourceError, match=message):
        Aedat2Source(path).read()


def test_one_event_outside_the_sensor_costs_itself(tmp_path: Path) -> None:
    path = write(tmp_path / "a.AEDAT2", event(1, 1, 10), event(240, 0, 11), event(2, 1, 12) + b"x")
    source = open_source(path)
    events = source.read()
    assert events is not None
    assert events["t"].tolist() == [10_000, 12_000]
    assert source.losses.outside == 1
    assert source.trouble == (
        "1 events outside the sensor are left out; "
        "the last 1 bytes are no whole word: the file is cut off"
    )


@pytest.mark.parametrize("place", [0, 20, 49])
@pytest.mark.parametrize("us", [285_000_000, 2**31 + 5_000_195, 2**31 + 5, 2**32 - 1, 0])
def test_one_damaged_time_costs_itself(tmp_path: Path, place: int, us: int) -> None:
    times = [5_000_000 + 10 * i for i in range(50)]
    times[place] = us
    source = open_source(write(tmp_path / "a.aedat", *[event(1, 1, t) for t in times]))
    events = source.read()
    assert events is not None
    assert source.read() is None
    # the last of all has none after it that shows its damage
    assert len(events) == 50 or (place, len(events)) == (49, 49)
    good = (5_000_000 + 10 * np.arange(len(events))) * 1000
    assert set(np.flatnonzero(events["t"] != good).tolist()) <= {place}


def test_the_size_of_an_unknown_sensor_may_be_given(tmp_path: Path) -> None:
    path = write(tmp_path / "a.aedat", event(99, 49, 5), header=b"#!AER-DAT2.0\n")
    with pytest.raises(SourceError, match="--size WxH"):
        open_source(path)
    source = open_source(path, size=(100, 50))
    events = source.read()
    assert events is not None
    assert (source.width, source.height, events["x"].tolist()) == (100, 50, [0])


@pytest.mark.skipif("HYBRID_POSE_DATA" not in os.environ, reason="needs the development data")
def test_a_real_recording_of_a_davis240() -> None:
    path = Path(os.environ["HYBRID_POSE_DATA"]) / "events" / "davis240_translBoxes_aedat2.aedat"
    source = Aedat2Source(path)
    parts = []
    while (part := source.read()) is not None:
        parts.append(part)
    events = np.concatenate(parts)
    check_events(events, 240, 180)
    assert len(events) == 162_771  # of 196,608 words
    assert 2.0e9 < events["t"][-1] - events["t"][0] < 2.1e9
    assert 0.3 < events["polarity"].mean() < 0.7
    # the whole sensor sees the moving boxes
    assert (np.bincount(events["x"], minlength=240) > 0).all()
    assert (np.bincount(events["y"], minlength=180) > 0).all()
    assert source.trouble == ""
