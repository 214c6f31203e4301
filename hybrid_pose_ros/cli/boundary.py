# SPDX-License-Identifier: Apache-2.0
"""The boundary between the commands and the shell: one sentence and an exit code, whatever fails.

Exit codes: 0 done; 1 it cannot be done, and the sentence says why; 2 wrong arguments; 70 a fault
of this program; 130 after Ctrl-C; 141 when the reader of the output has gone.
"""

import os
import re
import sys
from collections.abc import Callable, Mapping
from errno import ENOSPC
from typing import Final

from hybrid_pose_ros import PACKAGE
from hybrid_pose_ros.errors import UserError

TRACEBACK: Final = "HYBRID_POSE_TRACEBACK"
"""Variable of the environment that lets tracebacks through, for reports of faults."""

FAULT: Final = 70
INTERRUPTED: Final = 130
OUTPUT_CLOSED: Final = 141

MAX_DOMAIN: Final = 232
"""The largest ROS domain whose UDP ports exist (DDSI-RTPS 2.2, section 9.6.1)."""

_OWN_MIDDLEWARE: Final = "rmw_fastrtps_cpp"
"""That of the wheels of ROS 2."""


class UnfitEnvironmentError(UserError):
    """Variables of the environment do not fit; the message names them."""


def bounded(program: str, action: Callable[[], int]) -> int:
    """Run a command and return its exit code; what it raises becomes one sentence on stderr.

    Args:
        program: how the sentence begins, such as ``hybrid-pose run``.

    Raises:
        SystemExit: the parser of arguments has said what is wrong, or printed help.
    """
    _let_any_text_through()
    try:
        try:
            return action()
        finally:
            if sys.stdout is not None:
                sys.stdout.flush()  # here, and not when the interpreter ends, it may fail
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        # Nobody reads on, as after `| head`; the interpreter must not try to flush the rest.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return OUTPUT_CLOSED
    except Exception as error:
        if os.environ.get(TRACEBACK):
            raise
        code, sentence = explain(error)
        print(f"{program}: error: {sentence}", file=sys.stderr)
        return code


def explain(error: Exception) -> tuple[int, str]:
    """Return the exit code and the sentence for what a command has raised."""
    words = " ".join(str(error).split())
    if isinstance(error, UserError):
        return 1, str(error)
    if isinstance(error, FileNotFoundError) and not error.filename and _is_nowhere():
        return 1, "the working directory is gone; change to another one"
    if isinstance(error, OSError) and error.strerror:
        if error.errno == ENOSPC and not error.filename:
            return 1, f"{error.strerror}; make room on the disk, or where the output goes"
        place = f"{error.filename}: " if error.filename else ""
        return 1, f"{place}{error.strerror}"
    if isinstance(error, MemoryError):
        return 1, "out of memory; close other programs, or use a smaller input"
    if isinstance(error, ImportError) and not (error.name or "").startswith(PACKAGE):
        return 1, (
            f"a package cannot be imported ({words}); install the requirements again in this "
            f"Python ({sys.executable}), in a shell without a ROS of another Python"
        )
    if "no locator available" in words:  # how Numba says that no folder can be written
        return 1, (
            "compiled code can be kept neither beside the package nor in the home directory; "
            "set NUMBA_CACHE_DIR to a folder that can be written"
        )
    return FAULT, (
        f"a fault of this program ({type(error).__name__}: {words}); run it again with "
        f"{TRACEBACK}=1 and report what it prints"
    )


def check_ros_environment(environment: Mapping[str, str]) -> None:
    """Refuse variables of the environment with which no node of ours could start.

    Raises:
        UnfitEnvironmentError: one of them does not fit.
    """
    domain = environment.get("ROS_DOMAIN_ID", "")
    if domain and not (re.fullmatch(r"\d{1,3}", domain, re.ASCII) and int(domain) <= MAX_DOMAIN):
        raise UnfitEnvironmentError(
            f"ROS_DOMAIN_ID={domain}: not a number from 0 to {MAX_DOMAIN}; correct or unset it"
        )
    middleware = environment.get("RMW_IMPLEMENTATION", "")
    if middleware not in ("", _OWN_MIDDLEWARE) and not environment.get("AMENT_PREFIX_PATH"):
        raise UnfitEnvironmentError(
            f"RMW_IMPLEMENTATION={middleware}: without a ROS distribution there is only "
            f"{_OWN_MIDDLEWARE}; correct or unset it"
        )
    own = f"{sys.version_info.major}.{sys.version_info.minor}"
    for path in environment.get("PYTHONPATH", "").split(os.pathsep):
        found = re.search(r"/python(\d\.\d+)/(?:site|dist)-packages", path)
        if found and found[1] != own and os.path.isdir(path):
            raise UnfitEnvironmentError(
                f"PYTHONPATH: {path} holds packages of Python {found[1]}, this is Python {own}; "
                "use a shell in which no ROS of another Python is sourced"
            )


def _is_nowhere() -> bool:
    try:
        os.getcwd()
    except FileNotFoundError:
        return True
    return False


def _let_any_text_through() -> None:
    """Let output that knows ASCII only show a question mark instead of failing."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")
