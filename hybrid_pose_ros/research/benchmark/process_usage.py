# SPDX-License-Identifier: Apache-2.0
"""CPU time and memory of processes, from Linux' /proc."""

import os
from pathlib import Path
from typing import NamedTuple


class Usage(NamedTuple):
    """Usage of a process: CPU time so far in s, and its resident memory now in MB."""

    cpu_s: float
    memory_mb: float


def usage_of(pid: int) -> Usage:
    """Return what a process uses.

    Raises:
        OSError: there is no such process.
    """
    stat = Path(f"/proc/{pid}/stat").read_text("utf-8")
    # the name, in parentheses, may hold anything; utime and stime are fields 14 and 15
    fields = stat.rpartition(")")[2].split()
    ticks = int(fields[11]) + int(fields[12])
    pages = int(fields[21])
    return Usage(
        ticks / os.sysconf("SC_CLK_TCK"), pages * os.sysconf("SC_PAGE_SIZE") / 1024 / 1024
    )
