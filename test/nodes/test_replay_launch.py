# SPDX-License-Identifier: Apache-2.0
"""The launch file of replays, where launch is installed."""

import importlib.util
from pathlib import Path
from typing import Any

import pytest

launch = pytest.importorskip("launch")
launch_ros = pytest.importorskip("launch_ros")

from rosbags.rosbag2 import Writer  # noqa: E402

from hybrid_pose_ros import PACKAGE  # noqa: E402
from hybrid_pose_ros.bags.bag import make_typestore  # noqa: E402
from hybrid_pose_ros.bags.layout import make_header  # noqa: E402
from hybrid_pose_ros.nodes.replay_graph import ARGUMENTS  # noqa: E402

ROOT = Path(__file__).parents[2]


@pytest.fixture
def bag(tmp_path: Path) -> Path:
    """A bag with two topics of events; what they hold does not matter here."""
    path, store = tmp_path / "bag", make_typestore(ROOT)
    with Writer(path, version=Writer.VERSION_LATEST) as writer:
        for topic in ("/cam0/events", "/cam1/events"):
            link = writer.add_connection(topic, "hybrid_pose_ros/msg/EventPacket", typestore=store)
            header = store.serialize_cdr(make_header(store, 5, ""), "std_msgs/msg/Header")
            writer.write(link, 5, header)
    return path


@pytest.fixture
def description(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The launch description; the package's share directory is the source tree."""
    path = ROOT / "launch" / "replay.launch.py"
    spec = importlib.util.spec_from_file_location("replay_launch", path)
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
    assert declared == [argument.name for argument in ARGUMENTS]


def test_nodes_of_the_cameras_and_a_player(description: Any, bag: Path) -> None:
    found = actions(description, bag=str(bag), cameras="cam1")
    nodes = [action for action in found if isinstance(action, launch_ros.actions.Node)]
    assert {node.node_package for node in nodes} == {PACKAGE}
    assert [node.node_executable for node in nodes] == ["snn", "ann"]
    kinds = [type(action).__name__ for action in found[len(nodes) :]]
    assert kinds == ["TimerAction", "RegisterEventHandler"]
