# SPDX-License-Identifier: Apache-2.0
"""A run that is interrupted at the worst moment, without processes."""

import os
import signal
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock

import pytest
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from rclpy.serialization import serialize_message
from rich.console import Console

from hybrid_pose_ros.bags.bag import RawMessage
from hybrid_pose_ros.demo import session
from hybrid_pose_ros.demo.recorder import RecorderEnd
from hybrid_pose_ros.demo.report import Measurements
from hybrid_pose_ros.installation import find_prefix
from hybrid_pose_ros.msg import Keypoint, PoseKeypoints
from hybrid_pose_ros.skeleton import NUM_JOINTS

POSES = 10


@pytest.fixture(autouse=True)
def handlers() -> Iterator[None]:
    """Find the handlers of this process as they were."""
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    yield
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before


class PlayedRecorder:
    """Hands over that the nodes are at work, and later some poses at once."""

    def __init__(self) -> None:
        self.end: RecorderEnd | None = None
        status = [
            DiagnosticStatus(name=f"/cam0/{name}: test", values=[KeyValue(key="x", value="1")])
            for name in ("ann", "snn", "visualizer")
        ]
        report = serialize_message(DiagnosticArray(status=status))
        keypoints = [Keypoint(id=joint) for joint in range(NUM_JOINTS)]
        poses = [
            serialize_message(PoseKeypoints(sensor_time=step, keypoints=keypoints))
            for step in range(POSES)
        ]
        self.batches = [
            [RawMessage("/diagnostics", 1, report)],
            [RawMessage("/cam0/pose", 2 + step, pose) for step, pose in enumerate(poses)],
        ]

    def take(self) -> list[RawMessage]:
        return self.batches.pop(0) if self.batches else []

    def __enter__(self) -> "PlayedRecorder":
        return self

    def __exit__(self, *error: object) -> None:
        self.end = RecorderEnd(0, None)


def no_processes(specs: Any, prefix: Path, **options: Any) -> Any:
    processes: Mapping[str, Any] = {}
    names = {spec.name: spec for spec in specs}
    supervisor = MagicMock(specs=names, processes=processes, new_ends=list)
    supervisor.__exit__.return_value = False
    return supervisor


@pytest.fixture
def plan(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> session.DemoPlan:
    """What is played with no recorder and no nodes, fast."""
    monkeypatch.setattr(session, "Recorder", lambda *arguments: PlayedRecorder())
    monkeypatch.setattr(session, "Supervisor", no_processes)
    monkeypatch.setattr(session, "REFRESH_S", 0.01)
    monkeypatch.setattr(session, "POLL_S", 0.01)
    recording = tmp_path / "x.aedat4"
    recording.touch()
    return session.DemoPlan(recording, None, None, 1.0, False, None, tmp_path)


def signal_at_pose(monkeypatch: pytest.MonkeyPatch, signals: Mapping[int, signal.Signals]) -> None:
    """Send this process signals when the poses of these numbers are being counted."""

    class Measured(Measurements):
        def add(self, topic: str, received_ns: int, message: Any) -> None:
            number = signals.get(len(self.poses)) if topic == "/cam0/pose" else None
            if number is not None:
                os.kill(os.getpid(), number)
            super().add(topic, received_ns, message)

    monkeypatch.setattr(session, "Measurements", Measured)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_while_messages_are_counted_loses_none(
    monkeypatch: pytest.MonkeyPatch, plan: session.DemoPlan, number: signal.Signals
) -> None:
    signal_at_pose(monkeypatch, {3: number})
    outcome = session.play(plan, find_prefix(), Console(quiet=True))
    assert outcome.interrupted
    assert len(outcome.measured.poses) == POSES
    assert outcome.recorder == RecorderEnd(0, None)


def test_a_second_interrupt_ends_the_run_at_once(
    monkeypatch: pytest.MonkeyPatch, plan: session.DemoPlan
) -> None:
    signal_at_pose(monkeypatch, {3: signal.SIGINT, 5: signal.SIGINT})
    with pytest.raises(KeyboardInterrupt):
        session.play(plan, find_prefix(), Console(quiet=True))
