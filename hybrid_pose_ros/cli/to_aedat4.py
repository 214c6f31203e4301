# SPDX-License-Identifier: Apache-2.0
"""The kinds of `hybrid-pose convert` that write AEDAT4: of a bag, and of a video."""

import argparse
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from rich.progress import Progress

from hybrid_pose_ros.cli import CommandError, pixel_size, warn

if TYPE_CHECKING:
    from hybrid_pose_ros.bags.event_topic import EventDigest
    from hybrid_pose_ros.events.array import EventArray


def convert_bag(args: argparse.Namespace) -> int:
    """Write the events of a topic of a bag."""
    from hybrid_pose_ros.bags.bag import installed_typestore
    from hybrid_pose_ros.bags.event_topic import EventTopic

    _check_new_aedat4(args.out)
    topic = EventTopic(args.recording, args.topic, installed_typestore())
    size = topic.width, topic.height
    digest = _write_aedat4(args.out, topic.events(), size, lambda: topic.progress)
    print(f"{args.topic}: {digest}")
    print(f"{args.out}: times are whole microseconds")
    if topic.trouble:
        warn("convert", f"{args.recording}: {topic.trouble}")
    return 0


def convert_video(args: argparse.Namespace) -> int:
    """Write what a simulated sensor sees of a video."""
    from hybrid_pose_ros.bags.convert import SourceRecording
    from hybrid_pose_ros.simulation.frame_sensor import FrameSensor
    from hybrid_pose_ros.simulation.video import VideoSource

    _check_new_aedat4(args.out)
    cuts: list[int] = []
    try:
        sensor = FrameSensor(pixel_size("--size", args.size), crop=args.crop, on_cut=cuts.append)
    except ValueError as error:
        raise CommandError(f"--size {args.size}: {error}") from error
    source = VideoSource(args.recording, sensor)
    size = source.width, source.height
    begin = time.monotonic()
    try:
        batches = (events for (events,) in SourceRecording(source).batches())
        digest = _write_aedat4(args.out, batches, size, lambda: source.progress)
    finally:
        source.close()
    print(f"{args.out}: {digest}, {time.monotonic() - begin:.1f} s")
    if cuts:
        print(
            f"{args.recording}: {len(cuts)} new starts (scene cuts), first at {cuts[0] / 1e6:g} s"
        )
    if source.trouble:
        warn("convert", f"{args.recording}: {source.trouble}")
    return 0


def _check_new_aedat4(path: Path) -> None:
    if path.suffix != ".aedat4":
        raise CommandError(f"{path}: the file's name must end in .aedat4")
    if path.exists():
        raise CommandError(f"{path}: exists already; remove it or name another file")


def _write_aedat4(
    path: Path,
    batches: "Iterable[EventArray]",
    size: tuple[int, int],
    progress: Callable[[], float],
) -> "EventDigest":
    """Write a file that is whole or not there; show how far it is."""
    from hybrid_pose_ros.bags.event_topic import EventDigest
    from hybrid_pose_ros.events.aedat4 import write_aedat4

    digest = EventDigest()
    partial = path.with_name(f"{path.stem}.partial.aedat4")
    with Progress() as bar:
        task = bar.add_task("converting", total=1.0)

        def counted() -> "Iterator[EventArray]":
            for events in batches:
                digest.update(events)
                yield events
                bar.update(task, completed=progress())

        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            write_aedat4(partial, counted(), *size)
            partial.replace(path)
        except OSError as error:
            raise CommandError(f"{path}: cannot be written ({error.strerror})") from error
        finally:
            partial.unlink(missing_ok=True)
    return digest
