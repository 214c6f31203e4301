# SPDX-License-Identifier: Apache-2.0
"""Files of Prophesee cameras: RAW (EVT 2.0, 2.1 and 3.0) and DAT, read in bounded memory.

Header lines begin with ``%``, a space and a keyword; ``% end`` may close them. The words after
them are those of :mod:`.encodings.evt3` and :mod:`.prophesee_words`; in a DAT file a byte for the
type of event and one for the size of an event come first.
Source: docs.prophesee.ai, "RAW File Format", "DAT File Format".
"""

import re
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

from hybrid_pose_ros.events.array import (
    EventArray,
    MalformedEventsError,
    check_sensor,
    empty_events,
)
from hybrid_pose_ros.events.encodings import Decoder, MalformedPacketError, make_decoder
from hybrid_pose_ros.events.losses import Losses
from hybrid_pose_ros.events.prophesee_words import DatDecoder, Evt2Decoder
from hybrid_pose_ros.regular_files import find_obstacle

CHUNK_BYTES: Final = 2**18
"""So many bytes are decoded at once; where most of a chunk makes no sense, it is left out."""

_SENSORS: Final = {
    "gen3": (640, 480),
    "gen4": (1280, 720),
    "imx636": (1280, 720),
    "genx320": (320, 320),
}
"""Part of the plugin's name -> width and height, for headers that do not tell the geometry."""

_VERSIONS: Final = {
    "2.0": "evt2",
    "2.1": "evt21",
    "3.0": "evt3",
    "EVT2": "evt2",
    "EVT21": "evt21",
    "EVT3": "evt3",
}
_WORD_BYTES: Final = {"evt2": 4, "evt21": 8, "evt21_legacy": 8, "evt3": 2, "dat": 8}

_DAT_EVENTS: Final = (0, 12)
"""Types of events with x, y and polarity in a DAT file; 12 is what is written today."""

_MAX_LINE: Final = 4096
_MAX_HEADER: Final = 2**16


class RawFileError(ValueError):
    """A RAW file is not what can be read; the message names it and the remedy."""


@dataclass(frozen=True)
class RawHeader:
    """Header of a file.

    Attributes:
        encoding: `evt2`, `evt21`, `evt21_legacy` (halves of a word swapped), `evt3` or `dat`.
        size: width and height of the sensor in pixels, None where that is not told.
        offset: where the words begin (bytes).
    """

    encoding: str
    size: tuple[int, int] | None
    offset: int


def read_header(path: Path) -> RawHeader:
    """Read the lines at the beginning.

    Raises:
        RawFileError: the file is missing, cannot be read, or has another encoding.
    """
    if obstacle := find_obstacle(path, "a RAW file"):
        raise RawFileError(f"{path}: {obstacle}")
    values: dict[str, str] = {}
    try:
        with path.open("rb") as file:
            offset = 0
            while (line := file.readline(_MAX_LINE)).startswith(b"% ") and offset < _MAX_HEADER:
                offset = file.tell()
                keyword, _, value = line[2:].decode("latin-1").strip().partition(" ")
                if keyword == "end":
                    break
                values[keyword.lower()] = value
            file.seek(offset)
            kind = file.read(2)
    except OSError as error:
        raise RawFileError(f"{path}: cannot be read ({error.strerror})") from error
    format_, *options = values.get("format", "").split(";")
    version = format_ or values.get("evt", "")
    if not version and path.suffix.lower() == ".dat" and values:
        if len(kind) < 2 or kind[0] not in _DAT_EVENTS or kind[1] != _WORD_BYTES["dat"]:
            raise RawFileError(
                f"{path}: not a DAT file of events (type and size {tuple(kind)} where "
                f"(12, 8) is expected)"
            )
        return RawHeader("dat", _find_size(values), offset + 2)
    if version not in _VERSIONS:
        told = f"its header says {version!r}" if version else "its header does not tell the format"
        raise RawFileError(
            f"{path}: not EVT 2.0, 2.1 or 3.0 ({told}); convert it with the camera's tools"
        )
    encoding = _VERSIONS[version]
    if encoding == "evt21" and "endianness=legacy" in options:
        encoding = "evt21_legacy"
    return RawHeader(encoding, _find_size(values), offset)


def _find_size(values: dict[str, str]) -> tuple[int, int] | None:
    """Return the size that the first of some places tells; None where none tells one."""
    found = re.fullmatch(r"(\d{1,5})x(\d{1,5})", values.get("geometry", ""), re.ASCII)
    options = dict(re.findall(r"(\w+)=(\w+)", values.get("format", "")))
    sides = [found.groups()] if found else []
    sides += [(own.get("width", ""), own.get("height", "")) for own in (options, values)]
    for width, height in sides:
        if re.fullmatch(r"[1-9]\d{0,4},[1-9]\d{0,4}", f"{width},{height}", re.ASCII):
            return int(width), int(height)
    plugin = values.get("plugin_name", "")
    return next((size for name, size in _SENSORS.items() if name in plugin), None)


class _Damage(NamedTuple):
    """A part of a file that could not be decoded: its first byte, the one after it, and why."""

    first: int
    end: int
    reason: str


class RawReader:
    """Reads the events of a file piece by piece.

    Args:
        path: the file.
        size: width and height of the sensor in pixels, for files that do not tell.

    Attributes:
        width, height: of the sensor.
        losses: single events of the part read so far that were dropped or mended.
        trouble: what of the part read so far could not be decoded, or "".

    Raises:
        RawFileError: the file is missing, cannot be read, has another encoding, or does not tell
            the sensor's size.
    """

    def __init__(self, path: Path, size: tuple[int, int] | None = None) -> None:
        self.path = path
        self._header = read_header(path)
        size = self._header.size or size
        if size is None:
            raise RawFileError(
                f"{path}: the header does not tell the sensor's size; give it (--size WxH)"
            )
        try:
            check_sensor(*size)
        except MalformedEventsError as error:
            raise RawFileError(f"{path}: {error}") from error
        self.width, self.height = size
        self.losses = Losses()
        self._bytes = path.stat().st_size - self._header.offset
        self._done = 0
        self._damaged: list[_Damage] = []
        self._cut_off = ""

    @property
    def progress(self) -> float:
        """Share of the file that was read."""
        return self._done / self._bytes if self._bytes else 1.0

    @property
    def trouble(self) -> str:
        """Words on the part that could not be decoded."""
        damaged = [
            f"bytes {damage.first} to {damage.end} are damaged and left out ({damage.reason})"
            for damage in self._damaged
        ]
        return "; ".join([*damaged, *filter(None, [self.losses.describe(), self._cut_off])])

    def events(self) -> Generator[EventArray, None, None]:
        """Yield all events from the first on, in order of time; times as the camera counts.

        Raises:
            RawFileError: the file cannot be read any more.
        """
        decoder = self._make_decoder()
        word = _WORD_BYTES[self._header.encoding]
        try:
            with self.path.open("rb") as file:
                file.seek(self._header.offset)
                while data := file.read(CHUNK_BYTES):
                    rest = len(data) % word
                    if rest:
                        self._cut_off = (
                            f"the last {rest} bytes are no whole word: the file is cut off"
                        )
                    events = self._decode(decoder, data[: len(data) - rest])
                    self._done += len(data)
                    yield events
        except OSError as error:
            raise RawFileError(f"{self.path}: cannot be read ({error.strerror})") from error

    def _make_decoder(self) -> Decoder:
        encoding = self._header.encoding
        if encoding == "evt3":
            return make_decoder(encoding, self.width, self.height, losses=self.losses)
        if encoding == "dat":
            return DatDecoder(self.width, self.height, self.losses)
        return Evt2Decoder(self.width, self.height, self.losses, encoding)

    def _decode(self, decoder: Decoder, data: bytes) -> EventArray:
        try:
            return decoder.decode(0, data)
        except MalformedPacketError as error:
            first, reason = self._header.offset + self._done, str(error)
            end = first + len(data)
            if self._damaged and (last := self._damaged[-1]) == (last.first, first, reason):
                first = self._damaged.pop().first
            self._damaged.append(_Damage(first, end, reason))
            return empty_events()
