# SPDX-License-Identifier: Apache-2.0
"""The part of a bag that can be played through the pipeline."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from hybrid_pose_ros import PACKAGE
from hybrid_pose_ros.bags.bag import RECOVER, BagError, open_bag, read_type
from hybrid_pose_ros.interfaces.topics import (
    CAMERA_INFO,
    EVENTS,
    GROUND_TRUTH,
    LATCHED_CAMERA_INFO,
    POSE,
    Topic,
)

MAX_STAMP_NS: Final = (2**31 - 1) * 10**9
"""The last moment (ns since 1970, in 2038) that fits into a message's stamp."""

_PACKET: Final = "/msg/EventPacket"
"""End of the type's name: the packages that have one agree on its layout."""


@dataclass(frozen=True)
class BagContents:
    """The part of a bag that can be played through the pipeline.

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
        types = {
            link.topic: read_type(link.msgtype) for link in reader.connections if link.msgcount
        }
        start_ns, end_ns = reader.start_time, reader.end_time
    if types and not 0 <= start_ns <= end_ns <= MAX_STAMP_NS:
        raise BagError(
            f"{path}: the bag says that it lasts from {start_ns} to {end_ns} ns; {RECOVER}"
        )

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
        namespaces(EVENTS.name, _PACKET),
        namespaces(CAMERA_INFO.name, CAMERA_INFO.type),
        types.get(GROUND_TRUTH.name) == GROUND_TRUTH.type,
        namespaces(POSE.name, POSE.type),
        packages.pop() if packages else PACKAGE,
    )


def played_topics(contents: BagContents, cameras: Collection[str]) -> list[Topic]:
    """Return the topics that are played for these cameras: sensors and labels, no results."""
    topics = [EVENTS.under(camera) for camera in cameras]
    topics += [
        LATCHED_CAMERA_INFO.under(camera) for camera in cameras if camera in contents.calibrated
    ]
    return topics + [GROUND_TRUTH.keeping(1000)] * contents.has_truth
