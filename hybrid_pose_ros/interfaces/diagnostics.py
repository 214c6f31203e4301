# SPDX-License-Identifier: Apache-2.0
"""The reports of the nodes in messages of the topic /diagnostics, of rclpy or of `rosbags`."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class NodeReport:
    """A report of a node about itself.

    Attributes:
        level: 0 OK, 1 WARN, 2 ERROR.
        message: one sentence.
        values: figures as text.
    """

    level: int
    message: str
    values: dict[str, str]


def node_reports(array: Any) -> Iterator[tuple[str, NodeReport]]:
    """Yield (full name of the node, report) of a `DiagnosticArray`."""
    for status in array.status:
        level = status.level[0] if isinstance(status.level, bytes) else status.level
        values = {item.key: item.value for item in status.values}
        yield status.name.partition(":")[0], NodeReport(level, status.message, values)
