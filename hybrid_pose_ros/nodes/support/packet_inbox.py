# SPDX-License-Identifier: Apache-2.0
"""Takes all serialised packets that wait in a subscription's queue at once."""

import time
from collections.abc import Callable
from typing import Any, Final

from hybrid_pose_ros.events.encodings import MalformedPacketError, evt3
from hybrid_pose_ros.interfaces.cdr import read_packet
from hybrid_pose_ros.interfaces.topics import Topic
from hybrid_pose_ros.nodes.support.base import ManagedNode
from hybrid_pose_ros.nodes.support.stream_figures import Queue

RCLPY_VERSIONS: Final = ("7.1",)
"""Versions of rclpy (7.1: ROS 2 Jazzy) for which :class:`PacketInbox` is right."""

MAX_WAITING: Final = 64
"""Packets that wait to be decoded together."""


class PacketInbox:
    """Hands over the packets of a topic, those together that have come since the last time.

    If there is more than one, they are served after what else has come until now. Otherwise,
    when packets come faster than they are served, the executor would be kept busy by those that
    came meanwhile, and all other messages, timers and services would wait behind them, longer
    and longer.

    The one class that takes hold of private parts of rclpy, as they are in
    :data:`RCLPY_VERSIONS`: ``Subscription.handle`` is a context manager whose
    ``take_message(message_class, raw)`` returns (bytes, info) or nothing, with
    ``received_timestamp`` in the info.

    Args:
        node: gets the subscription, which ends when it is deactivated.
        serve: called with the packets, and the time (ns) for which the first has waited.
        may_wait: says whether packets, the last of which just came, may wait for later ones.
    """

    def __init__(
        self,
        node: ManagedNode,
        topic: Topic,
        serve: Callable[[list[bytes], int], None],
        may_wait: Callable[[list[bytes]], bool],
    ) -> None:
        self._node, self._serve, self._may_wait = node, serve, may_wait
        self._message_class = topic.message_class
        self._depth = topic.wanted.depth
        self._was_full = False
        self._waiting: list[bytes] = []
        self._waiting_since_ns = 0
        self._is_ordered = False  # to be served
        self._subscription = node.listen_to(topic, self._on_packet, raw=True)
        self._handle: Any = self._subscription.handle

    @property
    def waiting(self) -> int:
        """Number of packets that wait."""
        return len(self._waiting)

    def take_state(self) -> Queue:
        """Return the state of the queue since the last call."""
        was_full, self._was_full = self._was_full, False
        return Queue(int(self._subscription.get_publisher_count()), was_full)

    def flush(self) -> None:
        """Serve what waits."""
        self._is_ordered = False
        packets, self._waiting = self._waiting, []
        since_ns, self._waiting_since_ns = self._waiting_since_ns, 0
        if self._node.is_listening(self._subscription):
            self._serve(packets, time.time_ns() - since_ns if since_ns else 0)

    def _on_packet(self, first: bytes) -> None:
        waiting = self._waiting
        before = len(waiting)
        waiting.append(first)
        with self._handle:
            while taken := self._handle.take_message(self._message_class, True):
                if not self._waiting_since_ns:
                    # The executor does not tell when `first` came; the next one came soon after.
                    self._waiting_since_ns = taken[1]["received_timestamp"]
                waiting.append(taken[0])
        self._was_full |= len(waiting) - before >= self._depth
        if self._is_ordered or self._may_wait(waiting):
            return
        if len(waiting) == 1:
            self.flush()
        else:
            assert self._node.executor is not None
            self._is_ordered = True
            flush = self._node.boundary.action("waiting packets", self.flush)
            self._node.executor.create_task(flush)


class PeriodBatcher:
    """Lets packets wait that end before a period does: to decode many at once costs less."""

    def __init__(self, message_class: type) -> None:
        self._message_class = message_class
        self._packet_ns = 2**64  # the first packet does not wait

    def may_wait(self, waiting: list[bytes], period_ns: int) -> bool:
        """Return whether packets, the last of which just came, may wait for later ones."""
        try:
            packet = read_packet(waiting[-1], self._message_class)
        except MalformedPacketError:
            return False
        last_ns, self._packet_ns = self._packet_ns, packet.time_base
        length_ns = packet.time_base - last_ns  # as long as the one before it
        if packet.encoding == evt3.NAME or length_ns <= 0 or len(waiting) >= MAX_WAITING:
            return False
        return bool(packet.time_base + length_ns < (last_ns // period_ns + 1) * period_ns)
