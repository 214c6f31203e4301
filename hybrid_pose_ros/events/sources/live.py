# SPDX-License-Identifier: Apache-2.0
"""Cameras and network streams, through dv-processing."""

import time
from typing import TypeAlias

import dv_processing as dv

from hybrid_pose_ros.events.array import EventArray, empty_events
from hybrid_pose_ros.events.dv_events import from_store
from hybrid_pose_ros.events.sources.base import SourceError

Reader: TypeAlias = dv.io.camera.CameraInputBase | dv.io.NetworkReader

POLL_S = 0.001
"""The readers return at once; a read that finds nothing takes this long, so that a loop of reads
does not occupy a core."""


class _LiveSource:
    """The reader's interface that a camera and a network stream share."""

    live = True

    def __init__(self, name: str, reader: Reader) -> None:
        if not reader.isEventStreamAvailable():
            raise SourceError(f"{name}: sends no events; is it an event camera?")
        self.name = name
        self.width, self.height = reader.getEventResolution()
        self._reader: Reader | None = reader

    def read(self) -> EventArray | None:
        """Return what has come since the last call, maybe nothing; None once it has ended.

        Raises:
            SourceError: the connection broke.
        """
        if self._reader is None:
            return None
        try:
            # asked first: what arrives between the two calls is not taken for the end
            running = self._reader.isRunning()
            store = self._reader.getNextEventBatch()
        except (RuntimeError, IndexError) as error:
            raise SourceError(f"{self.name}: the connection broke; reconnect it") from error
        if store is not None:
            return from_store(store)
        if not running:
            return None
        time.sleep(POLL_S)
        return empty_events()

    def close(self) -> None:
        """Close the connection; may be called again."""
        self._reader = None


class CameraSource(_LiveSource):
    """A camera of iniVation on USB (DAVIS, DVXplorer).

    Args:
        camera: its name, such as ``DVXplorer_DXA00000``, or serial number alone; empty for the
            first that is found.

    Raises:
        SourceError: no such camera is plugged in, or it cannot be opened.
    """

    def __init__(self, camera: str = "") -> None:
        found = [device.serialNumber for device in dv.io.camera.discover()]
        if not found:
            raise SourceError(
                f"camera {camera or '(any)'}: no event camera found; plug one in and check the "
                "udev rules for its USB device"
            )
        serial = camera.rpartition("_")[2] or found[0]
        if serial not in found:
            raise SourceError(f"camera {camera}: not found; there are {', '.join(found)}")
        try:
            reader = dv.io.camera.open(serial)
        except (RuntimeError, IndexError) as error:
            raise SourceError(
                f"camera {serial}: cannot be opened; is another program using it, and do the "
                "udev rules let you?"
            ) from error
        super().__init__(reader.getCameraName(), reader)


class NetworkSource(_LiveSource):
    """A stream of dv-processing's ``NetworkWriter``, of DV or dv-runtime, over TCP.

    Raises:
        SourceError: nothing listens there, or it sends no events.
    """

    def __init__(self, host: str, port: int) -> None:
        try:
            reader = dv.io.NetworkReader(host, port)
        except (RuntimeError, ValueError) as error:
            raise SourceError(
                f"{host}:{port}: no event stream there; start the server or correct the address"
            ) from error
        super().__init__(f"{host}:{port}", reader)
