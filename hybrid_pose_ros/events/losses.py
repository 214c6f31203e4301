# SPDX-License-Identifier: Apache-2.0
"""The account of single bad events: each costs itself, never the packet or block it lies in."""

from dataclasses import dataclass
from typing import Final

NONSENSE_SHARE: Final = 0.5
"""Share of bad events from which on a packet or block is taken for another format or sensor, and
refused as a whole."""

NONSENSE_COUNT: Final = 8
"""Fewer bad events than this never condemn the others, however short a packet is."""


@dataclass
class Losses:
    """Counts what was not taken as it came; it only grows.

    Attributes:
        outside: events outside the sensor, dropped.
        held: events out of order, kept with the time of the one before them.
        skipped: words or events that mean nothing, or lack what they depend on, dropped.
        inferred: upper parts of the time that were missing, and are known by the lower ones.
        refused: events of blocks of a file of which most made no sense, dropped as a whole.
    """

    outside: int = 0
    held: int = 0
    skipped: int = 0
    refused: int = 0
    inferred: int = 0

    @property
    def dropped(self) -> int:
        """Number of events and words that were dropped."""
        return self.outside + self.skipped + self.refused

    def describe(self) -> str:
        """Return the account in words, "" where nothing was lost."""
        parts = (
            (self.outside, "events outside the sensor are left out"),
            (self.skipped, "words that make no sense are left out"),
            (self.refused, "events of blocks that make no sense are left out"),
            (self.held, "events out of order have the time of the one before them"),
            (self.inferred, "upper parts of the time were missing and are inferred"),
        )
        return ", ".join(f"{count:,} {what}" for count, what in parts if count)


def is_nonsense(bad: int, total: int) -> bool:
    """Whether so many bad events of a packet or block mean that nothing of it can be believed."""
    return bad >= NONSENSE_COUNT and bad > NONSENSE_SHARE * total
