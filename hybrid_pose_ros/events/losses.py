# SPDX-License-Identifier: Apache-2.0
"""The account of single bad events: each costs itself, never the packet or block it lies in."""

from dataclasses import dataclass
from typing import Final

NONSENSE_SHARE: Final = 0.5
"""Share of bad events from which on a packet or block is taken for another format or sensor, and
refused as a whole."""

MAX_EVENTS_PER_S: Final = 10**10
"""No camera makes more, by far."""

NO_FLASH: Final = 10**4
"""Fewer events may come at once, for instance where the light goes on."""

MIN_TOLD: Final = 100
"""Of so many bad events something can be said of what they have in common."""

NONSENSE_COUNT: Final = 8
"""Fewer bad events than this never condemn the others, however short a packet is."""


SWAPPED: Final = "all of them would lie inside with x and y swapped: are width and height?"


@dataclass
class Losses:
    """Counts what was not taken as it came; it only grows.

    Attributes:
        outside: events outside the sensor, dropped.
        held: events out of order, kept with the time of the one before them.
        skipped: words or events that mean nothing, or lack what they depend on, dropped.
        inferred: upper parts of the time that were missing, and are known by the lower ones.
        refused: events of blocks of a file of which most made no sense, dropped as a whole.
        turned: those outside the sensor that would lie inside with x and y swapped.
    """

    outside: int = 0
    held: int = 0
    skipped: int = 0
    refused: int = 0
    inferred: int = 0
    turned: int = 0

    @property
    def dropped(self) -> int:
        """Number of events and words that were dropped."""
        return self.outside + self.skipped + self.refused

    def describe(self) -> str:
        """Return the account in words, "" where nothing was lost."""
        outside = "events outside the sensor are left out"
        if self.outside >= MIN_TOLD and self.turned == self.outside:
            outside = f"{outside} ({SWAPPED})"
        parts = (
            (self.outside, outside),
            (self.skipped, "words that make no sense are left out"),
            (self.refused, "events of blocks that make no sense are left out"),
            (self.held, "events out of order have the time of the one before them"),
            (self.inferred, "upper parts of the time were missing and are inferred"),
        )
        return ", ".join(f"{count:,} {what}" for count, what in parts if count)


def is_nonsense(bad: int, total: int) -> bool:
    """Whether so many bad events of a packet or block mean that nothing of it can be believed."""
    return bad >= NONSENSE_COUNT and bad > NONSENSE_SHARE * total


def describe_rate(count: int, span_ns: int) -> str:
    """Say that so many events in a time (ns) are those of no camera; "" where they can be."""
    if count < NO_FLASH or count * 10**9 <= MAX_EVENTS_PER_S * span_ns:
        return ""
    return (
        f"all {count:,} events lie within {span_ns / 1000:,.0f} us, which no camera makes: are "
        "their times missing, or in another unit?"
    )
