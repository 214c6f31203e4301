# SPDX-License-Identifier: Apache-2.0
"""The process that records: it receives, writes the bag, and hands on what is to be watched.

Nothing else happens here, so that neither tables nor pictures delay the moment at which an
arrival is noted.
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
from hybrid_pose_ros.demo.recorder import RecorderEnd
from hybrid_pose_ros.interfaces.listener import listen
from hybrid_pose_ros.interfaces.topics import camera_topics


def main(arguments: Sequence[str]) -> None:
    """Record until something comes through the link, or its other end is closed."""
    descriptor, namespace, bag, share, *whole = arguments
    link: Connection[Any, None] = Connection(int(descriptor))
    topics = camera_topics(namespace)

    def hand_on(batch: Sequence[RawMessage]) -> None:
        link.send([item if item.topic in whole else replace(item, data=b"") for item in batch])

    writer = BagRecorder(
        Path(bag),
        topics,
        make_typestore(Path(share)),
        written=hand_on,
    )
    with writer:
        listen(
            "recorder",
            topics,
            lambda topic, stamp_ns, data: writer.put(RawMessage(topic, stamp_ns, data)),
            ready=lambda: link.send(None),
            until=lambda: link.poll() or writer.failure is not None,
        )
    with suppress(BrokenPipeError):
        link.send(RecorderEnd(writer.dropped, writer.failure))


if __name__ == "__main__":
    main(sys.argv[1:])
