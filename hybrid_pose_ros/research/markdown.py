# SPDX-License-Identifier: Apache-2.0
"""Figures and tables as Markdown."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

Figures = Mapping[str, Any]
"""Figures that `hybrid-pose evaluate` (or another command) wrote as JSON."""


def number(value: float | None, scale: float, digits: int) -> str:
    """A figure in the text; one that could not be computed is a dash."""
    return "-" if value is None else f"{scale * value:.{digits}f}"


def px(value: float | None) -> str:
    """An error, or nothing where there is none."""
    return "" if value is None else f"{value:.2f}"


def rate(value: float) -> str:
    """A share in percent, without the sign."""
    return f"{100 * value:.2f}"


def percent(more: float) -> str:
    """A signed difference in words: ``4.2 % above``."""
    return f"{abs(more):.1f} % {'above' if more >= 0 else 'below'}"


def table(heads: Sequence[str], rows: Iterable[Sequence[str]], text: Sequence[int] = (0,)) -> str:
    """A table whose columns are numbers, but those in ``text``."""
    rulers = ["---" if column in text else "---:" for column in range(len(heads))]
    lines = [heads, rulers, *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
