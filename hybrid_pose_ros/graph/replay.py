# SPDX-License-Identifier: Apache-2.0
"""Plays a bag through running nodes, at its pace or in lockstep, and counts what comes of it."""

import itertools
import time
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from rosbags.typesys.store import Typestore

from hybrid_pose_ros.bags.bag import RawMessage, read_raw, reading
from hybrid_pose_ros.bags.contents import BagContents, played_topics
from hybrid_pose_ros.bags.writer import BagRecorder
from hybrid_pose_ros.errors import UserError
from hybrid_pose_ros.events.playback import MAX_GAP_NS
from hybrid_pose_ros.graph.lockstep import PATIENCE_S, Answer, Kind, Lockstep, LockstepError
from hybrid_pose_ros.graph.play_clock import PlayClock
from hybrid_pose_ros.graph.tools import CLOCK_HZ
from hybrid_pose_ros.interfaces.bag_player import BagPlayerNode, initialised_time, pose_time
from hybrid_pose_ros.interfaces.byte_node import spinning
from hybrid_pose_ros.interfaces.topics import EVENTS, INITIALISED, POSE, POSE_3D

HEARD_DEPTH: Final = 4000
"""Poses that wait to be counted: ten seconds of 400 Hz."""

MATCH_S: Final = 10.0
"""Subscribers are waited for so long."""

QUIET_S: Final = 1.0
"""When no pose has come for so long after the end, all have."""

SETTLE_S: Final = 20.0
"""But not longer than this."""

_CLOCK_NS: Final = 10**9 // CLOCK_HZ


class ReplayError(UserError):
    """Playing cannot begin or go on; the message says why."""


@dataclass(frozen=True)
class ReplayPlan:
    """What is to be played, and how.

    Attributes:
        cameras: namespaces, of the bag's.
        rate: bag seconds per second; 0: no limit.
        loop: start over at the end, for ever.
        start_offset_s: where to start, in seconds after the first message.
        record: bag to be written with what comes of it; None: none.
    """

    contents: BagContents
    cameras: tuple[str, ...]
    rate: float = 1.0
    loop: bool = False
    start_offset_s: float = 0.0
    record: Path | None = None

    @property
    def start_ns(self) -> int:
        """Time of the bag at which it starts."""
        return self.contents.start_ns + round(self.start_offset_s * 1e9)


class Replay:
    """Publishes a bag's events, calibration and ground truth; a context manager.

    Args:
        store: message types.
        lockstep: what to wait for; None: the pace is that of the bag.

    Attributes:
        clock: the time of the bag; may be paused and resumed.
        published: number of packets of each camera.
        poses: number of poses of each camera, and under ``"3D"`` of those in space.
        health: last figures of each node, by its full name.
        skipped_s: time of the bag in gaps that no camera makes, which are not waited for.
    """

    def __init__(
        self, plan: ReplayPlan, store: Typestore, lockstep: Lockstep | None = None
    ) -> None:
        self.plan = plan
        self.clock = PlayClock(plan.rate)
        self.published: Counter[str] = Counter()
        self.poses: Counter[str] = Counter()
        self.health: dict[str, Mapping[str, str]] = {}
        self.skipped_s = 0.0
        self._store, self._lockstep = store, lockstep
        self._topics = played_topics(plan.contents, plan.cameras)
        self._camera_of = {EVENTS.under(name).name: name for name in plan.cameras}
        self._pose_of = {POSE.under(name).name: name for name in plan.cameras}
        self._init_of = {f"{name}/snn/initialised": name for name in plan.cameras}
        self._poses = [*(POSE.under(name) for name in plan.cameras), POSE_3D.under("")]
        self._last_pose_s = 0.0
        self._next_clock_ns = 0
        self._recorder: BagRecorder | None = None
        self._stack = ExitStack()
        self._node: BagPlayerNode

    def __enter__(self) -> "Replay":
        self.clock.hold(self.plan.start_ns)  # until all are there to hear
        if self.plan.record is not None:
            recorded = [topic for topic in self._topics if topic.name not in self._camera_of]
            recorded = [*self._poses, *recorded]
            writer = BagRecorder(self.plan.record, recorded, self._store)
            self._recorder = self._stack.enter_context(writer)
        self._node = self._stack.enter_context(spinning(self._make_node))
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    @property
    def not_recorded(self) -> str:
        """What could not be recorded so far and why, or ""."""
        if self._recorder is None:
            return ""
        if self._recorder.failure is not None:
            return self._recorder.failure
        dropped = self._recorder.dropped
        return f"{dropped} messages were not recorded: the disk is too slow" if dropped else ""

    def await_subscribers(
        self, wanted: int, references: Mapping[str, int], tick: Callable[[], None]
    ) -> None:
        """Wait until the topics have their subscribers.

        Args:
            wanted: number of subscribers of each topic of events.
            references: last part of the name of another topic -> number of its subscribers.
            tick: called again and again; may raise to give up.

        Raises:
            ReplayError: they did not come in time.
        """
        needed = dict.fromkeys(self._camera_of, wanted)
        for topic in self._topics:
            if topic.name not in needed:
                needed[topic.name] = references.get(topic.name.rpartition("/")[2], 0)

        def missing() -> list[str]:
            return [
                topic for topic, count in needed.items() if self._node.subscribers(topic) < count
            ]

        self._await(lambda: not missing(), MATCH_S, tick)
        if absent := missing():
            raise ReplayError(
                f"{absent[0]}: {self._node.subscribers(absent[0])} of {needed[absent[0]]} "
                f"subscribers came in {MATCH_S:g} s"
            )

    def await_nodes(
        self, wanted: Mapping[str, int], seconds: float, tick: Callable[[], None]
    ) -> None:
        """Wait until nodes say in their diagnostics that their results are listened to.

        Args:
            wanted: full name of a node -> number of subscribers of what it makes.

        Raises:
            ReplayError: one was not ready in time.
        """

        def listeners(name: str) -> int:
            figures = self.health.get(name, {}).items()
            counts = (int(value) for key, value in figures if key.startswith("subscribers of "))
            return max(counts, default=0)

        def waiting() -> list[str]:
            return [name for name, count in wanted.items() if listeners(name) < count]

        self._await(lambda: not waiting(), seconds, tick)
        if late := waiting():
            raise ReplayError(
                f"{late[0]} was not ready within {seconds:g} s: {listeners(late[0])} of "
                f"{wanted[late[0]]} nodes listen to it"
            )

    def play(self, tick: Callable[[], None]) -> None:
        """Publish everything, once or for ever.

        Args:
            tick: called at least ten times per second, also during a pause; may raise to end it.

        Raises:
            BagError: the bag is damaged.
            LockstepError: an answer does not come.
        """
        names = [topic.name for topic in self._topics]
        for turn in itertools.count():
            start_ns = self.plan.start_ns if turn or self.plan.start_offset_s else None
            self.clock.jump(self.plan.start_ns)
            last_ns = self.plan.start_ns
            for stored in read_raw(self.plan.contents.path, names, start_ns=start_ns):
                camera = self._camera_of.get(stored.topic)
                if camera is not None and self._lockstep is not None:
                    self._await_answers(camera, tick)
                if stored.stamp_ns - last_ns > MAX_GAP_NS:
                    self.skipped_s += (stored.stamp_ns - last_ns) * 1e-9
                    self.clock.jump(stored.stamp_ns)
                last_ns = stored.stamp_ns
                self._await_due(stored.stamp_ns, tick)
                if camera is not None:
                    if self._lockstep is not None:
                        with reading(self.plan.contents.path):
                            packet: Any = self._store.deserialize_cdr(stored.data, EVENTS.type)
                        self._lockstep.given(camera, packet)
                    self.published[camera] += 1
                self._node.publish(stored.topic, stored.data)
                if camera is None and self._recorder is not None:
                    self._recorder.put(stored)
            if not self.plan.loop:
                break

    def settle(self, evaluator: str | None, tick: Callable[[], None]) -> None:
        """Wait until all poses have come, and a node `evaluator` has had them, too."""
        if self._lockstep is not None:
            for camera in self.plan.cameras:
                self._await_answers(camera, tick)
        self._last_pose_s = max(self._last_pose_s, time.monotonic() - QUIET_S / 2)
        self._await(lambda: time.monotonic() - self._last_pose_s > QUIET_S, SETTLE_S, tick)
        if evaluator is not None:
            self._await(lambda: self._evaluator_has_all(evaluator), SETTLE_S, tick)

    def _evaluator_has_all(self, name: str) -> bool:
        figures = self.health.get(name, {})
        return all(
            int(figures.get(f"{'pose_3d' if key == '3D' else key} poses", -1)) >= count
            for key, count in self.poses.items()
        )

    def _make_node(self) -> BagPlayerNode:
        heard = [topic.keeping(HEARD_DEPTH) for topic in self._poses]
        if self._lockstep is not None:
            heard += [replace(INITIALISED, name=name).keeping(100) for name in self._init_of]
        return BagPlayerNode(
            self._topics,
            heard,
            on_message=self._on_message,
            on_diagnostics=self.health.__setitem__,
            on_command=self._on_command,
        )

    def _on_message(self, topic: str, data: bytes) -> None:
        if topic in self._init_of:
            self._answer(self._init_of[topic], Kind.INIT, initialised_time(data))
            return
        camera = self._pose_of.get(topic, "3D")
        self.poses[camera] += 1
        self._last_pose_s = time.monotonic()
        if self._recorder is not None:
            self._recorder.put(RawMessage(topic, self.clock.bag_ns(), data))
        if self._lockstep is not None and camera != "3D":
            self._answer(camera, Kind.POSE, pose_time(data))

    def _answer(self, camera: str, kind: Kind, sensor_ns: int) -> None:
        assert self._lockstep is not None
        self._lockstep.answered(Answer(camera, kind, sensor_ns))

    def _on_command(self, name: str) -> str:
        {
            "pause": self.clock.pause,
            "resume": self.clock.resume,
            "toggle_paused": self.clock.toggle,
        }[name]()
        return "paused" if self.clock.paused else "playing"

    def _await_answers(self, camera: str, tick: Callable[[], None]) -> None:
        assert self._lockstep is not None
        deadline = time.monotonic() + PATIENCE_S
        while not self._lockstep.wait(camera, 0.1):
            tick()
            self._tick_clock()
            owed = self._lockstep.owed(camera)  # nothing if the last has just come
            if owed and time.monotonic() > deadline:
                first = min(owed, key=lambda answer: answer.sensor_ns)
                raise LockstepError(
                    f"{camera or '/'}: the {first.kind.value} for {first.sensor_ns * 1e-9:.3f} s "
                    f"of sensor time did not come within {PATIENCE_S:g} s"
                )

    def _await_due(self, stamp_ns: int, tick: Callable[[], None]) -> None:
        while True:
            wait_s = self.clock.due_in_s(stamp_ns)
            if self._tick_clock():  # also when nothing is waited for
                tick()
            if wait_s <= 0:
                return
            time.sleep(min(wait_s, 1 / CLOCK_HZ))

    def _tick_clock(self) -> bool:
        """Publish the time if it is time to, and say whether it was."""
        now_ns = time.monotonic_ns()
        if now_ns < self._next_clock_ns:
            return False
        self._next_clock_ns = now_ns + _CLOCK_NS
        self._node.publish_clock(self.clock.bag_ns())
        return True

    def _await(
        self, condition: Callable[[], bool], seconds: float, tick: Callable[[], None]
    ) -> None:
        deadline = time.monotonic() + seconds
        while not condition() and time.monotonic() < deadline:
            tick()
            self._tick_clock()
            time.sleep(0.02)
