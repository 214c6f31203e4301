# SPDX-License-Identifier: Apache-2.0
"""Reads a structure of numbers from a MAT-file of version 5, 6 or 7.

SciPy reads more of the format, but its compiled reader crashes on some damaged files.
Source: MATLAB's "MAT-File Format", version 5.
"""

import zlib
from collections.abc import Iterator
from typing import Final

import numpy as np
from numpy.typing import NDArray

_HEADER: Final = 128
_MATRIX, _COMPRESSED = 14, 15
_STRUCT_CLASS: Final = 2
_NUMBER_CLASSES: Final = range(6, 16)
_NUMBERS: Final = {
    **{1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4"},
    **{7: "f4", 9: "f8", 12: "i8", 13: "u8"},
}
_MAX_BYTES: Final = 2**28
"""Of an element when it is unpacked; labels of a recording have a hundredth of it."""


def read_structure(data: bytes, name: str) -> dict[str, NDArray[np.float64]]:
    """Return the fields of a structure that are real matrices.

    Args:
        data: of the file.
        name: of the structure.

    Raises:
        ValueError: the file is damaged, of another version, or has no such structure.
    """
    order = {b"IM": "<", b"MI": ">"}.get(data[126:_HEADER])
    if order is None:
        raise ValueError("no MAT-file of version 5 or later")
    for kind, content in _elements(data[_HEADER:], order):
        if kind == _COMPRESSED:
            unpacked = zlib.decompressobj().decompress(content, _MAX_BYTES)
            kind, content = next(_elements(unpacked, order), (0, b""))
        if kind == _MATRIX and (found := _structure(content, name, order)) is not None:
            return found
    raise ValueError(f"no structure {name}")


def _elements(data: bytes, order: str) -> Iterator[tuple[int, bytes]]:
    """Yield type and content of the elements that follow one another."""
    at = 0
    while at < len(data):
        head = np.frombuffer(data[at : at + 4], f"{order}u4")[0]
        small = int(head >> 16)
        if small:  # up to four bytes lie where the size would be
            kind, start, size, step = int(head & 0xFFFF), at + 4, small, 8
        else:
            size = int(np.frombuffer(data[at + 4 : at + 8], f"{order}u4")[0])
            kind, start = int(head), at + 8
            step = 8 + (size if kind == _COMPRESSED else -(-size // 8) * 8)
        if start + size > len(data) or small > 4:
            raise ValueError("an element is longer than its place")
        yield kind, data[start : start + size]
        at += step


def _structure(matrix: bytes, name: str, order: str) -> dict[str, NDArray[np.float64]] | None:
    """Return the fields of a matrix that is the structure of this name."""
    parts = _elements(matrix, order)
    flags, _, own_name = (next(parts, (0, b""))[1] for _ in range(3))
    if own_name != name.encode() or _class(flags, order) != _STRUCT_CLASS:
        return None
    _, length = next(parts)
    _, names = next(parts)
    width = int(np.frombuffer(length, f"{order}i4")[0])
    if not 0 < width <= 64:
        raise ValueError(f"field names of {width} bytes")
    fields = [names[at : at + width].split(b"\0")[0] for at in range(0, len(names), width)]
    values = (_numbers(content, order) for kind, content in parts if kind == _MATRIX)
    return {
        field.decode("ascii"): value
        for field, value in zip(fields, values, strict=False)
        if value is not None
    }


def _class(flags: bytes, order: str) -> int:
    """Return the class of a matrix; complex ones have none."""
    value = int(np.frombuffer(flags, f"{order}u4")[0])
    return 0 if value & 0x800 else value & 0xFF


def _numbers(matrix: bytes, order: str) -> NDArray[np.float64] | None:
    """Return a matrix of real numbers; None for anything else."""
    parts = list(_elements(matrix, order))
    if len(parts) != 4 or _class(parts[0][1], order) not in _NUMBER_CLASSES:
        return None
    shape = np.frombuffer(parts[1][1], f"{order}i4").tolist()
    kind, content = parts[3]
    if kind not in _NUMBERS:
        raise ValueError(f"numbers of the type {kind}")
    numbers = np.frombuffer(content, f"{order}{_NUMBERS[kind]}").astype(np.float64)
    return numbers.reshape(shape, order="F")
