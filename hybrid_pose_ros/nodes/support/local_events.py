# SPDX-License-Identifier: Apache-2.0
"""Packets of events from a driver to the nodes in the same process, without the middleware.

What a topic's subscribers in other processes get, and when, is not changed by it.
"""

import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any, ClassVar

from rclpy.lifecycle import LifecyclePublisher

from hybrid_pose_ros.interfaces.topics import Topic
from hybrid_pose_ros.nodes.support.base import ManagedNode


class LocalEvents:
    """The topics of events whose publisher is a node of this process, and who listens to them."""

    def __init__(self) -> None:
        self._subscriptions: dict[str, list[LocalSubscription]] = {}

    def offer(self, name: str) -> None:
        """Take note that the topic of this absolute name has its publisher here."""
        self._subscriptions.setdefault(name, [])

    def is_offered(self, name: str) -> bool:
        """Return whether a topic has its publisher here."""
        return name in self._subscriptions

    def count(self, name: str) -> int:
        """Return the number of subscriptions of a topic."""
        return len(self._subscriptions.get(name, ()))

    def add(self, subscription: "LocalSubscription") -> None:
        """Let a subscription have its topic's packets from now on."""
        name = subscription.topic_name
        self._subscriptions[name] = [*self._subscriptions[name], subscription]

    def remove(self, subscription: "LocalSubscription") -> None:
        """End a subscription; may be called again."""
        others = [
            other
            for other in self._subscriptions[subscription.topic_name]
            if other != subscription
        ]
        self._subscriptions[subscription.topic_name] = others

    def publish(self, name: str, data: bytes) -> None:
        """Hand a serialised packet to all subscriptions, from any thread."""
        for subscription in self._subscriptions[name]:
            subscription.put(data)


class LocalSubscription:
    """Stands for the subscription of rclpy with all that an inbox uses of it.

    Keeps the last ``depth`` packets, as a topic's history does, and has them served in the thread
    of the node's executor.

    Attributes:
        topic_name: absolute.
    """

    def __init__(
        self, node: ManagedNode, name: str, callback: Callable[[bytes], None], depth: int
    ) -> None:
        self.topic_name = name
        self._node, self._callback = node, callback
        self._packets: deque[tuple[bytes, int]] = deque(maxlen=depth)
        self._lock = threading.Lock()
        self._is_ordered = False  # to be served

    @property
    def handle(self) -> "LocalSubscription":
        """The object to take packets from."""
        return self

    def __enter__(self) -> "LocalSubscription":
        return self

    def __exit__(self, *error: object) -> None:
        pass

    def get_publisher_count(self) -> int:
        """Return the number of publishers."""
        return 1

    def put(self, data: bytes) -> None:
        """Add a packet, and order it to be served."""
        with self._lock:
            self._packets.append((data, time.time_ns()))
            if self._is_ordered or self._node.executor is None:
                return
            self._is_ordered = True
        self._node.executor.create_task(self._serve)

    def take_message(self, message_class: type, raw: bool) -> tuple[bytes, dict[str, int]] | None:
        """Take the oldest packet, with the time of its arrival, as rclpy's handle does."""
        with self._lock:
            if not self._packets:
                return None
            data, stamp_ns = self._packets.popleft()
        return data, {"received_timestamp": stamp_ns}

    def _serve(self) -> None:
        with self._lock:
            self._is_ordered = False
        while taken := self.take_message(bytes, True):
            if self._node.is_listening(self):  # type: ignore[arg-type]
                self._callback(taken[0])


class LocalPublisher:
    """Publishes packets to the nodes of this process and, where others listen, to the topic."""

    def __init__(self, local: LocalEvents, name: str, publisher: LifecyclePublisher) -> None:
        self._local, self._name, self._publisher = local, name, publisher

    def publish(self, data: bytes) -> None:
        """Publish a serialised packet, if the node is active."""
        if not self._publisher.is_activated:
            return
        self._local.publish(self._name, data)
        if self._publisher.get_subscription_count():
            self._publisher.publish(data)

    def get_subscription_count(self) -> int:
        """Return the number of subscriptions, here and elsewhere."""
        return int(self._publisher.get_subscription_count()) + self._local.count(self._name)


class LocalNode(ManagedNode):
    """Base of nodes that share a process; see :func:`sharing`."""

    LOCAL: ClassVar[LocalEvents]

    def publish_to(self, topic: Topic) -> Any:
        """Offer a topic; that of events, to the nodes of this process as well."""
        publisher = super().publish_to(topic)
        name = self.resolve_topic_name(topic.name)
        if self.LOCAL.is_offered(name):
            return LocalPublisher(self.LOCAL, name, publisher)
        return publisher

    def listen_to(
        self, topic: Topic, callback: Callable[[Any], None], *, raw: bool = False
    ) -> Any:
        """Receive a topic; that of events from this process if its publisher is here."""
        name = self.resolve_topic_name(topic.name)
        if not (raw and self.LOCAL.is_offered(name)):
            return super().listen_to(topic, callback, raw=raw)
        guarded = self.boundary.receiver(topic.name, callback)
        subscription = LocalSubscription(self, name, guarded, topic.wanted.depth)
        self._inputs.append(subscription)  # type: ignore[arg-type]
        self.LOCAL.add(subscription)
        return subscription

    def destroy_subscription(self, subscription: Any) -> bool:
        """End a subscription."""
        if not isinstance(subscription, LocalSubscription):
            return bool(super().destroy_subscription(subscription))
        self.LOCAL.remove(subscription)
        return True

    def count_subscribers(self, topic_name: str) -> int:
        """Return the number of subscriptions of a topic, here and elsewhere."""
        here = self.LOCAL.count(self.resolve_topic_name(topic_name))
        return int(super().count_subscribers(topic_name)) + here


def sharing(local: LocalEvents, node_type: type[ManagedNode]) -> type[ManagedNode]:
    """Return a node's class for a process in which nodes share packets."""
    return type(node_type.__name__, (LocalNode, node_type), {"LOCAL": local})
