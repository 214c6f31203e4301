# SPDX-License-Identifier: Apache-2.0
"""Turns of the processor as Linux' scheduler reports them."""

import re
import threading
from pathlib import Path

import pytest

from hybrid_pose_ros.pipeline.scheduling import SHORT_NS, take_short_turns, take_usual_turns


def turn_ns() -> int:
    """Return the length of this thread's turns."""
    report = Path(f"/proc/self/task/{threading.get_native_id()}/sched")
    if not report.is_file():
        pytest.skip("this kernel does not report its scheduling")
    found = re.search(r"se\.slice\s*:\s*(\d+)", report.read_text("utf-8"))
    if found is None:
        pytest.skip("this kernel has turns of one length only")
    return int(found[1])


def test_threads_inherit_short_turns_and_may_give_them_up() -> None:
    lengths: list[int] = []

    def child() -> None:
        lengths.append(turn_ns())
        assert take_usual_turns() == ""
        lengths.append(turn_ns())

    def parent() -> None:
        assert take_usual_turns() == ""  # whatever the thread that started this one has
        lengths.append(turn_ns())
        assert take_short_turns() == ""
        thread = threading.Thread(target=child)
        thread.start()
        thread.join()
        lengths.append(turn_ns())

    turn_ns()  # skips, where there is nothing to see
    thread = threading.Thread(target=parent)
    thread.start()
    thread.join()
    usual = lengths[0]
    assert usual > SHORT_NS
    assert lengths == [usual, SHORT_NS, usual, SHORT_NS]
