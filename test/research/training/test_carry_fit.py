# SPDX-License-Identifier: Apache-2.0
"""The share of the heatmaps that an initialisation leaves is that of the smallest error."""

from dataclasses import replace

import numpy as np
import torch

from hybrid_pose_ros.networks.config import EDGE
from hybrid_pose_ros.networks.heatmaps import decode_heatmaps
from hybrid_pose_ros.networks.hybrid import HybridPoseNetwork
from hybrid_pose_ros.research.training.carry_fit import SHARES, best, fit_carry
from hybrid_pose_ros.research.training.sampling import NO_AUGMENTATION, Batch, BatchSource
from hybrid_pose_ros.skeleton import MIRROR, joint_id

from .conftest import make_shard

SMALL = replace(
    EDGE,
    view=replace(EDGE.view, view_width=64, view_height=48, grid_width=16, grid_height=12),
    ann=replace(EDGE.ann, window_steps=(1, 1, 2), stem=(8, 3), downs=((16, 3),) * 4),
    snn=replace(EDGE.snn, head=(8, 3), downs=((16, 3),) * 3, ups=((16, 3), (8, 3), (8, 3))),
)


def batches() -> list[Batch]:
    rng = np.random.default_rng(0)
    labels = np.ones((60, 13, 3), np.float32)
    labels[..., :2] = rng.uniform(2, 10, (60, 13, 2))
    shard = make_shard(rng.poisson(0.3, (60, 2, 12, 16)).astype(np.uint8), labels, SMALL)
    source = BatchSource(
        [shard], SMALL, batch=3, steps=4, seed=0, augmentation=NO_AUGMENTATION, earlier=(2,)
    )
    return [source[number] for number in range(2)]


def test_pairs_share_the_choice_of_their_smallest_error() -> None:
    left, right = joint_id("left_hand"), joint_id("right_hand")
    errors = torch.ones(3, 13)
    errors[1, left] = 0.7
    errors[2, right] = 0.6
    errors[0, joint_id("head")] = 0.5
    chosen = best(errors)
    assert chosen[left] == chosen[right] == 2
    assert chosen[joint_id("head")] == 0


def test_no_other_share_has_a_smaller_error() -> None:
    torch.manual_seed(0)
    network = HybridPoseNetwork(SMALL).eval()
    with torch.no_grad():
        for parameter in network.ann.head.parameters():
            parameter.mul_(20.0)  # maps that differ from one initialisation to the next
    samples = batches()
    fit_carry(network, samples)
    fitted = network.carry.heatmaps.clone()
    errors = []
    with torch.no_grad():
        for share in SHARES:
            network.carry.heatmaps_logit.fill_(share).logit_()
            total = torch.zeros(13)
            for batch in samples:
                own = None
                for number in range(3):
                    _, state = network.initial_state(batch.windows[number])
                    state = state if own is None else network.reinitialise(state, own)
                    states = network.trace(state, batch.counts[4 * number : 4 * number + 4])
                    own = states[-1]
                for step, state in enumerate(states, 9):
                    points, _ = decode_heatmaps(state.heatmaps)
                    total += (points - batch.points[step]).norm(dim=-1).sum(0)
            errors.append(total + total[list(MIRROR)])
    smallest = torch.tensor(SHARES)[torch.stack(errors).argmin(0)]
    assert torch.allclose(fitted, smallest)
    assert len(fitted.unique()) > 1
