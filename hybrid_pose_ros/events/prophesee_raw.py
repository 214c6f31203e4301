# SPDX-License-Identifier: Apache-2.0
"""RAW files of Prophesee cameras: EVT 2.0 and EVT 3.0, read in bounded memory.

Header lines begin with ``%``, a space and a keyword; ``% end`` may close them. EVT 3.0 is
:mod:`.encodings.evt3`. EVT 2.0 has little-endian words of 32 bits, whose upper 4 are a type: 0 an
OFF and 1 an ON event (bits 22-27: lower 6 bits of the time in us, 11-21: x, 0-10: y), 8 the upper
28 bits of the time, 10, 14 and 15 triggers, extensions and their continuation, which are skipped.
The time wraps at 2^34 us (4.8 h). Source: docs.prophesee.ai, "RAW File Format", "EVT 2.0 Format".
"""

import re
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hybrid_pose_ros.events.array import EventArray, empty_events
from hybrid_pose_ros.events.encodings import Buffer, Decoder, MalformedPacketError, make_decoder
from hybrid_pose_ros.events.encodings.packet import assemble, read_words

CHUNK_BYTES: Final = 2**18
"""So many bytes are decoded at once; where a chunk is damaged, it is lost as a whole."""

_SENSORS: Final = {
    "gen3": (640, 480),
    "gen4": (1280, 720),
    "imx636": (1280, 720),
    "genx320": (320, 320),
}
"""Part of the plugin's name -> width and height, for headers that do not tell the geometry."""

MAX_STEP_BACK_US: Final = 1_000_000
"""Cameras have been seen to step back a little; more is a clock that was reset, or damage."""

_VERSIONS: Final = {"2.0": "evt2", "3.0": "evt3", "EVT2": "evt2", "EVT3": "evt3"}
_WORD_BYTES: Final = {"evt2": 4, "evt3": 2}


class RawFileError(ValueError):
    """A RAW file is not what can be read; the message names it and the remedy."""


@dataclass(frozen=True)
class RawHeader:
    """What a file says about itself.

    Attributes:
        encoding: `evt2` or `evt3`.
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
    values: dict[str, str] = {}
    try:
        with path.open("rb") as file:
            offset = 0
            while (line := file.readline()).startswith(b"% "):
                offset = file.tell()
                keyword, _, value = line[2:].decode("latin-1").strip().partition(" ")
                if keyword == "end":
                    break
                values[keyword] = value
    except FileNotFoundError as error:
        raise RawFileError(f"{path}: no such file; give the path of a RAW file") from error
    except OSError as error:
        raise RawFileError(f"{path}: cannot be read ({error.strerror})") from error
    version = values.get("format", "").partition(";")[0] or values.get("evt", "")
    if version not in _VERSIONS:
        told = f"its header says {version!r}" if version else "its header does not tell the format"
        raise RawFileError(f"{path}: not EVT 2.0 or EVT 3.0 ({told})")
    return RawHeader(_VERSIONS[version], _find_size(values), offset)


def _find_size(values: dict[str, str]) -> tuple[int, int] | None:
    found = re.fullmatch(r"(\d+)x(\d+)", values.get("geometry", ""))
    if found:
        return int(found[1]), int(found[2])
    options = dict(re.findall(r"(\w+)=(\d+)", values.get("format", "")))
    if {"width", "height"} <= options.keys():
        return int(options["width"]), int(options["height"])
    if {"width", "height"} <= values.keys():
        return int(values["width"]), int(values["height"])
    plugin = values.get("plugin_name", "")
    return next((size for name, size in _SENSORS.items() if name in plugin), None)


class Evt2Decoder:
    """Decoder of EVT 2.0, with memory: the time goes from piece to piece of the stream.

    Events before the first upper half of the time are skipped. Where the camera's time steps back
    by up to :data:`MAX_STEP_BACK_US`, events keep the latest time seen.
    """

    _TIME_HIGH, _LOW_BITS, _HIGH_BITS = 8, 6, 28
    _SKIPPED = (10, 14, 15)

    def __init__(self, width: int, height: int) -> None:
        self._size = (width, height)
        self._high = -1
        self._latest_us = 0

    def decode(self, time_base: int, data: Buffer) -> EventArray:
        """Return the events of a piece, times as the camera counts them; ``time_base`` is 0.

        Raises:
            MalformedPacketError: a word has an unknown type, an event lies outside the sensor, or
                the time steps back further.
        """
        words = read_words("evt2", time_base, data, "<u4")
        types = words >> 28
        known = (types <= 1) | (types == self._TIME_HIGH) | np.isin(types, self._SKIPPED)
        if not known.all():
            place = int((~known).argmax())
            raise MalformedPacketError(
                f"evt2: word {place} has the type {types[place]}, which does not exist"
            )
        high = self._high_at(words, types == self._TIME_HIGH)
        chosen = (types <= 1) & (high >= 0)
        if not chosen.any():
            return empty_events()
        words, us = words[chosen], high[chosen] << self._LOW_BITS
        us |= words >> 22 & 0x3F
        sent_us, us = us, np.maximum.accumulate(np.maximum(us, self._latest_us))
        if (us - sent_us > MAX_STEP_BACK_US).any():
            raise MalformedPacketError("evt2: the time jumps back by more than a second")
        events = assemble(
            "evt2", self._size, us * 1000, words >> 11 & 0x7FF, words & 0x7FF, words >> 28
        )
        self._latest_us = int(us[-1])
        return events

    def reset(self) -> None:
        """Nothing to forget: time words come often."""

    def _high_at(self, words: NDArray[np.uint32], sets: NDArray[np.bool_]) -> NDArray[np.int64]:
        """Return the upper part of the time at each word, with the rounds it has made."""
        values = (words[sets] & (2**self._HIGH_BITS - 1)).astype(np.int64)
        if len(values):
            before = values[0] if self._high < 0 else self._high
            steps = np.diff(values, prepend=before % 2**self._HIGH_BITS)
            steps[steps < -(2 ** (self._HIGH_BITS - 1))] += 2**self._HIGH_BITS
            values = before + np.cumsum(steps)
        high = np.concatenate(([self._high], values))[np.cumsum(sets)]
        self._high = int(high[-1]) if len(high) else self._high
        return high


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
            raise RawFileError(f"{path}: the header does not tell the sensor's size; give it")
        self.width, self.height = size
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
        """What could not be decoded."""
        damaged = [
            f"bytes {damage.first} to {damage.end} are damaged and left out ({damage.reason})"
            for damage in self._damaged
        ]
        return "; ".join([*damaged, *filter(None, [self._cut_off])])

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
        if self._header.encoding == "evt2":
            return Evt2Decoder(self.width, self.height)
        return make_decoder(self._header.encoding, self.width, self.height)

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
