# SPDX-License-Identifier: Apache-2.0
"""The output of the sparse SNN: heatmaps that decay, move and are read.

As :mod:`hybrid_pose_ros.networks.motion` and :mod:`hybrid_pose_ros.networks.heatmaps` have it.
"""

import numpy as np
import torch

from hybrid_pose_ros.inference import heatmap_kernels
from hybrid_pose_ros.inference.kernels import F32, Spikes
from hybrid_pose_ros.inference.simd import LANES, zeros
from hybrid_pose_ros.networks.motion import SHIFT_REACH
from hybrid_pose_ros.networks.snn import SpikingUNet
from hybrid_pose_ros.skeleton import NUM_JOINTS


class Accumulator:
    """The heatmaps, and in a network with motion the velocities that move them.

    Args:
        snn: the trained network.
        height, width: of the grid, in cells.
        spikes: the two lists that the readout reads.
        wide: that of half their resolution, which with them changes the velocities.

    Attributes:
        maps: float32 [H, W, 13], a view; changed in place.
        velocity: (x, y) in cells per step, float32 [13, 2], changed in place; None without motion.
        decay: of each joint, [13].
        inertia: what is left of its velocity after a step without spikes, [13, 1].
    """

    def __init__(
        self,
        snn: SpikingUNet,
        height: int,
        width: int,
        spikes: tuple[Spikes, Spikes],
        wide: Spikes,
    ) -> None:
        length = width + 2 * SHIFT_REACH
        self._padded = zeros(height, length, LANES)
        self.maps: F32 = self._inner(self._padded)
        self._flat = self._padded.ravel()
        self._width = width
        with torch.no_grad():
            weights = snn.readout.conv.weight[:, :, 0, 0].T.numpy()
            readout = zeros(len(weights), LANES)
            readout[:, :NUM_JOINTS] = weights
            self.decay: F32 = snn.decay.flatten().numpy()
            decay = zeros(LANES)
            decay[:NUM_JOINTS] = self.decay if snn.config.accumulate else 0.0
            self._best = zeros(length * LANES)
            self._read = (*spikes, snn.layer_channels["up3"])
            self._accumulate = (self._flat, decay, *self._read, readout.ravel(), width)
            self.velocity: F32 | None = None
            if not snn.config.motion:
                return
            self.velocity = zeros(NUM_JOINTS, 2)
            self.inertia: F32 = snn.motion.inertia.numpy()
            said = snn.motion.readout.weight.permute(3, 2, 1, 0)  # [features, 13, 3, 13]
            weights = zeros(*said.shape[:3], LANES)
            weights[..., :NUM_JOINTS] = said.numpy()
            self._accelerate = (
                self._flat,
                *self._read,
                wide,
                len(readout),
                weights.ravel(),
                self.inertia.ravel(),
                self.velocity,
                self._best,
                np.zeros((len(weights) + 3) * LANES, np.float32),
            )
            self._move = (
                self._flat,
                self.velocity,
                decay,
                *self._read,
                readout.ravel(),
                zeros(2 * (2 * SHIFT_REACH + 1) * LANES),
                zeros(heatmap_kernels.ROWS * width * LANES),
                width,
            )

    @staticmethod
    def _inner(padded: F32) -> F32:
        return padded[:, SHIFT_REACH:-SHIFT_REACH, :NUM_JOINTS]

    def copy(self, into: F32 | None = None) -> F32:
        """Return a copy of the maps [H, W, 13], written over an earlier one where it is given."""
        if into is None:
            return self._inner(self._padded.copy())
        assert into.base is not None
        np.copyto(into.base, self._padded)  # in one run, which a copy of the view is not
        return into

    def step(self) -> None:
        """Advance by a step with the spikes that are in the lists."""
        if self.velocity is None:
            heatmap_kernels.accumulate(*self._accumulate)
        else:
            heatmap_kernels.accelerate(*self._accelerate)
            heatmap_kernels.move(*self._move)

    def silence(self, steps: int) -> None:
        """Decay for many steps without spikes, in which nothing moves."""
        self.maps *= self.decay**steps
        if self.velocity is not None:
            self.velocity *= self.inertia**steps

    def rest(self) -> None:
        """Forget everything."""
        self.maps[:] = 0.0
        if self.velocity is not None:
            self.velocity[:] = 0.0

    def decode(self) -> tuple[F32, F32]:
        """Return the joints in cells [13, 2] and their peaks in [0, 1], [13]."""
        points = np.empty((NUM_JOINTS, 2), np.float32)
        confidence = np.empty(NUM_JOINTS, np.float32)
        heatmap_kernels.decode(self._flat, self._width, self._best, points, confidence)
        return points, confidence
