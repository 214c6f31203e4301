# SPDX-License-Identifier: Apache-2.0
"""Cameras and network streams, through dv-processing."""

import dv_processing as dv

from hybrid_pose_ros.events.array import EventArray, empty_events
from hybrid_pose_ros.events.dv_events import from_store
from hybrid_pose_ros.events.sources.base import SourceError


class _LiveSource:
    """What a camera and a network stream share: the reader's interface."""

    live = True

    def __init__(self, name: str, reader: "dv.io.camera.CameraInputBase | dv.io.NetworkReader"):
        if not reader.isEventStreamAvailable():
            raise SourceError(f"{name}: it does not send events")
        self.name = name
        self.width, self.height = reader.getEventResolution()
        self._reader = reader

    def read(self) -> EventArray | None:
        """Return what has come since the last call, maybe nothing; None once it has ended."""
        store = self._reader.getNextEventBatch()
        if store is not None:
            return from_store(store)
        return empty_events() if self._reader.isRunning() else None

    def close(self) -> None:
        """Close the connection."""
        del self._reader


class CameraSource(_LiveSource):
    """A camera of iniVation on USB (DAVIS, DVXplorer).

    Args:
        camera: its name, such as ``DVXplorer_DXA00000``; empty for the first that is found.

    Raises:
        SourceError: no such camera is plugged in, or it cannot be opened.
    """

    def __init__(self, camera: str = "") -> None:
        found = [str(device) for device in dv.io.camera.discover()]
        if not found:
            raise SourceError(
                "no event camera found; plug one in and check the udev rules for its USB device"
            )
        try:
            reader = dv.io.camera.open(camera) if camera else dv.io.camera.open()
        except (RuntimeError, IndexError, ValueError) as error:
            raise SourceError(
                f"camera {camera or found[0]}: cannot be opened, found {', '.join(found)}; "
                "is it used by another program?"
            ) from error
        super().__init__(camera or reader.getCameraName(), reader)


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
