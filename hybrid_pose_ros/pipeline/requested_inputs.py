# SPDX-License-Identifier: Apache-2.0
"""The ANN's inputs of the newest moments for which the SNN may ask, until it does."""

from collections import OrderedDict
from typing import Final, Generic, TypeVar

T = TypeVar("T")

KEPT: Final = 20
"""Moments that are kept: a request is seldom later than a few."""


class RequestedInputs(Generic[T]):
    """Brings together inputs and requests of the same moment, whichever comes first.

    So the ANN answers for the very moment that it was asked for, however fast either side is.

    Args:
        limit: how many inputs, and how many requests, are kept.
    """

    def __init__(self, limit: int = KEPT) -> None:
        self._limit = limit
        self.clear()

    def clear(self) -> None:
        """Forget all inputs and requests."""
        self.clear_inputs()
        self._asked: OrderedDict[int, None] = OrderedDict()

    def clear_inputs(self) -> None:
        """Forget the inputs; requests of moments to come stay."""
        self._inputs: OrderedDict[int, T] = OrderedDict()

    def keep(self, moment_ns: int, item: T) -> T | None:
        """Take the input of a moment; return it if it was asked for already."""
        if moment_ns in self._asked:
            self._forget_until(moment_ns)
            return item
        self._inputs[moment_ns] = item
        if len(self._inputs) > self._limit:
            self._inputs.popitem(last=False)
        return None

    def ask(self, moment_ns: int) -> T | None:
        """Take a request; return the input of its moment, None if it has not come yet."""
        item = self._inputs.get(moment_ns)
        if item is not None:
            self._forget_until(moment_ns)
            return item
        self._asked[moment_ns] = None
        if len(self._asked) > self._limit:
            self._asked.popitem(last=False)
        return None

    def _forget_until(self, moment_ns: int) -> None:
        """What lies before an answer is of no use any more."""
        self._inputs = OrderedDict((t, x) for t, x in self._inputs.items() if t > moment_ns)
        self._asked = OrderedDict((t, None) for t in self._asked if t > moment_ns)
