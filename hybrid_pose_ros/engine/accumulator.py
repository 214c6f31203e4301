# SPDX-License-Identifier: Apache-2.0
"""The output of the sparse SNN: heatmaps that decay, move and are read.

Like :mod:`hybrid_pose_ros.networks.heatmap_motion` and
:mod:`hybrid_pose_ros.networks.heatmaps`.
"""

import numpy as np
import torch

from hybrid_pose_ros.engine import heatmap_kernels
from hybrid_pose_ros.engine.simd import LANES, zeros
from hybrid_pose_ros.engine.spikes import F32, Spikes, plan
from hybrid_pose_ros.networks.heatmap_motion import SHIFT_REACH
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
            motion = snn.config.motion
            self.velocity: F32 | None = zeros(NUM_JOINTS, 2) if motion else None
            self.inertia: F32 = snn.motion.inertia.numpy() if motion else zeros(0)
            said = zeros(0, 0, 0, 0)
            if motion:
                features = snn.motion.readout.weight.permute(3, 2, 1, 0).numpy()
                said = zeros(*features.shape[:3], LANES)  # [features, 13, 3, 16]
                said[..., :NUM_JOINTS] = features
        output = heatmap_kernels.Output(
            *spikes,
            first_b=snn.layer_channels["up3"],
            wide=wide,
            first_wide=len(readout),
            cells=width,
            maps=self._flat,
            decay=decay,
            readout=readout.ravel(),
            velocity=zeros(0, 2) if self.velocity is None else self.velocity,
            inertia=self.inertia.ravel(),
            weights=said.ravel(),
            sums=self._best,
            pooled=zeros((len(said) + 3) * LANES),
            taps=zeros(2 * (2 * SHIFT_REACH + 1) * LANES),
            rows=zeros(heatmap_kernels.ROWS * width * LANES),
        )
        self._output = output  # the plan names its arrays and does not keep them
        self._plan = np.array(plan(output), np.int64)

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
        heatmap_kernels.advance(self._plan)

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
