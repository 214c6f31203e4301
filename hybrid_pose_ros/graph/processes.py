# SPDX-License-Identifier: Apache-2.0
"""The nodes of a graph as processes that start and end together."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from types import TracebackType

from hybrid_pose_ros import PACKAGE
from hybrid_pose_ros.graph.description import GraphError, NodeSpec

STOP_TIMEOUT_S = 5.0
"""A node gets this long to end after SIGINT, then it is killed."""


class Graph:
    """Runs each node in a process and process group of its own; a context manager.

    Args:
        specs: the nodes, in the order in which they start. Those whose names are the same, in
            several namespaces, are called by namespace and name: ``cam0/snn``.
        prefix: where the package is installed.
        log_dir: each node's output goes to ``<name>.log`` there; None: to our own output.
        environment: whole environment of the nodes; None: our own.

    Attributes:
        processes: the running or ended process of each node, by name.
        specs: the nodes, by name.
    """

    def __init__(
        self,
        specs: Sequence[NodeSpec],
        prefix: Path,
        *,
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
        self._prefix = prefix
        self._log_dir = log_dir
        self._environment = environment
        self._files = ExitStack()

    def __enter__(self) -> "Graph":
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def command(self, name: str) -> list[str]:
        """Return the command line of a node."""
        spec = self.specs[name]
        executable = self._prefix / "lib" / PACKAGE / spec.executable
        return [sys.executable, str(executable), *spec.ros_arguments()]

    def start(self) -> None:
        """Start all nodes.

        Raises:
            GraphError: an executable is missing.
        """
        for name in self.specs:
            self._launch(name)

    def poll(self) -> dict[str, int]:
        """Return the exit codes of the nodes that have ended."""
        codes = {name: process.poll() for name, process in self.processes.items()}
        return {name: code for name, code in codes.items() if code is not None}

    def kill(self, name: str) -> None:
        """End a node at once, as a crash would."""
        process = self.processes[name]
        _signal(process, signal.SIGKILL)
        process.wait()

    def restart(self, name: str) -> None:
        """End a node in order if it runs, and start it again."""
        self._stop([self.processes[name]])
        self._launch(name)

    def stop(self) -> list[str]:
        """Stop all nodes; return the names of those that had to be killed."""
        killed = self._stop(list(self.processes.values()))
        self._files.close()
        return [name for name, process in self.processes.items() if process in killed]

    def _launch(self, name: str) -> None:
        command = self.command(name)
        if not Path(command[1]).is_file():
            raise GraphError(f"{command[1]} does not exist; install {PACKAGE} again")
        output = None
        if self._log_dir is not None:
            path = self._log_dir / f"{name}.log"
            path.parent.mkdir(parents=True, exist_ok=True)
            output = self._files.enter_context(path.open("ab"))
        # The environment goes on whole: ROS from wheels re-executes Python once, and a child that
        # inherits the mark of that but not the library path cannot load ROS.
        self.processes[name] = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT if output else None,
            start_new_session=True,
            env=self._environment,
        )

    @staticmethod
    def _stop(processes: list[subprocess.Popen[bytes]]) -> list[subprocess.Popen[bytes]]:
        for process in processes:
            if process.poll() is None:
                _signal(process, signal.SIGINT)
        deadline = time.monotonic() + STOP_TIMEOUT_S
        killed = []
        for process in processes:
            try:
                process.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                killed.append(process)
                _signal(process, signal.SIGKILL)
                process.wait()
        return killed


def _signal(process: subprocess.Popen[bytes], number: int) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, number)
