# SPDX-License-Identifier: Apache-2.0
"""RAW files: EVT 2.0 to the bit, EVT 3.0 through its decoder, headers, damage; a real file."""

import os
import struct
from pathlib import Path

import numpy as np
import pytest

from hybrid_pose_ros.events import prophesee_raw
from hybrid_pose_ros.events.array import EventArray, check_events, make_events
from hybrid_pose_ros.events.encodings import encode
from hybrid_pose_ros.events.prophesee_raw import RawFileError, RawReader, read_header
from hybrid_pose_ros.events.sources import RawSource, SourceError

EVT2 = b"% evt 2.0\n% geometry 640x480\n% end\n"
EVT3 = b"% date 2020-09-25 07:48:29\n% evt 3.0\n% plugin_name hal_plugin_gen41_evk3\n"


def high(us: int) -> bytes:
    return struct.pack("<I", 8 << 28 | us >> 6 & 2**28 - 1)


def event(us: int, x: int, y: int, on: bool) -> bytes:
    return struct.pack("<I", on << 28 | (us & 63) << 22 | x << 11 | y)


def write(path: Path, header: bytes, *parts: bytes) -> Path:
    path.write_bytes(header + b"".join(parts))
    return path


def read(path: Path) -> tuple[EventArray, str]:
    reader = RawReader(path)
    events = np.concatenate([make_events([], [], [], []), *reader.events()])
    assert reader.progress == 1.0
    return events, reader.trouble


@pytest.mark.parametrize("chunk", [4, 12, 2**18])
def test_evt2_is_read_to_the_bit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, chunk: int
) -> None:
    monkeypatch.setattr(prophesee_raw, "CHUNK_BYTES", chunk)
    trigger, other, more = (struct.pack("<I", kind << 28 | 5) for kind in (10, 14, 15))
    path = write(
        tmp_path / "a.raw",
        EVT2,
        event(1, 7, 7, True),  # before the first time: skipped
        high(1_000_000),
        event(1_000_001, 639, 0, True),
        trigger + other + more,
        event(1_000_063, 0, 479, False),
        high(1_000_064),
        event(1_000_070, 5, 6, True),
    )
    events, trouble = read(path)
    assert events["t"].tolist() == [1_000_001_000, 1_000_063_000, 1_000_070_000]
    assert events["x"].tolist() == [639, 0, 5]
    assert events["y"].tolist() == [0, 479, 6]
    assert events["polarity"].tolist() == [True, False, True]
    assert trouble == ""


def test_evt2_time_goes_on_where_its_34_bits_start_over(tmp_path: Path) -> None:
    last = 2**34 - 64
    path = write(
        tmp_path / "a.raw",
        EVT2,
        *(high(last), event(last + 9, 1, 1, True)),
        *(high(0), event(5, 1, 1, True)),
        *(high(64), event(70, 1, 1, True)),
        *(high(0), event(6, 1, 1, True)),  # a small step back: the time stands still
    )
    events, _ = read(path)
    assert events["t"].tolist() == [
        1000 * us for us in (last + 9, 2**34 + 5, 2**34 + 70, 2**34 + 70)
    ]


@pytest.mark.parametrize("chunk", [2, 1000, 2**18])
def test_evt3_is_read_whatever_the_pieces(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, chunk: int
) -> None:
    monkeypatch.setattr(prophesee_raw, "CHUNK_BYTES", chunk)
    index = np.arange(3000)
    # longer than a round of the time, which has 24 bits
    written = make_events(index * 10_000_000, index % 1280, index % 720, index % 3 == 0)
    path = write(tmp_path / "a.raw", EVT3, encode("evt3", written).data)
    events, trouble = read(path)
    assert np.array_equal(events, written)
    assert trouble == ""


@pytest.mark.parametrize(
    ("header", "encoding", "size"),
    [
        (EVT2, "evt2", (640, 480)),
        (EVT3, "evt3", (1280, 720)),
        (b"% format EVT3;height=320;width=320\n% end\n", "evt3", (320, 320)),
        (b"% evt 2.0\n% width 304\n% height 240\n", "evt2", (304, 240)),
        (b"% evt 3.0\n% plugin_name other\n", "evt3", None),
        (b"% evt 3.0\n% width 64\xb2\n% height 48\n", "evt3", None),
        (b"% evt 3.0\n% geometry 0x0\n", "evt3", None),
    ],
)
def test_headers_tell_format_and_size(
    tmp_path: Path, header: bytes, encoding: str, size: tuple[int, int] | None
) -> None:
    found = read_header(write(tmp_path / "a.raw", header, b"%"))  # a word may begin like this
    assert (found.encoding, found.size, found.offset) == (encoding, size, len(header))


def test_a_size_is_given_where_the_file_does_not_tell(tmp_path: Path) -> None:
    path = write(tmp_path / "a.raw", b"% evt 2.0\n", high(0), event(3, 99, 49, True))
    with pytest.raises(SourceError, match="size; give it"):
        RawSource(path)
    source = RawSource(path, (100, 50))
    events = source.read()
    assert events is not None
    assert (len(events), source.width, source.height, source.progress) == (1, 100, 50, 1.0)
    assert source.read() is None


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"% format EVT4;height=720;width=1280\n% end\n", "says 'EVT4'"),
        (b"% evt 4.0\n", "says '4.0'"),
        (b"\x00\x01\x02\x03", "does not tell the format"),
    ],
)
def test_other_formats_are_refused(tmp_path: Path, content: bytes, message: str) -> None:
    with pytest.raises(RawFileError, match=message):
        RawReader(write(tmp_path / "a.raw", content))
    with pytest.raises(RawFileError, match="no such file"):
        RawReader(tmp_path / "missing.raw")


def test_damage_is_left_out_and_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prophesee_raw, "CHUNK_BYTES", 32)
    good = high(64) + event(70, 1, 1, True) * 7
    nonsense, outside = struct.pack("<I", 5 << 28), event(71, 640, 1, True)
    path = write(tmp_path / "a.raw", EVT2, good, nonsense * 8, outside * 8, good, b"abc")
    events, trouble = read(path)
    assert len(events) == 14
    first = len(EVT2) + 32
    damage = [f"bytes {first} to {first + 32}", f"bytes {first + 32} to {first + 64}"]
    for words in (*damage, "type 5", "(640, 1)", "last 3 bytes", "cut off"):
        assert words in trouble


def test_one_bad_word_or_event_costs_itself(tmp_path: Path) -> None:
    good = [high(us) + event(us + 5, 1, 1, True) for us in range(640, 640 + 64 * 100, 64)]
    whole, trouble = read(write(tmp_path / "a.raw", EVT2, *good))
    assert (len(whole), trouble) == (100, "")
    parts = [*good[:50], struct.pack("<I", 5 << 28), event(9, 640, 1, True), *good[50:]]
    events, trouble = read(write(tmp_path / "b.raw", EVT2, *parts))
    assert np.array_equal(events, whole)
    assert trouble == (
        "1 events outside the sensor are left out, 1 words that make no sense are left out"
    )
    for bit in range(28):  # of one upper half of the time
        damaged = struct.pack("<I", struct.unpack("<I", high(640 + 64 * 50))[0] ^ 1 << bit)
        parts = [*good[:50], damaged + event(5, 1, 1, True), *good[51:]]
        events, _ = read(write(tmp_path / "c.raw", EVT2, *parts))
        assert len(events) == 100
        assert (events["t"] != whole["t"]).sum() <= 127
        assert abs(events["t"] - whole["t"]).max() <= 128 * 64_000


@pytest.mark.parametrize("legacy", [False, True])
def test_evt21_is_read_to_the_bit(tmp_path: Path, legacy: bool) -> None:
    header = b"% format EVT21;height=480;width=640" + b";endianness=legacy" * legacy + b"\n% end\n"

    def word(upper: bytes, mask: int) -> bytes:
        lower = struct.pack("<I", mask)
        return upper + lower if legacy else lower + upper

    path = write(
        tmp_path / "a.raw",
        header,
        word(high(1_000_000), 0),
        word(event(1_000_001, 608, 3, True), 1 << 31 | 1),
        word(event(1_000_002, 32, 4, False), 2),
    )
    events, trouble = read(path)
    assert events["t"].tolist() == [1_000_001_000, 1_000_001_000, 1_000_002_000]
    assert events["x"].tolist() == [608, 639, 33]
    assert events["y"].tolist() == [3, 3, 4]
    assert events["polarity"].tolist() == [True, True, False]
    assert trouble == ""


def test_dat_is_read_to_the_bit(tmp_path: Path) -> None:
    def dat(us: int, x: int, y: int, on: int) -> bytes:
        return struct.pack("<II", us % 2**32, x | y << 14 | on << 28)

    header = b"% Data file containing CD events.\n% Version 2\n% Height 480\n% Width 640\n"
    words = dat(2**32 - 1, 639, 0, 1) + dat(2**32 + 5, 0, 479, 0)
    path = write(tmp_path / "a.DAT", header, bytes((12, 8)), words)
    events, trouble = read(path)
    assert events["t"].tolist() == [(2**32 - 1) * 1000, (2**32 + 5) * 1000]
    assert events["x"].tolist() == [639, 0]
    assert events["y"].tolist() == [0, 479]
    assert events["polarity"].tolist() == [True, False]
    assert trouble == ""
    with pytest.raises(RawFileError, match="not a DAT file of events"):
        RawReader(write(tmp_path / "b.dat", header, bytes((7, 8)), words))


def test_evt2_whose_time_jumps_back_is_left_out_from_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prophesee_raw, "CHUNK_BYTES", 16)
    parts = [high(us) + event(us, 1, 1, True) for us in (9_000_000, 9_000_064, 0, 64, 128, 192)]
    events, trouble = read(write(tmp_path / "a.raw", EVT2, *parts))
    assert events["t"].tolist() == [9_000_000_000, 9_000_064_000]
    first, end = len(EVT2) + 16, len(EVT2) + 8 * len(parts)
    assert trouble == (
        f"bytes {first} to {end} are damaged and left out "
        "(evt2: the time jumps back by more than a second)"
    )


@pytest.mark.skipif("HYBRID_POSE_DATA" not in os.environ, reason="needs the development data")
def test_a_real_file_of_an_evk3() -> None:
    source = RawSource(Path(os.environ["HYBRID_POSE_DATA"]) / "events" / "evt3_1280x720.raw")
    assert (source.width, source.height) == (1280, 720)
    parts = []
    while (part := source.read()) is not None:
        parts.append(part)
    events = np.concatenate(parts)
    check_events(events, 1280, 720)
    assert len(events) == 219_596
    assert (events["t"][0], events["t"][-1]) == (11_718_656_000, 11_727_457_000)
    assert source.trouble == ""
