# SPDX-License-Identifier: Apache-2.0
"""Commands that measure: figures in JSON files, and a bar that counts what is done."""

import argparse
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from hybrid_pose_ros.cli import CommandError, writing


def read_figures(path: Path) -> Any:
    """Return what a command wrote.

    Raises:
        CommandError: the file cannot be read, or is not JSON.
    """
    try:
        return json.loads(path.read_text("utf-8"))
    except OSError as error:
        raise CommandError(f"{path}: cannot be read ({error.strerror})") from error
    except ValueError as error:
        raise CommandError(f"{path}: is not JSON ({error})") from error


def write_figures(path: Path, figures: Mapping[str, Any]) -> None:
    """Write figures.

    Raises:
        CommandError: the file cannot be written.
    """
    text = json.dumps(figures, indent=2) + "\n"
    with writing(path):
        path.write_text(text, encoding="utf-8")


def check_writable(path: Path | None) -> None:
    """Say at once, and not after minutes of measuring, that a file cannot be written.

    Raises:
        CommandError: its folder is missing or cannot be written, or it is a folder itself.
    """
    if path is None:
        return
    if path.is_dir():
        raise CommandError(f"{path}: a folder; name a file in it")
    if not path.parent.is_dir():
        raise CommandError(f"{path}: there is no folder {path.parent}; make it first")
    if not os.access(path if path.exists() else path.parent, os.W_OK):
        raise CommandError(f"{path}: cannot be written (Permission denied)")


def file_options(options: argparse.Namespace, *names: str) -> list[str]:
    """Return the options among ``names`` that were given, with their files' names alone."""
    given = {name: getattr(options, name) for name in names}
    pairs = ((f"--{name}", path.name) for name, path in given.items() if path is not None)
    return [word for pair in pairs for word in pair]


def counting_bar(console: Console) -> Progress:
    """Return a bar that tells how many of how many are done; it goes at the end."""
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn()
    return Progress(*columns, TimeRemainingColumn(), console=console, transient=True)
