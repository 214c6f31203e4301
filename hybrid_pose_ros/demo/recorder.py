# SPDX-License-Identifier: Apache-2.0
"""Records a graph's topics in a process of its own.

Nothing but receiving and writing happens there, so that neither tables nor pictures delay the
moment at which an arrival is noted. Small messages are handed on to whoever watches.
"""

import multiprocessing
import signal
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection
from multiprocessing.synchronize import Event
from pathlib import Path
from types import TracebackType
from typing import Any, Final

from diagnostic_msgs.msg import DiagnosticArray
from rosbags.interfaces import (
    Qos,
    QosDurability,
    QosHistory,
    QosLiveliness,
    QosReliability,
    QosTime,
)
from sensor_msgs.msg import Image, PointCloud2
from visualization_msgs.msg import MarkerArray

from hybrid_pose_ros.demo.bag import BagWriter, Received, Topic, make_typestore
from hybrid_pose_ros.messages import (
    EVENTS_PUBLISHER_QOS,
    EVENTS_QOS,
    POSE_QOS,
    STATE_INIT_QOS,
    VISUAL_QOS,
    EventPacketMessage,
    PoseMessage,
    StateInitMessage,
)
from hybrid_pose_ros.nodes.listener import DIAGNOSTICS_QOS, RawTopic, listen

DIAGNOSTICS: Final = "/diagnostics"
FORWARD_S: Final = 0.1
START_TIMEOUT_S: Final = 30.0
END_TIMEOUT_S: Final = 30.0


class RecorderError(RuntimeError):
    """Recording failed; the message says why."""


@dataclass(frozen=True)
class RecorderEnd:
    """How recording ended.

    Attributes:
        dropped: messages that came but were not written, the disk being too slow.
        failure: why it ended early, or None.
    """

    dropped: int
    failure: str | None


class Recorder:
    """A recording under way; a context manager that starts and ends it.

    Args:
        namespace: of the graph, such as ``/cam0``.
        bag: folder to be created.
        share: the package's share directory.
        forward: topics whose messages :meth:`take` returns whole; of others only the arrival.

    Attributes:
        end: how it ended; None while it runs.
    """

    def __init__(self, namespace: str, bag: Path, share: Path, forward: Sequence[str]) -> None:
        context = multiprocessing.get_context("spawn")
        self.end: RecorderEnd | None = None
        self._stop: Event = context.Event()
        self._inbox, outbox = context.Pipe(duplex=False)
        self._outbox: Connection = outbox
        self._process = context.Process(
            target=_record,
            args=(namespace, bag, share, frozenset(forward), outbox, self._stop),
            name="recorder",
        )
        self._ready = threading.Event()
        self._lock = threading.Lock()
        self._arrived: list[Received] = []
        self._drain = threading.Thread(target=self._receive, name="recorder inbox", daemon=True)

    def __enter__(self) -> "Recorder":
        self._process.start()
        self._outbox.close()
        self._drain.start()
        if not self._ready.wait(START_TIMEOUT_S) or self.end is not None:
            self.stop()
            raise RecorderError(self._failure or "the recorder did not start")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def take(self) -> list[Received]:
        """Return what has arrived since the last call."""
        with self._lock:
            arrived, self._arrived = self._arrived, []
        return arrived

    def stop(self) -> None:
        """Write what is pending and close the bag; sets :attr:`end`."""
        self._stop.set()
        self._process.join(END_TIMEOUT_S)
        if self._process.is_alive():
            self._process.kill()
            self._process.join()
        self._drain.join(END_TIMEOUT_S)
        if self.end is None:
            code = self._process.exitcode
            self.end = RecorderEnd(0, f"the recorder ended with code {code}")

    @property
    def _failure(self) -> str | None:
        return self.end.failure if self.end else None

    def _receive(self) -> None:
        while True:
            try:
                item = self._inbox.recv()
            except EOFError:
                break
            if isinstance(item, RecorderEnd):
                self.end = item
            elif item is None:
                self._ready.set()
            else:
                with self._lock:
                    self._arrived += item
        self._ready.set()


def graph_topics(namespace: str) -> list[RawTopic]:
    """Return what a graph publishes."""

    def topic(name: str, message_type: type, qos: Any, offered: Any) -> RawTopic:
        return RawTopic(f"{namespace}/{name}", message_type, qos, offered)

    return [
        topic("events", EventPacketMessage, EVENTS_QOS, EVENTS_PUBLISHER_QOS),
        topic("state_init", StateInitMessage, STATE_INIT_QOS, STATE_INIT_QOS),
        topic("pose", PoseMessage, POSE_QOS, POSE_QOS),
        topic("overlay", Image, VISUAL_QOS, VISUAL_QOS),
        topic("markers", MarkerArray, VISUAL_QOS, VISUAL_QOS),
        topic("cloud", PointCloud2, VISUAL_QOS, VISUAL_QOS),
        RawTopic(DIAGNOSTICS, DiagnosticArray, DIAGNOSTICS_QOS, DIAGNOSTICS_QOS),
    ]


def bag_topic(topic: RawTopic) -> Topic:
    """Return how a topic is described in a bag."""
    offered = topic.offered
    unset = QosTime(0, 0)
    return Topic(
        topic.name,
        topic.type_name,
        Qos(
            QosHistory[offered.history.name],
            offered.depth,
            QosReliability[offered.reliability.name],
            QosDurability[offered.durability.name],
            unset,
            unset,
            QosLiveliness[offered.liveliness.name],
            unset,
            avoid_ros_namespace_conventions=False,
        ),
    )


class _Forwarder:
    """Sends arrivals to the other process, many at a time."""

    def __init__(self, outbox: Connection, whole: frozenset[str]) -> None:
        self._outbox, self._whole = outbox, whole
        self._waiting: list[Received] = []
        self._next = time.monotonic()

    def add(self, received: Received) -> None:
        whole = received.topic in self._whole
        self._waiting.append(received if whole else replace(received, data=b""))
        if time.monotonic() >= self._next:
            self.send()

    def send(self) -> None:
        self._outbox.send(self._waiting)
        self._waiting = []
        self._next = time.monotonic() + FORWARD_S


def _record(
    namespace: str,
    bag: Path,
    share: Path,
    forward: frozenset[str],
    outbox: Connection,
    stop: Event,
) -> None:
    """Record until told to stop, or until the process that asked for it has gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C concerns the process that stops us.
    parent = multiprocessing.parent_process()
    assert parent is not None
    topics = graph_topics(namespace)
    forwarder = _Forwarder(outbox, forward)
    writer = BagWriter(
        bag, [bag_topic(topic) for topic in topics], make_typestore(share), written=forwarder.add
    )
    with writer:
        listen(
            "recorder",
            topics,
            lambda topic, stamp_ns, data: writer.put(Received(topic, stamp_ns, data)),
            ready=lambda: outbox.send(None),
            until=lambda: stop.is_set() or writer.failure is not None or not parent.is_alive(),
        )
    if parent.is_alive():
        forwarder.send()
        outbox.send(RecorderEnd(writer.dropped, writer.failure))
