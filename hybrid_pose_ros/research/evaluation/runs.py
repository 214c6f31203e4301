# SPDX-License-Identifier: Apache-2.0
"""How networks run over a performance in torch: what they are given, and what comes out.

Instants are the moments at which poses are compared, every 10 ms; instant 0 lies where the first
window that counts begins. A run from instant a to instant b begins with the state at a and gives
the poses at a + 1 to b.
"""

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hybrid_pose_ros.events.activity import LastActivity, encode_ages
from hybrid_pose_ros.networks.heatmaps import decode_heatmaps
from hybrid_pose_ros.networks.hybrid import HybridPoseNetwork
from hybrid_pose_ros.networks.snn import SnnState
from hybrid_pose_ros.pipeline.ann_estimator import sum_windows
from hybrid_pose_ros.pipeline.codec import decode_state, encode_state
from hybrid_pose_ros.research.evaluation.energy import SpikeMeter
from hybrid_pose_ros.research.evaluation.published import WINDOW_NS
from hybrid_pose_ros.research.evaluation.test_set import INSTANT_NS, LEAD_NS, BinnedPerformance

_ANN_BATCH = 24


@dataclass(frozen=True)
class Poses:
    """Poses of one model.

    Attributes:
        points: in cells, float32 [cameras, ..., 13, 2].
        confidence: float32 [cameras, ..., 13].
    """

    points: NDArray[np.float32]
    confidence: NDArray[np.float32]

    def at(self, *places: NDArray[np.int64]) -> "Poses":
        """Choose poses by their indices along the axes after the cameras."""
        every = np.arange(len(self.points)).reshape(-1, *(1,) * places[0].ndim)
        return Poses(self.points[every, *places], self.confidence[every, *places])

    def last(self, count: int) -> "Poses":
        """Choose the last so many along the axis after the cameras."""
        return Poses(self.points[:, -count:], self.confidence[:, -count:])

    @classmethod
    def joined(cls, parts: Sequence["Poses"], axis: int = 1) -> "Poses":
        """Join poses along an axis."""
        return cls(
            np.concatenate([part.points for part in parts], axis),
            np.concatenate([part.confidence for part in parts], axis),
        )


class Input:
    """A performance's steps of one length, as inputs of ANN and SNN.

    One window of empty steps follows the end: runs that begin late in the last window go on into
    it, and nothing that they find there is used.

    Args:
        performance: binned events.
        network: the step length and the ANN's windows are its.
    """

    def __init__(self, performance: BinnedPerformance, network: HybridPoseNetwork) -> None:
        step_ns = network.config.step_ns
        self._config = network.config
        self._widths = network.config.ann.window_steps
        window = WINDOW_NS // step_ns
        self._steps = performance.steps(step_ns, empty=window)
        self.steps_per_instant = INSTANT_NS // step_ns
        self._lead = LEAD_NS // step_ns
        self.windows = (self._steps.shape[1] - self._lead) // window - 1
        if sum(self._widths) > self._lead - window:
            raise ValueError(
                f"the ANN's history of {sum(self._widths)} steps is longer than what the test set "
                f"has before the first window"
            )

    @property
    def cameras(self) -> int:
        """Number of cameras."""
        return len(self._steps)

    @property
    def first_instant(self) -> int:
        """The instant at which the recording begins."""
        return -self._lead // self.steps_per_instant

    def inputs(self, instants: Sequence[int]) -> Tensor:
        """Return what the ANN sees of the events before these instants.

        Args:
            instants: in order.

        Returns:
            [cameras, instants, planes, H, W].
        """
        ends = [self._lead + instant * self.steps_per_instant for instant in instants]
        return torch.from_numpy(np.stack([self._of_camera(steps, ends) for steps in self._steps]))

    def _of_camera(self, steps: NDArray[np.uint16], ends: Sequence[int]) -> NDArray[np.float32]:
        ann, height, width = self._config.ann, *steps.shape[2:]
        found = np.zeros((len(ends), ann.input_planes, height, width), np.float32)
        activity = LastActivity(ann.activity_levels, height, width)
        step_s = ann.activity_steps * self._config.step_ns * 1e-9
        count = 2 * len(self._widths)
        begin = 0
        for inputs, end in zip(found, ends, strict=True):
            inputs[:count] = sum_windows(steps[end - sum(self._widths) : end], self._widths)
            if ann.activity_levels:
                for index in range(begin, end):
                    activity.add(index // ann.activity_steps, steps[index])
                begin = end
                ages = encode_ages(activity.last, (end - 1) // ann.activity_steps, step_s)
                inputs[count : count + len(ages)] = ages
        return found

    def steps(self, start: int, stop: int) -> NDArray[np.uint16]:
        """The SNN's inputs from one instant to another: [cameras, steps, 2, H, W]."""
        first, last = (self._lead + at * self.steps_per_instant for at in (start, stop))
        return self._steps[:, first:last]


def samples(state: SnnState, rows: Sequence[int]) -> SnnState:
    """Choose samples of a state."""
    chosen = list(rows)
    return SnnState(
        {name: membrane[chosen] for name, membrane in state.membranes.items()},
        state.heatmaps[chosen],
        None if state.velocity is None else state.velocity[chosen],
    )


def as_sent(state: SnnState) -> SnnState:
    """Return a state as it arrives when its samples travel as messages, in 8 bits per value."""
    arrived = []
    for row in range(len(state.heatmaps)):
        tensors = encode_state(samples(state, [row]))
        arrived.append(decode_state(tensors, {part.name: part.shape for part in tensors}))
    return _joined(arrived)


def _joined(states: Sequence[SnnState]) -> SnnState:
    """Return the samples of several states as those of one."""
    velocities = [state.velocity for state in states if state.velocity is not None]
    names = states[0].membranes
    return SnnState(
        {name: torch.cat([state.membranes[name] for state in states]) for name in names},
        torch.cat([state.heatmaps for state in states]),
        torch.cat(velocities) if velocities else None,
    )


def decoded(heatmaps: Tensor, cameras: int) -> Poses:
    """[cameras * instants, 13, H, W] to poses [cameras, instants, ...]."""
    points, confidence = decode_heatmaps(heatmaps)
    return Poses(
        points.unflatten(0, (cameras, -1)).numpy(), confidence.unflatten(0, (cameras, -1)).numpy()
    )


def initialise(
    network: HybridPoseNetwork, data: Input, starts: Sequence[int]
) -> tuple[Tensor, SnnState]:
    """Run the ANN at these instants.

    Returns:
        heatmaps [cameras * starts, 13, H, W] and states, one sample per camera and start, the
        starts of the first camera first.
    """
    inputs = data.inputs(starts).flatten(0, 1)
    found = [network.initial_state(part) for part in inputs.split(_ANN_BATCH)]
    return torch.cat([heatmaps for heatmaps, _ in found]), _joined([state for _, state in found])


def run_ann(network: HybridPoseNetwork, data: Input, instants: Sequence[int]) -> Poses:
    """Run the ANN at these instants: [cameras, instants, ...]."""
    parts = []
    for first in range(0, len(instants), _ANN_BATCH):
        heatmaps, _ = network.ann(data.inputs(instants[first : first + _ANN_BATCH]).flatten(0, 1))
        parts.append(decoded(heatmaps, data.cameras))
    return Poses.joined(parts)


def run_torch(
    network: HybridPoseNetwork,
    data: Input,
    inits: SnnState,
    starts: Sequence[int],
    end: int,
    meter: SpikeMeter | None = None,
) -> Poses:
    """Run the hybrid through initialisations, each of which finds the SNN as the last one left it.

    Args:
        inits: what the ANN says, one sample per camera and start, the starts of the first camera
            first. The first initialisation finds an SNN that had none.
        starts: the instants at which the initialisations take effect, in order.
        end: the instant at which the last run ends.
        meter: counts the spikes from instant 0 on.

    Returns:
        the poses from the first start on, [cameras, end - starts[0], ...].
    """
    found = []
    own = None
    for number, (start, stop) in enumerate(pairwise((*starts, end))):
        state = samples(inits, range(number, len(inits.heatmaps), len(starts)))
        if own is not None:
            state = network.reinitialise(state, own)
        steps = data.steps(start, stop).swapaxes(0, 1).astype(np.float32)
        with meter if meter is not None and start >= 0 else nullcontext():
            for index, step in enumerate(torch.from_numpy(steps), 1):
                _, state = network.snn(step, state)
                if index % data.steps_per_instant == 0:
                    found.append(decoded(state.heatmaps, data.cameras))
        own = state
    return Poses.joined(found)
