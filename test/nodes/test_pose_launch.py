# SPDX-License-Identifier: Apache-2.0
"""The launch file, where launch is installed."""

import importlib.util
from pathlib import Path
from typing import Any

import pytest

launch = pytest.importorskip("launch")
launch_ros = pytest.importorskip("launch_ros")

from hybrid_pose_ros import PACKAGE  # noqa: E402
from hybrid_pose_ros.nodes.graph import ARGUMENTS, pose_graph  # noqa: E402

ROOT = Path(__file__).parents[2]


@pytest.fixture
def description(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The launch description; the package's share directory is the source tree."""
    path = ROOT / "launch" / "pose.launch.py"
    spec = importlib.util.spec_from_file_location("pose_launch", path)
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
    declared = {argument.name: argument for argument in description.get_launch_arguments()}
    assert list(declared) == [argument.name for argument in ARGUMENTS]
    assert declared["source"].choices == list(ARGUMENTS[0].choices)


def test_nodes_are_those_of_the_graph(description: Any) -> None:
    nodes = actions(description, namespace="cam0")
    assert [(node.node_package, node.node_executable) for node in nodes] == [
        (PACKAGE, spec.executable) for spec in pose_graph({}, ROOT)
    ]


def test_rviz_and_bag_on_request(description: Any) -> None:
    def first_words(action: Any) -> str:
        return "".join(part.text for part in action.cmd[0])

    found = actions(description, rviz="true", bag="out", namespace="cam0")
    assert first_words(found[0]) == "ros2"
    assert [first_words(action) for action in found[5:]] == ["rviz2", "ros2"]


def test_a_value_that_is_no_choice_is_refused(description: Any) -> None:
    with pytest.raises(RuntimeError, match="radio"):
        actions(description, source="radio")
