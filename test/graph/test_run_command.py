# SPDX-License-Identifier: Apache-2.0
"""`hybrid-pose run --bag`: a recorder that cannot record does not go unnoticed."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from rosbags.highlevel import AnyReader
from rosbags.typesys.store import Typestore

from hybrid_pose_ros.cli import run as cli_run
from hybrid_pose_ros.cli.main import main
from hybrid_pose_ros.graph.arguments import GraphError
from hybrid_pose_ros.graph.specs import NodeSpec
from hybrid_pose_ros.graph.tools import tool_commands

from ..conftest import Refusal


def test_a_bag_that_exists_is_refused_before_anything_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(cli_run, "Supervisor", None)
    monkeypatch.setattr("subprocess.Popen", None)
    for words in ([], ["--cameras", "cam0,cam1"]):
        assert main(["run", "--bag", str(tmp_path), *words]) == 1
        assert capsys.readouterr().err == (
            f"hybrid-pose run: error: {tmp_path}: exists already; remove it or name another bag\n"
        )


def test_a_recorder_that_fails_is_reported_and_the_nodes_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The node ends only when the recorder's end has been noticed."""
    told, programs = tmp_path / "pid", tmp_path / "bin"
    programs.mkdir()
    (programs / "ros2").write_text(
        f"#!/bin/sh\necho $$ > {told}.new\nmv {told}.new {told}\nexit 3"
    )
    (programs / "ros2").chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}{os.pathsep}{os.environ['PATH']}")
    library = tmp_path / "lib" / "hybrid_pose_ros"
    library.mkdir(parents=True)
    (library / "node").write_text(
        "import os, pathlib, time\n"
        f"told, deadline = pathlib.Path({str(told)!r}), time.monotonic() + 60\n"
        "while time.monotonic() < deadline:\n"
        "    time.sleep(0.01)\n"
        "    if told.exists():\n"
        "        try: os.kill(int(told.read_text()), 0)\n"
        "        except ProcessLookupError: break\n"
    )
    spec = NodeSpec("node", "node", "", (), {}, required=True)
    monkeypatch.setattr(cli_run, "find_prefix", lambda: tmp_path)
    monkeypatch.setattr(cli_run, "pose_graph", lambda given, share: [spec])
    monkeypatch.setattr(cli_run, "handle_stop_signals", lambda handler: None)
    assert main(["run", "--bag", str(tmp_path / "walk")]) == 3
    assert capsys.readouterr().err == "hybrid-pose run: ros2 bag record ended with code 3\n"


def test_one_process_is_asked_for_by_an_option(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = []

    def refuse(given: dict[str, str], share: Path) -> list[NodeSpec]:
        asked.append(given)
        raise GraphError("as wanted")

    monkeypatch.setattr(cli_run, "find_prefix", lambda: tmp_path)
    monkeypatch.setattr(cli_run, "pose_graph", refuse)
    assert main(["run", "--one-process"]) == 1
    assert asked == [{"container": "true"}]


def test_without_a_distribution_the_graph_records_itself_from_the_first_packet(
    tmp_path: Path, checkpoint: Path, store: Typestore
) -> None:
    """Ctrl-C ends all; the bag is whole, and says how much is in it."""
    bag = tmp_path / "walk"
    programs = Path(sys.executable).parent
    with subprocess.Popen(
        [programs / "hybrid-pose", "run", "--model", checkpoint, "--rate", "0.5", "--bag", bag],
        env=os.environ | {"PATH": str(programs)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        try:
            wait_until(lambda: written(bag) > 2**20, process)
        finally:
            process.send_signal(signal.SIGINT)
        said, _ = process.communicate(timeout=60)
    assert process.returncode == 0, said
    with AnyReader([bag], default_typestore=store) as reader:
        counts = {link.topic: link.msgcount for link in reader.connections}
        first = {
            link.topic: reader.deserialize(data, link.msgtype)
            for link, _, data in reversed(list(reader.messages()))
        }
    assert first["/events"].seq == 0
    assert min(counts[name] for name in ("/events", "/pose", "/state_init", "/diagnostics")) > 0
    for topic, count in counts.items():
        assert f"{count:,d}  {topic}\n" in said


@pytest.mark.parametrize("words", [[], ["--one-process"]], ids=["apart", "one_process"])
def test_no_node_outlives_a_killed_command(words: list[str], checkpoint: Path) -> None:
    command = [Path(sys.executable).parent / "hybrid-pose", "run", "--model", checkpoint]
    output = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    with subprocess.Popen([*command, *words], text=True, **output) as process:
        try:
            assert process.stdout is not None
            said = next(line for line in process.stdout if "active: listens to" in line)
            nodes = children(process.pid)
        finally:
            process.kill()
        assert said and nodes
        deadline = time.monotonic() + 60
        while any(map(is_alive, nodes)):
            assert time.monotonic() < deadline
            time.sleep(0.1)


def children(pid: int) -> list[int]:
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def written(bag: Path) -> int:
    return sum(path.stat().st_size for path in bag.glob("*.mcap"))


def wait_until(condition: Callable[[], bool], process: "subprocess.Popen[str]") -> None:
    deadline = time.monotonic() + 120
    while not condition():
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_what_records_without_a_distribution_has_the_graph_s_cameras(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    program = str(Path(sys.executable).parent / "hybrid-pose")
    one = {"bag": "walk", "namespace": "cam0"}
    assert tool_commands(one, tmp_path) == [[program, "record", "walk", "--namespace", "cam0"]]
    several = {"bag": "walk", "cameras": "l,r"}
    assert tool_commands(several, tmp_path) == [[program, "record", "walk", "--cameras", "l,r"]]


def test_recording_into_a_bag_that_exists_is_refused(tmp_path: Path, refusal: Refusal) -> None:
    assert "exists already" in refusal("record", tmp_path)
