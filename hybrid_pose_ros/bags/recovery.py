# SPDX-License-Identifier: Apache-2.0
"""A whole bag of what is left of one: after a crash, without metadata, damaged or cut off."""

import contextlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rosbags.interfaces import Qos, QosDurability, QosReliability
from rosbags.rosbag2.metadata import parse_qos
from rosbags.typesys import get_types_from_msg
from rosbags.typesys.store import Typestore

from hybrid_pose_ros.bags.bag import BagError, RawMessage
from hybrid_pose_ros.bags.salvage import Channel, Damage, salvage, storage_files
from hybrid_pose_ros.bags.writer import BagWriter
from hybrid_pose_ros.interfaces.topics import Quality, Topic


@dataclass(frozen=True)
class Recovered:
    """Result of the recovery of a bag.

    Attributes:
        messages: number of messages of each topic.
        troubles: what could not be read or written, a sentence each.
    """

    messages: Mapping[str, int]
    troubles: Sequence[str]


def recover_bag(path: Path, out: Path, store: Typestore) -> Recovered:
    """Write a new bag (mcap) of all messages of another that can be read.

    Args:
        path: folder of the bag, or one of its files; it is left as it is.
        out: folder to be created.
        store: known types; those that the bag defines are added.

    Raises:
        BagError: there is nothing to recover, or the new bag cannot be written.
    """
    files = storage_files(path)
    if not files:
        raise BagError(f"{path}: no files of a bag (*.mcap, *.db3) in this folder")
    channels: dict[str, Channel] = {}
    damage = Damage()
    for file in files:
        for channel, _, _ in salvage(file, damage):
            channels.setdefault(channel.topic, channel)
    unknown = [name for name, channel in channels.items() if not _know(channel, store)]
    topics = [_topic(channel) for name, channel in channels.items() if name not in unknown]
    if not topics:
        reasons = "; ".join(damage.troubles) or "it holds no messages of known types"
        raise BagError(f"{path}: nothing can be recovered: {reasons}")
    counts: Counter[str] = Counter()
    with BagWriter(out, topics, store, compress=True, whole=True) as writer:
        for file in files:
            for channel, stamp_ns, data in salvage(file, Damage()):
                counts[channel.topic] += 1
                if channel.topic not in unknown:
                    writer.write(RawMessage(channel.topic, stamp_ns, data))
    troubles = [
        f"{name}: {counts.pop(name)} messages are left out, their type {channels[name].type} is "
        "defined neither here nor in the bag"
        for name in unknown
    ]
    return Recovered(dict(sorted(counts.items())), [*damage.troubles, *troubles])


def _know(channel: Channel, store: Typestore) -> bool:
    """Return whether a channel's type is known; one that the bag defines is learnt."""
    if channel.type not in store.types and channel.definition:
        # whatever the parser raises of a damaged definition: the type stays unknown
        with contextlib.suppress(Exception):
            found = get_types_from_msg(channel.definition, channel.type)
            store.register({name: own for name, own in found.items() if name not in store.types})
    return channel.type in store.types


def _topic(channel: Channel) -> Topic:
    offered: list[Qos] = []
    with contextlib.suppress(Exception):  # of damaged qualities; those of sensors are taken then
        offered = parse_qos(channel.qualities) if channel.qualities else []
    quality = Quality(10)
    if offered:
        first = offered[0]
        quality = Quality(
            first.depth,
            reliable=first.reliability != QosReliability.BEST_EFFORT,
            latched=first.durability == QosDurability.TRANSIENT_LOCAL,
        )
    return Topic(channel.topic, channel.type, quality)
