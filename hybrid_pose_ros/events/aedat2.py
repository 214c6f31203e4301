# SPDX-License-Identifier: Apache-2.0
"""AEDAT 2.0, the file format of jAER, for DAVIS cameras: read and written in bounded memory.

After header lines that begin with ``#`` come words of 8 bytes: a big-endian 32-bit address and a
big-endian 32-bit time in us. In an address of a DAVIS bit 31 marks a sample of a frame or of the
inertial sensor, and bit 10 a special event (a signal on the camera's trigger input). All others
are events: bits 22-30 y, 12-21 x, 11 polarity. A file merged from several cameras has the number
of the camera in bits 0-3. Both axes count from the corner opposite to that of an image: column =
width - 1 - x and row = height - 1 - y. The time wraps at 2^32 us (71.6 min).
Sources: jAER's ``AEDAT 2.0`` and the MATLAB reader of the data set DHP19.
"""

import re
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

import numpy as np
from numpy.typing import NDArray

from hybrid_pose_ros.errors import UserError
from hybrid_pose_ros.regular_files import find_obstacle

WORD: Final = np.dtype([("address", ">u4"), ("us", ">u4")])

SAMPLE_BIT: Final = 1 << 31
SPECIAL_BIT: Final = 1 << 10
POLARITY_BIT: Final = 1 << 11
CAMERA_MASK: Final = 0xF
_NOT_AN_EVENT: Final = SAMPLE_BIT | SPECIAL_BIT
X_SHIFT: Final = 12
X_MASK: Final = 0x3FF
Y_SHIFT: Final = 22
Y_MASK: Final = 0x1FF

_MAGIC: Final = b"#!AER-DAT2"
_CONTROL: Final = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")
_END: Final = "End Of ASCII Header"
_MAX_LINE: Final = 4096
_WRAP_US: Final = 2**32

MAX_STEP_BACK_US: Final = 1_000_000
"""Merged streams may be a little out of order; a larger step back is a clock that was reset."""

CHUNK_WORDS: Final = 2**16
"""So many words are read at once: their arrays stay in the processor's cache."""

_SIZES: Final = {
    "davis128": (128, 128),
    "davis208": (208, 192),
    "davis240": (240, 180),
    "davis346": (346, 260),
    "davis640": (640, 480),
    "sbret": (240, 180),
}
"""Part of the chip's name, in lower case -> width and height of the sensor."""


class Aedat2Error(UserError, ValueError):
    """A file is not what can be read; the message names it and the remedy."""


@dataclass(frozen=True)
class Header:
    """Header of a file.

    Attributes:
        chip: class of the chip as jAER names it, without its package; "" where it is not said.
        created: date as written, or "".
        offset: where the words begin (bytes).
    """

    chip: str
    created: str
    offset: int

    @property
    def size(self) -> tuple[int, int] | None:
        """Width and height of the sensor, None for a chip that is not a known DAVIS."""
        chip = self.chip.lower()
        return next((size for name, size in _SIZES.items() if name in chip), None)


@dataclass(frozen=True)
class Words:
    """Words of a file, in its order.

    Attributes:
        address: uint32 [n].
        us: time, int64 [n], counted on where the 32 bits of the file start over.
    """

    address: NDArray[np.uint32]
    us: NDArray[np.int64]

    @property
    def is_event(self) -> NDArray[np.bool_]:
        """Which are events of pixels, [n]."""
        return (self.address & _NOT_AN_EVENT) == 0

    @property
    def is_special(self) -> NDArray[np.bool_]:
        """Which are special events, [n]."""
        return (self.address & _NOT_AN_EVENT) == SPECIAL_BIT


@dataclass(frozen=True)
class Columns:
    """Events of one or more cameras: ``us``, ``camera``, ``x``, ``y``, ``polarity``, each [n].

    x and y are those of the file, as the sensor is read out.
    """

    us: NDArray[np.int64]
    camera: NDArray[np.integer]
    x: NDArray[np.integer]
    y: NDArray[np.integer]
    polarity: NDArray[np.bool_]


def read_header(path: Path) -> Header:
    """Read the lines at the beginning.

    Raises:
        Aedat2Error: the file is missing, cannot be read, or is not AEDAT 2.
    """
    if obstacle := find_obstacle(path, "an AEDAT 2.0 file"):
        raise Aedat2Error(f"{path}: {obstacle}")
    try:
        with path.open("rb") as file:
            first = file.readline(200)
            if not first.startswith(_MAGIC):
                raise Aedat2Error(f"{path}: not an AEDAT 2.0 file; it begins with {_MAGIC!r}")
            chip, created, offset = "", "", len(first)
            end = b"\r\n" if first.endswith(b"\r\n") else b"\n"
            while _is_text(line := file.readline(_MAX_LINE), end):
                offset = file.tell()
                text = line.decode("latin-1").strip("#\r\n ")
                if text.startswith("AEChip:"):
                    chip = re.split(r"[.:\s]+", text)[-1]
                elif text.startswith("created "):
                    created = text.removeprefix("created ")
                elif text.lower() == _END.lower():
                    break
    except OSError as error:
        raise Aedat2Error(f"{path}: cannot be read ({error.strerror})") from error
    return Header(chip, created, offset)


def _is_text(line: bytes, end: bytes) -> bool:
    """Tell a line of the header from words: a word, too, may begin with the byte of a `#`."""
    return line.startswith(b"#") and line.endswith(end) and not _CONTROL.search(line[: -len(end)])


class Aedat2Reader:
    """Reads the words of a file chunk by chunk.

    Args:
        path: the file.

    Attributes:
        header: of the file.
        total: number of whole words in the file.
        strays: words read so far whose time stood apart from both its neighbours'; they got that
            of the word before.
        trouble: why reading ended before the end of the file, or bytes are left over at it; or "".

    Raises:
        Aedat2Error: the file is missing, cannot be read, or is not AEDAT 2.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.header = read_header(path)
        size = path.stat().st_size - self.header.offset
        self.total, rest = divmod(size, WORD.itemsize)
        self.strays = 0
        self.trouble = f"the last {rest} bytes are no whole word: the file is cut off" * bool(rest)

    def words(self, chunk: int = CHUNK_WORDS) -> Generator[Words, None, None]:
        """Yield all words from the first on; may be called again.

        Where the clock was reset (a step back by more than a second), reading ends, and
        ``trouble`` tells.

        Raises:
            Aedat2Error: the file cannot be read any more.
        """
        try:
            with self.path.open("rb") as file:
                file.seek(self.header.offset)
                yield from self._words(file, chunk)
        except OSError as error:
            raise Aedat2Error(f"{self.path}: cannot be read ({error.strerror})") from error

    def _words(self, file: BinaryIO, chunk: int) -> Generator[Words, None, None]:
        left, last_us = self.total, None
        self.strays = 0
        while left:
            raw = np.fromfile(file, WORD, min(chunk, left))
            if not len(raw):
                raise OSError(0, "it became shorter while it was read")
            left -= len(raw)
            us = raw["us"].astype(np.int64)
            before = us[0] if last_us is None else last_us
            if last_us is None and len(us) > 2 and abs(us[2] - us[1]) < MAX_STEP_BACK_US:
                before = us[1]  # the first of all has none before it to be told by
            steps = _steps(us, before)
            strays = _find_strays(us, steps)
            if strays.any():
                self.strays += int(strays.sum())
                us[strays] = np.concatenate(([before % _WRAP_US], us[:-1]))[strays]
                steps = _steps(us, before)
            us = before + np.cumsum(steps)
            resets = np.flatnonzero(steps < -MAX_STEP_BACK_US)
            end = int(resets[0]) if len(resets) else len(raw)
            if end:
                yield Words(raw["address"][:end].astype(np.uint32), us[:end])
                last_us = int(us[end - 1])
            if len(resets):
                lost = left + len(raw) - end
                self.trouble = (
                    f"the clock jumps back by {-steps[end] * 1e-6:.3f} s at word "
                    f"{self.total - lost}: the {lost} words from there on are left out"
                )
                return


def _steps(us: NDArray[np.int64], before: int) -> NDArray[np.int64]:
    """Return the steps between times of 32 bits, the first from ``before``, the shorter way."""
    steps = np.diff(us, prepend=before % _WRAP_US)
    steps[steps < -_WRAP_US // 2] += _WRAP_US
    steps[steps > _WRAP_US // 2] -= _WRAP_US
    return steps


def _find_strays(us: NDArray[np.int64], steps: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Return which times are far from the one before, while the next is near that one again."""
    strays = np.zeros(len(us), bool)
    far = np.abs(steps[:-1]) > MAX_STEP_BACK_US
    if far.any():
        # of a step by half the range, either way is the shorter one
        across = (steps[:-1] + steps[1:] + _WRAP_US // 2) % _WRAP_US - _WRAP_US // 2
        strays[:-1] = far & (np.abs(across) <= MAX_STEP_BACK_US)
    return strays


def unpack(words: Words) -> Columns:
    """Take the events out of words."""
    chosen = words.is_event
    address = words.address[chosen]
    return Columns(
        us=words.us[chosen],
        camera=address & CAMERA_MASK,
        x=address >> X_SHIFT & X_MASK,
        y=address >> Y_SHIFT & Y_MASK,
        polarity=(address & POLARITY_BIT) != 0,
    )


def pack(columns: Columns) -> NDArray[np.void]:
    """Return events as words, [n] of :data:`WORD`; the inverse of :func:`unpack`."""
    words = np.empty(len(columns.us), WORD)
    words["address"] = (
        columns.y.astype(np.uint32) << Y_SHIFT
        | columns.x.astype(np.uint32) << X_SHIFT
        | columns.polarity.astype(np.uint32) * POLARITY_BIT
        | columns.camera.astype(np.uint32)
    )
    words["us"] = columns.us % _WRAP_US
    return words


def pack_specials(us: NDArray[np.int64]) -> NDArray[np.void]:
    """Return special events at these times as words, [n] of :data:`WORD`."""
    words = np.empty(len(us), WORD)
    words["address"], words["us"] = SPECIAL_BIT, us % _WRAP_US
    return words


def write_header(file: BinaryIO, chip: str, created: str) -> None:
    """Write the lines at the beginning of a file."""
    lines = (
        "#!AER-DAT2.0",
        "# This is a raw AE data file - do not edit",
        "# Data format is int32 address, int32 timestamp (8 bytes total), repeated for each event",
        "# Timestamps tick is 1 us",
        f"# created {created}",
        f"# AEChip: {chip}",
        f"#{_END}",
    )
    file.write("".join(f"{line}\r\n" for line in lines).encode("ascii"))
