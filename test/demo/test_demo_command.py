# SPDX-License-Identifier: Apache-2.0
"""`hybrid-pose demo` refuses what it cannot do in one line; and the whole of it, in processes."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from rosbags.highlevel import AnyReader

from hybrid_pose_ros.cli.boundary import INTERRUPTED
from hybrid_pose_ros.cli.main import main
from hybrid_pose_ros.interfaces.messages import camera_from_info
from hybrid_pose_ros.simulation.recording import load_truth

from ..conftest import Refusal

SECONDS = 1.5
RATE = 0.25
"""Slow enough for a machine that does other things, too."""

PACKET_S = 0.005


def test_a_missing_recording_is_named(refusal: Refusal, checkpoint: Path, tmp_path: Path) -> None:
    missing, out = tmp_path / "no.aedat4", tmp_path / "out"
    line = refusal("demo", "--recording", missing, "--model", checkpoint, "--out", out)
    assert str(missing) in line


def test_a_file_that_is_no_recording_is_named(
    refusal: Refusal, checkpoint: Path, tmp_path: Path
) -> None:
    bad = tmp_path / "bad.aedat4"
    bad.write_bytes(b"#!AER-DAT2.0\r\n")
    line = refusal("demo", "--recording", bad, "--model", checkpoint, "--out", tmp_path / "out")
    assert str(bad) in line


def test_a_missing_model_is_named_before_anything_is_made(
    refusal: Refusal, tmp_path: Path
) -> None:
    line = refusal("demo", "--model", tmp_path / "no.safetensors", "--out", tmp_path / "out")
    assert "no.safetensors" in line
    assert not (tmp_path / "out").exists()


def test_an_unknown_motion_is_refused_with_the_known_ones(
    refusal: Refusal, checkpoint: Path, tmp_path: Path
) -> None:
    line = refusal("demo", "--motion", "fly", "--model", checkpoint, "--out", tmp_path / "out")
    assert "'fly'" in line
    assert "walking" in line


def test_a_folder_that_cannot_be_made_is_named(
    refusal: Refusal, checkpoint: Path, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    line = refusal("demo", "--model", checkpoint, "--out", tmp_path / "file" / "out")
    assert str(tmp_path / "file" / "out") in line
    assert "--out" in line


def test_a_folder_with_other_files_is_left_alone(
    refusal: Refusal, checkpoint: Path, tmp_path: Path
) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    (tmp_path / "summary.json").write_text("{}")
    line = refusal("demo", "--motion", "fly", "--model", checkpoint, "--out", tmp_path)
    assert "thesis.txt" in line
    assert "--force" in line
    assert (tmp_path / "summary.json").exists()


def test_force_replaces_an_earlier_demo_s_results_and_nothing_else(
    refusal: Refusal, checkpoint: Path, tmp_path: Path
) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    (tmp_path / "summary.json").write_text("{}")
    (tmp_path / "bag").mkdir()
    (tmp_path / "bag" / "bag.mcap").write_text("old")
    refusal("demo", "--motion", "fly", "--model", checkpoint, "--out", tmp_path, "--force")
    assert (tmp_path / "thesis.txt").read_text() == "years of work"
    assert not (tmp_path / "summary.json").exists()
    assert not (tmp_path / "bag").exists()


@pytest.mark.parametrize("option", [("--motion", "walking"), ("--seed", 0)])
def test_what_to_simulate_beside_a_recording_is_refused(
    option: tuple[str, object],
    refusal: Refusal,
    checkpoint: Path,
    tmp_path: Path,
) -> None:
    asked = ("--recording", tmp_path / "x.aedat4", *option)
    line = refusal("demo", *asked, "--model", checkpoint, "--out", tmp_path / "out")
    assert "not for a --recording" in line
    assert not (tmp_path / "out").exists()


def test_a_loop_without_an_end_is_refused(
    refusal: Refusal, checkpoint: Path, tmp_path: Path
) -> None:
    line = refusal("demo", "--loop", "--model", checkpoint, "--out", tmp_path / "out")
    assert "--seconds" in line


@pytest.mark.parametrize("seconds", ["0", "-1", "nan", "inf", "soon"])
def test_a_length_must_be_a_positive_number(
    capsys: pytest.CaptureFixture[str], seconds: str
) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["demo", "--seconds", seconds])
    assert "is not a positive number" in capsys.readouterr().err


def environment() -> Mapping[str, str]:
    """A domain of the demo's own choice."""
    return {name: value for name, value in os.environ.items() if name != "ROS_DOMAIN_ID"}


def command(*arguments: object) -> list[str]:
    return [sys.executable, "-P", "-m", "hybrid_pose_ros.cli.main", "demo", *map(str, arguments)]


@pytest.fixture(scope="module")
def demo(checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a whole demonstration with some simulated jumps."""
    folder = tmp_path_factory.mktemp("demo") / "out"
    simulation = ("--motion", "star_jumps", "--seconds", SECONDS, "--rate", RATE)
    done = subprocess.run(
        command(*simulation, "--model", checkpoint, "--out", folder),
        env=environment(),
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def test_summary_of_a_whole_run(demo: Path) -> None:
    summary = json.loads((demo / "summary.json").read_text())
    packets = summary["packets_published"]
    assert packets == pytest.approx(SECONDS / PACKET_S, abs=2)
    assert summary["packets_received"] == packets
    assert summary["packets_received_recorder"] == packets
    assert summary["events"] > 1000
    assert summary["interrupted"] is False
    assert summary["nodes_failed"] == {}
    assert summary["messages_not_recorded"] == 0
    steps = summary["poses"] + summary["steps_merged"]
    assert steps == pytest.approx(SECONDS * 100, abs=2)
    assert 1 <= summary["inits_accepted"] <= summary["inits"]
    assert summary["model"].startswith("edge ")
    assert summary["model_id"] == summary["model"].removeprefix("edge ")
    assert 0 < summary["pose_rate_hz"] <= 1.2 * RATE * 100
    latency = summary["latency_ms"]
    assert 0 < latency["p50"] <= latency["p99"] <= latency["max"]
    assert summary["mpjpe_px"] > 0
    assert summary["mpjpe_ann_held_px"] > 0
    assert 0 <= summary["joints_confident_mean"] <= 13
    assert summary["state_age_ms"]["max"] > 0
    assert {"python", "numpy", "torch", "rosbags"} <= summary["versions"].keys()


def test_bag_of_a_whole_run(demo: Path) -> None:
    summary = json.loads((demo / "summary.json").read_text())
    with AnyReader([demo / "bag"]) as reader:
        counts = {topic: info.msgcount for topic, info in reader.topics.items()}
        stamps: list[int] = []
        for link, received_ns, data in reader.messages():
            if link.topic == "/cam0/pose":
                message: Any = reader.deserialize(data, link.msgtype)
                stamp = message.header.stamp
                assert stamp.sec * 10**9 + stamp.nanosec < received_ns
                stamps.append(int(message.sensor_time))
    assert counts["/cam0/events"] == summary["packets_received_recorder"]
    assert counts["/cam0/state_init"] == summary["inits"]
    assert len(stamps) == counts["/cam0/pose"] == summary["poses"]
    assert stamps == sorted(set(stamps))
    assert all(stamp % 10_000_000 == 0 for stamp in stamps)
    for topic in ("/cam0/overlay", "/cam0/markers", "/cam0/cloud", "/diagnostics"):
        assert counts[topic] > 0, topic


def test_the_bag_holds_the_true_poses_and_the_camera_that_saw_them(demo: Path) -> None:
    truth = load_truth(demo / "simulated.truth.npz")
    found, projected = [], []
    with AnyReader([demo / "bag"]) as reader:
        for link, _, data in reader.messages():
            message: Any = reader.deserialize(data, link.msgtype)
            if link.topic == "/cam0/camera_info":
                camera = camera_from_info(message)
            elif link.topic == "/ground_truth/pose_3d":
                found.append(int(message.sensor_time))
                joints = np.array([(p.x, p.y, p.z) for p in message.keypoints])
                projected.append(camera.project(joints))
    assert len(found) > 0.9 * len(truth.label_ns)
    assert set(found) <= set(truth.label_ns.tolist()) and found == sorted(set(found))
    first = int(np.searchsorted(truth.label_ns, found[0]))
    np.testing.assert_allclose(projected[0], truth.keypoints_px[first], atol=0.01)


def test_the_page_opens_everything(demo: Path) -> None:
    text = (demo / "index.html").read_text()
    for name in ("demo.gif", "overlay.png", "bag", "summary.json", "logs"):
        assert f'"{name}"' in text, name
    assert "good is" in text
    assert text.count("<svg") >= 3  # latency, confidence, error, and the age of the state
    assert f"hybrid-pose view --bag {demo / 'bag'}" in text


def test_motions_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["demo", "--motion", "list"]) == 0
    assert "walking" in capsys.readouterr().out.splitlines()


def test_pictures_and_recording_of_a_whole_run(demo: Path) -> None:
    with Image.open(demo / "overlay.png") as still:
        assert still.size == (692, 520)
    with Image.open(demo / "demo.gif") as animation:
        assert animation.size == (692, 520)
        assert animation.n_frames >= SECONDS / RATE / 0.05 / 2
    assert (demo / "demo.gif").stat().st_size < 5_000_000
    assert (demo / "simulated.aedat4").is_file()
    assert (demo / "simulated.truth.npz").is_file()
    assert {path.name for path in (demo / "logs").iterdir()} == {
        "ann.log",
        "event_driver.log",
        "snn.log",
        "visualizer.log",
    }


def until(condition: Callable[[], Any], seconds: float = 60.0) -> Any:
    deadline = time.monotonic() + seconds
    while not (result := condition()):
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)
    return result


def child(parent: int, executable: str) -> int | None:
    """Return the process id of a node that a process has started."""
    for process in Path("/proc").glob("[0-9]*"):
        try:
            words = (process / "cmdline").read_bytes().split(b"\0")
            stat = (process / "stat").read_text()
        except (FileNotFoundError, ProcessLookupError):
            continue
        is_child = int(stat.rpartition(")")[2].split()[1]) == parent
        if is_child and any(Path(os.fsdecode(word)).name == executable for word in words):
            return int(process.name)
    return None


@pytest.mark.slow
def test_a_dying_ann_is_reported_and_ctrl_c_keeps_what_was_measured(
    demo: Path, checkpoint: Path, tmp_path: Path
) -> None:
    recording, folder = demo / "simulated.aedat4", tmp_path / "out"
    play = ("--loop", "--seconds", 120, "--rate", RATE)
    process = subprocess.Popen(
        command("--recording", recording, *play, "--model", checkpoint, "--out", folder),
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        bag = folder / "bag" / "bag.mcap"
        until(lambda: bag.is_file() and bag.stat().st_size > 100_000)  # pictures come: it plays
        ann = until(lambda: child(process.pid, "ann"))
        os.kill(ann, signal.SIGKILL)
        written = bag.stat().st_size
        until(lambda: bag.stat().st_size > written + 400_000)  # it goes on without
        process.send_signal(signal.SIGINT)
        output, _ = process.communicate(timeout=60)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == INTERRUPTED, output
    assert "ann killed by signal 9" in " ".join(output.split())
    summary = json.loads((folder / "summary.json").read_text())
    assert summary["interrupted"] is True
    assert summary["nodes_failed"].keys() == {"ann"}
    assert summary["poses"] > 0
    assert (folder / "overlay.png").is_file()
    with AnyReader([folder / "bag"]) as reader:
        assert reader.topics["/cam0/pose"].msgcount == summary["poses"]
    assert child(process.pid, "snn") is None
