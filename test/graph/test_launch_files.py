# SPDX-License-Identifier: Apache-2.0
"""The launch files, where launch is installed: what they start, and what ends what."""

import importlib.util
import shlex
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ament_index_python.packages import PackageNotFoundError

launch = pytest.importorskip("launch")
launch_ros = pytest.importorskip("launch_ros")

from rosbags.rosbag2 import Writer  # noqa: E402

from hybrid_pose_ros import PACKAGE  # noqa: E402
from hybrid_pose_ros.bags.bag import make_typestore  # noqa: E402
from hybrid_pose_ros.graph import launching, respawn  # noqa: E402
from hybrid_pose_ros.graph.arguments import (  # noqa: E402
    ARGUMENTS,
    MULTI_CAMERA_ARGUMENTS,
    REPLAY_ARGUMENTS,
    Argument,
    GraphError,
)
from hybrid_pose_ros.graph.description import pose_graph  # noqa: E402
from hybrid_pose_ros.graph.specs import ContainerSpec, NodeSpec  # noqa: E402
from hybrid_pose_ros.interfaces.messages import header_at  # noqa: E402

ROOT = Path(__file__).parents[2]

Describe = Callable[[str], Any]


@pytest.fixture
def describe(monkeypatch: pytest.MonkeyPatch) -> Describe:
    """Return a launch file's description; the package's share directory is the source tree."""
    monkeypatch.setattr(launching, "get_package_share_path", lambda package: ROOT)
    monkeypatch.setattr(launching, "get_package_prefix", lambda package: "/opt/ros")

    def load(name: str) -> Any:
        path = ROOT / "launch" / f"{name}.launch.py"
        spec = importlib.util.spec_from_file_location(f"{name}_launch", path)
        assert spec is not None and spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module.generate_launch_description()

    return load


def actions(description: Any, **arguments: str) -> list[Any]:
    context = launch.LaunchContext()
    context.launch_configurations.update(arguments)
    results = [entity.visit(context) for entity in description.entities]
    return list(results[-1])


def nodes(found: list[Any]) -> list[tuple[str, str]]:
    return [
        (action.node_package, action.node_executable)
        for action in found
        if isinstance(action, launch_ros.actions.Node)
    ]


def first_words(action: Any) -> str:
    return "".join(part.text for part in action.cmd[0])


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("pose", ARGUMENTS),
        ("multi_camera", MULTI_CAMERA_ARGUMENTS),
        ("replay", REPLAY_ARGUMENTS),
    ],
)
def test_arguments_are_those_of_the_graph(
    describe: Describe, name: str, arguments: tuple[Argument, ...]
) -> None:
    declared = describe(name).get_launch_arguments()
    assert [argument.name for argument in declared] == [argument.name for argument in arguments]
    choices = {argument.name: tuple(argument.choices or ()) for argument in declared}
    assert choices == {argument.name: argument.choices for argument in arguments}


def test_nodes_of_one_camera_are_those_of_the_graph(describe: Describe) -> None:
    assert nodes(actions(describe("pose"), namespace="cam0")) == [
        (PACKAGE, spec.executable) for spec in pose_graph({}, ROOT)
    ]


@pytest.mark.parametrize("source", ["simulator", "none"])
def test_nodes_of_several_cameras_are_those_of_the_graph(describe: Describe, source: str) -> None:
    arguments = {"cameras": "left,right", "source": source}
    assert nodes(actions(describe("multi_camera"), **arguments)) == [
        (PACKAGE, spec.executable) for spec in pose_graph(arguments, ROOT)
    ]


@pytest.mark.parametrize("name", ["pose", "multi_camera"])
def test_one_process_on_request(describe: Describe, name: str) -> None:
    found = actions(describe(name), container="true")
    assert nodes(found)[-1] == (PACKAGE, "container")
    assert {executable for _, executable in nodes(found)} <= {"container", "visualizer"}
    words = ["".join(part.text for part in word) for word in found[-1].cmd[1:-1]]
    (spec,) = [spec for spec in graph_of(name) if isinstance(spec, ContainerSpec)]
    assert words == spec.ros_arguments()


def graph_of(name: str) -> list[NodeSpec]:
    cameras = {"cameras": "cam0,cam1,cam2,cam3"} if name == "multi_camera" else {}
    return pose_graph({**cameras, "container": "true"}, ROOT)


@pytest.mark.parametrize("name", ["pose", "multi_camera"])
def test_rviz_and_bag_on_request(describe: Describe, name: str) -> None:
    found = actions(describe(name), rviz="true", bag="out")
    assert first_words(found[0]) == "ros2"  # the bag misses nothing
    assert nodes(found)[-2:] == [
        ("rviz2", "rviz2"),
        ("tf2_ros", "static_transform_publisher"),
    ]


@pytest.mark.parametrize(
    ("arguments", "package"),
    [({"rviz": "true"}, "rviz2"), ({"bag": "out"}, "ros2bag")],
)
def test_a_missing_package_is_one_sentence(
    describe: Describe,
    monkeypatch: pytest.MonkeyPatch,
    arguments: dict[str, str],
    package: str,
) -> None:
    def missing(name: str) -> str:
        raise PackageNotFoundError(name)

    monkeypatch.setattr(launching, "get_package_prefix", missing)
    with pytest.raises(GraphError, match=f"the ROS package {package} is not installed"):
        actions(describe("pose"), **arguments)


def test_a_value_that_is_no_choice_is_refused(describe: Describe) -> None:
    with pytest.raises(RuntimeError, match="radio"):
        actions(describe("pose"), source="radio")


@pytest.fixture
def bag(tmp_path: Path) -> Path:
    """A bag with two topics of events; what they hold does not matter here."""
    path, store = tmp_path / "bag", make_typestore(ROOT)
    with Writer(path, version=Writer.VERSION_LATEST) as writer:
        for topic in ("/cam0/events", "/cam1/events"):
            link = writer.add_connection(topic, "hybrid_pose_ros/msg/EventPacket", typestore=store)
            header = store.serialize_cdr(header_at(5, ""), "std_msgs/msg/Header")
            writer.write(link, 5, header)
    return path


def test_replay_is_the_nodes_of_the_cameras_and_a_player(describe: Describe, bag: Path) -> None:
    found = actions(describe("replay"), bag=str(bag), cameras="cam1")
    assert nodes(found) == [(PACKAGE, "snn"), (PACKAGE, "ann")]
    assert [type(action).__name__ for action in found] == [
        *["RegisterEventHandler"] * 4,
        *("TimerAction", "LifecycleNode", "LifecycleNode", "RegisterEventHandler"),
    ]


PROGRAM = """#!/bin/sh
for word in "$@"; do
  case "$word" in __ns:=/*) namespace=${word#__ns:=/} ;; esac
done
exec sh "./$namespace-$(basename "$0").sh"
"""
"""An executable of the package; what it does depends on its namespace, too."""

FOREVER_S = 60.0
FOREVER = f"exec sleep {FOREVER_S:g}"
"""A node that ends when it is told to."""


PYTHON = shlex.quote(sys.executable)

TELL_OF_TRANSITION = """
import pathlib, sys, time, rclpy
from lifecycle_msgs.msg import State, Transition, TransitionEvent

rclpy.init()
node = rclpy.create_node("teller")
publisher = node.create_publisher(TransitionEvent, sys.argv[1] + "/transition_event", 10)
while not publisher.get_subscription_count():
    time.sleep(0.05)
event = TransitionEvent(
    transition=Transition(id=Transition.TRANSITION_ACTIVATE, label="activate"),
    start_state=State(id=State.PRIMARY_STATE_INACTIVE, label="inactive"),
    goal_state=State(id=State.PRIMARY_STATE_ACTIVE, label="active"),
)
pathlib.Path("active").touch()
publisher.publish(event)
time.sleep(0.5)
rclpy.shutdown()
"""
"""A program that tells of the transition of a node as the node itself does."""


class Graph:
    """Nodes whose processes are shell scripts in the folder in which they run."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.specs: list[NodeSpec] = []

    def add(
        self,
        namespace: str,
        name: str,
        script: str,
        *,
        required: bool = False,
        respawn: bool = False,
    ) -> None:
        program = self.folder / "lib" / PACKAGE / name
        program.parent.mkdir(parents=True, exist_ok=True)
        program.write_text(PROGRAM)
        program.chmod(0o755)
        (self.folder / f"{namespace}-{name}.sh").write_text(script)
        self.specs.append(NodeSpec(name, name, f"/{namespace}", (), {}, required, respawn))

    def run(self) -> None:
        service = launch.LaunchService(noninteractive=True)
        nodes = launching.node_actions(self.specs)
        service.include_launch_description(launch.LaunchDescription(nodes))
        begin = time.monotonic()
        assert service.run() == 0
        assert time.monotonic() - begin < FOREVER_S, "no node was told to end"


@pytest.fixture
def graph(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Graph:
    index = tmp_path / "share" / "ament_index" / "resource_index" / "packages"
    index.mkdir(parents=True)
    (index / PACKAGE).touch()
    monkeypatch.setenv("AMENT_PREFIX_PATH", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    return Graph(tmp_path)


def test_the_end_of_a_required_node_ends_all(graph: Graph) -> None:
    graph.add("cam0", "snn", "exit 0", required=True)
    graph.add("cam0", "event_driver", FOREVER, required=True)
    graph.add("cam0", "ann", FOREVER)
    graph.run()


def test_the_others_go_on_until_the_last_events_have_ended(graph: Graph, tmp_path: Path) -> None:
    wait = "while [ ! -e {} ]; do sleep 0.05; done"
    graph.add("cam0", "ann", "touch ann_gone")
    graph.add("cam0", "event_driver", f"{wait.format('ann_gone')}; sleep 0.2; touch first_gone")
    graph.add("cam1", "event_driver", f"{wait.format('first_gone')}; sleep 0.5; touch last_gone")
    graph.add("cam1", "snn", FOREVER)
    graph.add("", "triangulator", FOREVER, required=True)
    graph.run()
    assert (tmp_path / "last_gone").exists()


def test_a_node_that_dies_is_started_again(
    graph: Graph, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(respawn, "FIRST_DELAY_S", 0.1)
    dies_twice = "echo x >> deaths; [ $(wc -l < deaths) -ge 3 ] || kill -9 $$; touch lives; "
    graph.add("cam0", "snn", dies_twice + FOREVER, required=True, respawn=True)
    graph.add("cam0", "event_driver", "while [ ! -e lives ]; do sleep 0.05; done", required=True)
    graph.run()
    assert (tmp_path / "deaths").read_text() == "x\n" * 3


def test_what_waits_for_the_nodes_starts_when_the_last_is_active_or_gone(
    graph: Graph, tmp_path: Path
) -> None:
    """Stand-ins tell of their transition as the nodes do; one of them ends before it is active."""
    graph.add("cam0", "snn", f"touch started; {PYTHON} active.py /cam0/snn; {FOREVER}")
    graph.add("cam0", "ann", "sleep 0.5; touch gone; exit 1")
    (tmp_path / "active.py").write_text(TELL_OF_TRANSITION)
    waited = launching.node_actions(graph.specs, launch_ros.actions.LifecycleNode)
    check = launch.actions.ExecuteProcess(cmd=["sh", "-c", "ls > found"], cwd=str(tmp_path))
    end = launch.actions.RegisterEventHandler(
        launch.event_handlers.OnProcessExit(
            target_action=check, on_exit=[launch.actions.Shutdown(reason="done")]
        )
    )
    service = launch.LaunchService(noninteractive=True)
    service.include_launch_description(
        launch.LaunchDescription([*launching.when_active(waited, [check]), *waited, end])
    )
    assert service.run() == 0
    assert {"started", "gone", "active"} <= set((tmp_path / "found").read_text().split())
