# SPDX-License-Identifier: Apache-2.0
"""The whole graph in processes of its own: the ANN is killed in mid-run and comes back."""

import itertools
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus

from hybrid_pose_ros.graph.description import pose_graph
from hybrid_pose_ros.graph.processes import Supervisor
from hybrid_pose_ros.installation import find_prefix, share_directory
from hybrid_pose_ros.interfaces.qos import profile
from hybrid_pose_ros.interfaces.topics import POSE
from hybrid_pose_ros.msg import PoseKeypoints

MS = 1_000_000
RATE = 0.3
"""Sensor seconds per second: slow enough for a machine that does other things, too."""

LIMIT_S = 180.0
"""For what takes seconds on a machine that does nothing else."""

WITHOUT_MS = 600
"""Age of the state at which the SNN reports an error in this test."""


@pytest.fixture
def graph(checkpoint: Path, tmp_path: Path) -> Iterator[Supervisor]:
    """The nodes on a simulated person."""
    prefix = find_prefix()
    arguments = {"namespace": "cam0", "rate": str(RATE), "model": str(checkpoint)}
    extra = {
        "snn": {"error_age_ms": float(WITHOUT_MS)},
        "event_driver": {"seconds": 120.0, "motion": "star_jumps"},
    }
    specs = [
        replace(spec, parameters={**spec.parameters, **extra.get(spec.name, {})})
        for spec in pose_graph(arguments, share_directory(prefix))
    ]
    graph = Supervisor(specs, prefix, log_dir=tmp_path, environment=dict(os.environ))
    with graph:
        yield graph


def test_poses_flow_without_the_ann_and_recover_with_it(bench: Any, graph: Supervisor) -> None:
    poses: list[PoseKeypoints] = []
    levels: list[bytes] = []

    def listen(array: DiagnosticArray) -> None:
        levels.extend(s.level for s in array.status if s.name.startswith("/cam0/snn:"))

    bench.probe.create_subscription(
        PoseKeypoints, "/cam0/pose", poses.append, profile(POSE.offered)
    )
    bench.probe.create_subscription(DiagnosticArray, "/diagnostics", listen, 10)

    def age_ms() -> int:
        return int(poses[-1].init_age // MS)

    bench.until(lambda: poses and age_ms() >= 0, seconds=LIMIT_S)

    graph.kill("ann")
    bench.until(lambda: age_ms() > WITHOUT_MS, seconds=LIMIT_S)
    bench.until(lambda: levels[-1:] == [DiagnosticStatus.ERROR], seconds=LIMIT_S)
    aging = [pose for pose in poses if pose.init_age > 300 * MS]
    for before, after in itertools.pairwise(aging):
        assert after.sensor_time - before.sensor_time == after.init_age - before.init_age > 0
        assert after.steps_since_init > before.steps_since_init

    graph.restart("ann")
    bench.until(lambda: 0 <= age_ms() < 300, seconds=LIMIT_S)
    bench.until(lambda: levels[-1:] == [DiagnosticStatus.OK], seconds=LIMIT_S)
    assert graph.poll() == {}
