# SPDX-License-Identifier: Apache-2.0
"""The ANN over a stream of event steps."""

import copy
import math
import time
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray

from hybrid_pose_ros.events.activity import LastActivity, encode_ages
from hybrid_pose_ros.events.binning import GridView, Step
from hybrid_pose_ros.networks.checkpoint import Checkpoint
from hybrid_pose_ros.networks.config import AnnConfig
from hybrid_pose_ros.networks.heatmaps import decode_heatmaps
from hybrid_pose_ros.networks.layers import fold_batchnorm
from hybrid_pose_ros.networks.snn import SnnState
from hybrid_pose_ros.pipeline.ann_runtime import chosen_precision, make_forward
from hybrid_pose_ros.pipeline.codec import encode_state
from hybrid_pose_ros.pipeline.decoding import PoseDecoder
from hybrid_pose_ros.pipeline.person_window import PersonWindow
from hybrid_pose_ros.pipeline.state import StateInit


def sum_windows(history: NDArray[np.generic], widths: Sequence[int]) -> NDArray[np.float32]:
    """Sum a history of steps into the ANN's input windows.

    Args:
        history: counts per step, oldest first, [sum(widths), 2, H, W].
        widths: steps per window, newest window first.

    Returns:
        float32 [2 * len(widths), H, W]: OFF and ON of the newest window first.
    """
    edges = len(history) - np.cumsum([0, *widths])
    windows = [history[start:end].sum(0, dtype=np.float32) for end, start in pairwise(edges)]
    return np.concatenate(windows)


def longest_block(ann: AnnConfig, period_steps: int) -> int:
    """Return how many steps can be pushed as one, for an inference every ``period_steps``.

    The edges of the windows, and of the steps by which ages are counted, then lie between blocks,
    and the ANN's input is the same.
    """
    ages = (ann.activity_steps,) if ann.activity_levels else ()
    return math.gcd(period_steps, *ann.window_steps, *ages)


class AnnEstimator:
    """Keeps the recent steps and turns them into state initialisations.

    Args:
        checkpoint: the model; its ANN and initialiser are used, with BatchNorm folded.
        view: the mapping from the sensor to the model's grid.
        runtime: what computes them, one of ``ann_runtime.RUNTIMES``.
        precision: one of ``ann_runtime.PRECISIONS``.
        block_steps: how many of the model's steps are pushed as one. Where an inference is wanted
            less often than at every step, larger blocks cost less; see :func:`longest_block`.
        follow_person: as the attribute.

    Attributes:
        follow_person: whether an inference sees only what lies around the person of the last one,
            so that nobody else is taken for it.
        runtime: as given.
        precision: ``float32`` or ``bfloat16``.
        block_ns: sensor time that each pushed step covers.

    Raises:
        RuntimeMissingError: the runtime is not installed.

    ``snapshot`` and ``infer`` are apart so that inference may run in another thread while steps
    are pushed.
    """

    def __init__(
        self,
        checkpoint: Checkpoint,
        view: GridView,
        runtime: str = "torch",
        precision: str = "auto",
        *,
        block_steps: int = 1,
        follow_person: bool = True,
    ) -> None:
        self.follow_person = follow_person
        self._config = checkpoint.config
        self._model_id = checkpoint.digest
        self.runtime = runtime
        self.precision = chosen_precision(precision)
        network = copy.deepcopy(checkpoint.network)
        fold_batchnorm(network)
        self._forward = make_forward(network, runtime, self.precision)
        self._seq = 0
        grid = self._config.view
        levels = self._config.ann.activity_levels
        self._activity = LastActivity(levels, grid.grid_height, grid.grid_width)
        self.reset(view, block_steps)

    def reset(self, view: GridView | None = None, block_steps: int | None = None) -> None:
        """Forget all events; go on with another sensor or other blocks, if given."""
        if view is not None:
            self._view = view
            self._decoder = PoseDecoder(self._config, view)
        if block_steps is not None:
            self._widths = [width // block_steps for width in self._config.ann.window_steps]
            self._block_steps = block_steps
            self.block_ns = block_steps * self._config.step_ns
        # counts of all steps up to step k lie at k modulo the ring's length; differences of what
        # has overflowed are right all the same
        self._sums: NDArray[np.uint32] = np.zeros(
            (sum(self._widths) + 1, *self._view.shape), np.uint32
        )
        self._newest = -1
        self._activity.reset()
        # another one, for the old one is still used by an inference that is under way
        self._window = PersonWindow(*self._view.shape[1:])

    def push(self, step: Step) -> None:
        """Add a step. Steps that were skipped before it count as empty."""
        sums, length = self._sums, len(self._sums)
        skipped = step.index - self._newest - 1
        if self._newest < 0 or skipped >= length:
            sums[:] = 0
        else:
            for index in range(self._newest + 1, step.index):
                sums[index % length] = sums[self._newest % length]
        np.add(sums[(step.index - 1) % length], step.counts, out=sums[step.index % length])
        self._newest = step.index
        if self._config.ann.activity_levels:
            self._activity.add(self._activity_step(step.index), step.counts)

    def _activity_step(self, index: int) -> int:
        return index * self._block_steps // self._config.ann.activity_steps

    def snapshot(self) -> tuple[NDArray[np.float32], int]:
        """Return the network's input, and the sensor time in ns up to which it holds events."""
        sums, length = self._sums, len(self._sums)
        ann = self._config.ann
        inputs = np.zeros((ann.input_planes, *sums.shape[2:]), np.float32)
        count = 2 * len(self._widths)
        windows = inputs[:count].reshape(len(self._widths), *sums.shape[1:])
        end = self._newest
        for window, width in zip(windows, self._widths, strict=True):
            newer, older = sums[end % length], sums[(end - width) % length]
            np.subtract(newer, older, out=window, casting="unsafe")
            end -= width
        if ann.activity_levels:
            step_s = ann.activity_steps * self._config.step_ns * 1e-9
            ages = encode_ages(self._activity.last, self._activity_step(self._newest), step_s)
            inputs[count : count + len(ages)] = ages
        return inputs, (self._newest + 1) * self.block_ns

    def infer(self, snapshot: tuple[NDArray[np.float32], int] | None = None) -> StateInit:
        """Run the ANN and the initialiser, by default on the newest steps."""
        inputs, sensor_time_ns = self.snapshot() if snapshot is None else snapshot
        window = self._window
        start = time.perf_counter_ns()
        if self.follow_person and not window.looks_around(sensor_time_ns):
            state, points, confidence = self._run(window.seen(inputs, sensor_time_ns))
        else:
            state, points, confidence = self._run(inputs)
            if self.follow_person and not window.accepts(points, confidence, sensor_time_ns):
                state, points, confidence = self._run(window.seen(inputs, sensor_time_ns))
        window.follow(points, confidence, sensor_time_ns)
        tensors = encode_state(state)
        self._seq += 1
        return StateInit(
            sensor_time_ns=sensor_time_ns,
            seq=self._seq,
            model_id=self._model_id,
            tensors=tensors,
            pose=self._decoder.pose(
                points,
                confidence,
                None if state.velocity is None else state.velocity[0].numpy(),
                sensor_time_ns=sensor_time_ns,
                source="ann",
                steps_since_init=0,
                init_age_ns=0,
            ),
            inference_ns=time.perf_counter_ns() - start,
        )

    def _run(
        self, inputs: NDArray[np.float32]
    ) -> tuple[SnnState, NDArray[np.float32], NDArray[np.float32]]:
        """Return the state, and the joints in cells with their confidence."""
        with torch.inference_mode():
            state = self._forward(torch.from_numpy(inputs)[None])
            points, confidence = decode_heatmaps(state.heatmaps[0])
        return state, points.numpy(), confidence.numpy()
