# SPDX-License-Identifier: Apache-2.0
"""Training by several processes, one per GPU or machine, as `torchrun` starts them.

Each takes batches of its own, and their gradients are averaged (DistributedDataParallel): what is
averaged over the joints that are seen, or peaks that are near, is so in each process. The
statistics of BatchNorm are those of each process's own samples; the running ones that are kept are
the first process's.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import cast

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from hybrid_pose_ros.networks.hybrid import HybridPoseNetwork
from hybrid_pose_ros.research.training.sampling import Batch
from hybrid_pose_ros.research.training.stages import Stage, stage_loss


@contextmanager
def joined(device: str) -> Iterator[torch.device]:
    """Join the processes that `torchrun` started, if it did; yields this one's device.

    Args:
        device: of torch; ``cuda`` is the GPU of this process's number on its machine.
    """
    if "LOCAL_RANK" not in os.environ:
        yield torch.device(device)
        return
    own = torch.device(device)
    if own.type == "cuda":
        own = torch.device("cuda", int(os.environ["LOCAL_RANK"]))
        torch.cuda.set_device(own)
    dist.init_process_group("nccl" if own.type == "cuda" else "gloo")
    try:
        yield own
    finally:
        dist.destroy_process_group()


def rank() -> int:
    """Return this process's number; 0 validates, reports and saves."""
    return dist.get_rank() if dist.is_initialized() else 0


def processes() -> int:
    """Return how many processes train together."""
    return dist.get_world_size() if dist.is_initialized() else 1


class _StageLoss(nn.Module):
    """A stage's loss as a module, for those who ask for one."""

    def __init__(self, network: HybridPoseNetwork, stage: Stage) -> None:
        super().__init__()
        self.network = network
        self._stage = stage

    def forward(self, *batch: Tensor) -> Tensor:
        return stage_loss(self.network, self._stage, Batch(*batch))


def shared_loss(network: HybridPoseNetwork, stage: Stage) -> Callable[[Batch], Tensor]:
    """Return the loss of a stage on a batch; its gradients are the mean over all processes.

    Args:
        network: the stage's parts require gradients already; the weights become the first
            process's.
    """
    if processes() == 1:
        return lambda batch: stage_loss(network, stage, batch)
    # the hybrid's batches without an earlier window leave state blending without a gradient
    some = stage is Stage.HYBRID
    loss = DistributedDataParallel(_StageLoss(network, stage), find_unused_parameters=some)
    return lambda batch: cast(Tensor, loss(*batch))
