# SPDX-License-Identifier: Apache-2.0
"""Poses, and the state that the ANN hands to the SNN: the estimators' exchange (no torch)."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from hybrid_pose_ros.skeleton import NUM_JOINTS


class InitRejectedError(ValueError):
    """A state initialisation cannot be used; the message says why."""


def _unknown(*shape: int) -> NDArray[np.float32]:
    return np.full(shape, np.nan, np.float32)


@dataclass(frozen=True)
class Pose:
    """A pose at one moment.

    Attributes:
        sensor_time_ns: the moment. Events before it are in the pose, but those of the last
            ``prediction_ns``.
        keypoints: (x, y) in sensor pixels, float32 [13, 2]; integers are pixel centres.
        confidence: 0 to 1, float32 [13].
        source: ``"ann"`` or ``"snn"``.
        steps_since_init: SNN steps since the moment that the last initialisation describes;
            -1 before the first.
        init_age_ns: sensor time since that moment; -1 before the first.
        variance: of x and of y, which are taken as independent, in px², float32 [13]; NaN: not
            known.
        velocity: (x, y) in px/s, float32 [13, 2]; NaN: not known.
        velocity_variance: of its components, in px²/s², float32 [13]; NaN: not known.
        prediction_ns: how far the pose was predicted ahead of the last events in it.
        id: of the person, the same as long as it is followed; 0 where only one is looked for.
    """

    sensor_time_ns: int
    keypoints: NDArray[np.float32]
    confidence: NDArray[np.float32]
    source: str
    steps_since_init: int
    init_age_ns: int
    variance: NDArray[np.float32] = field(default_factory=lambda: _unknown(NUM_JOINTS))
    velocity: NDArray[np.float32] = field(default_factory=lambda: _unknown(NUM_JOINTS, 2))
    velocity_variance: NDArray[np.float32] = field(default_factory=lambda: _unknown(NUM_JOINTS))
    prediction_ns: int = 0
    id: int = 0

    @property
    def covariance(self) -> NDArray[np.float32]:
        """Covariance of x and y in px², float32 [13, 2, 2]."""
        return self.variance[:, None, None] * np.eye(2, dtype=np.float32)


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
        pose: the ANN's own.
        inference_ns: time that the network took.
    """

    sensor_time_ns: int
    seq: int
    model_id: str
    tensors: tuple[EncodedTensor, ...]
    pose: Pose
    inference_ns: int
