# SPDX-License-Identifier: Apache-2.0
"""Two processes with half a batch each train as one with all of it."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch

TRAIN = '''
"""Trains small networks on noise: `train.py OUT JOINED_BATCHES`."""

import sys
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import torch

from hybrid_pose_ros.networks.config import EDGE
from hybrid_pose_ros.networks.hybrid import HybridPoseNetwork
from hybrid_pose_ros.research.training import trainer
from hybrid_pose_ros.research.training.distributed import joined, processes, rank
from hybrid_pose_ros.research.training.log import RunLog
from hybrid_pose_ros.research.training.sampling import NO_AUGMENTATION, Batch, BatchSource
from hybrid_pose_ros.research.training.shards import Shard
from hybrid_pose_ros.research.training.stages import Stage
from hybrid_pose_ros.research.training.trainer import TrainingPlan, train_stage

CONFIG = replace(
    EDGE,
    view=replace(EDGE.view, view_width=64, view_height=48, grid_width=16, grid_height=12),
    ann=replace(EDGE.ann, window_steps=(1, 1, 2), stem=(8, 3), downs=((16, 3),) * 4),
    snn=replace(EDGE.snn, head=(8, 3), downs=((16, 3),) * 3, ups=((16, 3), (8, 3), (8, 3))),
    noise_filter=None,
)


class Joined:
    """Batches of several numbers of a source as one."""

    def __init__(self, source, count):
        self.source, self.count = source, count

    def batches(self, numbers):
        for number in numbers:
            parts = [self.source[self.count * number + i] for i in range(self.count)]
            joined = [torch.cat(same, 1) for same in zip(*parts)]
            yield Batch(*joined)


def shard():
    rng = np.random.default_rng(0)
    labels = np.ones((60, 13, 3), np.float32)
    labels[..., :2] = rng.uniform(3, 9, (13, 2)) + np.sin(0.3 * np.arange(60))[:, None, None]
    counts = rng.poisson(0.3, (60, 2, 12, 16)).astype(np.uint8)
    return Shard(counts, labels, np.full((2, 2, 12, 16), -1), (1, 3), {})


def train(stage, out, count, device):
    torch.manual_seed(0 if rank() == 0 else 1)  # the first one's weights count
    network = HybridPoseNetwork(CONFIG).to(device)
    source = BatchSource(
        [shard()], CONFIG, batch=3, steps=3, seed=0, augmentation=NO_AUGMENTATION,
        earlier=(0, 1) if stage is Stage.HYBRID else (0,),
    )
    plan = TrainingPlan(
        stage=stage, updates=3, batch=3, window_steps=3, learning_rate=1e-3, seed=0, strip=None,
        recordings="", ann_weights="", snn_weights="", frozen_norm=1.0, bfloat16=False,
        report_every=10, processes=processes(),
    )
    train_stage(
        network, Joined(source, count), plan, out, name=stage.value,
        log=RunLog(out) if rank() == 0 else None, validate=lambda network: {},
        progress=lambda update, loss: None, reported=lambda report: None,
    )


# so that weights move in proportion to gradients, not by the signs of those that are nothing
trainer.AdamW = partial(trainer.AdamW, eps=0.1)
torch.set_num_threads(1)
out, count = Path(sys.argv[1]), int(sys.argv[2])
stages = list(Stage) if count == 1 else [Stage.ANN, Stage.SNN]
with joined("cpu") as device:
    for stage in stages:
        train(stage, out, count, device)
'''


def run(*command: str) -> None:
    done = subprocess.run(
        [sys.executable, *command], capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_two_processes_train_as_one_with_twice_the_batch(tmp_path: Path) -> None:
    script = tmp_path / "train.py"
    script.write_text(TRAIN)
    pair = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2")
    run(*pair, str(script), str(tmp_path / "two"), "1")
    run(str(script), str(tmp_path / "one"), "2")
    assert (tmp_path / "two" / "hybrid.pt").is_file()  # its loss is no mean over samples
    for stage in ("ann", "snn"):
        one, two = (
            torch.load(tmp_path / name / f"{stage}.pt", weights_only=True)
            for name in ("one", "two")
        )
        assert (one["plan"]["processes"], two["plan"]["processes"]) == (1, 2)
        for name, value in one["network"].items():
            torch.testing.assert_close(two["network"][name], value, rtol=1e-3, atol=1e-6)
