# SPDX-License-Identifier: Apache-2.0
"""Writing events of four cameras in the layout of DHP19's original recordings."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np

from hybrid_pose_ros.events.aedat2 import Columns, pack, pack_specials, write_header
from hybrid_pose_ros.events.array import EventArray, MalformedEventsError, check_events
from hybrid_pose_ros.events.dhp19.cleaning import CAMERAS, HEIGHT, WIDTH

CHIP: Final = "ch.unizh.ini.jaer.chip.multicamera.MultiDAVIS346BCameraChip"
CREATED: Final = "Thu Jan 01 00:00:00 UTC 1970"


class Dhp19Writer:
    """Writes a `.aedat` file; a context manager.

    Times are floored to us, and both axes turned over as the sensors are read out.

    Args:
        path: file to write.

    Raises:
        OSError: the file cannot be written.
    """

    def __init__(self, path: Path) -> None:
        self._file = path.open("wb")
        write_header(self._file, CHIP, CREATED)

    def __enter__(self) -> "Dhp19Writer":
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def signal(self, *sensor_ns: int) -> None:
        """Write special events at these moments (ns): the start or the stop."""
        self._file.write(pack_specials(np.array(sensor_ns, np.int64) // 1000).tobytes())

    def write(self, events: Sequence[EventArray]) -> None:
        """Write the events of the four cameras, merged in order of time.

        Raises:
            MalformedEventsError: there are not four arrays, or events lie outside the sensor or
                out of order.
            OSError: the file cannot be written.
        """
        if len(events) != CAMERAS:
            raise MalformedEventsError(f"events of {len(events)} cameras, not of {CAMERAS}")
        for own in events:
            check_events(own, WIDTH, HEIGHT)
        merged = np.concatenate(events)
        camera = np.repeat(np.arange(CAMERAS, dtype=np.uint32), [len(own) for own in events])
        order = np.argsort(merged["t"], kind="stable")
        merged, camera = merged[order], camera[order]
        columns = Columns(
            us=merged["t"] // 1000,
            camera=camera,
            x=WIDTH - 1 - merged["x"].astype(np.uint32),
            y=HEIGHT - 1 - merged["y"].astype(np.uint32),
            polarity=merged["polarity"],
        )
        self._file.write(pack(columns).tobytes())
