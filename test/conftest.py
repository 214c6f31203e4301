# SPDX-License-Identifier: Apache-2.0
"""What holds for every test: a ROS domain of its own, type checks on messages, no stray logs."""

import itertools
import os
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

# Time limits per example fail on a busy machine and say nothing about the code.
settings.register_profile("hybrid_pose_ros", deadline=None)
settings.load_profile("hybrid_pose_ros")

# rosidl reads it when the messages are imported.
os.environ["ROS_PYTHON_CHECK_FIELDS"] = "1"

DOMAINS = range(1, 102)
"""Those whose UDP ports lie below the ones that Linux gives to other programs."""

_count = itertools.count()


@pytest.fixture(autouse=True)
def ros_environment(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch):
    """Let no test hear another one, nor another machine, nor write logs into the home directory.

    Each of the n workers takes every n-th domain in turn, so that no two share one, and a process
    that a test leaves behind meets no other test for a while.
    """
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    own = DOMAINS[worker::workers]
    monkeypatch.setenv("ROS_DOMAIN_ID", str(own[next(_count) % len(own)]))
    monkeypatch.setenv("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
    monkeypatch.setenv("ROS_LOG_DIR", str(_log_directory(tmp_path_factory)))


def _log_directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.getbasetemp() / "ros-log"
    path.mkdir(exist_ok=True)
    return path


@pytest.fixture
def shared_memory() -> Callable[[subprocess.Popen[str]], list[Path]]:
    """Wait for the files of shared memory that Fast DDS makes for a process alone; return them."""
    return _shared_memory


def _shared_memory(process: subprocess.Popen[str]) -> list[Path]:
    maps = Path(f"/proc/{process.pid}/maps")
    deadline = time.monotonic() + 60
    while True:
        assert process.poll() is None
        assert time.monotonic() < deadline
        lines = maps.read_text().splitlines()
        paths = {line.split()[-1] for line in lines if "/dev/shm/fastrtps_" in line}
        if own := [Path(path) for path in paths if "_port" not in path]:
            return own
        time.sleep(0.01)


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An untrained model: the nodes do not mind."""
    import torch

    from hybrid_pose_ros.networks.checkpoint import save_checkpoint
    from hybrid_pose_ros.networks.config import EDGE
    from hybrid_pose_ros.networks.hybrid import HybridPoseNetwork

    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("model") / "untrained.safetensors"
    save_checkpoint(path, HybridPoseNetwork(EDGE).eval(), {})
    return path


@pytest.fixture(scope="session")
def state_init(checkpoint: Path) -> Any:
    """A good initialisation for step 0."""
    from hybrid_pose_ros.networks.checkpoint import load_checkpoint
    from hybrid_pose_ros.pipeline.ann_estimator import AnnEstimator

    model = load_checkpoint(checkpoint)
    return AnnEstimator(model, model.config.view.fit(346, 260)).infer()
