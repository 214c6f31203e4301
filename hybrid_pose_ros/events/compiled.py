# SPDX-License-Identifier: Apache-2.0
"""Types of arguments of compiled functions.

A function whose types are given has one form, compiled where it is imported. Without, Numba makes
another for each kind of memory that an array lies in (aligned or not, read-only or not), each when
it first comes: in the middle of a stream.
"""

from typing import Final, Literal

from numba import from_dtype, types

from hybrid_pose_ros.events.array import EVENT_DTYPE


def _array(dtype: types.Type, layout: Literal["A", "C"], *, readonly: bool) -> types.Array:
    return types.Array(dtype, 1, layout, readonly=readonly, aligned=False)


_FIELDS = {name: from_dtype(EVENT_DTYPE[name]) for name in ("t", "x", "y", "polarity")}

FIELDS: Final = {name: _array(dtype, "A", readonly=True) for name, dtype in _FIELDS.items()}
"""The fields of an event array, to be read."""

NEW_FIELDS: Final = {name: _array(dtype, "A", readonly=False) for name, dtype in _FIELDS.items()}
"""The fields of an event array, to be written."""

WORDS: Final = _array(types.uint64, "C", readonly=True)
NEW_WORDS: Final = _array(types.uint64, "C", readonly=False)
PLACES: Final = _array(types.int64, "C", readonly=True)
TIMES: Final = _array(types.int64, "C", readonly=False)
COUNTS: Final = _array(types.uint16, "C", readonly=False)
