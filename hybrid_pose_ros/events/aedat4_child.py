# SPDX-License-Identifier: Apache-2.0
"""The process that reads an AEDAT4 file for :mod:`.sources.aedat4`.

dv-processing does not return from some damaged files, holding the interpreter meanwhile, and can
end the process. So it runs in one of its own: a watchdog, which needs no interpreter, ends this
process when a call takes longer than :data:`LIMIT_S`, and the reader of its output sees the end.

The output is an empty line once this has begun, a line of JSON (:class:`Opening`, or
``{"error": ...}``), then per batch its number of events as 8 bytes (little-endian) and the events
as dv-processing holds them (:data:`ROWS`). After the last batch come 8 bytes of :data:`END` or
:data:`DAMAGED`.
"""

import faulthandler
import json
import os
import signal
import sys
from collections.abc import Callable
from typing import Any, BinaryIO, Final, NamedTuple, TypeVar

import dv_processing as dv
import numpy as np

LIMIT_S: Final = 2.0
"""Reading a batch takes milliseconds; a call that takes longer will not return."""

OPEN_LIMIT_S: Final = 20.0
"""For opening, at most: the index of a recording that was cut off is made anew from all of it."""

OPEN_BYTES_PER_S: Final = 50_000_000
"""An index is made anew faster than this."""

ROWS: Final = np.dtype(
    {
        "names": ["us", "x", "y", "polarity"],
        "formats": ["<i8", "<u2", "<u2", "i1"],
        "offsets": [0, 8, 10, 12],
        "itemsize": 16,
    }
)
"""A pixel that dv-processing read as negative lies far outside here."""

END: Final = 0
DAMAGED: Final = 2**64 - 1

T = TypeVar("T")


class Opening(NamedTuple):
    """A file's account of itself: sensor in pixels; first and last time in us."""

    width: int
    height: int
    first_us: int
    last_us: int


def main() -> None:
    """Read the file named first on the command line, of the camera named second, if any."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's, which closes the pipe
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    output = os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(2, 1)  # dv-processing writes its log there
    output.write(b"\n")
    _serve(output, sys.argv[1], *sys.argv[2:])


def _serve(output: BinaryIO, path: str, *camera: str) -> None:
    try:
        limit_s = min(OPEN_LIMIT_S, LIMIT_S + os.path.getsize(path) / OPEN_BYTES_PER_S)
        reader = _watched(limit_s, lambda: dv.io.MonoCameraRecording(path, *camera))
        opening = _watched(LIMIT_S, lambda: _describe(reader))
    except Exception:
        # Whatever it is, the file's content is the reason; the parent has a sentence for it.
        answer: dict[str, Any] = {"error": "damaged"}
    else:
        answer = {"error": "empty"} if opening is None else opening._asdict()
    output.write(json.dumps(answer).encode() + b"\n")
    if "error" in answer:
        return
    while True:
        try:
            store = _watched(LIMIT_S, reader.getNextEventBatch)
            rows = None if store is None else store.numpy()
        except Exception:
            output.write(DAMAGED.to_bytes(8, "little"))
            return
        if rows is None:
            output.write(END.to_bytes(8, "little"))
            return
        if len(rows):
            output.write(len(rows).to_bytes(8, "little"))
            _write_all(output, rows.view(np.uint8).data)


def _describe(reader: "dv.io.MonoCameraRecording") -> Opening | None:
    if not reader.isEventStreamAvailable():
        return None
    opening = Opening(*reader.getEventResolution(), *reader.getTimeRange())
    return opening if opening.first_us <= opening.last_us else None


def _watched(limit_s: float, call: Callable[[], T]) -> T:
    """Return the result of a call; end the process where it takes too long."""
    faulthandler.dump_traceback_later(limit_s, exit=True)
    try:
        return call()
    finally:
        faulthandler.cancel_dump_traceback_later()


def _write_all(output: BinaryIO, data: memoryview) -> None:
    while len(data):
        data = data[output.write(data) :]


if __name__ == "__main__":
    main()
