# SPDX-License-Identifier: Apache-2.0
"""The description of the graph, and the processes made of it."""

import signal
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from hybrid_pose_ros.graph.arguments import ARGUMENTS, MULTI_CAMERA_ARGUMENTS, SOURCES, GraphError
from hybrid_pose_ros.graph.description import pose_graph
from hybrid_pose_ros.graph.processes import Supervisor
from hybrid_pose_ros.graph.specs import ContainerSpec, NodeSpec
from hybrid_pose_ros.graph.tools import bag_command, rviz_tools
from hybrid_pose_ros.installation import NotInstalledError, find_prefix, share_directory
from hybrid_pose_ros.interfaces.topics import camera_namespaces

ROOT = Path(__file__).parents[2]


def specs(**arguments: str) -> dict[str, NodeSpec]:
    return {spec.name: spec for spec in pose_graph(arguments, ROOT)}


def test_nodes_of_the_default_graph() -> None:
    nodes = specs()
    assert list(nodes) == ["snn", "ann", "visualizer", "event_driver"]
    assert {name for name, spec in nodes.items() if spec.required} == {"snn", "event_driver"}
    assert nodes["snn"].parameters == nodes["ann"].parameters == {}
    assert nodes["event_driver"].parameters == {"source": "simulator"}
    assert all(path.is_file() for spec in nodes.values() for path in spec.parameter_files)


def test_command_line_of_a_node(tmp_path: Path) -> None:
    recording, extra, model = (tmp_path / name for name in ("it's.aedat4", "my.yaml", "m.st"))
    for path in (recording, extra, model):
        path.touch()
    nodes = specs(
        source="recording",
        recording=str(recording),
        rate="2",
        model=str(model),
        namespace="cam0/",
        params=str(extra),
    )
    driver = nodes["event_driver"].ros_arguments()
    quoted = str(recording).replace("'", "''")
    assert driver == [
        *("--ros-args", "--enclave", "/hybrid_pose_ros/event_driver"),
        *("-r", "__node:=event_driver", "-r", "__ns:=/cam0"),
        *("--params-file", str(ROOT / "config" / "nodes.yaml")),
        *("--params-file", str(ROOT / "config" / "recording.yaml")),
        *("--params-file", str(extra)),
        *("-p", "source:='recording'", "-p", "rate:=2.0", "-p", f"path:='{quoted}'"),
    ]
    assert nodes["snn"].ros_arguments()[-2:] == ["-p", f"checkpoint:='{model}'"]


def test_a_video_and_a_webcam_are_sources(tmp_path: Path) -> None:
    video = tmp_path / "me.mp4"
    video.touch()
    driver = specs(source="video", recording=str(video))["event_driver"]
    assert driver.parameters == {"source": "video", "path": str(video)}
    assert driver.parameter_files[-1] == ROOT / "config" / "video.yaml"
    driver = specs(source="webcam", device="1")["event_driver"]
    assert driver.parameters == {"source": "webcam", "device": 1}
    assert driver.parameter_files[-1] == ROOT / "config" / "webcam.yaml"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"source": "radio"}, "source must be one of camera, .* not 'radio'"),
        ({"source": "recording"}, "source recording needs the path"),
        ({"source": "video"}, "source video needs the path"),
        ({"source": "webcam", "device": "back"}, "device must be a number, not 'back'"),
        ({"source": "recording", "recording": "/no/file"}, "recording: there is no file /no/file"),
        ({"rate": "fast"}, "rate must be a number, not 'fast'"),
        ({"port": "1.5"}, "port"),
        ({"params": "/no/file.yaml"}, "params"),
        ({"model": "/no/model"}, "model: there is no file /no/model"),
        ({"colour": "red"}, "unknown argument colour"),
    ],
)
def test_wrong_arguments_are_named(arguments: dict[str, str], message: str) -> None:
    with pytest.raises(GraphError, match=message):
        pose_graph(arguments, ROOT)


def test_a_graph_of_several_cameras() -> None:
    nodes = Supervisor(pose_graph({"cameras": "cam0,a/b", "rate": "0.5"}, ROOT), ROOT).specs
    per_camera = ("snn", "ann", "event_driver")
    assert list(nodes) == [
        *(f"{camera}/{name}" for camera in ("cam0", "a/b") for name in per_camera),
        "triangulator",
    ]
    assert [name for name, spec in nodes.items() if spec.required] == ["triangulator"]
    assert nodes["triangulator"].parameters == {"cameras": "/cam0,/a/b"}
    drivers = [nodes[f"{name}/event_driver"].parameters for name in ("cam0", "a/b")]
    assert [driver["view"] for driver in drivers] == ["front_left", "front_right"]
    assert all(driver["together_with"] == "/cam0,/a/b" for driver in drivers)
    assert all(driver["rate"] == 0.5 for driver in drivers)
    assert all(path.is_file() for spec in nodes.values() for path in spec.parameter_files)


def test_several_cameras_play_recordings_or_wait_for_events(tmp_path: Path) -> None:
    paths = [tmp_path / name for name in ("0.aedat4", "1.aedat4", "P")]
    for path in paths:
        path.touch()
    found = pose_graph(
        {
            "cameras": "l,r",
            "source": "recording",
            "recording": f"{paths[0]}, {paths[1]}",
            "visualizer": "true",
            "calibration": str(paths[2]),
        },
        ROOT,
    )
    drivers = [spec for spec in found if spec.name == "event_driver"]
    assert [spec.parameters["path"] for spec in drivers] == [str(path) for path in paths[:2]]
    assert all(spec.parameters["wait_for_subscribers"] == 3 for spec in drivers)
    assert found[-1].parameters["calibration"] == str(paths[2])
    elsewhere = pose_graph({"cameras": "l,r", "source": "none"}, ROOT)
    assert [spec.name for spec in elsewhere] == ["snn", "ann", "snn", "ann", "triangulator"]


def test_frames_and_the_human_model_on_request() -> None:
    asked = {"cameras": "l,r", "source": "none", "publish_tf": "true", "human_model": "true"}
    *_, triangulator, model = pose_graph(asked, ROOT)
    assert triangulator.parameters["publish_tf"] is True
    assert (model.executable, model.namespace, model.required) == ("human_model", "", False)
    assert model.parameters == {"frames": "links"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"cameras": "cam0"}, "two namespaces or more"),
        ({"cameras": "cam0,/cam0/"}, "two namespaces or more"),
        ({"cameras": "a,b,c,d,e"}, "the simulator has 4 cameras, not 5"),
        ({"source": "recording", "recording": "x"}, "4 cameras need as many paths"),
        ({"source": "camera"}, "source must be one of simulator, recording, none"),
        ({"calibration": "/no/folder"}, "calibration: there is no folder or file /no/folder"),
        ({"host": "x"}, "unknown argument host"),
    ],
)
def test_wrong_arguments_of_several_cameras(arguments: dict[str, str], message: str) -> None:
    with pytest.raises(GraphError, match=message):
        pose_graph({"cameras": "a,b,c,d", **arguments}, ROOT)


def test_cameras_are_namespaces() -> None:
    assert camera_namespaces("cam0, /a/b/,/") == ("/cam0", "/a/b", "")
    nodes = pose_graph({"cameras": "cam0 , a/b"}, ROOT)
    assert {spec.namespace for spec in nodes} == {"/cam0", "/a/b", ""}
    assert nodes[-1].parameters["cameras"] == "/cam0,/a/b"


@pytest.mark.parametrize("arguments", [{}, {"cameras": "l, r", "visualizer": "true"}])
def test_nodes_can_share_a_process(arguments: dict[str, str]) -> None:
    apart = pose_graph(arguments, ROOT)
    *rest, container = pose_graph(arguments | {"container": "true"}, ROOT)
    assert isinstance(container, ContainerSpec)
    assert {spec.executable for spec in rest} == {"visualizer"}
    assert sorted([*rest, *container.nodes], key=repr) == sorted(apart, key=repr)


def test_tools_see_the_topics_of_all_cameras() -> None:
    command = bag_command({"bag": "out", "cameras": "l, r"})
    per_camera = ("events", "camera_info", "state_init", "pose")
    assert command[8:] == [
        *(f"{camera}/{topic}" for camera in ("/l", "/r") for topic in per_camera),
        *("/pose_3d", "/diagnostics"),
    ]
    rviz, frame = rviz_tools({"cameras": "l, r"}, ROOT)
    assert Path(rviz.arguments[1]).is_file()
    assert "world" in frame.arguments


def test_tools_see_the_topics_of_the_namespace() -> None:
    command = bag_command({"bag": "out", "namespace": "cam0"})
    assert command[:8] == ["ros2", "bag", "record", "-s", "mcap", "-o", "out", "--topics"]
    assert command[8:] == [
        *("/cam0/events", "/cam0/camera_info", "/cam0/state_init", "/cam0/pose"),
        "/diagnostics",
    ]
    assert bag_command({"bag": "out"})[8] == "/events"
    rviz, _ = rviz_tools({"namespace": "/cam0"}, ROOT)
    assert Path(rviz.arguments[1]).is_file()
    assert rviz.command()[:4] == ["ros2", "run", "rviz2", "rviz2"]
    assert rviz.command()[-1] == "__ns:=/cam0"


def test_parameter_files_are_complete() -> None:
    """Each source has its file, and rviz shows the topics of the visualizer."""
    for name in (*SOURCES, "nodes"):
        content = yaml.safe_load((ROOT / "config" / f"{name}.yaml").read_text())
        assert all(node.startswith("/**/") for node in content)
    rviz = yaml.safe_load((ROOT / "config" / "pose.rviz").read_text())
    topics = [
        d["Topic"]["Value"] for d in rviz["Visualization Manager"]["Displays"] if "Topic" in d
    ]
    assert sorted(topics) == ["cloud", "markers", "overlay"]


def test_the_prefix_is_looked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AMENT_PREFIX_PATH", f"/nowhere:{tmp_path}")
    monkeypatch.setattr(sys, "prefix", "/nowhere")
    with pytest.raises(NotInstalledError, match="is not installed"):
        find_prefix()
    share = share_directory(tmp_path)
    share.mkdir(parents=True)
    (share / "package.xml").touch()
    assert find_prefix() == tmp_path


def until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, "nothing happened in time"
        time.sleep(0.01)


@pytest.fixture
def processes(tmp_path: Path) -> Supervisor:
    """Three stand-ins: one ends orderly on SIGINT, one does not, one fails at once."""
    library = tmp_path / "lib" / "hybrid_pose_ros"
    library.mkdir(parents=True)
    bodies = {
        "good": "print('ready', sys.argv[1:], flush=True)\ntry: time.sleep(60)\n"
        "except KeyboardInterrupt: sys.exit(0)",
        "stubborn": "signal.signal(signal.SIGINT, signal.SIG_IGN)\n"
        "print('ready', flush=True)\ntime.sleep(60)",
        "broken": "sys.exit(3)",
    }
    for name, body in bodies.items():
        (library / name).write_text(
            "import signal, sys, time\nsignal.signal(signal.SIGINT, signal.default_int_handler)\n"
            + textwrap.dedent(body)
        )
    nodes = [NodeSpec(name, name, "/n", (), {"answer": 42}, True) for name in bodies]
    return Supervisor(nodes, tmp_path, log_dir=tmp_path / "log")


def test_processes_live_and_end_together(
    processes: Supervisor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hybrid_pose_ros.graph.processes.STOP_TIMEOUT_S", 2.0)
    logs = {name: tmp_path / "log" / f"{name}.log" for name in ("good", "stubborn")}
    with processes:
        until(lambda: processes.poll() == {"broken": 3})
        until(lambda: all("ready" in log.read_text() for log in logs.values()))
        assert "answer:=42" in logs["good"].read_text()

        processes.kill("good")
        assert processes.poll() == {"broken": 3, "good": -signal.SIGKILL}
        processes.restart("good")
        until(lambda: logs["good"].read_text().count("ready") == 2)
        assert processes.poll() == {"broken": 3}
        assert processes.stop() == ["stubborn"]
    assert processes.poll() == {"broken": 3, "good": 0, "stubborn": -signal.SIGKILL}


def test_nodes_of_the_same_name_are_called_by_namespace_and_name(tmp_path: Path) -> None:
    nodes = [
        NodeSpec(name, name, space, (), {}, True)
        for name, space in (("snn", "/cam0"), ("snn", ""), ("triangulator", "/all"))
    ]
    assert list(Supervisor(nodes, tmp_path).specs) == ["cam0/snn", "snn", "triangulator"]


def test_a_missing_executable_stops_what_was_started(
    processes: Supervisor, tmp_path: Path
) -> None:
    (tmp_path / "lib" / "hybrid_pose_ros" / "broken").unlink()
    with pytest.raises(GraphError, match="broken does not exist"), processes:
        pass
    assert set(processes.poll()) == {"good", "stubborn"}


def test_arguments_have_descriptions() -> None:
    for argument in (*ARGUMENTS, *MULTI_CAMERA_ARGUMENTS):
        assert len(argument.description) > 5
        assert not argument.choices or argument.default in argument.choices
