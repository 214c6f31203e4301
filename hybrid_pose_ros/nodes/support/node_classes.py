# SPDX-License-Identifier: Apache-2.0
"""The nodes of the package, and their classes."""

import importlib
import inspect
from typing import Final

from hybrid_pose_ros.nodes.support.base import ManagedNode

NODES: Final = (
    "event_driver",
    "ann",
    "snn",
    "visualizer",
    "triangulator",
    "evaluator",
    "skeleton_adapter",
    "human_model",
)
"""Executables, each in a module of its name."""


def node_class(executable: str) -> type[ManagedNode]:
    """Return the node of an executable."""
    module = importlib.import_module(f"hybrid_pose_ros.nodes.{executable}")
    (found,) = (
        value
        for value in vars(module).values()
        if inspect.isclass(value)
        and issubclass(value, ManagedNode)
        and value.__module__ == module.__name__
    )
    return found
