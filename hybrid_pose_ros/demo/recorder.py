# SPDX-License-Identifier: Apache-2.0
"""Records a graph's topics, in a process of its own (see ``recording.py``)."""

import subprocess
import sys
import threading
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Final

from hybrid_pose_ros.bags.bag import RawMessage
from hybrid_pose_ros.errors import UserError

PROGRAM: Final = "hybrid_pose_ros.demo.recording"

START_TIMEOUT_S: Final = 60.0
END_TIMEOUT_S: Final = 30.0


class RecorderError(UserError):
    """Recording failed; the message says why."""


@dataclass(frozen=True)
class RecorderEnd:
    """How recording ended.

    Attributes:
        dropped: messages that came but were not written, the disk being too slow.
        failure: why it ended early, or None.
    """

    dropped: int
    failure: str | None


class Recorder:
    """A recording under way; a context manager that starts and ends it.

    Args:
        namespace: of the graph, such as ``/cam0``.
        bag: folder to be created.
        share: the package's share directory.
        whole: topics whose messages :meth:`take` returns with their content; of the others it
            returns the arrival.
        truth: file of labels (``.truth.npz``) that are written beside the events; None: none.

    Attributes:
        end: how it ended; None while it runs.
        process: the process that records.
    """

    def __init__(
        self,
        namespace: str,
        bag: Path,
        share: Path,
        whole: Sequence[str],
        truth: Path | None = None,
    ) -> None:
        self.end: RecorderEnd | None = None
        self._arguments = [namespace, str(bag), str(share), str(truth or ""), *whole]
        self._ready = threading.Event()
        self._lock = threading.Lock()
        self._arrived: list[RawMessage] = []
        self.process: subprocess.Popen[bytes]
        self._link: Connection[None, Any]
        self._inbox = threading.Thread(target=self._receive, name="recorder inbox", daemon=True)

    def __enter__(self) -> "Recorder":
        # Not multiprocessing.Process: that would import the calling program's main module again.
        self._link, theirs = Pipe()
        self.process = subprocess.Popen(
            # -P: the installed package, even where the source tree is the current directory.
            [sys.executable, "-P", "-m", PROGRAM, str(theirs.fileno()), *self._arguments],
            pass_fds=[theirs.fileno()],
            start_new_session=True,  # Ctrl-C concerns us, who then stop it.
        )
        theirs.close()
        self._inbox.start()
        self._ready.wait(START_TIMEOUT_S)
        if self.end is not None or not self._ready.is_set():
            self.stop()
            raise RecorderError(self.end.failure if self.end else "the recorder did not start")
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def take(self) -> list[RawMessage]:
        """Return what has arrived since the last call."""
        with self._lock:
            arrived, self._arrived = self._arrived, []
        return arrived

    def stop(self) -> None:
        """Write what is pending and close the bag; sets :attr:`end`."""
        with suppress(BrokenPipeError):  # It has ended by itself.
            self._link.send(None)
        try:
            self.process.wait(END_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self._inbox.join()
        self._link.close()

    def _receive(self) -> None:
        while self.end is None:
            try:
                item = self._link.recv()
            except (EOFError, ConnectionError):
                item = RecorderEnd(0, f"the recorder ended with code {self.process.wait()}")
            if isinstance(item, list):
                with self._lock:
                    self._arrived += item
                continue
            self.end = item  # None: it is ready
            self._ready.set()
