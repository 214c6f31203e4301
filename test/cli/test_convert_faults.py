# SPDX-License-Identifier: Apache-2.0
"""`hybrid-pose convert` where something is wrong: with the disk, the file, or what it tells."""

import os
import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rosbags.typesys.store import Typestore

from hybrid_pose_ros.bags.event_topic import EventTopic
from hybrid_pose_ros.cli.main import main
from hybrid_pose_ros.events import aedat4
from hybrid_pose_ros.events.aedat2 import Columns, pack, write_header
from hybrid_pose_ros.events.aedat4 import write_aedat4
from hybrid_pose_ros.events.array import make_events
from hybrid_pose_ros.events.encodings import encode

INDEX = np.arange(2000)
EVENTS = make_events(5_000_000 + INDEX * 100_000, INDEX % 346, INDEX // 346 * 11, INDEX % 2 == 0)


def write_raw(path: Path, header: str = "% evt 3.0\n% end\n") -> Path:
    path.write_bytes(header.encode() + encode("evt3", EVENTS).data)
    return path


def write_aedat2(path: Path, chip: str = "") -> Path:
    columns = Columns(
        EVENTS["t"] // 1000,
        np.zeros(len(EVENTS), int),
        345 - EVENTS["x"].astype(int),
        259 - EVENTS["y"].astype(int),
        EVENTS["polarity"],
    )
    with path.open("wb") as file:
        write_header(file, chip, "today")
        file.write(pack(columns).tobytes())
    return path


def write_npz(path: Path, x: Any = EVENTS["x"]) -> Path:
    columns = {"t_us": EVENTS["t"] // 1000, "y": EVENTS["y"], "p": EVENTS["polarity"]}
    np.savez(path, **columns, x=x, width=346, height=260)
    return path


@pytest.mark.parametrize(
    ("kind", "name", "write"),
    [
        ("raw", "a.raw", write_raw),
        ("raw", "a.RAW", write_raw),
        ("aedat2", "a.aedat", write_aedat2),
        ("aedat2", "a.aedat2", write_aedat2),
        ("aedat2", "a.AEDAT2", write_aedat2),
    ],
)
def test_a_file_that_does_not_tell_its_size_takes_it_from_the_option(
    tmp_path: Path,
    store: Typestore,
    capsys: pytest.CaptureFixture[str],
    kind: str,
    name: str,
    write: Any,
) -> None:
    path, bag = write(tmp_path / name), tmp_path / "bag"
    words = ["convert", kind, str(path), "--out", str(bag)]
    assert main(words) == 1
    assert "--size WxH" in capsys.readouterr().err
    assert main([*words, "--size", "346x260"]) == 0
    found = np.concatenate(list(EventTopic(bag, "/cam0/events", store).events()))
    np.testing.assert_array_equal(found, EVENTS)


def test_an_npz_is_converted_and_its_losses_are_said(
    tmp_path: Path, store: Typestore, capsys: pytest.CaptureFixture[str]
) -> None:
    x = EVENTS["x"].astype(int)
    x[7] = 400
    path, bag = write_npz(tmp_path / "a.npz", x), tmp_path / "bag"
    assert main(["convert", "npz", str(path), "--out", str(bag)]) == 0
    assert "warning" in (said := capsys.readouterr().err)
    assert "1 events outside the sensor are left out" in said
    found = np.concatenate(list(EventTopic(bag, "/cam0/events", store).events()))
    np.testing.assert_array_equal(found, np.delete(EVENTS, 7))


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("raw", "a.raw"),
        ("raw", "a.dat"),
        ("aedat2", "a.aedat"),
        ("aedat4", "a.aedat4"),
        ("npz", "a.npz"),
        ("dhp19", "a.aedat"),
        ("h5", "a.h5"),
        ("bag", "a.mcap"),
        ("bag", "a.db3"),
        ("recover", "a.mcap"),
        ("video", "a.mp4"),
    ],
)
def test_a_pipe_is_refused_with_a_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], kind: str, name: str
) -> None:
    os.mkfifo(tmp_path / name)
    start = time.monotonic()
    out = str(tmp_path / "out.aedat4")
    assert main(["convert", kind, str(tmp_path / name), "--out", out]) == 1
    assert time.monotonic() - start < 10.0
    said = capsys.readouterr().err
    assert name in said and said.count("\n") == 1


def test_labels_that_are_a_pipe_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, labels = tmp_path / "a.aedat4", tmp_path / "labels.npz"
    write_aedat4(path, [EVENTS], 346, 260)
    os.mkfifo(labels)
    words = ["convert", "aedat4", str(path), "--out", str(tmp_path / "bag")]
    assert main([*words, "--labels", str(labels)]) == 1
    assert "labels.npz: a pipe" in capsys.readouterr().err


@pytest.fixture
def bag(tmp_path: Path) -> Path:
    path = tmp_path / "bag"
    words = ["convert", "npz", str(write_npz(tmp_path / "a.npz")), "--out", str(path)]
    assert main(words) == 0
    return path


def test_a_full_disk_is_said_and_leaves_nothing(
    bag: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    real = os.statvfs(tmp_path)

    class Full:
        f_bavail, f_frsize = 2**10, real.f_frsize

    monkeypatch.setattr(aedat4.os, "statvfs", lambda path: Full)
    out = tmp_path / "out.aedat4"
    assert main(["convert", "bag", str(bag), "--out", str(out)]) == 1
    assert f"{out}: cannot be written (No space left on device)" in capsys.readouterr().err
    assert not list(tmp_path.glob("out*"))


LIMITED = """
import resource, sys
from hybrid_pose_ros.cli.main import main
resource.setrlimit(resource.RLIMIT_FSIZE, (2**20, resource.RLIM_INFINITY))
sys.exit(main(sys.argv[1:]))
"""


def test_a_limit_of_the_size_of_files_is_said_and_aborts_nothing(
    bag: Path, tmp_path: Path
) -> None:
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] == resource.RLIM_INFINITY
    out = tmp_path / "out.aedat4"
    words = ["convert", "bag", str(bag), "--out", str(out)]
    result = subprocess.run(
        [sys.executable, "-P", "-c", LIMITED, *words], capture_output=True, text=True, check=False
    )
    assert result.returncode == 1, result.stderr
    assert "out.aedat4: cannot be written (File too large)" in result.stderr
    assert "Traceback" not in result.stderr and "terminate" not in result.stderr
    assert not list(tmp_path.glob("out*"))


def test_what_a_bag_says_it_lost_is_said(
    tmp_path: Path, store: Typestore, capsys: pytest.CaptureFixture[str]
) -> None:
    from hybrid_pose_ros.bags.bag import RawMessage
    from hybrid_pose_ros.bags.writer import BagWriter
    from hybrid_pose_ros.interfaces.cdr import serialised_packet
    from hybrid_pose_ros.interfaces.topics import EVENTS as TOPIC

    topic = TOPIC.under("/cam0")
    with BagWriter(tmp_path / "bag", [topic], store) as writer:
        for seq in (0, 1, 5, 6):
            part = EVENTS[seq * 100 : (seq + 1) * 100]
            data = serialised_packet(
                encode("mono", part),
                stamp_ns=seq,
                frame_id="",
                width=346,
                height=260,
                seq=seq,
                encoding="mono",
            )
            writer.write(RawMessage(topic.name, seq, data))
    words = ["convert", "bag", str(tmp_path / "bag"), "--out", str(tmp_path / "a.aedat4")]
    assert main(words) == 0
    assert "3 packets were not recorded, their numbers say" in capsys.readouterr().err
