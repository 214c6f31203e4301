# SPDX-License-Identifier: Apache-2.0
"""Parts of a graph: nodes, several of them in one process, and tools beside them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from hybrid_pose_ros import PACKAGE

Value = bool | int | float | str

Parameters = Mapping[str, Value]

CONTAINER: Final = "container"
"""Executable that runs several nodes in one process."""

DRIVER: Final = "event_driver"
"""Executable that events come from."""

CONTAINED: Final = (DRIVER, "ann", "snn", "triangulator")
"""Executables that share a process: those on the way from events to poses."""

SUPERVISOR: Final = "HYBRID_POSE_SUPERVISOR"
"""Environment variable with the process that a node was started by, and ends with."""

REQUIRED: Final = "--required"
"""Word after the name of a node on a container's command line: nothing goes on without it."""


@dataclass(frozen=True)
class NodeSpec:
    """One node.

    Attributes:
        executable: its name in lib/hybrid_pose_ros.
        namespace: absolute or empty.
        parameter_files: read in order; the last one wins.
        parameters: win over all files.
        required: nothing goes on without it; the others may fail and the rest lives on.
        respawn: it is started again when it dies, also if it is required.
    """

    executable: str
    name: str
    namespace: str
    parameter_files: tuple[Path, ...]
    parameters: Mapping[str, Value]
    required: bool
    respawn: bool = False

    @property
    def enclave(self) -> str:
        """Its enclave in ``config/sros2.policy.xml``; without SROS2 it has no effect."""
        return f"/{PACKAGE}/{self.executable}"

    def ros_arguments(self) -> list[str]:
        """Return the command line after the executable."""
        arguments = ["--ros-args", "--enclave", self.enclave, "-r", f"__node:={self.name}"]
        if self.namespace:
            arguments += ["-r", f"__ns:={self.namespace}"]
        for path in self.parameter_files:
            arguments += ["--params-file", str(path)]
        for name, value in self.parameters.items():
            arguments += ["-p", f"{name}:={_yaml(value)}"]
        return arguments


@dataclass(frozen=True)
class ContainerSpec(NodeSpec):
    """Several nodes in one process.

    Attributes:
        nodes: in the order of the graph; the process ends as they would end the graph.
    """

    nodes: tuple[NodeSpec, ...] = ()

    def ros_arguments(self) -> list[str]:
        """Return the command line after the executable: one group for each node."""
        words = []
        for spec in self.nodes:
            required = [REQUIRED] if spec.required else []
            words += [spec.executable, *required, *spec.ros_arguments(), "--"]
        return words


@dataclass(frozen=True)
class ToolSpec:
    """A program of another ROS package that runs beside the nodes."""

    package: str
    executable: str
    arguments: tuple[str, ...]
    namespace: str = ""

    def command(self) -> list[str]:
        """Return its command line."""
        remapped = ["--ros-args", "-r", f"__ns:={self.namespace}"] if self.namespace else []
        return ["ros2", "run", self.package, self.executable, *self.arguments, *remapped]


def in_one_process(specs: Sequence[NodeSpec]) -> list[NodeSpec]:
    """Return a graph whose nodes of :data:`CONTAINED` share one process."""
    contained = tuple(spec for spec in specs if spec.executable in CONTAINED)
    rest = [spec for spec in specs if spec.executable not in CONTAINED]
    return [*rest, ContainerSpec(CONTAINER, CONTAINER, "", (), {}, True, nodes=contained)]


def _yaml(value: Value) -> str:
    """Return a parameter value as rcl reads it; quoted text stays text even if it looks like 1."""
    if isinstance(value, bool):
        return str(value).lower()
    return "'" + value.replace("'", "''") + "'" if isinstance(value, str) else repr(value)
