# SPDX-License-Identifier: Apache-2.0
"""The scheduler slice of our threads (Linux, EEVDF).

A thread that wakes up to serve a message waits for its turn, behind threads that compute. Linux
gives the turn first to those with a short slice: they get no more of the processor than others,
but they get it sooner. No privilege is needed for that.
"""

import ctypes
import os
import platform
import struct
from typing import Final

SHORT_SLICE_NS: Final = 100_000
"""The shortest slice that Linux grants."""

_ATTRIBUTES: Final = struct.Struct("<IIQiIQQQ")
"""The kernel's sched_attr: size, policy, flags, nice, priority, runtime, deadline, period."""

_SET: Final = {"x86_64": 314, "aarch64": 274}
"""Number of the system call sched_setattr, which the C library does not have before 2.41."""


def use_short_slice() -> str:
    """Ask for a short slice for this thread and those that it starts from now on.

    Returns:
        Why it is not granted, or "". Kernels before 6.12 grant it without effect.
    """
    return _set(SHORT_SLICE_NS)


def use_default_slice() -> str:
    """Undo :func:`use_short_slice` for this thread, which computes while nobody waits for it."""
    return _set(0)


def _set(slice_ns: int) -> str:
    number = _SET.get(platform.machine())
    if number is None:
        return f"not known how to on {platform.machine()}"
    if os.sched_getscheduler(0) != os.SCHED_OTHER:
        return ""  # somebody has chosen another policy for us, such as real-time priority
    nice = os.getpriority(os.PRIO_PROCESS, 0)  # stays as it is
    attributes = _ATTRIBUTES.pack(_ATTRIBUTES.size, os.SCHED_OTHER, 0, nice, 0, slice_ns, 0, 0)
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.syscall(ctypes.c_long(number), 0, attributes, 0):
        return os.strerror(ctypes.get_errno())
    return ""
