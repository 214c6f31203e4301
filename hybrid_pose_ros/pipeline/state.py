# SPDX-License-Identifier: Apache-2.0
"""Poses, and the state that the ANN hands to the SNN: the estimators' exchange (no torch)."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

HEATMAPS = "heatmaps"
"""Name of the accumulator among the tensors of a :class:`StateInit`."""

VELOCITY = "velocity"
"""Name of the joints' velocities among them, in models that have them."""


class InitRejectedError(ValueError):
    """A state initialisation cannot be used; the message says why."""


@dataclass(frozen=True)
class Pose:
    """A pose at one moment.

    Attributes:
        sensor_time_ns: the moment: events before it are in the pose.
        keypoints: (x, y) in sensor pixels, float32 [13, 2]; integers are pixel centres.
        confidence: 0 to 1, float32 [13].
        source: ``"ann"`` or ``"snn"``.
        steps_since_init: SNN steps since the moment that the last initialisation describes;
            -1 before the first.
        init_age_ns: sensor time since that moment; -1 before the first.
    """

    sensor_time_ns: int
    keypoints: NDArray[np.float32]
    confidence: NDArray[np.float32]
    source: str
    steps_since_init: int
    init_age_ns: int


@dataclass(frozen=True)
class EncodedTensor:
    """A tensor as it travels.

    ``uint8_affine``: one byte c per value, value = offset + scale * c. ``float16``: little-endian
    half precision; scale and offset are not used. Values are in C order.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    scale: float
    offset: float
    data: bytes


@dataclass(frozen=True)
class StateInit:
    """The ANN's answer: the whole state of the SNN at one moment, and the ANN's own pose.

    Attributes:
        sensor_time_ns: events before this moment are in the state; a multiple of the step.
        seq: counts the initialisations of one ANN estimator.
        model_id: digest of the checkpoint.
        tensors: one per spiking layer, the accumulator's heatmaps, and the joints' velocities.
        keypoints, confidence: the ANN's pose, as in :class:`Pose`.
        inference_ns: time that the network took.
    """

    sensor_time_ns: int
    seq: int
    model_id: str
    tensors: tuple[EncodedTensor, ...]
    keypoints: NDArray[np.float32]
    confidence: NDArray[np.float32]
    inference_ns: int

    @property
    def pose(self) -> Pose:
        """The ANN's pose."""
        return Pose(self.sensor_time_ns, self.keypoints, self.confidence, "ann", 0, 0)
