# SPDX-License-Identifier: Apache-2.0
"""The nodes that take a bag's events."""

from pathlib import Path

import pytest

from hybrid_pose_ros.graph.arguments import REPLAY_ARGUMENTS, GraphError
from hybrid_pose_ros.graph.description import Played, replay_graph
from hybrid_pose_ros.graph.specs import NodeSpec
from hybrid_pose_ros.graph.tools import play_command

ROOT = Path(__file__).parents[2]
DEFAULTS = {argument.name: argument.default for argument in REPLAY_ARGUMENTS}


def specs(played: Played, **arguments: str) -> dict[str, NodeSpec]:
    return {
        f"{spec.namespace}/{spec.name}": spec for spec in replay_graph(arguments, played, ROOT)
    }


def test_one_camera_without_truth_needs_snn_and_ann() -> None:
    nodes = specs(Played(["/cam0"], has_truth=False, calibrated=False))
    assert list(nodes) == ["/cam0/snn", "/cam0/ann"]
    assert nodes["/cam0/snn"].required and not nodes["/cam0/ann"].required
    for spec in nodes.values():
        assert spec.parameters == {"use_sim_time": True, "packet_type": "hybrid_pose_ros"}
        assert all(path.is_file() for path in spec.parameter_files)


def test_truth_brings_the_evaluator_of_all_cameras(tmp_path: Path) -> None:
    nodes = specs(
        Played(["", "/a"], has_truth=True, calibrated=True),
        report=str(tmp_path / "r.json"),
        visualizer="true",
    )
    evaluator = nodes["/evaluator"]
    assert evaluator.parameters["cameras"] == "/,/a"
    assert evaluator.parameters["report"] == str(tmp_path / "r.json")
    assert {"/snn", "/ann", "/visualizer", "/a/snn", "/a/ann", "/a/visualizer"} <= set(nodes)


def test_calibrated_cameras_are_joined() -> None:
    nodes = specs(Played(["/a", "/b/c"], has_truth=False, calibrated=True))
    assert nodes["/triangulator"].parameters["cameras"] == "a,b/c"
    for cameras, calibrated in ((["/a"], True), (["/a", "/b"], False), (["", "/b"], True)):
        alone = specs(Played(cameras, has_truth=True, calibrated=calibrated))
        assert "/triangulator" not in alone


def test_lockstep_leaves_nothing_to_host_time_or_to_parameter_files() -> None:
    played = Played(["/a", "/b"], has_truth=False, calibrated=True, lockstep=True)
    nodes = specs(played)
    assert nodes["/a/snn"].parameters["max_delay_ms"] == 60_000.0
    assert nodes["/a/ann"].parameters["rate_hz"] == 10.0
    assert nodes["/a/ann"].required
    assert nodes["/triangulator"].parameters["max_wait_ms"] == 10_000.0


def test_wrong_arguments_are_named() -> None:
    played = Played(["/a"], has_truth=False, calibrated=False)
    with pytest.raises(GraphError, match="unknown argument colour"):
        specs(played, colour="red")
    with pytest.raises(GraphError, match="model: there is no file /no/model"):
        specs(played, model="/no/model")
    with pytest.raises(GraphError, match="visualizer must be one of true, false, not 'yes'"):
        specs(played, visualizer="yes")
    with pytest.raises(GraphError, match="params"):
        specs(played, params="/no/params")


def test_command_that_plays_with_a_distribution() -> None:
    command = play_command(DEFAULTS | {"bag": "walk"}, ["/cam0/events"])
    assert command[:4] == ["ros2", "bag", "play", "walk"]
    assert command[command.index("--clock") + 1] == "40"
    assert command[-2:] == ["--topics", "/cam0/events"]
    assert "--loop" not in command and "--start-offset" not in command
    command = play_command(
        DEFAULTS | {"bag": "walk", "loop": "true", "start_offset": "1.5", "rate": "0.5"}, ["/e"]
    )
    assert "--loop" in command
    assert command[command.index("--start-offset") + 1] == "1.5"
    for changed in ({"rate": "0"}, {"rate": "fast"}, {"start_offset": "-"}):
        with pytest.raises(GraphError, match=next(iter(changed))):
            play_command(DEFAULTS | changed, ["/e"])
