# SPDX-License-Identifier: Apache-2.0
"""Sixteen float32 values at a time, for compiled functions.

LLVM turns loops into vector code only if it can prove, or check at run time, that the arrays do
not overlap; for the short runs of a spike's weights that check costs more than the sums. These
operations are vector code as they stand. On processors with shorter vectors LLVM splits them.

Arrays are one-dimensional and contiguous; an index is that of the first of the 16 values. Nothing
is checked. Numba's cache looks at the file of the function that it compiled, not at this one:
after a change here, delete the ``.nbi`` files beside it.
"""

import threading
from collections.abc import Callable, Iterator
from typing import Any, Final

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic
from numpy.typing import NDArray

LANES: Final = 16

_VECTOR = ir.VectorType(ir.FloatType(), LANES)
_FUSED = ("contract",)

_CACHE_LINE = 64

_PAGE = 2 << 20
"""Bytes of a large page: with few pages, an address is found without a walk through tables."""

_room: NDArray[np.uint8] = np.zeros(0, np.uint8)
_room_at_work = threading.Lock()


def zeros(*shape: int) -> NDArray[np.float32]:
    """Make an array whose vectors lie each in one cache line, beside those made before."""
    global _room
    size = 4 * int(np.prod(shape))
    with _room_at_work:
        first = -_room.ctypes.data % _CACHE_LINE
        if first + size > len(_room):
            # for 4 MB and more NumPy asks the system for large pages; what is not used takes none
            _room = np.zeros(3 * _PAGE + size, np.uint8)
            first = -_room.ctypes.data % _PAGE
        array = _room[first : first + size].view(np.float32).reshape(shape)
        _room = _room[first + size :]
    return array


def aligned(array: NDArray[np.float32]) -> NDArray[np.float32]:
    """Copy an array into one of :func:`zeros`."""
    copy = zeros(*array.shape)
    copy[...] = array
    return copy


# Typed, the functions would seem to take the typing context from their callers.
_intrinsic: Any = intrinsic


class _Emitter:
    """Emits instructions for one call; ``arguments`` are the values of the call."""

    def __init__(self, context: Any, builder: Any, signature: Any, arguments: Any) -> None:
        self.context = context
        self.builder = builder
        self.types = signature.args
        self.arguments = arguments

    def scalar(self, position: int) -> Any:
        return self.arguments[position]

    def address(self, position: int, offset: Any = None) -> Any:
        """Where the vector lies that argument ``position`` (an array) and the next one name."""
        array_type = self.types[position]
        array = self.context.make_array(array_type)(
            self.context, self.builder, self.arguments[position]
        )
        index = self.arguments[position + 1]
        if offset is not None:
            index = self.builder.add(index, offset)
        pointer = self.builder.gep(array.data, [index])
        return self.builder.bitcast(pointer, _VECTOR.as_pointer())

    def run(self, position: int) -> Iterator[Any]:
        """Open a loop over as many vectors as the argument says; yields their offset."""
        with cgutils.for_range(self.builder, self.arguments[position]) as loop:
            yield self.builder.mul(loop.index, ir.Constant(loop.index.type, LANES))

    def load(self, address: Any) -> Any:
        return self.builder.load(address, align=4)

    def store(self, value: Any, address: Any) -> None:
        self.builder.store(value, address, align=4)

    def splat(self, value: Any) -> Any:
        one = self.builder.insert_element(
            ir.Constant(_VECTOR, ir.Undefined), value, ir.Constant(ir.IntType(32), 0)
        )
        zeros = ir.Constant(ir.VectorType(ir.IntType(32), LANES), [0] * LANES)
        return self.builder.shuffle_vector(one, ir.Constant(_VECTOR, ir.Undefined), zeros)

    def multiply_add(self, a: Any, b: Any, c: Any) -> Any:
        return self.builder.fadd(self.builder.fmul(a, b, flags=_FUSED), c, flags=_FUSED)

    def fire(self, count: int, current: Callable[[Any], Any]) -> Any:
        """Membrane (argument 0) times keep (argument 2) plus current; reset; return the mask.

        For ``count`` successive vectors; ``current`` gives the one at an offset.
        """
        builder = self.builder
        one = ir.Constant(_VECTOR, [1.0] * LANES)
        zero = ir.Constant(_VECTOR, [0.0] * LANES)
        total = ir.Constant(ir.IntType(64), 0)
        for number in range(count):
            offset = ir.Constant(self.scalar(1).type, number * LANES)
            address = self.address(0, offset)
            keep = self.load(self.address(2, offset))
            charged = self.multiply_add(self.load(address), keep, current(offset))
            fired = builder.fcmp_ordered(">=", charged, one)
            self.store(builder.fsub(charged, builder.select(fired, one, zero)), address)
            mask = builder.zext(builder.bitcast(fired, ir.IntType(LANES)), ir.IntType(64))
            shift = ir.Constant(ir.IntType(64), number * LANES)
            total = builder.or_(total, builder.shl(mask, shift))
        return total


def _operation(
    arguments: str, returns: types.Type, emit: Callable[[_Emitter], Any]
) -> tuple[Any, Callable[..., Any]]:
    """Make an operation: ``a`` is an array and an index, ``s`` a float, ``n`` an integer."""
    kinds = {
        "a": (types.Array(types.float32, 1, "C"), types.intp),
        "s": (types.float32,),
        "n": (types.intp,),
    }
    signature = returns(*(kind for letter in arguments for kind in kinds[letter]))

    def generate(context: Any, builder: Any, called: Any, values: Any) -> Any:
        result = emit(_Emitter(context, builder, called, values))
        return context.get_dummy_value() if result is None else result

    return signature, generate


@_intrinsic
def add(typing_context, target, i, source, k):  # type: ignore[no-untyped-def]
    """``target[i:i + 16] += source[k:k + 16]``."""

    def emit(e: _Emitter) -> None:
        address = e.address(0)
        e.store(e.builder.fadd(e.load(address), e.load(e.address(2))), address)

    return _operation("aa", types.void, emit)


@_intrinsic
def add_run(typing_context, target, i, source, k, count):  # type: ignore[no-untyped-def]
    """:func:`add` for ``count`` successive vectors."""

    def emit(e: _Emitter) -> None:
        for offset in e.run(4):
            address, source = e.address(0, offset), e.address(2, offset)
            e.store(e.builder.fadd(e.load(address), e.load(source)), address)

    return _operation("aan", types.void, emit)


@_intrinsic
def clear_run(typing_context, target, i, count):  # type: ignore[no-untyped-def]
    """Set ``count`` successive vectors to zero."""

    def emit(e: _Emitter) -> None:
        for offset in e.run(2):
            e.store(ir.Constant(_VECTOR, [0.0] * LANES), e.address(0, offset))

    return _operation("an", types.void, emit)


@_intrinsic
def copy_run(typing_context, target, i, source, k, count):  # type: ignore[no-untyped-def]
    """Copy ``count`` successive vectors.

    An assignment to a slice is several times slower: Numba makes no vector code of it.
    """

    def emit(e: _Emitter) -> None:
        for offset in e.run(4):
            e.store(e.load(e.address(2, offset)), e.address(0, offset))

    return _operation("aan", types.void, emit)


@_intrinsic
def mix(typing_context, target, i, a, k, wa, b, m, wb):  # type: ignore[no-untyped-def]
    """``target[i:i + 16] = wa * a[k:k + 16] + wb * b[m:m + 16]``."""

    def emit(e: _Emitter) -> None:
        first = e.builder.fmul(e.splat(e.scalar(4)), e.load(e.address(2)), flags=_FUSED)
        mixed = e.multiply_add(e.splat(e.scalar(7)), e.load(e.address(5)), first)
        e.store(mixed, e.address(0))

    return _operation("aasas", types.void, emit)


@_intrinsic
def add_scaled(typing_context, target, i, source, k, factor):  # type: ignore[no-untyped-def]
    """``target[i:i + 16] += factor * source[k:k + 16]``."""

    def emit(e: _Emitter) -> None:
        address = e.address(0)
        scaled = e.multiply_add(e.splat(e.scalar(4)), e.load(e.address(2)), e.load(address))
        e.store(scaled, address)

    return _operation("aas", types.void, emit)


@_intrinsic
def add_attention(typing_context, target, i, source, k):  # type: ignore[no-untyped-def]
    """``target[i:i + 16] += max(source[k:k + 16], 0) ** 2``."""

    def emit(e: _Emitter) -> None:
        address = e.address(0)
        value = e.load(e.address(2))
        zero = ir.Constant(_VECTOR, [0.0] * LANES)
        positive = e.builder.select(e.builder.fcmp_ordered(">", value, zero), value, zero)
        e.store(e.multiply_add(positive, positive, e.load(address)), address)

    return _operation("aa", types.void, emit)


@_intrinsic
def raise_to(typing_context, target, i, source, k):  # type: ignore[no-untyped-def]
    """``target[i:i + 16] = maximum(target[i:i + 16], source[k:k + 16])``."""

    def emit(e: _Emitter) -> None:
        address = e.address(0)
        old, new = e.load(address), e.load(e.address(2))
        e.store(e.builder.select(e.builder.fcmp_ordered(">", new, old), new, old), address)

    return _operation("aa", types.void, emit)


def _fire(count: int) -> Callable[[_Emitter], Any]:
    def emit(e: _Emitter) -> Any:
        return e.fire(count, lambda offset: e.load(e.address(4, offset)))

    return emit


def _fire_between(count: int) -> Callable[[_Emitter], Any]:
    def emit(e: _Emitter) -> Any:
        wa, wb = e.splat(e.scalar(6)), e.splat(e.scalar(9))

        def current(offset: Any) -> Any:
            first = e.builder.fmul(wa, e.load(e.address(4, offset)), flags=_FUSED)
            return e.multiply_add(wb, e.load(e.address(7, offset)), first)

        return e.fire(count, current)

    return emit


@_intrinsic
def fire(typing_context, membrane, i, keep, j, current, k):  # type: ignore[no-untyped-def]
    """One step of 16 LIF neurons: leak, charge, threshold and soft reset.

    ``membrane[i:i + 16] = keep[j:j + 16] * membrane[i:i + 16] + current[k:k + 16]``, less 1 where
    that is at least 1.

    Returns:
        A mask of the neurons that fired, the first in the lowest bit.
    """
    return _operation("aaa", types.int64, _fire(1))


@_intrinsic
def fire_4(typing_context, membrane, i, keep, j, current, k):  # type: ignore[no-untyped-def]
    """As :func:`fire`, for four successive vectors."""
    return _operation("aaa", types.int64, _fire(4))


@_intrinsic
def fire_between(typing_context, membrane, i, keep, j, a, k, wa, b, m, wb):  # type: ignore[no-untyped-def]
    """As :func:`fire`, with the current ``wa * a[k:] + wb * b[m:]``."""
    return _operation("aaasas", types.int64, _fire_between(1))


@_intrinsic
def fire_between_4(typing_context, membrane, i, keep, j, a, k, wa, b, m, wb):  # type: ignore[no-untyped-def]
    """As :func:`fire_between`, for four successive vectors."""
    return _operation("aaasas", types.int64, _fire_between(4))


@_intrinsic
def nonzero(typing_context, values, i):  # type: ignore[no-untyped-def]
    """Mask of those of ``values[i:i + 32]`` (uint16) that are not zero."""
    signature = types.int64(types.Array(types.uint16, 1, "C"), types.intp)

    def generate(context: Any, builder: Any, called: Any, arguments: Any) -> Any:
        array = context.make_array(called.args[0])(context, builder, arguments[0])
        vector = ir.VectorType(ir.IntType(16), 2 * LANES)
        place = builder.bitcast(builder.gep(array.data, [arguments[1]]), vector.as_pointer())
        values = builder.load(place, align=2)
        some = builder.icmp_unsigned("!=", values, ir.Constant(vector, [0] * 2 * LANES))
        return builder.zext(builder.bitcast(some, ir.IntType(2 * LANES)), ir.IntType(64))

    return signature, generate


@_intrinsic
def pointer(typing_context, address):  # type: ignore[no-untyped-def]
    """The address of an array's memory as what :func:`numba.carray` takes."""

    def generate(context: Any, builder: Any, called: Any, values: Any) -> Any:
        return builder.inttoptr(values[0], context.get_value_type(types.voidptr))

    return types.voidptr(types.int64), generate


@_intrinsic
def lowest_bit(typing_context, mask):  # type: ignore[no-untyped-def]
    """Position of the lowest bit that is set in a mask that is not 0."""

    def generate(context: Any, builder: Any, called: Any, values: Any) -> Any:
        return builder.cttz(values[0], ir.Constant(ir.IntType(1), 1))

    return types.int64(types.int64), generate


def _convolution(count: int) -> Callable[[_Emitter], None]:
    def emit(e: _Emitter) -> None:
        builder = e.builder
        step = e.scalar(6)

        def times(value: Any, factor: int) -> Any:
            return builder.mul(value, ir.Constant(value.type, factor))

        lanes = ir.Constant(step.type, LANES)
        taps = [e.load(e.address(4, times(lanes, t))) for t in range(count)]
        for offset in e.run(7):
            places = [builder.add(offset, times(step, t)) for t in range(count)]
            values = [e.load(e.address(2, place)) for place in places]
            total = builder.fmul(taps[0], values[0], flags=_FUSED)
            for tap, value in zip(taps[1:], values[1:], strict=True):
                total = e.multiply_add(tap, value, total)
            e.store(total, e.address(0, offset))

    return emit


@_intrinsic
def convolve_5(typing_context, target, i, source, k, taps, first, step, cells):  # type: ignore[no-untyped-def]
    """Sum 5 vectors that lie ``step`` values apart, for each cell (16 values) of a row.

    ``target[i + 16 x:][:16]`` becomes the sum over t < 5 of ``taps[first + 16 t:][:16]`` times
    ``source[k + 16 x + step t:][:16]``, for x < ``cells``. Each of the 16 has its own taps.
    """
    return _operation("aaann", types.void, _convolution(5))


@_intrinsic
def convolve_7(typing_context, target, i, source, k, taps, first, step, cells):  # type: ignore[no-untyped-def]
    """As :func:`convolve_5`, with 7 taps."""
    return _operation("aaann", types.void, _convolution(7))
