# SPDX-License-Identifier: Apache-2.0
"""The motion of the heatmaps in the sparse SNN: as :mod:`hybrid_pose_ros.networks.motion` has it.

Maps are moved as matrices [H, W * 13], in which a step to the next cell is one of 13 values: the
inner loops run over whole rows, whatever the velocity of each joint.
"""

import numpy as np
import torch

from hybrid_pose_ros.inference import kernels
from hybrid_pose_ros.inference.kernels import F32
from hybrid_pose_ros.networks.motion import ATTENTION_FLOOR, MAX_VELOCITY, SHIFT_REACH
from hybrid_pose_ros.networks.snn import SpikingUNet
from hybrid_pose_ros.skeleton import NUM_JOINTS


def _zeros(*shape: int) -> F32:
    return np.zeros(shape, np.float32)


class SparseMotion:
    """Velocities of the joints, which the spikes around them change and which move their maps.

    Args:
        snn: the trained network, one with motion and an accumulator.
        height, width: of the grid, in cells.

    Attributes:
        velocity: (x, y) in cells per step, float32 [13, 2]; changed in place.
        inertia: what is left of it after a step without spikes, [13, 1].
    """

    def __init__(self, snn: SpikingUNet, height: int, width: int) -> None:
        with torch.no_grad():
            self._readout: F32 = snn.readout.conv.weight[:, :, 0, 0].T.contiguous().numpy()
            self._weight: F32 = snn.motion.weight.permute(2, 0, 1).contiguous().numpy()
            self.inertia: F32 = snn.inertia.numpy()
            decay: F32 = snn.decay.flatten().numpy()
        taps, length = 2 * SHIFT_REACH + 1, width * NUM_JOINTS
        self._decay = np.tile(decay, width)
        self.velocity = _zeros(NUM_JOINTS, 2)
        # buffers of a step
        self._around = _zeros(height, width, NUM_JOINTS)
        self._total = _zeros(NUM_JOINTS)
        self._pooled = _zeros(*self._readout.shape)
        self._delta = _zeros(height, width, NUM_JOINTS)
        self._taps = _zeros(taps, width, NUM_JOINTS)
        self._padded = _zeros(length + 2 * SHIFT_REACH * NUM_JOINTS)
        self._rows = _zeros(height + 2 * SHIFT_REACH, length)

    def silence(self, steps: int) -> None:
        """Slow down for many steps without spikes."""
        self.velocity *= self.inertia**steps

    def step(self, spikes: tuple[F32, ...], heatmaps: F32) -> None:
        """Move the heatmaps [H, W, 13] by a step, let them decay and add the increment.

        Args:
            spikes: the maps [H, W, C] that the readout reads, in its order.
            heatmaps: the accumulator, changed in place.
        """
        self._total[:] = 0.0
        kernels.attend(heatmaps, self._around, self._total)
        self._pooled[:] = 0.0
        self._delta[:] = 0.0
        first = 0
        for fired in spikes:
            kernels.read_out(fired, self._readout, first, self._around, self._delta, self._pooled)
            first += fired.shape[2]
        self._pooled /= self._total + ATTENTION_FLOOR
        self.velocity *= self.inertia
        self.velocity += np.einsum("cj,cjd->jd", self._pooled, self._weight)
        self._shift(heatmaps)

    def _shift(self, heatmaps: F32) -> None:
        maps, delta, taps = (a.reshape(len(a), -1) for a in (heatmaps, self._delta, self._taps))
        velocity = np.clip(self.velocity, -MAX_VELOCITY, MAX_VELOCITY)
        kernels.shift_taps(velocity[:, 0], self._taps)
        kernels.shift_rows(maps, taps, self._padded, self._rows[SHIFT_REACH:-SHIFT_REACH])
        kernels.shift_taps(velocity[:, 1], self._taps)
        kernels.shift_columns(self._rows, taps, self._decay, delta, maps)
