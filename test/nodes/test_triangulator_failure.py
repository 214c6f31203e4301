# SPDX-License-Identifier: Apache-2.0
"""Three cameras in processes of their own: one pipeline is killed in mid-run and comes back."""

import itertools
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from diagnostic_msgs.msg import DiagnosticArray

from hybrid_pose_ros.graph.description import pose_graph
from hybrid_pose_ros.graph.processes import Supervisor
from hybrid_pose_ros.installation import find_prefix, share_directory
from hybrid_pose_ros.interfaces.qos import profile
from hybrid_pose_ros.interfaces.topics import POSE
from hybrid_pose_ros.msg import PoseKeypoints3D

RATE = "0.1"
"""Sensor seconds per second: slow enough for a machine that does other things, too."""

LIMIT_S = 300.0
"""For what takes seconds on a machine that does nothing else."""

STEPS = 20


@pytest.fixture
def graph(checkpoint: Path, tmp_path: Path) -> Iterator[Supervisor]:
    """The nodes on a simulated person; any joint is good enough for an untrained model."""
    prefix = find_prefix()
    arguments = {"cameras": "cam0,cam1,cam2", "rate": RATE, "model": str(checkpoint)}
    extra = {
        "event_driver": {"seconds": 60.0, "motion": "star_jumps"},
        "triangulator": {"max_error_px": 1000.0, "min_confidence": 0.0, "max_wait_ms": 3000.0},
    }
    specs = [
        replace(spec, parameters={**spec.parameters, **extra.get(spec.name, {})})
        for spec in pose_graph(arguments, share_directory(prefix))
    ]
    with Supervisor(specs, prefix, log_dir=tmp_path, environment=dict(os.environ)) as graph:
        yield graph


@pytest.mark.slow
def test_poses_in_space_go_on_without_a_camera_and_with_it_again(
    bench: Any, graph: Supervisor
) -> None:
    poses: list[PoseKeypoints3D] = []
    messages: list[str] = []

    def listen(array: DiagnosticArray) -> None:
        messages.extend(s.message for s in array.status if s.name.startswith("/triangulator:"))

    bench.probe.create_subscription(DiagnosticArray, "/diagnostics", listen, 10)
    bench.probe.create_subscription(
        PoseKeypoints3D, "/pose_3d", poses.append, profile(POSE.offered)
    )

    def views() -> set[int]:
        return {pose.views for pose in poses[-STEPS:]}

    bench.until(lambda: 3 in views(), seconds=LIMIT_S)
    graph.kill("cam1/snn")
    graph.kill("cam1/ann")
    bench.until(lambda: views() == {2}, seconds=LIMIT_S)
    bench.until(lambda: messages[-1:] == ["no poses, or too late: cam1"], seconds=LIMIT_S)
    graph.restart("cam1/snn")
    graph.restart("cam1/ann")
    bench.until(lambda: 3 in views(), seconds=LIMIT_S)
    assert graph.poll() == {}
    for before, after in itertools.pairwise(pose.sensor_time for pose in poses):
        assert after > before
