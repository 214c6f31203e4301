# SPDX-License-Identifier: Apache-2.0
"""A lively network, a stream of steps, and the ANN's answers in it."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from hybrid_pose_ros.events.binning import GridView, Step
from hybrid_pose_ros.networks.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from hybrid_pose_ros.networks.config import EDGE
from hybrid_pose_ros.networks.hybrid import HybridPoseNetwork
from hybrid_pose_ros.pipeline.ann_estimator import AnnEstimator
from hybrid_pose_ros.pipeline.snn_estimator import SnnEstimator
from hybrid_pose_ros.pipeline.state import Pose, StateInit

T = EDGE.step_ns
FIRST = 1000  # index of the first step of the test stream


def lively_network(seed: int = 0) -> HybridPoseNetwork:
    """An untrained network whose every layer spikes, so that poses depend on the whole state."""
    torch.manual_seed(seed)
    network = HybridPoseNetwork(EDGE)
    with torch.no_grad():
        for name, synapse in network.snn.synapses.items():
            synapse.norm.weight.fill_(4.0)
            synapse.norm.bias.fill_(0.3 if name == "head" else 0.9)
        network.snn.readout.conv.weight.normal_(std=0.3)
        network.ann.head.conv.weight.normal_(std=0.1)
        for second in network.initialiser.second.values():
            second.norm.weight.fill_(0.7)
        network.ann.head.conv.bias.uniform_(0.1, 0.4)  # no joint without a velocity
        network.motion.readout.weight.normal_(std=2.0)
        network.snn.motion.readout.weight.normal_(std=0.01)
    return network


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Checkpoint:
    path: Path = tmp_path_factory.mktemp("model") / "lively.safetensors"
    save_checkpoint(path, lively_network(), {})
    return load_checkpoint(path)


@pytest.fixture(scope="module")
def view() -> GridView:
    return EDGE.view.fit(346, 260)


@pytest.fixture(scope="module")
def steps() -> list[Step]:
    rng = np.random.default_rng(5)
    return [
        Step(
            FIRST + k, counts := rng.poisson(0.3, (2, 65, 87)).astype(np.uint16), int(counts.sum())
        )
        for k in range(40)
    ]


@pytest.fixture(scope="module")
def inits(checkpoint: Checkpoint, view: GridView, steps: Sequence[Step]) -> dict[int, StateInit]:
    """The ANN's answer before steps FIRST + 10 and FIRST + 20."""
    ann = AnnEstimator(checkpoint, view, precision="float32")
    found = {}
    for step in steps[:20]:
        ann.push(step)
        if (step.index + 1) % 10 == 0:
            found[step.index + 1 - FIRST] = ann.infer()
    return found


@dataclass(frozen=True)
class Stream:
    """Steps, the ANN's answers before the steps of their keys, and what makes poses of them."""

    checkpoint: Checkpoint
    view: GridView
    steps: list[Step]
    inits: dict[int, StateInit]

    def snn(self, **options: Any) -> SnnEstimator:
        """A new estimator."""
        return SnnEstimator(self.checkpoint, self.view, **options)

    def poses(self, arrivals: dict[int, int], **options: Any) -> list[Pose]:
        """The poses of all steps; the answer of a value arrives before the step of its key."""
        given = {position: self.inits[key] for position, key in arrivals.items()}
        return follow(self.snn(**options), self.steps, given)


@pytest.fixture(scope="module")
def stream(
    checkpoint: Checkpoint, view: GridView, steps: list[Step], inits: dict[int, StateInit]
) -> Stream:
    return Stream(checkpoint, view, steps, inits)


def follow(snn: SnnEstimator, steps: Sequence[Step], arrivals: dict[int, StateInit]) -> list[Pose]:
    """Step through a stream; an initialisation arrives before the step of its key."""
    poses = []
    for position, step in enumerate(steps):
        if position in arrivals:
            snn.initialise(arrivals[position])
        poses.append(snn.step(step))
    return poses


def equal(a: Pose, b: Pose) -> bool:
    return (
        a.sensor_time_ns == b.sensor_time_ns
        and np.array_equal(a.keypoints, b.keypoints)
        and np.array_equal(a.confidence, b.confidence)
        and np.array_equal(a.velocity, b.velocity)
        and np.array_equal(a.variance, b.variance)
        and np.array_equal(a.velocity_variance, b.velocity_variance)
        and (a.steps_since_init, a.init_age_ns) == (b.steps_since_init, b.init_age_ns)
    )
