# SPDX-License-Identifier: Apache-2.0
"""Room for events in the shared memory through which Fast DDS hands messages to other processes.

A message stays there until all its readers have copied it, and one that finds no room is lost: of
the 512 KiB that a process has by default, one large packet of events takes more than half.
"""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from hybrid_pose_ros.installation import find_prefix, share_directory
from hybrid_pose_ros.interfaces.leftovers import SHARED_MEMORY

PROFILES: Final = "FASTRTPS_DEFAULT_PROFILES_FILE"
TRANSPORTS: Final = "FASTDDS_BUILTIN_TRANSPORTS"
"""Variables of the environment by which users choose their own transports."""

NEEDED_BYTES: Final = 32 << 20
"""Free shared memory below which ours is not taken: Fast DDS would do without any."""


@contextmanager
def room_for_events() -> Iterator[None]:
    """Give the nodes that are made inside the transports of ``config/fastdds.xml``.

    The first node of the process must be among them: it is then that Fast DDS reads its profiles.
    Those that the user has chosen in the environment are kept, as are the default ones where
    shared memory is scarce. Child processes that are started later do not inherit ours.

    Raises:
        NotInstalledError: the package is not installed.
    """
    chosen = PROFILES in os.environ or TRANSPORTS in os.environ
    if chosen or _free_bytes() < NEEDED_BYTES:
        yield
        return
    os.environ[PROFILES] = str(share_directory(find_prefix()) / "config" / "fastdds.xml")
    try:
        yield
    finally:
        del os.environ[PROFILES]


def _free_bytes() -> int:
    try:
        return shutil.disk_usage(SHARED_MEMORY).free
    except FileNotFoundError:  # not Linux
        return 0
