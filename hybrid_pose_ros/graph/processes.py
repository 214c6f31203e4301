# SPDX-License-Identifier: Apache-2.0
"""The nodes of a graph as processes, supervised from their start to their common end."""

import itertools
import os
import signal
import subprocess
import sys
import time
from collections.abc import Collection, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path

from hybrid_pose_ros import PACKAGE
from hybrid_pose_ros.graph.arguments import GraphError
from hybrid_pose_ros.graph.respawn import BackOff
from hybrid_pose_ros.graph.specs import DRIVER, SUPERVISOR, NodeSpec

START_TIMEOUT_S = 120.0
"""A node that is not at work by then never will be."""

STOP_TIMEOUT_S = 5.0
"""A process gets this long to end after SIGINT, then it is killed."""

POLL_S = 0.2


@dataclass(frozen=True)
class End:
    """The end of a process.

    Attributes:
        name: of the node or tool.
        code: its exit code; negative: the number of the signal that killed it.
        required: whether nothing goes on without it.
        again_in_s: time (s) until it is started again; None: it is not.
    """

    name: str
    code: int
    required: bool
    again_in_s: float | None = None

    @property
    def exit_code(self) -> int:
        """The exit code as a shell gives it."""
        return self.code if self.code >= 0 else 128 - self.code

    def __str__(self) -> str:
        return f"{self.name} ended with code {self.code}"


class Supervisor:
    """Runs each node in a process and process group of its own; a context manager.

    Args:
        specs: the nodes, in the order in which they start. Those whose names are the same, in
            several namespaces, are called by namespace and name: ``cam0/snn``.
        prefix: where the package is installed.
        tools: commands of programs that run beside the nodes, such as `ros2 bag record`; they
            start before the nodes and end after them, and nothing depends on them.
        held: names of nodes that :meth:`start` leaves out, for a later :meth:`launch`.
        log_dir: each node's output goes to ``<name>.log`` there; None: to our own output.
        environment: whole environment of the nodes; None: our own.

    Attributes:
        processes: the running or ended process of each node and tool, by name; that of a tool is
            its command up to the first option.
        specs: the nodes, by name.
    """

    def __init__(
        self,
        specs: Sequence[NodeSpec],
        prefix: Path,
        *,
        tools: Sequence[Sequence[str]] = (),
        held: Collection[str] = (),
        log_dir: Path | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        names = [spec.name for spec in specs]
        self.specs = {
            spec.name
            if names.count(spec.name) == 1
            else f"{spec.namespace}/{spec.name}".lstrip("/"): spec
            for spec in specs
        }
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self._prefix, self._tools, self._held = prefix, tools, held
        self._log_dir, self._environment = log_dir, environment
        self._files = ExitStack()
        self._reported: set[str] = set()
        self._started_s: dict[str, float] = {}
        self._due_s: dict[str, float] = {}
        self._back_offs = {name: BackOff() for name, spec in self.specs.items() if spec.respawn}

    def __enter__(self) -> "Supervisor":
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def command(self, name: str) -> list[str]:
        """Return the command line of a node."""
        spec = self.specs[name]
        executable = self._prefix / "lib" / PACKAGE / spec.executable
        return [sys.executable, str(executable), *spec.ros_arguments()]

    def log(self, name: str) -> Path:
        """Return the path of a node's log."""
        assert self._log_dir is not None
        return self._log_dir / f"{name}.log"

    def last_words(self, name: str) -> str:
        """Return the last line of a node's log that says anything."""
        log = self.log(name)
        text = log.read_text(encoding="utf-8", errors="replace") if log.is_file() else ""
        lines = (line.strip() for line in reversed(text.split("\n")))
        return next(filter(None, lines), "it said nothing")

    def start(self) -> None:
        """Start all tools and nodes but those that are held.

        Raises:
            GraphError: an executable or a tool is missing.
        """
        for command in self._tools:
            self._start_tool(command)
        for name in self.specs:
            if name not in self._held:
                self.launch(name)

    def launch(self, name: str) -> None:
        """Start a node; raises GraphError if its executable is missing."""
        command = self.command(name)
        if not Path(command[1]).is_file():
            raise GraphError(f"{command[1]} does not exist; install {PACKAGE} again")
        output = None
        if self._log_dir is not None:
            self.log(name).parent.mkdir(parents=True, exist_ok=True)
            output = self._files.enter_context(self.log(name).open("ab"))
        # The environment goes on whole: ROS from wheels re-executes Python once, and a child that
        # inherits the mark of that but not the library path cannot load ROS.
        own = os.environ if self._environment is None else self._environment
        self._started_s[name] = time.monotonic()
        self.processes[name] = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT if output else None,
            start_new_session=True,
            env={**own, SUPERVISOR: str(os.getpid())},
        )

    def poll(self) -> dict[str, int]:
        """Return the exit codes of the processes that have ended."""
        codes = {name: process.poll() for name, process in self.processes.items()}
        return {name: code for name, code in codes.items() if code is not None}

    def new_ends(self) -> list[End]:
        """Return the ends that no earlier call has returned, and respawn what is due."""
        now = time.monotonic()
        for name in [name for name, due_s in self._due_s.items() if due_s <= now]:
            del self._due_s[name]
            self._reported.discard(name)
            self.launch(name)
        codes = {name: code for name, code in self.poll().items() if name not in self._reported}
        self._reported |= codes.keys()
        return [self._end(name, code) for name, code in codes.items()]

    def _end(self, name: str, code: int) -> End:
        required = name in self.specs and self.specs[name].required
        delay_s = None
        if name in self._back_offs:
            now = time.monotonic()
            delay_s = self._back_offs[name].delay_s(code, now - self._started_s[name])
            if delay_s is not None:
                self._due_s[name] = now + delay_s
        return End(name, code, required and delay_s is None, delay_s)

    @property
    def events_ended(self) -> bool:
        """Whether there are nodes that events come from, and all of them have ended."""
        drivers = {name for name, spec in self.specs.items() if spec.executable == DRIVER}
        return bool(drivers) and drivers <= self.poll().keys()

    def kill(self, name: str) -> None:
        """End a node at once, as a crash would."""
        process = self.processes[name]
        _signal(process, signal.SIGKILL)
        process.wait()

    def restart(self, name: str) -> None:
        """End a node in order if it runs, and start it again."""
        self._stop([self.processes[name]])
        self._reported.discard(name)
        self.launch(name)

    def stop(self) -> list[str]:
        """Stop all nodes, then the tools; return the names of those that had to be killed."""
        nodes = [process for name, process in self.processes.items() if name in self.specs]
        tools = [process for name, process in self.processes.items() if name not in self.specs]
        killed = self._stop(nodes) + self._stop(tools)
        self._files.close()
        return [name for name, process in self.processes.items() if process in killed]

    def _start_tool(self, command: Sequence[str]) -> None:
        name = " ".join(itertools.takewhile(lambda word: not word.startswith("-"), command))
        try:
            process = subprocess.Popen(command, stdin=subprocess.DEVNULL, start_new_session=True)
        except FileNotFoundError as error:
            raise GraphError(
                f"{command[0]} is not installed; it comes with a ROS 2 distribution"
            ) from error
        self.processes[name] = process

    @staticmethod
    def _stop(processes: list[subprocess.Popen[bytes]]) -> list[subprocess.Popen[bytes]]:
        for process in processes:
            if process.poll() is None:
                _signal(process, signal.SIGINT)
        deadline = time.monotonic() + STOP_TIMEOUT_S
        killed = []
        try:
            for process in processes:
                try:
                    process.wait(max(0.0, deadline - time.monotonic()))
                except subprocess.TimeoutExpired:
                    killed.append(process)
                    _signal(process, signal.SIGKILL)
                    process.wait()
        except KeyboardInterrupt:  # a second wish to stop
            for process in processes:
                _signal(process, signal.SIGKILL)
            raise
        return killed


def _signal(process: subprocess.Popen[bytes], number: int) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, number)
