# SPDX-License-Identifier: Apache-2.0
"""The three stages of section 4 of the paper as losses on a batch.

``ann``: the ANN's heatmaps. ``snn``: the SNN alone, from rest, over all steps. ``hybrid``: the
SNN and the initialiser from the frozen ANN's activations, over all steps.
"""

import math
from enum import Enum

from torch import Tensor, nn

from hybrid_pose_ros.networks.heatmaps import draw_heatmaps
from hybrid_pose_ros.networks.hybrid import HybridPoseNetwork
from hybrid_pose_ros.training.sampling import Batch


class Stage(Enum):
    """Which part is trained."""

    ANN = "ann"
    SNN = "snn"
    HYBRID = "hybrid"


def trained_parts(network: HybridPoseNetwork, stage: Stage) -> list[nn.Module]:
    """The modules whose parameters the stage changes; all others stay as they are."""
    if stage is Stage.ANN:
        return [network.ann]
    return [network.snn] if stage is Stage.SNN else [network.snn, network.initialiser]


def set_mode(network: HybridPoseNetwork, stage: Stage, *, freeze_norm: bool) -> None:
    """Put the trained parts into training mode and the rest into evaluation mode.

    With ``freeze_norm`` BatchNorm uses its running statistics, as it will in use: with ten
    recurrent steps the difference between the two is worth the last part of a training.
    """
    network.eval().requires_grad_(False)
    for part in trained_parts(network, stage):
        part.train(not freeze_norm).requires_grad_(True)


def stage_loss(network: HybridPoseNetwork, stage: Stage, batch: Batch) -> Tensor:
    """Mean squared error of the heatmaps, scaled so that empty maps cost 1 per visible joint."""
    config = network.config
    height, width = batch.windows.shape[-2:]
    targets = draw_heatmaps(batch.points, batch.visible, height, width, config.sigma)
    if stage is Stage.ANN:
        heatmaps, _ = network.ann(batch.windows)
        return _loss(heatmaps.float(), targets[0], config.sigma)
    if stage is Stage.SNN:
        state = network.snn.rest(len(batch.windows), height, width)
    else:
        _, state = network.initial_state(batch.windows)
    estimates = network.run(state, batch.counts)
    losses = [
        _loss(estimate, target, config.sigma)
        for estimate, target in zip(estimates, targets[1:], strict=True)
    ]
    return sum(losses[1:], losses[0]) / len(losses)


def _loss(heatmaps: Tensor, targets: Tensor, sigma: float) -> Tensor:
    return (heatmaps - targets).square().sum((-1, -2)).mean() / (math.pi * sigma * sigma)
