# SPDX-License-Identifier: Apache-2.0
"""Clears the shared memory that killed nodes of this package have left behind.

Fast DDS gives each process a file in /dev/shm with a random name, which a process that is killed
cannot remove. Ours are known by records: each node writes the names of its own files, those whose
locks it holds, under its process id and start time, into a folder of the user's. What a record of
a process names that lives no more is removed, unless somebody holds Fast DDS's lock on it.
"""

import fcntl
import os
import re
import time
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO, Final

SHARED_MEMORY: Final = Path("/dev/shm")

_SEGMENT: Final = re.compile(r"fast(rtps|dds)_[0-9a-f]{16}")
_LOCK: Final = "_el"
"""End of the name of the file that the process which owns a segment holds a lock on."""

_PARTIAL: Final = ".partial"
"""End of the name of a record that is being written."""

_TRIES, _PAUSE_S = 10, 0.01
"""Number of attempts at a lock, and the pause (s) after each."""


def record_folder() -> Path:
    """Return the folder of the records; only the user can look into it."""
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    base = Path(os.environ.get("XDG_RUNTIME_DIR") or home)
    return base / "hybrid_pose_ros" / "shared_memory"


def own_segments(pid: int) -> list[Path]:
    """Return the segments of a process of this user; empty if it has none yet, or no more.

    Its memory map would not tell: a process also maps those of whomever it hears.
    """
    found: list[Path] = []
    with suppress(OSError):  # it has ended, or this is not Linux
        for descriptor in Path(f"/proc/{pid}/fd").iterdir():
            with suppress(OSError):  # closed in the meantime
                lock = descriptor.readlink()
                segment = lock.with_name(lock.name.removesuffix(_LOCK))
                is_lock = lock != segment and lock.parent == SHARED_MEMORY
                if is_lock and _SEGMENT.fullmatch(segment.name):
                    found.append(segment)
    return sorted(found)


class SegmentRecord:
    """The record of this process: written once its participant exists, removed at its end."""

    def __init__(self) -> None:
        self._path: Path | None = None

    def write(self) -> str:
        """Write the record; return why it cannot be written, or ""."""
        pid = os.getpid()
        path = record_folder() / f"{pid}-{_start_time(pid)}"
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            names = [segment.name for segment in own_segments(pid)]
            partial = path.with_suffix(
                ".partial"
            )  # what is killed meanwhile leaves no half record
            partial.write_text("\n".join(names), encoding="utf-8")
            partial.replace(path)
        except OSError as error:
            return f"{path.parent}: {error.strerror}"
        self._path = path
        return ""

    def remove(self) -> None:
        """Remove the record: the participant has removed its segments."""
        if self._path is not None:
            self._path.unlink(missing_ok=True)
            self._path = None


def clear_leftovers() -> list[str]:
    """Remove the segments of killed nodes of this user; return their names."""
    cleared: list[str] = []
    with suppress(OSError):  # a folder that is not there, or not ours
        for record in sorted(record_folder().iterdir()):
            pid, _, start_time = record.name.partition("-")
            if not pid.isdecimal() or _start_time(int(pid)) == start_time.removesuffix(_PARTIAL):
                continue
            names = record.read_text(encoding="utf-8", errors="replace").split()
            cleared += [name for name in names if _SEGMENT.fullmatch(name) and _clear(name)]
            record.unlink(missing_ok=True)
    return cleared


def _clear(name: str) -> bool:
    """Remove a segment of this user that nobody holds; return whether that was done."""
    segment, lock = SHARED_MEMORY / name, SHARED_MEMORY / f"{name}{_LOCK}"
    try:
        if segment.lstat().st_uid != os.getuid():
            return False
        with lock.open("rb") as file:
            _take(file)
            segment.unlink()
            lock.unlink()
    except OSError:  # gone already, or held: then it is somebody's
        return False
    return True


def _take(file: BinaryIO) -> None:
    """Lock a file; raises OSError if somebody keeps it locked.

    Whoever has heard a process looks once a second whether it lives, and locks it for a moment.
    """
    for _ in range(_TRIES):
        with suppress(BlockingIOError):
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        time.sleep(_PAUSE_S)
    raise BlockingIOError


def _start_time(pid: int) -> str:
    """Return when a process was started, in clock ticks since boot; "" if it lives no more."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
    state, *fields = stat.rpartition(")")[2].split()
    return "" if state == "Z" else fields[18]
