# SPDX-License-Identifier: Apache-2.0
"""What of a bag is played back, and when it is due (no ROS)."""

import threading
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from hybrid_pose_ros import PACKAGE
from hybrid_pose_ros.bags.bag import BagError, open_bag
from hybrid_pose_ros.bags.layout import (
    CAMERA_INFO_TYPE,
    GROUND_TRUTH_TOPIC,
    GROUND_TRUTH_TYPE,
)

EVENTS: Final = "events"
CAMERA_INFO: Final = "camera_info"

_PACKET: Final = "/msg/EventPacket"
"""End of the type's name: the packages that have one agree on its layout."""


@dataclass(frozen=True)
class Stored:
    """A message as it lies in the bag: time of arrival in ns since 1970, serialised content."""

    topic: str
    stamp_ns: int
    data: bytes


@dataclass(frozen=True)
class BagContents:
    """What a bag holds that can be played through the pipeline.

    Attributes:
        path: of the bag.
        start_ns, end_ns: times of arrival of the first and the last message (ns since 1970).
        cameras: namespaces with a topic of events, such as ``/cam0``; ``""`` is the root.
        calibrated: those with a topic of camera_info.
        has_truth: whether there is ground truth.
        poses: namespaces with recorded poses.
        packet_type: package of the type of the packets.
    """

    path: Path
    start_ns: int
    end_ns: int
    cameras: tuple[str, ...]
    calibrated: tuple[str, ...]
    has_truth: bool
    poses: tuple[str, ...]
    packet_type: str

    @property
    def seconds(self) -> float:
        """Length in seconds."""
        return (self.end_ns - self.start_ns) * 1e-9

    def choose(self, names: Sequence[str], *, recorded: bool = False) -> tuple[str, ...]:
        """Return the namespaces of the cameras of these names; none: of all.

        Args:
            recorded: those with recorded poses, instead of those with events.

        Raises:
            BagError: the bag has no such camera.
        """
        there, what = (self.poses, "poses") if recorded else (self.cameras, "events")
        wanted = [f"/{name}" if name else "" for name in (name.strip(" /") for name in names)]
        if unknown := [name for name in wanted if name not in there]:
            raise BagError(
                f"{self.path}: no {what} of camera {unknown[0]}; there are those of "
                f"{', '.join(name or '/' for name in there)}"
            )
        return tuple(name for name in there if not wanted or name in wanted)


def inspect_bag(path: Path) -> BagContents:
    """Return what a bag holds.

    Raises:
        BagError: the bag is missing or damaged, or packets are of the types of several packages.
    """
    with open_bag(path) as reader:
        types = {link.topic: link.msgtype for link in reader.connections if link.msgcount}
        start_ns, end_ns = reader.start_time, reader.end_time

    def namespaces(name: str, type_end: str) -> tuple[str, ...]:
        return tuple(
            topic.removesuffix(f"/{name}")
            for topic, kind in sorted(types.items())
            if topic.endswith(f"/{name}") and kind.endswith(type_end)
        )

    packages = {kind.partition("/")[0] for kind in types.values() if kind.endswith(_PACKET)}
    if len(packages) > 1:
        raise BagError(f"{path}: event packets of several types, from {sorted(packages)}")
    return BagContents(
        path,
        start_ns,
        end_ns,
        namespaces(EVENTS, _PACKET),
        namespaces(CAMERA_INFO, CAMERA_INFO_TYPE),
        types.get(GROUND_TRUTH_TOPIC) == GROUND_TRUTH_TYPE,
        namespaces("pose", "/msg/PoseKeypoints"),
        packages.pop() if packages else PACKAGE,
    )


def played_topics(contents: BagContents, cameras: Collection[str]) -> list[str]:
    """Return the topics that are played for these cameras: sensors and labels, no results."""
    topics = [f"{camera}/{EVENTS}" for camera in cameras]
    topics += [f"{camera}/{CAMERA_INFO}" for camera in cameras if camera in contents.calibrated]
    return topics + [GROUND_TRUTH_TOPIC] * contents.has_truth


def read_stored(
    path: Path, topics: Collection[str], *, start_ns: int | None = None
) -> Iterator[Stored]:
    """Yield messages in order of arrival.

    Args:
        topics: those to read.
        start_ns: messages before are left out, but of the last camera_info of each camera: who
            listens later has got it, too.

    Raises:
        BagError: the bag is missing or damaged.
    """
    with open_bag(path) as reader:
        links = [link for link in reader.connections if link.topic in topics]
        if not links:
            return
        latched = [link for link in links if link.msgtype == CAMERA_INFO_TYPE]
        if start_ns is not None and latched:
            last = {}
            for link, _, data in reader.messages(latched, stop=start_ns):
                last[link.topic] = data
            for topic, data in last.items():
                yield Stored(topic, start_ns, data)
        for link, stamp_ns, data in reader.messages(links, start=start_ns):
            yield Stored(link.topic, stamp_ns, data)


class PlayClock:
    """Time of a bag as it is played; every method may be called from any thread.

    Args:
        rate: bag seconds per host second; 0: no limit, everything is due at once.
        now_ns: the host's monotonic clock.
    """

    def __init__(self, rate: float, now_ns: Callable[[], int] = time.monotonic_ns) -> None:
        self.rate = rate
        self._now_ns = now_ns
        self._lock = threading.Lock()
        self._bag_ns = 0  # at the host's time _since_ns
        self._since_ns: int | None = now_ns()  # None: the bag's time is held
        self._paused = False

    @property
    def paused(self) -> bool:
        """Whether time stands still."""
        return self._paused

    def hold(self, bag_ns: int) -> None:
        """Set the time; it stands still until the next :meth:`jump`."""
        with self._lock:
            self._bag_ns, self._since_ns = bag_ns, None

    def jump(self, bag_ns: int) -> None:
        """Set the time: at the start, and where the bag starts over."""
        with self._lock:
            self._bag_ns, self._since_ns = bag_ns, self._now_ns()

    def pause(self) -> None:
        """Stop time."""
        with self._lock:
            if not self._paused:
                self._bag_ns = self._bag_time_ns()
                self._paused = True

    def resume(self) -> None:
        """Let time go on."""
        with self._lock:
            if self._paused:
                self._paused = False
                if self._since_ns is not None:
                    self._since_ns = self._now_ns()

    def toggle(self) -> None:
        """Pause or resume."""
        self.resume() if self._paused else self.pause()

    def due_in_s(self, bag_ns: int) -> float:
        """Return the host seconds until a moment of the bag, at most 0 when it is past.

        Infinite while time stands still. Without limit of speed, time is taken to that moment.
        """
        with self._lock:
            if self._paused:
                return float("inf")
            if self.rate == 0.0:
                self._bag_ns = max(self._bag_ns, bag_ns)
                return 0.0
            return (bag_ns - self._bag_time_ns()) / self.rate * 1e-9

    def bag_ns(self) -> int:
        """Return the time of the bag, in ns since 1970."""
        with self._lock:
            return self._bag_time_ns()

    def _bag_time_ns(self) -> int:
        if self._paused or self._since_ns is None or self.rate == 0.0:
            return self._bag_ns
        return self._bag_ns + round((self._now_ns() - self._since_ns) * self.rate)
