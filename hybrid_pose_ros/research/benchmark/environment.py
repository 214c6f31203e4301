# SPDX-License-Identifier: Apache-2.0
"""Where the figures were measured."""

import os
import platform
from pathlib import Path
from typing import Any

import torch

from hybrid_pose_ros.installation import versions_of
from hybrid_pose_ros.networks.checkpoint import Checkpoint
from hybrid_pose_ros.research.benchmark.peers import PEERS

PACKAGES = (
    "hybrid_pose_ros",
    "numpy",
    "numba",
    "torch",
    "openvino",
    "onnxruntime",
    "ros-rclpy",
    *PEERS,
)


def describe_environment(checkpoint: Checkpoint) -> dict[str, Any]:
    """Return processor, cores, load, versions and model, as JSON values."""
    usable = getattr(os, "sched_getaffinity", None)
    return {
        "cpu": _processor(),
        "cores": len(usable(0)) if usable else os.cpu_count(),
        "threads_per_step": torch.get_num_threads(),
        "load_before": [round(load, 2) for load in os.getloadavg()],
        "system": platform.platform(),
        "checkpoint": checkpoint.digest,
        "versions": versions_of(PACKAGES),
    }


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    if info.is_file():
        for line in info.read_text("utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
