# SPDX-License-Identifier: Apache-2.0
"""A trained model for steps of another length than those it was trained on."""

from typing import Final

from hybrid_pose_ros.networks.checkpoint import Checkpoint
from hybrid_pose_ros.networks.config import in_parts
from hybrid_pose_ros.networks.hybrid import HybridPoseNetwork
from hybrid_pose_ros.networks.retiming import retime

MAX_PARTS: Final = 10
"""A model's step is cut into at most so many: the ANN's memory grows with them, and a step has to
last longer than running it takes."""


class StepLengthError(ValueError):
    """A model has no form for steps of this length; the message says which lengths it has."""


def with_step(checkpoint: Checkpoint, step_ns: int) -> Checkpoint:
    """Return the model for steps of ``step_ns`` ns of sensor time.

    See :func:`~hybrid_pose_ros.networks.config.in_parts` and
    :func:`~hybrid_pose_ros.networks.retiming.retime`. The digest of a converted model names the
    length, as in ``0123456789abcdef@5ms``, so that states of different lengths are not mixed up.

    Raises:
        StepLengthError: the model's own step is not one to :data:`MAX_PARTS` whole such steps;
            its steps cannot be merged, for the ANN's shortest window is one step.
    """
    config = checkpoint.config
    parts, rest = divmod(config.step_ns, step_ns)
    if rest or not 1 <= parts <= MAX_PARTS:
        raise StepLengthError(
            f"a step of {step_ns / 1e6:g} ms does not fit the model: its own step of "
            f"{config.step_ns / 1e6:g} ms must be 1 to {MAX_PARTS} of them"
        )
    if parts == 1:
        return checkpoint
    network = HybridPoseNetwork(in_parts(config, parts)).eval()
    network.load_state_dict(checkpoint.network.state_dict())
    retime(network, 1 / parts)
    digest = f"{checkpoint.digest}@{step_ns / 1e6:g}ms"
    return Checkpoint(network, digest, checkpoint.summary)
