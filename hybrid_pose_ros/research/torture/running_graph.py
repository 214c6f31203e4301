# SPDX-License-Identifier: Apache-2.0
"""The package's own graph of two cameras as processes, under traffic, watched from outside."""

import os
import signal
import time
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Final

from hybrid_pose_ros.errors import UserError
from hybrid_pose_ros.events.array import EventArray
from hybrid_pose_ros.graph.description import pose_graph
from hybrid_pose_ros.graph.processes import End, Supervisor
from hybrid_pose_ros.graph.specs import DRIVER, NodeSpec
from hybrid_pose_ros.installation import share_directory
from hybrid_pose_ros.interfaces.byte_node import spinning
from hybrid_pose_ros.interfaces.cdr import init_age_ns, stamp_ns
from hybrid_pose_ros.interfaces.fault_injector import FaultInjectorNode
from hybrid_pose_ros.interfaces.topics import CAMERA_INFO, EVENTS, POSE, POSE_3D, STATE_INIT
from hybrid_pose_ros.research.torture.traffic import Traffic

CAMERAS: Final = ("/cam0", "/cam1")

START_TIMEOUT_S: Final = 180.0
"""Compiling, loading and the first poses; what has not come by then never will."""

FRESH_POSES: Final = 5
"""So many new poses of each kind show that they flow."""

POLL_S: Final = 0.05

POSES: Final = tuple(POSE.under(name).name for name in CAMERAS)
POSES_3D: Final = POSE_3D.under("").name
_RESULTS: Final = (*POSES, POSES_3D)


class NotSurvivedError(UserError):
    """A fault had consequences that it must not have; the message says which."""


class RunningGraph:
    """The nodes of two cameras and the triangulator, fed with simulated events.

    A context manager; it ends all that it has started.

    Args:
        prefix: where the package is installed.
        scenes: events of each camera, see :func:`~.traffic.simulate_scene`.
        model: checkpoint; "" for the shipped one.
        folder: gets the logs of the nodes and what the faults leave.
        rate: sensor seconds per second.
        limit_s: time of host time within which what must follow a fault follows.

    Attributes:
        supervisor: of the nodes, ``cam0/snn`` to ``triangulator``; the names of faults.
        traffic: what they get.
        messages: number of messages sent and heard so far.
        figures: what each node, by its full name, said last about itself.
        last: the last message of each topic that was heard.
    """

    def __init__(
        self,
        prefix: Path,
        scenes: Sequence[EventArray],
        *,
        model: str,
        folder: Path,
        rate: float,
        limit_s: float,
    ) -> None:
        self.prefix, self.folder, self.scenes = prefix, folder, scenes
        self.limit_s = limit_s
        self.figures: dict[str, Mapping[str, str]] = {}
        self.last: dict[str, bytes] = {}
        self._sent = self._heard = 0
        self._fresh: Counter[str] = Counter()
        self._since_ns = 0
        self._ends: list[End] = []
        self._rate = rate
        specs = two_camera_graph(self.share, model)
        self.supervisor = Supervisor(specs, prefix, log_dir=folder / "logs")
        self._node: FaultInjectorNode
        self.traffic: Traffic
        self._stack = ExitStack()

    def __enter__(self) -> "RunningGraph":
        with self._stack as stack:
            self._node = stack.enter_context(spinning(self._make_node))
            stack.enter_context(self.supervisor)
            self.traffic = Traffic(CAMERAS, self.scenes, self.publish, self._rate)
            stack.enter_context(self.traffic)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *error: object) -> None:
        self._stack.close()

    @property
    def share(self) -> Path:
        """The package's share directory."""
        return share_directory(self.prefix)

    @property
    def messages(self) -> int:
        """Number of messages sent and heard so far."""
        return self._sent + self._heard

    # What faults use.

    def publish(self, topic: str, data: bytes) -> None:
        """Publish bytes as they are."""
        self._node.publish(topic, data)
        self._sent += 1

    def signal(self, name: str, number: signal.Signals) -> None:
        """Send a signal to the process of a node."""
        os.killpg(self.supervisor.processes[name].pid, number)

    @contextmanager
    def frozen(self, name: str) -> Iterator[None]:
        """Stop a process in the block, as a debugger would."""
        self.signal(name, signal.SIGSTOP)
        try:
            yield
        finally:
            self.signal(name, signal.SIGCONT)

    def change_state(self, name: str, transition: str) -> None:
        """Ask a node for a transition.

        Raises:
            NotSurvivedError: it was refused, or not answered in time.
        """
        full_name = _full_name(self.supervisor.specs[name])
        if not self._node.change_state(full_name, transition, self.limit_s):
            raise NotSurvivedError(f"{name} did not {transition}")

    def await_poses(
        self,
        timeout_s: float | None = None,
        *,
        topics: Collection[str] = _RESULTS,
    ) -> float:
        """Wait until poses of events that are sent from now on flow; return how long (s).

        Of those of cameras only those count that rest on an initialisation.

        Args:
            timeout_s: for how long; None: the limit of all faults.
            topics: where they have to come.

        Raises:
            NotSurvivedError: they do not come in time.
        """
        start_s, limit_s = time.monotonic(), self.limit_s if timeout_s is None else timeout_s
        self._fresh.clear()
        self._since_ns = time.time_ns()
        while waiting := [name for name in topics if self._fresh[name] < FRESH_POSES]:
            if time.monotonic() - start_s > limit_s:
                raise NotSurvivedError(f"no poses on {waiting[0]} within {limit_s:g} s")
            time.sleep(POLL_S)
            self._note_ends()
        return time.monotonic() - start_s

    def heal(self, killed: Collection[str]) -> list[str]:
        """Return how processes ended that nobody killed; all that have ended start again.

        The supervisor respawns those that the graph respawns, in its own time.
        """
        self._note_ends()
        ends, self._ends = self._ends, []
        unexpected = []
        for end in ends:
            if end.name not in killed or end.code != -signal.SIGKILL:
                words = self.supervisor.last_words(end.name)
                unexpected.append(f"{end} ({words})")
            if end.again_in_s is None:
                self.supervisor.restart(end.name)
        return unexpected

    def _note_ends(self) -> None:
        self._ends += self.supervisor.new_ends()

    def _make_node(self) -> FaultInjectorNode:
        sent = [
            topic.under(name)
            for name in CAMERAS
            for topic in (EVENTS, STATE_INIT, POSE, CAMERA_INFO)
        ]
        heard = [topic.under(name) for name in CAMERAS for topic in (STATE_INIT, POSE)]
        return FaultInjectorNode(
            sent,
            [*heard, POSE_3D.under("")],
            [_full_name(spec) for spec in self.supervisor.specs.values()],
            on_message=self._on_message,
            on_diagnostics=self.figures.__setitem__,
        )

    def _on_message(self, topic: str, data: bytes) -> None:
        self._heard += 1
        self.last[topic] = data
        fresh = self._since_ns <= stamp_ns(data) <= time.time_ns()
        if fresh and topic in POSES:
            fresh = init_age_ns(data) >= 0
        self._fresh[topic] += fresh


def two_camera_graph(share: Path, model: str) -> list[NodeSpec]:
    """Return the nodes of two cameras whose events come from elsewhere; one has a visualizer."""
    arguments = {"cameras": ",".join(name.strip("/") for name in CAMERAS), "source": "none"}
    arguments |= {"model": model, "visualizer": "true"}
    return [
        spec
        for spec in pose_graph(arguments, share)
        if (spec.executable, spec.namespace) != ("visualizer", CAMERAS[1])
    ]


def driver_spec(share: Path, path: Path) -> NodeSpec:
    """Return an event_driver beside the graph that plays a file, whatever that is."""
    specs = pose_graph({"source": "recording", "recording": __file__, "namespace": "file"}, share)
    spec = next(spec for spec in specs if spec.executable == DRIVER)
    return replace(spec, parameters={**spec.parameters, "path": str(path)})


def _full_name(spec: NodeSpec) -> str:
    return f"{spec.namespace}/{spec.name}"
