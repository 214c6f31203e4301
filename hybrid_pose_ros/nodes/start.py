# SPDX-License-Identifier: Apache-2.0
"""Starts a node by name; what the executables in lib/hybrid_pose_ros call.

The node's module is imported here and not in the executable: that takes seconds, and Ctrl-C in
the meantime is to end the process as quietly as later.
"""

import importlib
import os
import sys
from types import FrameType
from typing import NoReturn

from hybrid_pose_ros.stop_signals import handle_stop_signals


def start_node(name: str) -> NoReturn:
    """Run the node of module ``hybrid_pose_ros.nodes.<name>`` and end the process with it."""
    handle_stop_signals(_leave)  # until the node has its own handlers
    module = importlib.import_module(f"hybrid_pose_ros.nodes.{name}")
    code = module.main()
    # Nothing is left to release. Taking the interpreter with torch and numba apart would last for
    # seconds on a busy machine, longer than launch waits before it kills.
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _leave(number: int, frame: FrameType | None) -> None:
    os._exit(0)
