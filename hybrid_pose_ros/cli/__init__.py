# SPDX-License-Identifier: Apache-2.0
"""The command `hybrid-pose` and its subcommands, one module each."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from errno import EISDIR
from pathlib import Path
from typing import TextIO

from hybrid_pose_ros.errors import UserError


class CommandError(UserError):
    """A command cannot do what it was asked to; the message says why and the remedy."""


def check_at_least_one(option: str, value: int) -> None:
    """Refuse a number of workers, steps or the like below 1.

    Raises:
        CommandError: it is.
    """
    if value < 1:
        raise CommandError(f"{option} must be at least 1, not {value}")


def pixel_size(option: str, text: str) -> tuple[int, int]:
    """Return width and height that an option gives as WIDTHxHEIGHT.

    Raises:
        CommandError: it does not.
    """
    width, _, height = text.partition("x")
    if not (width.isdecimal() and height.isdecimal()):
        raise CommandError(f"{option} {text}: not WIDTHxHEIGHT, such as 1280x720")
    return int(width), int(height)


def check_new_bag(path: Path) -> None:
    """Refuse a bag to be written that is there already.

    Raises:
        CommandError: it is.
    """
    if path.exists():
        raise CommandError(f"{path}: exists already; remove it or name another bag")


def warn(command: str, text: str) -> None:
    """Print a warning of a command on stderr."""
    print(f"hybrid-pose {command}: warning: {text}", file=sys.stderr)


@contextmanager
def writing(path: Path | None = None) -> Iterator[None]:
    """Write files in the block; what goes wrong becomes a CommandError.

    Args:
        path: what it names; None: the very file.
    """
    try:
        yield
    except OSError as error:
        name, reason = path or error.filename, error.strerror or error
        raise CommandError(f"{name}: cannot be written ({reason})") from error


@contextmanager
def written_whole(path: Path) -> Iterator[TextIO]:
    """Open a file that gets its name once it is written; a run that fails leaves what was there.

    Raises:
        OSError: it cannot be written. That is said now, not after a quarter of an hour.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.is_dir():
        raise IsADirectoryError(EISDIR, "is a folder, not a file", str(path))
    partial = path.with_name(f"{path.name}.partial")
    try:
        with partial.open("w", encoding="utf-8") as file:
            yield file
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
