# SPDX-License-Identifier: Apache-2.0
from collections.abc import Iterator

import pytest
import torch

from hybrid_pose_ros.networks.checkpoint import Checkpoint, load_checkpoint
from hybrid_pose_ros.research.benchmark.streams import Stream, walking


@pytest.fixture(scope="session")
def checkpoint() -> Checkpoint:
    """The shipped model."""
    return load_checkpoint()


@pytest.fixture(scope="session")
def stream() -> Stream:
    """Half a second of a person who walks."""
    return walking(0.5)


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Let torch have the number of threads again that it had."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
