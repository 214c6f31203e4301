# SPDX-License-Identifier: Apache-2.0
"""The scheduler slice as Linux reports it."""

import re
import threading
from pathlib import Path

import pytest

from hybrid_pose_ros.pipeline.scheduling import SHORT_SLICE_NS, use_default_slice, use_short_slice


def slice_ns() -> int:
    """Return this thread's slice."""
    report = Path(f"/proc/self/task/{threading.get_native_id()}/sched")
    if not report.is_file():
        pytest.skip("this kernel does not report its scheduling")
    found = re.search(r"se\.slice\s*:\s*(\d+)", report.read_text("utf-8"))
    if found is None:
        pytest.skip("this kernel has slices of one length only")
    return int(found[1])


def test_threads_inherit_a_short_slice_and_may_give_it_up() -> None:
    lengths: list[int] = []

    def child() -> None:
        lengths.append(slice_ns())
        assert use_default_slice() == ""
        lengths.append(slice_ns())

    def parent() -> None:
        assert use_default_slice() == ""  # whatever the thread that started this one has
        lengths.append(slice_ns())
        assert use_short_slice() == ""
        thread = threading.Thread(target=child)
        thread.start()
        thread.join()
        lengths.append(slice_ns())

    slice_ns()  # skips, where there is nothing to see
    thread = threading.Thread(target=parent)
    thread.start()
    thread.join()
    usual = lengths[0]
    assert usual > SHORT_SLICE_NS
    assert lengths == [usual, SHORT_SLICE_NS, usual, SHORT_SLICE_NS]
