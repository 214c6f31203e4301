# SPDX-License-Identifier: Apache-2.0
"""The folder of a training run: what its stages leave, and what the next ones begin with.

Each stage saves ``STAGE.pt``: ``ann.pt``, ``snn.pt``, ``hybrid.pt`` and those of the variants.
"""

from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from hybrid_pose_ros.errors import UserError
from hybrid_pose_ros.networks.checkpoint import load_checkpoint
from hybrid_pose_ros.networks.config import EDGE, variant_of
from hybrid_pose_ros.networks.hybrid import HybridPoseNetwork
from hybrid_pose_ros.research.training.stages import Stage
from hybrid_pose_ros.research.training.trainer import ANN_PARTS


class RunError(UserError):
    """A stage is missing or does not fit the others; the message names its file."""


def begin_network(
    folder: Path, stage: Stage, start: Path | None, variant: str | None
) -> HybridPoseNetwork:
    """Build the network with what a checkpoint and earlier stages of this run have trained.

    The hybrid has the run's ANN, if there is one, and the SNN of the checkpoint, if one is given.

    Args:
        folder: of the run.
        start: the checkpoint, or None.
        variant: one of :data:`~hybrid_pose_ros.networks.config.VARIANTS`, or None.

    Raises:
        RunError: the ANN is missing, or the checkpoint is none of this version's edge model.
        CheckpointError: the checkpoint cannot be read.
    """
    network = HybridPoseNetwork(EDGE)
    if start is not None:
        trained = load_checkpoint(start).network
        # weights fit whichever filter the events went through
        if replace(trained.config, noise_filter=EDGE.noise_filter) != EDGE:
            raise RunError(f"{start}: its configuration is not that of this version's edge model")
        network.load_state_dict(trained.state_dict())
    ann, snn = folder / "ann.pt", folder / "snn.pt"
    if stage is Stage.HYBRID:
        if ann.is_file():
            weights = read_stage(ann)["network"]
            _load_part(network.ann, weights, "ann.")
            _load_part(network.motion, weights, "motion.")
        elif start is None:
            raise RunError(f"{ann}: train the ANN first, with `hybrid-pose research train ann`")
        if start is None and snn.is_file():
            _load_part(network.snn, read_stage(snn)["network"], "snn.")
    if variant is None:
        return network
    other = HybridPoseNetwork(variant_of(EDGE, variant))
    shared = other.state_dict().keys()
    other.load_state_dict({k: v for k, v in network.state_dict().items() if k in shared})
    return other


def read_stage(path: Path) -> dict[str, Any]:
    """Read what a stage has saved, on whatever device."""
    return dict(torch.load(path, map_location="cpu", weights_only=True))


def check_ann(folder: Path) -> None:
    """Refuse hybrids that were trained on another ANN than the run's, or than the hybrid's own.

    Raises:
        RunError: there is one.
    """
    ann = folder / "ann.pt"
    if not ann.is_file():  # then it came from a checkpoint
        ann = folder / "hybrid.pt"
    expected = read_stage(ann)["network"]
    for file in sorted(folder.glob("hybrid*.pt")):
        for name, value in read_stage(file)["network"].items():
            if name.startswith(ANN_PARTS) and not torch.equal(value, expected[name]):
                raise RunError(
                    f"{file}: trained on another ANN than that of {ann}; "
                    "remove it and train it again"
                )


def _load_part(module: nn.Module, weights: dict[str, Tensor], prefix: str) -> None:
    module.load_state_dict(
        {name.removeprefix(prefix): v for name, v in weights.items() if name.startswith(prefix)}
    )
