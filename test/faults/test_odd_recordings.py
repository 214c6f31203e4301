# SPDX-License-Identifier: Apache-2.0
"""Recordings that users have and that are odd: what they hold, or what is wrong, is said."""

import os
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from hybrid_pose_ros.bags.bag import BagError, open_bag
from hybrid_pose_ros.bags.opening import open_recording
from hybrid_pose_ros.cli.main import main
from hybrid_pose_ros.events.aedat2 import Columns, pack, write_header
from hybrid_pose_ros.events.array import make_events
from hybrid_pose_ros.events.encodings import encode, make_decoder
from hybrid_pose_ros.events.losses import describe_rate
from hybrid_pose_ros.events.sources import SourceError

WIDTH, HEIGHT = 346, 260
COUNT = 60_000
INDEX = np.arange(COUNT)
X, Y = INDEX * 7 % WIDTH, INDEX * 11 % HEIGHT
BACK = np.where(INDEX < COUNT // 2, INDEX, INDEX - COUNT // 4) * 20
"""Times (us) that step back once, by 0.3 s; a quarter of the events is not later than others."""

HELD = COUNT // 4
Column = NDArray[Any]


def write_npz(path: Path, us: Column, x: Column = X, y: Column = Y) -> Path:
    np.savez(path, t_us=us, x=x, y=y, p=INDEX % 2, width=WIDTH, height=HEIGHT)
    return path


def write_aedat2(path: Path, us: Column, x: Column = X, y: Column = Y) -> Path:
    with path.open("wb") as file:
        write_header(file, "a.Davis346B", "today")
        file.write(pack(Columns(us, 0 * us, x, y, INDEX % 2 > 0)).tobytes())
    return path


def write_evt2(path: Path, us: Column, x: Column = X, y: Column = Y) -> Path:
    high = (8 << 28 | us >> 6).astype("<u4")
    low = (us % 64 << 22 | x << 11 | y | INDEX % 2 << 28).astype("<u4")
    header = f"% evt 2.0\n% geometry {WIDTH}x{HEIGHT}\n% end\n".encode()
    path.write_bytes(header + np.stack((high, low), axis=1).tobytes())
    return path


def write_dat(path: Path, us: Column, x: Column = X, y: Column = Y) -> Path:
    words = np.stack((us, x | y << 14 | INDEX % 2 << 28), axis=1).astype("<u4")
    header = f"% Version 2\n% Width {WIDTH}\n% Height {HEIGHT}\n".encode()
    path.write_bytes(header + bytes((12, 8)) + words.tobytes())
    return path


WRITERS = {".npz": write_npz, ".aedat": write_aedat2, ".raw": write_evt2, ".dat": write_dat}


@pytest.mark.parametrize("suffix", WRITERS)
def test_a_clock_that_steps_back_is_told(tmp_path: Path, suffix: str) -> None:
    recording = open_recording(WRITERS[suffix](tmp_path / f"a{suffix}", BACK))
    events = recording.read_all()
    assert len(events) == COUNT and (np.diff(events["t"]) >= 0).all()
    held, _, words = recording.trouble.partition(" ")
    assert words == "events out of order have the time of the one before them"
    assert abs(int(held.replace(",", "")) - HELD) <= 1


def test_a_step_back_in_a_stream_of_packets_is_counted() -> None:
    decoder = make_decoder("evt3", WIDTH, HEIGHT)
    packets = [make_events(np.arange(9) * 1000 + start, 3, 4, True) for start in (10**7, 10**7)]
    for events in packets:
        packet = encode("evt3", events)
        decoder.decode(0, packet.data)
    assert decoder.losses.held == 8  # all but the last, which is as late as the one before them


@pytest.mark.parametrize("suffix", WRITERS)
def test_swapped_axes_are_named(tmp_path: Path, suffix: str) -> None:
    recording = open_recording(WRITERS[suffix](tmp_path / f"a{suffix}", INDEX * 20, Y, X))
    recording.read_all()
    assert "events outside the sensor are left out (all of them" in recording.trouble
    assert "x and y swapped" in recording.trouble


def test_events_outside_on_one_side_only_are_not_called_swapped(tmp_path: Path) -> None:
    x = np.where(INDEX % 100 == 0, 400, X)
    recording = open_recording(write_npz(tmp_path / "a.npz", INDEX * 20, x))
    recording.read_all()
    assert recording.trouble == "600 events outside the sensor are left out"


@pytest.mark.parametrize("kind", [np.int64, np.uint32, np.float64])
def test_a_counter_of_32_bits_that_starts_over_is_counted_on(tmp_path: Path, kind: type) -> None:
    us = (INDEX * 20 + 2**32 - 600_000) % 2**32
    recording = open_recording(write_npz(tmp_path / "a.npz", us.astype(kind)))
    events = recording.read_all()
    assert recording.trouble == ""
    assert (np.diff(events["t"]) == 20_000).all()


def test_a_single_large_time_is_no_counter_that_starts_over(tmp_path: Path) -> None:
    us = INDEX * 20
    us[100] = 2**32 - 1
    recording = open_recording(write_npz(tmp_path / "a.npz", us))
    events = recording.read_all()
    assert recording.trouble.startswith("1 events out of order")
    assert events["t"][-1] == us[-1] * 1000


def test_events_that_no_camera_makes_so_fast_are_told(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert describe_rate(9_999, 0) == describe_rate(60_000, 6_000) == describe_rate(0, 0) == ""
    assert "all 60,000 events lie within 5 us" in describe_rate(60_000, 5_000)
    path = write_npz(tmp_path / "seconds.npz", INDEX * 20e-6)
    assert main(["convert", "npz", str(path), "--out", str(tmp_path / "bag")]) == 0
    assert "seconds.npz: all 60,000 events lie within 1 us" in capfd.readouterr().err


@pytest.mark.parametrize("command", ["evaluate-recording", "compare"])
def test_what_was_lost_is_said(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], command: str
) -> None:
    path = write_aedat2(tmp_path / "a.aedat", INDEX * 2 // COUNT)
    path.write_bytes(path.read_bytes()[:-3])
    assert main([command, str(path)]) == 1  # too short for poses
    told = capfd.readouterr().err.splitlines()
    assert len(told) == 3
    assert told[0].startswith(f"hybrid-pose {command}: warning: {path}: the last 5 bytes")
    assert told[1].startswith(f"hybrid-pose {command}: warning: {path}: all 59,999 events lie")


def test_labels_are_found_whatever_the_letters_of_the_name(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "A.NPZ"
    with path.open("wb") as file:
        np.savez(file, t_us=[1], x=[1], y=[1], p=[1], width=9, height=9, gt_t_us=[1])
    assert main(["evaluate-recording", str(path)]) == 1
    assert "labels without gt" in capfd.readouterr().err


def test_a_name_that_is_no_text_is_said_to_be_so(tmp_path: Path) -> None:
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff\xfe.aedat4"))
    path.write_bytes(b"#!AER-DAT4.0\r\n")
    with pytest.raises(SourceError, match="not UTF-8; rename it"):
        open_recording(path)


@pytest.mark.parametrize("name", ["a.npz", "a.csv", "a"])
def test_what_is_no_bag_is_no_damaged_bag(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(b"t,x,y,p\n")
    with pytest.raises(BagError, match="no bag, which is a folder") as caught, open_bag(path):
        pass
    assert "recover" not in str(caught.value)
    path.unlink()
    path.mkdir()
    with pytest.raises(BagError, match="a folder without a bag") as caught, open_bag(path):
        pass
    assert "recover" not in str(caught.value)


@pytest.mark.parametrize("name", ["a.csv", "a.txt", "a", "a.mat"])
def test_kinds_that_can_be_read_are_listed(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_text("1 2 3 1\n")
    with pytest.raises(SourceError, match=r"\*\.npz, \*\.h5, .*\*\.mcap.*folders of bags"):
        open_recording(path)


def test_text_in_the_place_of_an_npz_is_told_without_a_word_on_pickles(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    path.write_text("t,x,y,p\n1,2,3,1\n")
    with pytest.raises(SourceError, match=r"not an \.npz; `numpy\.savez`") as caught:
        open_recording(path)
    assert "pickle" not in str(caught.value)


@pytest.mark.parametrize(
    "command", ["evaluate-recording", "compare", "evaluate-bag", "replay --lockstep"]
)
@pytest.mark.parametrize(
    ("place", "words"),
    [("none/f.json", "there is no folder .*none; make it first"), (".", "a folder; name a file")],
)
def test_figures_that_cannot_be_written_are_told_before_the_work(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], command: str, place: str, words: str
) -> None:
    missing = tmp_path / "none.npz"  # which would be told next
    assert main([*command.split(), str(missing), "--json", str(tmp_path / place)]) == 1
    assert re.search(words, capfd.readouterr().err)
