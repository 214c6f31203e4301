# SPDX-License-Identifier: Apache-2.0
"""Lists of spikes, and how compiled functions take them and other arrays.

After a change here, delete the ``.nbi`` files beside it, as after one in
:mod:`hybrid_pose_ros.engine.simd`.
"""

from typing import Any, Final, NamedTuple

import numba
import numpy as np
from numba import carray
from numpy.typing import NDArray

from hybrid_pose_ros.arrays import F32, I64
from hybrid_pose_ros.engine import simd

_FASTMATH = {"contract", "nsz"}

compiled = numba.njit(cache=True, nogil=True, fastmath=_FASTMATH)

inner = numba.njit(  # type: ignore[call-overload]
    fastmath=_FASTMATH, no_cpython_wrapper=True, no_cfunc_wrapper=True
)
"""For functions that only compiled ones call: nothing is made for calls from Python."""

COLUMN_SHIFT: Final = 16
COLUMN: Final = 1 << COLUMN_SHIFT
CHANNEL_MASK: Final = COLUMN - 1


class Spikes(NamedTuple):
    """The values of a map that are not zero, in order of rows.

    Attributes:
        starts: [h + 1]; the entries of row y are those from ``starts[y]`` to ``starts[y + 1]``.
        entries: [capacity]; column * 2**16 + channel of each.
        values: [capacity] where they differ; [0] where all are 1.
    """

    starts: NDArray[np.int32]
    entries: NDArray[np.int32]
    values: F32


@inner
def integers_at(plan: I64, k: int) -> NDArray[np.int32]:
    """The int32 array that part ``k`` of a plan names."""
    return carray(simd.pointer(plan[k, 0]), plan[k, 1], np.int32)


@inner
def floats_at(plan: I64, k: int) -> F32:
    """The float32 array that part ``k`` of a plan names."""
    return carray(simd.pointer(plan[k, 0]), plan[k, 1], np.float32)


@inner
def pairs_at(plan: I64, k: int) -> I64:
    """The int64 array [n, 2] that part ``k`` of a plan names."""
    return carray(simd.pointer(plan[k, 0]), (plan[k, 1] // 2, 2), np.int64)


@inner
def float_pairs_at(plan: I64, k: int) -> F32:
    """The same as [n, 2]."""
    return carray(simd.pointer(plan[k, 0]), (plan[k, 1] // 2, 2), np.float32)


@inner
def spikes_at(plan: I64, k: int) -> Spikes:
    """The spikes whose three parts a plan names from its part ``k`` on."""
    return Spikes(integers_at(plan, k), integers_at(plan, k + 1), floats_at(plan, k + 2))


def plan(arguments: tuple[Any, ...]) -> list[tuple[int, int]]:
    """Name arrays and integers for a compiled function, tuples of them depth first.

    To look at each of a network's arrays on every call would take as long as a layer. An array is
    named by its address and length, so it has to outlive the plan; an integer by itself.
    """
    parts: list[tuple[int, int]] = []
    for argument in arguments:
        if isinstance(argument, tuple):
            parts += plan(argument)
        elif isinstance(argument, np.ndarray):
            assert argument.flags.c_contiguous
            parts.append((argument.ctypes.data, argument.size))
        else:
            parts.append((int(argument), 0))
    return parts
