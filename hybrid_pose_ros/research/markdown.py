# SPDX-License-Identifier: Apache-2.0
"""Figures and tables as Markdown."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

Figures = Mapping[str, Any]
"""Figures that `hybrid-pose evaluate` (or another command) wrote as JSON."""


def number(value: float | None, scale: float, digits: int) -> str:
    """Return a figure in the text; one that could not be computed is a dash."""
    return "-" if value is None else f"{scale * value:.{digits}f}"


def px(value: float | None) -> str:
    """Return an error, or nothing where there is none."""
    return "" if value is None else f"{value:.2f}"


def rate(value: float) -> str:
    """Return a share in percent, without the sign."""
    return f"{100 * value:.2f}"


def percent(more: float) -> str:
    """Return a signed difference in words.

    Examples:
        >>> percent(-4.21)
        '4.2 % below'
    """
    return f"{abs(more):.1f} % {'above' if more >= 0 else 'below'}"


def table(heads: Sequence[str], rows: Iterable[Sequence[str]], text: Sequence[int] = (0,)) -> str:
    """Return a table whose columns are numbers, but those in ``text``.

    Examples:
        >>> print(table(("model", "error (px)"), [("hybrid", px(3.04159))]))
        | model | error (px) |
        | --- | ---: |
        | hybrid | 3.04 |
    """
    rulers = ["---" if column in text else "---:" for column in range(len(heads))]
    lines = [heads, rulers, *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
