# SPDX-License-Identifier: Apache-2.0
"""The three stages of section 4 of the paper as losses on a batch.

``ann``: the ANN's heatmaps. ``snn``: the SNN alone, from rest, over all steps. ``hybrid``: the
SNN and the initialiser from the frozen ANN's activations, over the steps after the last
initialisation of a batch; those before it bring the SNN into the state in which it meets one. In a
network with motion the velocities are trained along with the heatmaps, and in ``hybrid`` also how
far they have carried a joint since the initialisation: errors that last do more harm than noise.
There the places of the peaks count, too: the squares of the heatmaps' errors weigh a map that is
a little too low as much as one that is a little beside the joint, but only the latter is an error
of the pose.
"""

import math
from collections.abc import Sequence
from enum import Enum
from typing import Final

import torch
from torch import Tensor, nn
from torch.nn.functional import smooth_l1_loss

from hybrid_pose_ros.networks.heatmap_motion import attention
from hybrid_pose_ros.networks.heatmaps import draw_heatmaps, highest_cells
from hybrid_pose_ros.networks.hybrid import HybridPoseNetwork
from hybrid_pose_ros.networks.snn import SnnState
from hybrid_pose_ros.research.training.sampling import Batch

MOTION_WEIGHT: Final = 2.0

DRIFT_WEIGHT: Final = 0.2
"""Weight of an error of the displacement since the initialisation, against one of the velocity."""

POSITION_WEIGHT: Final = 0.5
"""Weight of the distance in cells between a peak and its joint, with the hybrid."""

ACTIVITY_WEIGHT: Final = 1.0
"""Weight of the share of a dense step's additions that the spikes make: what a step costs."""

_STILL: Final = 0.1
"""Velocity in cells per step below which errors count by their square."""

_NEAR: Final = 0.5
"""The same of the distance of a peak from its joint, in cells."""

_LOST: Final = 3.0
"""Distance in cells from which on a peak is another one than the joint's."""

_PEAK_REACH: Final = 4
"""Cells on each side of the highest one that make up a peak."""


class Stage(Enum):
    """Which part is trained."""

    ANN = "ann"
    SNN = "snn"
    HYBRID = "hybrid"


def trained_parts(network: HybridPoseNetwork, stage: Stage) -> list[nn.Module]:
    """The modules whose parameters the stage changes; all others stay as they are."""
    if stage is Stage.ANN:
        return [network.ann, network.motion] if network.config.snn.motion else [network.ann]
    if stage is Stage.SNN:
        return [network.snn]
    initialiser: list[nn.Module] = [network.initialiser] if network.config.init_membranes else []
    carry: list[nn.Module] = [network.carry] if network.config.carry else []
    return [network.snn, *initialiser, *carry]


def set_mode(network: HybridPoseNetwork, stage: Stage, *, freeze_norm: bool) -> None:
    """Put the trained parts into training mode and the rest into evaluation mode.

    With ``freeze_norm`` BatchNorm uses its running statistics, as it will in use: with ten
    recurrent steps the difference between the two is worth the last part of a training.
    """
    network.eval().requires_grad_(False)
    for part in trained_parts(network, stage):
        part.train(not freeze_norm).requires_grad_(True)


def stage_loss(network: HybridPoseNetwork, stage: Stage, batch: Batch) -> Tensor:
    """The heatmaps' mean squared error, scaled so that empty maps cost 1 per visible joint.

    Joints of which the labels do not say where they are do not count.

    In a network with motion, plus :data:`MOTION_WEIGHT` times the error of the velocities in
    cells per step, averaged over visible joints; with the hybrid, that of the displacements in
    cells counts :data:`DRIFT_WEIGHT` times as much. With the hybrid, plus :data:`POSITION_WEIGHT`
    times the distance of the peaks from the joints. Spikes cost what they make a step cost
    (:data:`ACTIVITY_WEIGHT`), so that none fires for nothing.
    """
    if stage is Stage.ANN:
        return _ann_loss(network, batch)
    config = network.config
    height, width = batch.windows.shape[-2:]
    if stage is Stage.HYBRID:
        _, state, batch = begin(network, batch)
    else:
        state = network.snn.rest(batch.windows.shape[1], height, width)
    targets = draw_heatmaps(batch.points, batch.visible, height, width, config.sigma)
    losses = []
    carried = torch.zeros_like(batch.points[0])
    for step, after in enumerate(network.trace(state, batch.counts), 1):
        loss = _heatmap_loss(after.heatmaps, targets[step], batch.known[step], config.sigma)
        if stage is Stage.HYBRID:
            points, visible = batch.points[step], batch.visible[step]
            loss = loss + POSITION_WEIGHT * position_loss(after.heatmaps, points, visible)
        if after.activity is not None:
            loss = loss + ACTIVITY_WEIGHT * after.activity.mean()
        if after.velocity is not None:
            moved = batch.points[step] - batch.points[step - 1]
            seen = batch.visible[step] & batch.visible[step - 1]
            loss = loss + _motion_loss(after.velocity, moved, seen)
            if stage is Stage.HYBRID:
                carried = carried + after.velocity
                moved = batch.points[step] - batch.points[0]
                seen = batch.visible[step] & batch.visible[0]
                loss = loss + DRIFT_WEIGHT * _motion_loss(carried, moved, seen)
        losses.append(loss)
    return sum(losses[1:], losses[0]) / len(losses)


def _ann_loss(network: HybridPoseNetwork, batch: Batch) -> Tensor:
    inputs = batch.windows[0]
    points, visible = batch.points[0], batch.visible[0]
    sigma = network.config.sigma
    heatmaps, activations = network.ann(inputs)
    height, width = inputs.shape[-2:]
    targets = draw_heatmaps(points, visible, height, width, sigma)
    loss = _heatmap_loss(heatmaps.float(), targets, batch.known[0], sigma)
    if network.config.snn.motion:
        # at this rate the ANN is asked for the mean velocity of the steps to come
        ahead = (batch.points[-1] - points) / (len(batch.points) - 1)
        velocity = network.motion(heatmaps, activations).float()
        loss = loss + _motion_loss(velocity, ahead, visible & batch.visible[-1])
    return loss


def begin(network: HybridPoseNetwork, batch: Batch) -> tuple[Tensor, SnnState, Batch]:
    """Run the hybrid up to the last initialisation of a batch, without gradients.

    Returns:
        the ANN's heatmaps [N, 13, H, W], the state after that initialisation, and what is left of
        the batch.
    """
    *earlier, last = batch.windows
    with torch.no_grad():
        found = [network.initial_state(inputs)[1] for inputs in earlier]
    heatmaps, init = network.initial_state(last)
    return heatmaps, *follow(network, [*found, init], batch)


def _from(batch: Batch, step: int) -> Batch:
    """The part of a batch from the time after a step on."""
    return Batch(
        batch.windows[-1:],
        batch.counts[step:],
        batch.points[step:],
        batch.visible[step:],
    )


def follow(
    network: HybridPoseNetwork, inits: Sequence[SnnState], batch: Batch
) -> tuple[SnnState, Batch]:
    """Run through a batch as :func:`begin` does, given what the ANN says of each window.

    Returns:
        the state after the last initialisation, and what is left of the batch.
    """
    steps = len(batch.counts) // len(inits)
    state, *later = inits
    for number, init in enumerate(later):
        with torch.no_grad():
            own = network.trace(state, batch.counts[number * steps : (number + 1) * steps])[-1]
        state = network.reinitialise(init, own)
    return state, _from(batch, len(later) * steps)


def _heatmap_loss(heatmaps: Tensor, targets: Tensor, known: Tensor, sigma: float) -> Tensor:
    errors = (heatmaps - targets).square().sum((-1, -2)) * known
    return errors.sum() / known.sum().clamp_min(1) / (math.pi * sigma * sigma)


def _motion_loss(velocity: Tensor, moved: Tensor, seen: Tensor) -> Tensor:
    return MOTION_WEIGHT * _mean_distance(velocity, moved, seen, _STILL)


def _mean_distance(found: Tensor, truth: Tensor, seen: Tensor, square_below: float) -> Tensor:
    """The mean over what is seen of |x| + |y|, small parts of which count by their square."""
    distance = smooth_l1_loss(found, truth, reduction="none", beta=square_below).sum(-1)
    return (distance * seen).sum() / seen.sum().clamp_min(1)


def position_loss(heatmaps: Tensor, points: Tensor, visible: Tensor) -> Tensor:
    """Distance of the peaks from the joints in cells, where both belong together."""
    centres = peak_centres(heatmaps)
    seen = visible & ((centres.detach() - points).norm(dim=-1) < _LOST)
    return _mean_distance(centres, points, seen, _NEAR)


def peak_centres(heatmaps: Tensor) -> Tensor:
    """Where the peaks lie, in cells (x, y): [N, J, H, W] -> [N, J, 2].

    The centre of the squares around the highest cell; its gradient stays small on flat maps,
    unlike that of the vertex which :mod:`hybrid_pose_ros.networks.heatmaps` reads.
    """
    height, width = heatmaps.shape[-2:]
    _, row, column = highest_cells(heatmaps)
    dx = torch.arange(width, device=heatmaps.device) - column[..., None]
    dy = torch.arange(height, device=heatmaps.device) - row[..., None]
    around = (dy.abs() <= _PEAK_REACH)[..., None] & (dx.abs() <= _PEAK_REACH)[..., None, :]
    peak = attention(heatmaps * around)
    x = column + (peak.sum(-2) * dx).sum(-1)
    y = row + (peak.sum(-1) * dy).sum(-1)
    return torch.stack((x, y), -1)
