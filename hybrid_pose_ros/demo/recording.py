# SPDX-License-Identifier: Apache-2.0
"""The process that records: it receives, writes the bag, and hands on what is to be watched.

Nothing else happens here, so that neither tables nor pictures delay the moment at which an
arrival is noted.
"""

import sys
import time
from collections.abc import Collection, Sequence
from contextlib import suppress
from dataclasses import replace
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Final

from hybrid_pose_ros.demo.bag import BagWriter, Received, make_typestore
from hybrid_pose_ros.demo.recorder import RecorderEnd
from hybrid_pose_ros.demo.topics import bag_topic, graph_topics
from hybrid_pose_ros.nodes.listener import listen

FORWARD_S: Final = 0.1
"""Arrivals are handed on so often, many at a time."""


class _Forwarder:
    """Sends arrivals to the process that watches, many at a time."""

    def __init__(self, link: "Connection[Any, None]", whole: Collection[str]) -> None:
        self._link, self._whole = link, whole
        self._waiting: list[Received] = []
        self._next = time.monotonic()

    def add(self, received: Received) -> None:
        whole = received.topic in self._whole
        self._waiting.append(received if whole else replace(received, data=b""))
        if time.monotonic() >= self._next:
            self.send()

    def send(self) -> None:
        self._link.send(self._waiting)
        self._waiting = []
        self._next = time.monotonic() + FORWARD_S


def main(arguments: Sequence[str]) -> None:
    """Record until something comes through the link, or its other end is closed."""
    descriptor, namespace, bag, share, *whole = arguments
    link: Connection[Any, None] = Connection(int(descriptor))
    topics = graph_topics(namespace)
    forwarder = _Forwarder(link, whole)
    writer = BagWriter(
        Path(bag),
        [bag_topic(topic) for topic in topics],
        make_typestore(Path(share)),
        written=forwarder.add,
    )
    with writer:
        listen(
            "recorder",
            topics,
            lambda topic, stamp_ns, data: writer.put(Received(topic, stamp_ns, data)),
            ready=lambda: link.send(None),
            until=lambda: link.poll() or writer.failure is not None,
        )
    with suppress(BrokenPipeError):
        forwarder.send()
        link.send(RecorderEnd(writer.dropped, writer.failure))


if __name__ == "__main__":
    main(sys.argv[1:])
