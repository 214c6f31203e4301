# SPDX-License-Identifier: Apache-2.0
"""The launch file of several cameras, where launch is installed."""

import importlib.util
from pathlib import Path
from typing import Any

import pytest

launch = pytest.importorskip("launch")
launch_ros = pytest.importorskip("launch_ros")

from hybrid_pose_ros import PACKAGE  # noqa: E402
from hybrid_pose_ros.nodes.graph import (  # noqa: E402
    MULTI_CAMERA_ARGUMENTS,
    multi_camera_graph,
)

ROOT = Path(__file__).parents[2]


@pytest.fixture
def description(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The launch description; the package's share directory is the source tree."""
    path = ROOT / "launch" / "multi_camera.launch.py"
    spec = importlib.util.spec_from_file_location("multi_camera_launch", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setattr(module, "get_package_share_path", lambda package: ROOT)
    return module.generate_launch_description()


def actions(description: Any, **arguments: str) -> list[Any]:
    context = launch.LaunchContext()
    context.launch_configurations.update(arguments)
    results = [entity.visit(context) for entity in description.entities]
    return list(results[-1])


def test_arguments_are_those_of_the_graph(description: Any) -> None:
    declared = [argument.name for argument in description.get_launch_arguments()]
    assert declared == [argument.name for argument in MULTI_CAMERA_ARGUMENTS]


@pytest.mark.parametrize("source", ["simulator", "none"])
def test_nodes_are_those_of_the_graph(description: Any, source: str) -> None:
    arguments = {"cameras": "left,right", "source": source}
    nodes = actions(description, **arguments)
    assert [(node.node_package, node.node_executable) for node in nodes] == [
        (PACKAGE, spec.executable) for spec in multi_camera_graph(arguments, ROOT)
    ]
