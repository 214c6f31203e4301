# SPDX-License-Identifier: Apache-2.0
"""Streams of 16-bit words that say only what changes: the core of `libcaer_cmp` and `evt3`.

The upper 4 bits of a word are its code, the lower 12 its value. One axis is the line (set once,
then kept), the other the position on it: in a word for a single event, or as a base followed by
vectors, whose bit i stands for an event at base + i and which move the base on by their width.

To decode an event one has to know the last word of each kind before it. This is done on whole
arrays: the number of events between two words of a kind tells how often to repeat the first one's
value.
"""

from dataclasses import dataclass, field, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from hybrid_pose_ros.events.encodings.packet import MalformedPacketError
from hybrid_pose_ros.events.losses import is_nonsense

UNKNOWN: Final = -(2**48)
"""A value that no word has set yet: so low that no sum with it is positive."""

_UNKNOWN_LOW: Final = -(2**62)
"""The same for the lower half of a time whose upper half counts rounds up to the host's time."""

TIME_BITS: Final = 24
"""Two words of 12 bits give the time in us."""

MAX_COORDINATE: Final = 2**11 - 1
"""Coordinates have 11 bits; the polarity is the twelfth of a value."""

_VALUE_BITS: Final = 12
_VALUE_MASK: Final = 2**12 - 1
_POLARITY_BIT: Final = 11
_SET_BITS: Final = (
    np.unpackbits(np.arange(2**_VALUE_BITS, dtype=np.uint16).view(np.uint8))
    .reshape(-1, 16)
    .sum(1, dtype=np.uint8)
)
"""How many bits each value has set (NumPy before 2 does not count them)."""

_MAX_STRAY_STEP: Final = 2
"""TIME_HIGH goes on by 0 or 1; one that goes on by more, while the next is again within this many
units (of 4096 us) of the one before, is a damaged word."""

_START_OVER: Final = 2**11
"""A lower half of the time that is smaller by more than this has started over."""

_WITNESSES: Final = 2

_MIN_VECTOR_EVENTS: Final = 3
"""A base and a vector are two words: with fewer events they save nothing."""


@dataclass(frozen=True)
class WordFormat:
    """The codes of a format.

    Attributes:
        name: of the encoding.
        time_high, time_low: upper and lower 12 bits of the time in us.
        line: coordinate of the line.
        single: position and polarity of an event.
        base: position and polarity for the vectors that follow.
        vectors: width of each kind of vector by its code; the widest is the one that is written.
        ignored: codes that tell nothing about events.
        max_step_back: the time starts over after 2^24 us: the upper half of the time goes on by
            its difference modulo 2^12, but back where that is by no more than this. None for a
            format in which time does not start over.
        widths: of the vectors by code, 0 for all others; int32 [16].
        unknown: codes that do not exist, bool [16].
    """

    name: str
    time_high: int
    time_low: int
    line: int
    single: int
    base: int
    vectors: dict[int, int]
    ignored: tuple[int, ...] = ()
    max_step_back: int | None = None
    widths: NDArray[np.int32] = field(init=False, repr=False)
    unknown: NDArray[np.bool_] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        widths = np.zeros(16, np.int32)
        widths[list(self.vectors)] = list(self.vectors.values())
        unknown = np.ones(16, bool)
        unknown[[self.time_high, self.time_low, self.line, self.single, self.base]] = False
        unknown[[*self.vectors, *self.ignored]] = False
        object.__setattr__(self, "widths", widths)
        object.__setattr__(self, "unknown", unknown)


@dataclass(frozen=True)
class WordState:
    """State set by the words so far; the upper half of the time includes its earlier rounds."""

    high: int = UNKNOWN
    low: int = _UNKNOWN_LOW
    line: int = UNKNOWN
    base: int = UNKNOWN
    base_polarity: int = 0


@dataclass(frozen=True)
class DecodedWords:
    """The events of a stream of words, in columns [n], and the state after the last word.

    A value that depends on a word that has not come is negative. ``unknown`` words had a code that
    the format does not know, and were skipped. So many words with an upper half of the time were
    missing as ``inferred`` says.
    """

    us: NDArray[np.int64]
    line: NDArray[np.int64]
    position: NDArray[np.int64]
    polarity: NDArray[np.int64]
    state: WordState
    unknown: int
    inferred: int


def decode_words(layout: WordFormat, words: NDArray[np.uint16], state: WordState) -> DecodedWords:
    """Decode words that follow a state.

    Raises:
        MalformedPacketError: most words have codes that the format does not know.
    """
    codes = words >> _VALUE_BITS
    unknown = _count_unknown(layout, codes)
    missing, highs = _missing_highs(layout, words, codes, state.high)
    if len(missing):
        words = np.insert(words, missing, highs | layout.time_high << _VALUE_BITS)
        codes = words >> _VALUE_BITS
    emits = codes == layout.single
    for code in layout.vectors:
        emits |= codes == code
    places = np.flatnonzero(emits)
    emitted = np.cumsum(emits, dtype=np.int32)

    def kept(
        code: int, mask: int, before: int, max_step_back: int | None = None
    ) -> tuple[NDArray[np.int64], int]:
        """Return the last value of a kind at each place, and at the end."""
        setters = np.flatnonzero(codes == code)
        values = (words[setters] & mask).astype(np.int64)
        if max_step_back is not None:
            values = _unwrap(values, before, max_step_back)
        return _keep(values, emitted[setters], len(places), before)

    high, last_high = kept(layout.time_high, _VALUE_MASK, state.high, layout.max_step_back)
    low, last_low = kept(layout.time_low, _VALUE_MASK, state.low)
    line, last_line = kept(layout.line, MAX_COORDINATE, state.line)
    us = (high << _VALUE_BITS) + low
    values = words[places].astype(np.int64)
    position = values & MAX_COORDINATE
    polarity = values >> _POLARITY_BIT & 1
    after = WordState(last_high, last_low, last_line, state.base, state.base_polarity)

    about_vectors = np.flatnonzero((codes == layout.base) | (emits & (codes != layout.single)))
    if not len(about_vectors):
        return DecodedWords(us, line, position, polarity, after, unknown, len(missing))
    vectors = _decode_vectors(layout, words[about_vectors], state)
    indices = emitted[about_vectors[vectors.places]] - 1
    position[indices], polarity[indices] = vectors.position, vectors.polarity
    # Every event of a vector takes the values of the vector's place, and a bit's own position.
    sizes = np.ones(len(places), np.uint8)
    sizes[indices] = _SET_BITS[vectors.masks]
    sources = np.repeat(np.arange(len(places)), sizes)
    in_vector = np.zeros(len(places), bool)
    in_vector[indices] = True
    bits = np.flatnonzero(np.unpackbits(vectors.masks.view(np.uint8), bitorder="little"))
    steps = np.zeros(len(sources), np.int64)
    steps[in_vector[sources]] = bits & 15
    return DecodedWords(
        us=us[sources],
        line=line[sources],
        position=position[sources] + steps,
        polarity=polarity[sources],
        state=replace(after, base=vectors.last_base, base_polarity=vectors.last_polarity),
        unknown=unknown,
        inferred=len(missing),
    )


@dataclass(frozen=True)
class _Vectors:
    """The vectors among words, and the base after the last word."""

    places: NDArray[np.int64]
    position: NDArray[np.int64]
    polarity: NDArray[np.int64]
    masks: NDArray[np.uint16]
    last_base: int
    last_polarity: int


def _decode_vectors(layout: WordFormat, words: NDArray[np.uint16], state: WordState) -> _Vectors:
    """Decode bases and vectors."""
    codes = words >> _VALUE_BITS
    values = words.astype(np.int64)
    width = layout.widths[codes]
    # Bases are held relative to how far the vectors have moved the base since the first word.
    moved = np.cumsum(width, dtype=np.int64)
    bases = np.flatnonzero(codes == layout.base)
    places = np.flatnonzero(width)
    counts = np.searchsorted(places, bases)
    relative = (values[bases] & MAX_COORDINATE) - moved[bases]
    base, last_base = _keep(relative, counts, len(places), state.base)
    signs = values[bases] >> _POLARITY_BIT & 1
    polarity, last_polarity = _keep(signs, counts, len(places), state.base_polarity)
    width = width[places]
    return _Vectors(
        places=places,
        position=base + moved[places] - width,
        polarity=polarity,
        masks=(values[places] & ((1 << width) - 1)).astype("<u2"),
        last_base=last_base + int(moved[-1]),
        last_polarity=last_polarity,
    )


def _keep(
    values: NDArray[np.int64], counts: NDArray[np.integer], total: int, before: int
) -> tuple[NDArray[np.int64], int]:
    """Hold each value until the next.

    Args:
        values: [m] in order.
        counts: how many places come before each of them, [m].
        total: number of places.
        before: the value before the first.

    Returns:
        The value at each place, [total], and the last one.
    """
    held = np.concatenate(([before], values))
    borders = np.concatenate(([0], counts, [total]))
    return np.repeat(held, np.diff(borders)), int(held[-1])


def encode_words(
    layout: WordFormat,
    us: NDArray[np.int64],
    line: NDArray[np.uint16],
    position: NDArray[np.uint16],
    polarity: NDArray[np.bool_],
    start: WordState,
) -> bytes:
    """Encode events, columns [n] with n > 0, in their order.

    Args:
        layout: the format.
        us: time; its lower 24 bits are written.
        line, position: the two coordinates.
        polarity: True for ON.
        start: the time that a reader has before the first word.
    """
    code, width = max(layout.vectors.items(), key=lambda vector: vector[1])
    high, low = us >> _VALUE_BITS & _VALUE_MASK, us & _VALUE_MASK
    new_high = _changes(high, start.high)
    new_low = new_high | _changes(low, start.low)
    new_line = _changes(line, UNKNOWN)
    block = position // width
    new_group = new_high | new_low | new_line | _changes(polarity, UNKNOWN)
    new_group |= _changes(block, UNKNOWN)
    new_group[1:] |= position[1:] <= position[:-1]

    first = np.flatnonzero(new_group)
    sizes = np.diff(first, append=len(us))
    in_vector = np.repeat(sizes >= _MIN_VECTOR_EVENTS, sizes)
    opens_vector = in_vector & new_group
    masks = np.zeros(len(us), np.int64)
    masks[first] = np.bitwise_or.reduceat(1 << (position - block * width).astype(np.int64), first)

    signed = polarity.astype(np.int64) << _POLARITY_BIT
    parts = (
        (new_high, layout.time_high, high),
        (new_low, layout.time_low, low),
        (new_line, layout.line, line),
        (~in_vector, layout.single, position | signed),
        (opens_vector, layout.base, block * np.int64(width) | signed),
        (opens_vector, code, masks),
    )
    sizes = np.sum([present for present, _, _ in parts], axis=0)
    cursor = np.cumsum(sizes) - sizes
    words = np.empty(int(sizes.sum()), "<u2")
    for present, part_code, values in parts:
        words[cursor[present]] = values[present] | part_code << _VALUE_BITS
        cursor += present
    return words.tobytes()


def _changes(values: NDArray[np.generic], before: int) -> NDArray[np.bool_]:
    """Whether a value differs from the one before it, the first from ``before``."""
    changes = np.empty(len(values), bool)
    changes[0] = int(values[0]) != before
    np.not_equal(values[1:], values[:-1], out=changes[1:])
    return changes


def _count_unknown(layout: WordFormat, codes: NDArray[np.integer]) -> int:
    unknown = layout.unknown[codes]
    count = int(np.count_nonzero(unknown))
    if is_nonsense(count, len(codes)):
        place = int(unknown.argmax())
        raise MalformedPacketError(
            f"{layout.name}: {count} of {len(codes)} words have codes that do not exist, the "
            f"first is word {place} with the code {codes[place]}"
        )
    return count


def _missing_highs(
    layout: WordFormat, words: NDArray[np.uint16], codes: NDArray[np.integer], before: int
) -> tuple[NDArray[np.int64], NDArray[np.uint16]]:
    """Find where the lower half of the time starts over though no upper half has gone on.

    Two lower halves on each side must agree about that: a single one may be damaged.

    Args:
        before: the upper half before the first word.

    Returns:
        Places of the lower halves before which an upper half is missing, and its values.
    """
    nothing = np.zeros(0, np.int64), np.zeros(0, np.uint16)
    if layout.max_step_back is None:
        return nothing
    lows = np.flatnonzero(codes == layout.time_low)
    if len(lows) < 2 * _WITNESSES:
        return nothing
    values = (words[lows] & _VALUE_MASK).astype(np.int64)
    back = values[:-1] - values[1:] > _START_OVER
    if not back.any():
        return nothing
    highs = np.flatnonzero(codes == layout.time_high)
    epochs = np.searchsorted(highs, lows)
    found: list[int] = []
    for place in (np.flatnonzero(back) + 1).tolist():
        near = slice(place - _WITNESSES, place + _WITNESSES)
        known = epochs[place] or before != UNKNOWN
        if place < _WITNESSES or place + _WITNESSES > len(lows) or not known:
            continue
        around = values[near]
        agree = around[:_WITNESSES].min() - around[_WITNESSES:].max() > _START_OVER
        if agree and (epochs[near] == epochs[place]).all():
            found.append(place)
    places = np.array(found, np.int64)
    # those that are missing one after the other go on by one each
    epoch = epochs[places]
    later = np.arange(len(places)) - np.searchsorted(epoch, epoch)
    told = np.append(words[highs], np.uint16(before & _VALUE_MASK))[epoch - 1] & _VALUE_MASK
    return lows[places], ((told + later + 1) & _VALUE_MASK).astype(np.uint16)


def _unwrap(highs: NDArray[np.int64], before: int, max_step_back: int) -> NDArray[np.int64]:
    """Add the rounds that the upper half of the time has made since ``before``."""
    if not len(highs):
        return highs
    start = int(highs[0]) if before == UNKNOWN else before
    highs = hold_strays(highs, start, 2**_VALUE_BITS, _MAX_STRAY_STEP)
    steps = np.diff(highs, prepend=start) % 2**_VALUE_BITS
    steps[steps >= 2**_VALUE_BITS - max_step_back] -= 2**_VALUE_BITS
    return start + np.cumsum(steps)


def hold_strays(
    highs: NDArray[np.int64], before: int, modulus: int, max_step: int
) -> NDArray[np.int64]:
    """Replace upper halves of the time that are damaged by those before them.

    One is damaged that is more than ``max_step`` ahead (modulo ``modulus``) of the one before it,
    where the one after it is not. The first one may also be back: packets may come out of order.

    Args:
        highs: upper halves, [n].
        before: the one before the first.
    """
    previous = np.concatenate(([before], highs[:-1]))
    ahead = (highs[:-1] - previous[:-1]) % modulus
    stray = ahead > max_step
    stray[:1] &= ahead[:1] < modulus // 2
    if not stray.any():
        return highs
    stray &= (highs[1:] - previous[:-1]) % modulus <= max_step
    held = highs.copy()
    held[:-1][stray] = previous[:-1][stray]
    return held
