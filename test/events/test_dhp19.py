# SPDX-License-Identifier: Apache-2.0
"""DHP19: what is written in its layout is read event by event; cleaning and span."""

from collections import Counter
from pathlib import Path

import h5py
import numpy as np
import pytest
from numpy.typing import NDArray

from hybrid_pose_ros.events.aedat2 import SPECIAL_BIT, Columns, Words, pack, unpack
from hybrid_pose_ros.events.array import EventArray, MalformedEventsError, make_events
from hybrid_pose_ros.events.dhp19 import cleaning
from hybrid_pose_ros.events.dhp19.cleaning import STEPS, Cleaner, Cleaning, HotPixels, Span
from hybrid_pose_ros.events.dhp19.derived import DerivedRecording
from hybrid_pose_ros.events.dhp19.recording import (
    Dhp19Recording,
    RecordingError,
    Scan,
    find_span,
)
from hybrid_pose_ros.events.dhp19.writer import Dhp19Writer

ALWAYS = Span(-(2**62), 2**62)


def random_events(rng: np.random.Generator, count: int, start_us: int, end_us: int) -> EventArray:
    return make_events(
        np.sort(rng.integers(start_us, end_us, count)) * 1000,
        rng.integers(0, 346, count),
        rng.integers(0, 260, count),
        rng.random(count) < 0.5,
    )


def read(recording: Dhp19Recording | DerivedRecording) -> list[EventArray]:
    batches = list(recording.batches())
    return [np.concatenate(own) for own in zip(*batches, strict=True)]


def words_of(*rows: tuple[int, int, int, int]) -> Words:
    """(us, camera, column, row) of upright images, as a file has them."""
    us, camera, column, row = np.array(rows, np.int64).reshape(-1, 4).T
    words = pack(Columns(us, camera, 345 - column, 259 - row, np.ones(len(us), bool)))
    return Words(words["address"].astype(np.uint32), us)


def clean(words: Words, hot: NDArray[np.bool_] | None = None, **steps: bool) -> Cleaner:
    cleaner = Cleaner(
        Cleaning(**dict.fromkeys(("trim", "hot_pixels", "background", "masks"), False) | steps),
        ALWAYS,
        hot,
    )
    cleaner.kept = cleaner.clean(words)  # type: ignore[attr-defined]
    return cleaner


def kept(cleaner: Cleaner) -> list[tuple[int, int, int, int]]:
    return sorted(
        (int(e["t"]) // 1000, camera, int(e["x"]), int(e["y"]))
        for camera, events in enumerate(cleaner.kept)  # type: ignore[attr-defined]
        for e in events
    )


def test_every_event_comes_back_in_order(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    start_us = 2**32 - 200_000  # the time of the file starts over on the way
    pieces = [
        [
            random_events(rng, n, start_us + k * 100_000, start_us + (k + 1) * 100_000)
            for n in sizes
        ]
        for k, sizes in enumerate(((5000, 10, 7000, 0), (1, 3000, 200, 800), (9000, 1, 1, 1)))
    ]
    path = tmp_path / "mov1.aedat"
    with Dhp19Writer(path) as writer:
        for piece in pieces:
            writer.write(piece)
            writer.signal(int(max(own["t"][-1] for own in piece if len(own))))
    recording = Dhp19Recording(path, Cleaning.none())
    for found, own in zip(read(recording), zip(*pieces, strict=True), strict=True):
        expected = np.concatenate(own)
        # without mirroring the axes are the sensor's
        expected["x"], expected["y"] = 345 - expected["x"], 259 - expected["y"]
        assert np.array_equal(found["t"] % (2**32 * 1000), expected["t"] % (2**32 * 1000))
        assert np.array_equal(np.diff(found["t"]), np.diff(expected["t"]))
        for name in ("x", "y", "polarity"):
            assert np.array_equal(found[name], expected[name])
    assert recording.tally.read.tolist() == [14_001, 3_011, 7_201, 801, 0]
    assert not recording.tally.dropped.any()
    assert not recording.tally.late.any()
    assert recording.progress == 1.0


def test_the_mirrored_image_is_the_one_that_was_written(tmp_path: Path) -> None:
    own = [random_events(np.random.default_rng(camera), 300, 0, 9999) for camera in range(4)]
    with Dhp19Writer(tmp_path / "a.aedat") as writer:
        writer.write(own)
    only_mirrored = Cleaning(hot_pixels=False, background=False, masks=False)
    for found, expected in zip(
        read(Dhp19Recording(tmp_path / "a.aedat", only_mirrored)), own, strict=True
    ):
        assert np.array_equal(found, expected)


def test_the_layout_is_that_of_the_data_set_s_own_reader(tmp_path: Path) -> None:
    path = tmp_path / "a.aedat"
    event = make_events([5000], [10], [20], [True])
    with Dhp19Writer(path) as writer:
        writer.signal(4000)
        writer.write([event[:0], event[:0], event, event[:0]])
    header, _, words = path.read_bytes().rpartition(b"\r\n")
    assert header.startswith(b"#!AER-DAT2.0\r\n")
    assert b"MultiDAVIS346BCameraChip" in header
    special, address, us = np.frombuffer(words, ">u4")[[0, 2, 3]].tolist()
    assert special == SPECIAL_BIT == 0x400
    # camera = a & 0xf, x = (a & 0x3FF000) >> 12, y = (a & 0x7FC00000) >> 22, polarity: bit 11
    assert (address & 0xF, us) == (2, 5)
    # the script counts from 1: column 346 - x, row 260 - y
    assert 346 - ((address & 0x3FF000) >> 12) == 10 + 1
    assert 260 - ((address & 0x7FC00000) >> 22) == 20 + 1
    assert address >> 11 & 1 == 1
    with pytest.raises(MalformedEventsError, match="of 3 cameras"), Dhp19Writer(path) as writer:
        writer.write([event] * 3)


def test_events_of_no_pixel_are_left_out_and_counted() -> None:
    rows = np.array([(1, 4, 0, 0), (2, 1, 346, 0), (3, 1, 0, 260), (4, 1, 0, 0)])
    columns = Columns(*rows.T, np.ones(4, bool))
    words = pack(columns)
    cleaner = clean(Words(words["address"].astype(np.uint32), words["us"].astype(np.int64)))
    assert kept(cleaner) == [(4, 1, 345, 259)]
    assert cleaner.tally.read.tolist() == [0, 3, 0, 0, 1]
    assert cleaner.tally.dropped[STEPS.index("unknown")].tolist() == [0, 2, 0, 0, 1]


def test_an_event_older_than_the_one_before_gets_its_time() -> None:
    cleaner = clean(words_of((10, 0, 5, 5), (8, 1, 5, 5), (7, 0, 6, 6), (12, 0, 7, 7)))
    assert kept(cleaner) == [(8, 1, 5, 5), (10, 0, 5, 5), (10, 0, 6, 6), (12, 0, 7, 7)]
    assert cleaner.tally.late.tolist() == [1, 0, 0, 0, 0]
    assert "1 out of order" in cleaner.tally.describe(0)
    (first, *_) = cleaner.clean(words_of((11, 0, 8, 8)))
    assert first["t"].tolist() == [12_000]


def test_the_background_filter_is_that_of_the_data_set() -> None:
    seen = [
        (100_000, 0, 10, 10),  # alone
        (100_001, 0, 10, 10),  # its own pixel is no support
        (170_001, 0, 11, 11),  # 70 ms after a neighbour
        (240_002, 0, 12, 12),  # 70.001 ms after
        (300_000, 0, 11, 12),
        (300_000, 0, 0, 12),  # at the mosaic's edge: supports no other
        (300_001, 0, 1, 12),
        (400_000, 0, 345, 100),  # the first camera's last column and the second's first
        (400_001, 1, 0, 101),  # lie side by side
        (500_000, 3, 345, 50),
        (500_001, 3, 344, 50),
    ]
    expected = [seen[2], seen[4], seen[8]]
    cleaner = clean(words_of(*seen), background=True)
    assert kept(cleaner) == expected
    assert cleaner.tally.dropped[STEPS.index("background")].tolist() == [6, 0, 0, 2, 0]
    in_pieces = Cleaner(Cleaning(masks=False), ALWAYS, None)
    for k, row in enumerate(seen):
        passed = sum(map(len, in_pieces.clean(words_of(row))))
        assert passed == (seen[k] in expected)


def test_hot_pixels_are_those_with_too_many_events_between_start_and_stop(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert cleaning.HOT_EVENTS == 10_000
    monkeypatch.setattr(cleaning, "HOT_EVENTS", 3)
    rows = [(10 + k, 1, 20, 30) for k in range(4)] + [(20 + k, 2, 20, 30) for k in range(2)]
    words = words_of(*rows)
    counter = HotPixels(Span(9, 30))
    counter.add(words_of(*rows[:3]))
    counter.add(words_of(*rows[3:]))
    hot = counter.found()
    assert np.argwhere(hot).tolist() == [[346 + 20, 30]]
    cleaner = clean(words, hot, hot_pixels=True)
    assert kept(cleaner) == rows[4:]
    assert cleaner.tally.dropped[STEPS.index("hot")].tolist() == [0, 4, 0, 0, 0]
    # start and stop themselves do not count: two are left
    counter = HotPixels(Span(10, 13))
    counter.add(words)
    assert not counter.found().any()


@pytest.mark.parametrize(
    ("camera", "columns", "rows"), [(2, (89, 117), (116, 144)), (3, (215, 220), (137, 143))]
)
def test_masks_cover_the_pixels_that_the_data_set_masks(
    camera: int, columns: tuple[int, int], rows: tuple[int, int]
) -> None:
    """The numbers are the data set's, counted from 1, both ends inside."""
    grid = [(1, camera, x, y) for x in range(80, 230) for y in range(110, 150)]
    cleaner = clean(words_of(*grid), masks=True)
    hidden = set(grid) - set(kept(cleaner))
    assert hidden == {
        (1, camera, x - 1, y - 1)
        for x in range(columns[0], columns[1] + 1)
        for y in range(rows[0], rows[1] + 1)
    }
    other = [(us, 5 - camera, x, y) for us, _, x, y in grid]
    assert set(kept(clean(words_of(*other)))) == set(other)


def test_trimming_keeps_what_lies_strictly_between() -> None:
    words = words_of(*((us, 0, us, us) for us in range(1, 9)))
    cleaner = Cleaner(Cleaning(background=False), Span(3, 6), None)
    assert cleaner.clean(words)[0]["x"].tolist() == [4, 5]
    assert cleaner.tally.describe(0) == "of 8 events; left out: 6 trimmed"


def clean_plainly(words: Words, span: Span, hot_events: int) -> list[tuple[int, int, int, int]]:
    """The data set's own steps one after the other, event by event, counted from 1."""
    columns = unpack(words)
    events = [
        (int(us), 346 - int(x) + 346 * int(camera), 260 - int(y))
        for us, camera, x, y in zip(columns.us, columns.camera, columns.x, columns.y, strict=True)
        if span.start_us < us < span.stop_us
    ]
    counts = Counter(event[1:] for event in events)
    events = [event for event in events if counts[event[1:]] < hot_events]
    last: dict[tuple[int, int], int] = {}
    supported = []
    for us, x, y in events:
        if us - last.get((x, y), -(10**9)) <= 70_000:
            supported.append((us, x, y))
        if 1 < x < 4 * 346 and 1 < y < 260:
            around = [(x + dx, y + dy) for dx in (-1, 0, 1) for dy in (-1, 0, 1) if dx or dy]
            last |= dict.fromkeys(around, us)
    return sorted(
        (us, (x - 1) // 346, (x - 1) % 346, y - 1)
        for us, x, y in supported
        if not (780 < x < 810 and 115 < y < 145)
        and not (346 * 3 + 214 < x < 346 * 3 + 221 and 136 < y < 144)
    )


def test_all_steps_together_are_those_of_the_data_set(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(8)
    count = 20_000
    # dense around the masks, at the seams between the cameras and at the edges
    column = rng.choice([0, 1, 2, 3, 88, 89, 116, 117, 214, 215, 219, 220, 343, 344, 345], count)
    row = rng.choice([0, 1, 2, 136, 137, 142, 143, 144, 257, 258, 259], count)
    us = np.sort(rng.integers(0, 2_000_000, count))
    words = words_of(*zip(us, rng.integers(0, 4, count), column, row, strict=True))
    monkeypatch.setattr(cleaning, "HOT_EVENTS", 42)
    span = Span(100_000, 1_900_000)
    counter = HotPixels(span)
    counter.add(words)
    cleaner = Cleaner(Cleaning(), span, counter.found())
    batches = [
        cleaner.clean(Words(words.address[at : at + 777], words.us[at : at + 777]))
        for at in range(0, count, 777)
    ]
    cleaner.kept = [np.concatenate(own) for own in zip(*batches, strict=True)]  # type: ignore[attr-defined]
    expected = clean_plainly(words, span, 42)
    assert kept(cleaner) == expected
    assert (cleaner.tally.dropped.sum(1)[1:] > 50).all()  # every step had something to do
    assert cleaner.tally.read.sum() - cleaner.tally.dropped.sum() == len(expected) > 1000


@pytest.mark.parametrize(
    ("specials", "labels", "span"),
    [
        ([], 100, Span(999_999, 9_000_001)),
        ([2_000_000], 300, Span(2_000_000, 5_000_000)),
        ([2_000_000, 2_000_001], 300, Span(2_000_000, 5_000_000)),
        ([2_000_000] * 3 + [2_000_001], 300, Span(2_000_000, 5_000_000)),
        ([8_000_000, 8_000_001], 300, Span(5_000_000, 8_000_000)),
        ([2_000_000, 2_000_001, 7_000_000], 300, Span(2_000_000, 7_000_000)),
        ([2_000_000] * 3 + [2_000_001, 7_000_000], 300, Span(2_000_000, 7_000_000)),
        ([2_000_000, 2_000_001], None, Span(2_000_000, 9_000_001)),
        ([8_000_000], None, Span(999_999, 8_000_000)),
    ],
)
def test_start_and_stop_follow_the_rules_of_the_data_set(
    specials: list[int], labels: int | None, span: Span
) -> None:
    assert find_span(Scan(np.array(specials), 1_000_000, 9_000_000), labels) == span


def test_what_is_no_recording_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.aedat"
    with Dhp19Writer(path) as writer:
        writer.signal(1, 2, 3)
    with pytest.raises(RecordingError, match=r"a\.aedat: the recording holds no events"):
        Dhp19Recording(path, Cleaning())
    with Dhp19Writer(path) as writer:
        writer.signal(*range(700))
        writer.write([make_events([5], [1], [1], [True])] * 4)
    with pytest.raises(RecordingError, match=r"a\.aedat: 700 special events"):
        Dhp19Recording(path, Cleaning())
    path.write_bytes(b"#!AER-DAT2.0\r\n# AEChip: a.DAVIS240C\r\n")
    with pytest.raises(RecordingError, match="DAVIS240C, not of DHP19"):
        Dhp19Recording(path, Cleaning())


def test_a_cut_off_recording_is_read_as_far_as_it_goes(tmp_path: Path) -> None:
    own = [random_events(np.random.default_rng(camera), 300, 0, 9999) for camera in range(4)]
    path = tmp_path / "a.aedat"
    with Dhp19Writer(path) as writer:
        writer.write(own)
    whole = path.read_bytes()
    path.write_bytes(whole[:-13])
    recording = Dhp19Recording(path, Cleaning.none())
    assert sum(map(len, read(recording))) == 1200 - 2
    assert "last 3 bytes" in recording.trouble


def write_derived(path: Path, own: list[EventArray]) -> None:
    with h5py.File(path, "w") as file:
        for camera, events in enumerate(own):
            group = file.create_group(f"cam{camera}_events")
            group["t"], group["p"] = events["t"] // 1000, events["polarity"].astype(np.uint8)
            group["x"], group["y"] = events["x"] + 1, events["y"] + 1


def test_derived_events_come_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hybrid_pose_ros.events.dhp19.derived.BLOCK", 100)
    rng = np.random.default_rng(3)
    own = [random_events(rng, count, 0, 50_000) for count in (1000, 250, 0, 99)]
    write_derived(tmp_path / "a.h5", own)
    recording = DerivedRecording(tmp_path / "a.h5")
    latest = -1
    for batch in recording.batches():
        times = np.concatenate([events["t"] for events in batch])
        assert times.min() > latest  # all cameras have come as far
        latest = times.max()
    assert recording.progress == 1.0
    for found, expected in zip(read(recording), own, strict=True):
        assert np.array_equal(found, expected)


def test_frames_are_no_events(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["DVS"] = np.zeros((1, 260, 346, 4))
    with pytest.raises(RecordingError, match="it holds frames"):
        DerivedRecording(tmp_path / "a.h5")
    write_derived(tmp_path / "b.h5", [make_events([1000] * 9, [346] * 9, [0] * 9, [True] * 9)] * 4)
    with pytest.raises(RecordingError, match="outside the sensor of 346x260"):
        read(DerivedRecording(tmp_path / "b.h5"))
    with pytest.raises(RecordingError, match="no such file"):
        DerivedRecording(tmp_path / "missing.h5")
