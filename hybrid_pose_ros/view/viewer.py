# SPDX-License-Identifier: Apache-2.0
"""The window of Rerun as a process that listens where it is asked to, and nowhere else."""

import socket
import subprocess
import sys
import time
from typing import Final

from hybrid_pose_ros.errors import UserError

LOOPBACK: Final = "127.0.0.1"
PORT: Final = 9876
START_TIMEOUT_S: Final = 30.0
POLL_S: Final = 0.1


class ViewerError(UserError):
    """The viewer does not start; the message says why and the remedy."""


def viewer_command(address: str) -> list[str]:
    """Return the command that opens a viewer which listens at an address of this machine.

    Rerun's own `spawn` leaves it at all addresses.
    """
    return [sys.executable, "-m", "rerun_cli", "--bind", address, "--port", str(PORT)]


def start_viewer(address: str) -> str:
    """Open a viewer and return its URL; one that is open already is taken.

    The viewer stays open after this process has ended.

    Args:
        address: IP address at which it listens, such as :data:`LOOPBACK`.

    Raises:
        ViewerError: it ends at once, or does not listen in time.
    """
    host = LOOPBACK if address in ("0.0.0.0", "::") else address
    url = f"rerun+http://{host}:{PORT}/proxy"
    if _listens(host):
        return url
    process = subprocess.Popen(
        viewer_command(address),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    deadline = time.monotonic() + START_TIMEOUT_S
    while not _listens(host):
        if process.poll() is not None:
            raise ViewerError(
                f"the viewer ended with code {process.returncode} before its window opened; "
                "without a screen use --save or --connect"
            )
        if time.monotonic() > deadline:
            process.kill()
            raise ViewerError(
                f"the viewer does not listen at {address}:{PORT} after {START_TIMEOUT_S:g} s; is "
                "this an address of this machine?"
            )
        time.sleep(POLL_S)
    return url


def _listens(host: str) -> bool:
    try:
        with socket.create_connection((host, PORT), timeout=1.0):
            return True
    except OSError:
        return False
