# SPDX-License-Identifier: Apache-2.0
"""`hybrid-pose record`: write the topics of a running graph into a bag, without a distribution."""

import argparse
import threading
from pathlib import Path
from typing import Any

from hybrid_pose_ros.cli import CommandError, check_new_bag
from hybrid_pose_ros.stop_signals import handle_stop_signals


def add_parser(subparsers: Any) -> None:
    """Add the subcommand."""
    parser = subparsers.add_parser(
        "record",
        help="write the topics of a running graph into a bag",
        description="Write events, camera_info, initialisations, poses and diagnostics of a "
        "running graph into a new bag (mcap) until Ctrl-C, as `ros2 bag record` does where there "
        "is a ROS distribution.",
    )
    parser.add_argument("bag", type=Path, help="folder of the bag, which must not exist yet")
    one = parser.add_mutually_exclusive_group()
    one.add_argument("--namespace", default="", help="of the camera's nodes (default: none)")
    one.add_argument("--cameras", help="several cameras: their namespaces, with commas")


def run(options: argparse.Namespace) -> int:
    """Record until Ctrl-C; the exit code is 1 where messages were lost."""
    from hybrid_pose_ros.bags.bag import RawMessage, installed_typestore
    from hybrid_pose_ros.bags.writer import BagRecorder
    from hybrid_pose_ros.graph.tools import recorded_topics
    from hybrid_pose_ros.interfaces.listener import listen

    check_new_bag(options.bag)
    stop = threading.Event()
    counts: dict[str, int] = {}
    handle_stop_signals(lambda *_: stop.set())

    def receive(topic: str, stamp_ns: int, data: bytes) -> None:
        counts[topic] = counts.get(topic, 0) + 1
        recorder.put(RawMessage(topic, stamp_ns, data))

    several = {"cameras": options.cameras} if options.cameras else {}
    topics = recorded_topics({"namespace": options.namespace} | several)
    with BagRecorder(options.bag, topics, installed_typestore()) as recorder:
        listen(
            "recorder",
            topics,
            receive,
            ready=lambda _: print(f"recording into {options.bag}; Ctrl-C ends it", flush=True),
            until=lambda: stop.is_set() or recorder.failure is not None,
        )
    for topic in topics:
        print(f"  {counts.get(topic.name, 0):8,d}  {topic.name}")
    if recorder.failure is not None:
        raise CommandError(recorder.failure)
    if recorder.dropped:
        raise CommandError(
            f"{options.bag}: {recorder.dropped:,} messages are missing, for the disk was too "
            "slow; record on another one"
        )
    return 0
