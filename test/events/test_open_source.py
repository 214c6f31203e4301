# SPDX-License-Identifier: Apache-2.0
"""The source for a recording is found by the name of its file."""

from pathlib import Path

import numpy as np
import pytest

from hybrid_pose_ros.events.aedat2 import Columns, pack, write_header
from hybrid_pose_ros.events.aedat4 import write_aedat4
from hybrid_pose_ros.events.array import make_events
from hybrid_pose_ros.events.encodings import encode
from hybrid_pose_ros.events.sources import SourceError, open_source

EVENTS = make_events(np.arange(1000) * 7000, np.arange(1000) % 346, 5, np.arange(1000) % 2)


def write_aedat2(path: Path) -> None:
    columns = Columns(
        EVENTS["t"] // 1000,
        np.zeros(1000, int),
        345 - EVENTS["x"],
        259 - EVENTS["y"],
        EVENTS["polarity"],
    )
    with path.open("wb") as file:
        write_header(file, "a.Davis346B", "today")
        file.write(pack(columns).tobytes())


def write_raw(path: Path) -> None:
    path.write_bytes(b"% evt 3.0\n% geometry 346x260\n% end\n" + encode("evt3", EVENTS).data)


@pytest.mark.parametrize("suffix", [".aedat4", ".aedat", ".aedat2", ".raw", ".RAW", ".AEDAT"])
def test_every_kind_of_file_gives_its_events(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a{suffix}"
    if suffix == ".aedat4":
        write_aedat4(path, [EVENTS], 346, 260)
    elif "aedat" in suffix.lower():
        write_aedat2(path)
    else:
        write_raw(path)
    source = open_source(path)
    assert (source.width, source.height, source.live, source.name) == (346, 260, False, str(path))
    assert source.progress == 0.0
    parts = []
    while (part := source.read()) is not None:
        parts.append(part)
    assert np.array_equal(np.concatenate(parts), EVENTS)
    assert (source.progress, source.trouble) == (1.0, "")
    again = open_source(path)
    again.close()
    again.close()
    assert again.read() is None


def test_other_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="no such file"):
        open_source(tmp_path / "missing.raw")
    (tmp_path / "a.txt").write_text("a")
    with pytest.raises(SourceError, match="no recording that can be read"):
        open_source(tmp_path / "a.txt")
