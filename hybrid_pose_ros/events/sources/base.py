# SPDX-License-Identifier: Apache-2.0
"""The interface of all sources of events."""

from typing import Protocol

from hybrid_pose_ros.errors import UserError
from hybrid_pose_ros.events.array import EventArray


class SourceError(UserError):
    """A source cannot be opened or read; the message names it and the remedy."""


class EventSource(Protocol):
    """A stream of events.

    Attributes:
        width, height: of the sensor in pixels.
        name: for people.
        live: it sets its own pace, and may have nothing right now.
    """

    width: int
    height: int
    name: str
    live: bool

    def read(self) -> EventArray | None:
        """Return the next batch in order of time; an empty one if there is none right now.

        Returns:
            None at the end.

        Raises:
            SourceError: the source failed.
        """

    def close(self) -> None:
        """Release what the source holds; it is not read any more."""
