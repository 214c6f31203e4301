# SPDX-License-Identifier: Apache-2.0
"""`hybrid-pose replay`, with the real nodes."""

import io
import json
import os
import signal
import subprocess
import sys
import termios
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from rosbags.typesys.store import Typestore

from hybrid_pose_ros.bags.contents import inspect_bag
from hybrid_pose_ros.bags.evaluation import evaluate_events, evaluate_recorded
from hybrid_pose_ros.cli.main import main
from hybrid_pose_ros.cli.replay import keys
from hybrid_pose_ros.interfaces.messages import header_at
from hybrid_pose_ros.networks.checkpoint import load_checkpoint

from ..conftest import Refusal, written_bag


def differences(found: Any, expected: Any, path: str = "") -> list[str]:
    """Return where two reports differ by more than coordinates rounded to 32 bits do."""
    if isinstance(expected, dict):
        assert found.keys() == expected.keys(), path
        return [
            text
            for key, value in expected.items()
            for text in differences(found[key], value, f"{path}/{key}")
        ]
    same = found == expected if expected is None else found == pytest.approx(expected, abs=1e-5)
    return [] if same else [f"{path}: {found} instead of {expected}"]


def replay(bag: Path, figures: Path, recorded: Path) -> subprocess.CompletedProcess[str]:
    """Play a bag in lockstep; logs lie beside the figures."""
    main_of = "from hybrid_pose_ros.cli.main import main; exit(main())"
    command = [sys.executable, "-P", "-c", main_of, "replay", str(bag), "--lockstep"]
    command += ["--json", str(figures), "--record", str(recorded)]
    command += ["--logs", str(figures.parent / "logs")]
    return subprocess.run(
        command, cwd=figures.parent, capture_output=True, text=True, timeout=240, check=False
    )


def test_running_errors_in_lockstep_are_those_of_the_offline_evaluation(
    small_bag: Path, store: Typestore, tmp_path: Path
) -> None:
    figures, recorded = tmp_path / "figures.json", tmp_path / "recorded"
    result = replay(small_bag, figures, recorded)
    logs = [path.read_text() for path in (tmp_path / "logs").rglob("*.log")]
    assert result.returncode == 0, result.stdout + result.stderr + "\n".join(logs)
    assert "MPJPE" in result.stdout

    running = json.loads(figures.read_text())
    assert running.pop("played") == {
        camera: {"packets": n, "packets_received": n, "steps_merged": 0, "poses": 27}
        for camera, n in (("/cam0", 56), ("/cam1", 42))
    }
    contents = inspect_bag(small_bag)
    offline = evaluate_events(contents, contents.cameras, store, load_checkpoint())
    assert offline["cameras"]["/cam1"]["scored"] == 24
    assert not differences(running, offline)

    stored = inspect_bag(recorded)
    assert stored.poses == ("/cam0", "/cam1")
    assert not differences(evaluate_recorded(stored, stored.poses, store), offline)


def test_what_cannot_be_played_is_said_in_one_line(
    small_bag: Path, tmp_path: Path, store: Typestore, refusal: Refusal
) -> None:
    empty = tmp_path / "empty"
    with written_bag(empty, store, {"/odom": "std_msgs/msg/Header"}) as write:
        write("/odom", 5, header_at(5, ""))
    for arguments, message in (
        ([str(tmp_path / "none")], "none: the bag cannot be read"),
        ([str(empty)], "no topic `events`"),
        ([str(small_bag), "--cameras", "cam9"], "no events of camera /cam9"),
        ([str(small_bag), "--start-offset", "3"], "the bag is only 0.28 s long"),
        ([str(small_bag), "--publish-only", "--lockstep"], "--publish-only starts no nodes"),
        ([str(small_bag), "--model", "/no/model"], "model: there is no file /no/model"),
        ([str(small_bag), "--lockstep", "--model", "/no/model"], "/no/model"),
        ([str(small_bag), "--record", str(empty)], "empty: exists already; remove it or name"),
    ):
        assert message in refusal("replay", *arguments)
    with pytest.raises(SystemExit):
        main(["replay", str(small_bag), "--rate", "-1"])


def test_figures_are_there_though_the_poses_could_not_be_recorded(
    small_bag: Path, tmp_path: Path
) -> None:
    figures, recorded = tmp_path / "figures.json", tmp_path / "file" / "recorded"
    recorded.parent.touch()
    result = replay(small_bag, figures, recorded)
    assert result.returncode == 1
    words = f"{recorded}: the bag cannot be written"
    assert result.stderr.count("\n") == 1 and words in result.stderr
    # It is said while playing, before the figures.
    said, _, after = result.stdout.partition("playing goes on\n")
    assert words in said and "MPJPE" not in said
    assert "MPJPE" in after and words not in after
    found = json.loads(figures.read_text())
    assert {name: counts["poses"] for name, counts in found["played"].items()} == {
        "/cam0": 27,
        "/cam1": 27,
    }
    assert found["cameras"]["/cam1"]["scored"] == 24


def test_the_player_has_room_for_its_packets(
    small_bag: Path,
    tmp_path: Path,
    shared_memory: Callable[[subprocess.Popen[str]], list[Path]],
) -> None:
    command = [
        sys.executable,
        "-P",
        "-c",
        "from hybrid_pose_ros.cli.main import main; exit(main())",
    ]
    process = subprocess.Popen(
        [*command, "replay", str(small_bag), "--publish-only", "--loop"],
        cwd=tmp_path,
        stdout=subprocess.DEVNULL,
        text=True,
    )
    try:
        assert max(path.stat().st_size for path in shared_memory(process)) > 1 << 24
        process.send_signal(signal.SIGINT)
        process.wait(60)
    finally:
        process.kill()


def test_keys_are_seen_on_a_terminal_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO(" "))
    with keys() as pressed:
        assert not pressed(" ")
    ours, theirs = os.openpty()
    with os.fdopen(theirs) as terminal:
        monkeypatch.setattr(sys, "stdin", terminal)
        before = termios.tcgetattr(terminal)
        with keys() as pressed:
            assert not pressed(" ")
            os.write(ours, b" x")
            deadline = time.monotonic() + 5
            while not pressed(" "):
                assert time.monotonic() < deadline, "the key was not seen"
            assert not pressed(" ")
        assert termios.tcgetattr(terminal) == before
    os.close(ours)
