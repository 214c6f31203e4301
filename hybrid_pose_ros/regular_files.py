# SPDX-License-Identifier: Apache-2.0
"""The check that comes before any reader opens a file."""

import os
import stat
from pathlib import Path

_KINDS = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)


def find_obstacle(path: Path, wanted: str) -> str:
    """Return why a path cannot be read as a file, "" if it can; never blocks, unlike `open`.

    Args:
        path: what the user named.
        wanted: what belongs there, such as "a RAW file".
    """
    try:
        status = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return f"no such file; give the path of {wanted}"
    except (OSError, ValueError) as error:  # ValueError: a null byte in the name
        return f"cannot be read ({getattr(error, 'strerror', None) or error})"
    for is_kind, kind in _KINDS:
        if is_kind(status.st_mode):
            return f"{kind}, no such file as can be read; give the path of {wanted}"
    if not status.st_size:
        return f"empty; copy it again, or give the path of {wanted}"
    if not os.access(path, os.R_OK):
        return "cannot be read (Permission denied)"
    return ""
