# SPDX-License-Identifier: Apache-2.0
"""Arguments of a graph, the same on every command line, where all values are text."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from hybrid_pose_ros.errors import UserError


class GraphError(UserError, ValueError):
    """An argument of a graph is wrong; the message says which and the remedy."""


@dataclass(frozen=True)
class Argument:
    """An argument: its name, its value where none is given, and the values allowed if not all."""

    name: str
    default: str
    description: str
    choices: tuple[str, ...] = ()


def complete(table: Sequence[Argument], arguments: Mapping[str, str]) -> dict[str, str]:
    """Return the values of all arguments, with defaults where none was given.

    Raises:
        GraphError: an argument is unknown, or its value is none of its choices.
    """
    values = {argument.name: argument.default for argument in table}
    if unknown := arguments.keys() - values.keys():
        raise GraphError(f"unknown argument {sorted(unknown)[0]}")
    values |= arguments
    for argument in table:
        if argument.choices and values[argument.name] not in argument.choices:
            raise GraphError(
                f"{argument.name} must be one of {', '.join(argument.choices)}, "
                f"not {values[argument.name]!r}"
            )
    return values


def number(kind: type[int] | type[float], name: str, text: str) -> int | float:
    """Return the number that an argument is; raises GraphError if it is none."""
    try:
        return kind(text)
    except ValueError as error:
        raise GraphError(f"{name} must be a number, not {text!r}") from error


def absolute_path(text: str) -> Path:
    """Return the path that the nodes, which may run elsewhere, find as well."""
    return Path(text).expanduser().absolute()


def existing_file(name: str, text: str) -> Path:
    """Return the absolute path of the file that an argument names; raises GraphError."""
    path = absolute_path(text)
    if not path.is_file():
        raise GraphError(f"{name}: there is no file {path}")
    return path
