# SPDX-License-Identifier: Apache-2.0
"""The process that records: it receives, writes the bag, and hands on what is to be watched.

Nothing else happens here but that labels are put beside the events that they belong to, so that
neither tables nor pictures delay the moment at which an arrival is noted.
"""

import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from hybrid_pose_ros.bags.bag import RawMessage, make_typestore
from hybrid_pose_ros.bags.writer import BagRecorder
from hybrid_pose_ros.demo.labels import LabelPlayer
from hybrid_pose_ros.demo.recorder import RecorderEnd
from hybrid_pose_ros.interfaces.listener import listen
from hybrid_pose_ros.interfaces.topics import EVENTS, camera_topics
from hybrid_pose_ros.simulation.recording import load_truth


def main(arguments: Sequence[str]) -> None:
    """Record until something comes through the link, or its other end is closed."""
    descriptor, namespace, bag, share, truth, *whole = arguments
    link: Connection[Any, None] = Connection(int(descriptor))
    topics = camera_topics(namespace)
    labels = LabelPlayer(load_truth(Path(truth)), namespace) if truth else None
    more = {topic.name: topic for topic in labels.topics} if labels else {}
    events = EVENTS.under(namespace).name

    def hand_on(batch: Sequence[RawMessage]) -> None:
        link.send(
            [
                item if item.topic in whole else replace(item, data=b"")
                for item in batch
                if item.topic not in more
            ]
        )

    def receive(topic: str, stamp_ns: int, data: bytes) -> None:
        if labels is not None and topic == events:
            for message in labels.follow(data, stamp_ns):
                writer.put(message)
        writer.put(RawMessage(topic, stamp_ns, data))

    writer = BagRecorder(
        Path(bag),
        [*({topic.name: topic for topic in topics} | more).values()],
        make_typestore(Path(share)),
        written=hand_on,
    )
    with writer:
        listen(
            "recorder",
            topics,
            receive,
            ready=lambda _: link.send(None),
            until=lambda: link.poll() or writer.failure is not None,
        )
    with suppress(BrokenPipeError):
        link.send(RecorderEnd(writer.dropped, writer.failure))


if __name__ == "__main__":
    main(sys.argv[1:])
