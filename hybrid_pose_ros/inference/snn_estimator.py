# SPDX-License-Identifier: Apache-2.0
"""The SNN over a stream of event steps: reset on initialisation, replay, and catch-up."""

from collections import deque
from dataclasses import dataclass
from enum import Enum

import numpy as np

from hybrid_pose_ros.events.binning import GridView, Step
from hybrid_pose_ros.inference.codec import decode_state
from hybrid_pose_ros.inference.sparse_snn import Memory, SparseSnn
from hybrid_pose_ros.inference.state import (
    InitRejectedError,
    PoseEstimate,
    StateInit,
)
from hybrid_pose_ros.networks.checkpoint import Checkpoint
from hybrid_pose_ros.networks.snn import SnnState

FRESH_NS = 250_000_000
"""Up to this age of the state the confidence is the network's own."""

CONFIDENCE_HALF_LIFE_NS = 500_000_000
"""Beyond it, the confidence halves in each further span of this length."""


class InitPolicy(Enum):
    """What to do with an initialisation that describes a moment already passed.

    ``REPLAY`` runs the steps since that moment again, from the new state. ``IMMEDIATE`` takes the
    state as if it described the present: the paper's idealisation.
    """

    REPLAY = "replay"
    IMMEDIATE = "immediate"


@dataclass(frozen=True)
class _Past:
    """A step that was run, and the state before it: ``memory`` at the start of step ``next``."""

    step: Step
    memory: Memory | None
    next: int


class SnnEstimator:
    """Steps the SNN and keeps what is needed to apply a late initialisation exactly.

    With ``REPLAY`` the poses after a late initialisation are, to the bit, those of a punctual one.
    Until the first initialisation the SNN runs from rest and its poses have confidence 0.

    Args:
        checkpoint: the model; its SNN is used.
        view: the mapping from the sensor to the model's grid.
        init_policy: see :class:`InitPolicy`.
        max_replay_steps: how many past steps are kept; an older initialisation is rejected.
    """

    def __init__(
        self,
        checkpoint: Checkpoint,
        view: GridView,
        *,
        init_policy: InitPolicy = InitPolicy.REPLAY,
        max_replay_steps: int = 100,
    ) -> None:
        self._config = checkpoint.config
        self._model_id = checkpoint.digest
        grid = self._config.view
        network = checkpoint.network
        carry = network.carry if self._config.carry else None
        self._snn = SparseSnn(network.snn, grid.grid_height, grid.grid_width, carry)
        self._policy = init_policy
        self._past: deque[_Past] = deque(maxlen=max_replay_steps)
        self._spare: list[Memory] = []
        self.reset(view)

    def reset(self, view: GridView | None = None) -> None:
        """Return to rest: no state, no past, no initialisation; with a view, for its sensor."""
        if view is not None:
            self._view = view
        self._snn.rest()
        self._forget()
        self._next_index: int | None = None
        self._init_index: int | None = None
        self._pending: tuple[int, SnnState] | None = None

    def initialise(self, init: StateInit) -> None:
        """Take over a state from the ANN.

        A state for a moment not reached yet is kept and applied when the steps get there.

        Raises:
            InitRejectedError: another model or shape, values that are not finite, a time between
                two steps, or a moment too old; the state is unchanged.
        """
        if init.model_id != self._model_id:
            raise InitRejectedError(
                f"it comes from model {init.model_id}, this one is {self._model_id}"
            )
        index, rest = divmod(init.sensor_time_ns, self._config.step_ns)
        if rest:
            raise InitRejectedError(
                f"its time {init.sensor_time_ns} ns is no multiple of {self._config.step_ns} ns"
            )
        if self._init_index is not None and index <= self._init_index:
            raise InitRejectedError(
                f"its time {init.sensor_time_ns} ns is not after that of the last initialisation"
            )
        state = decode_state(init.tensors, self._snn.shapes)
        if self._next_index is None or index > self._next_index:
            self._pending = (index, state)
            return
        replay = [past for past in self._past if past.step.index >= index]
        if self._policy is InitPolicy.IMMEDIATE:
            index, replay = self._next_index, []
        elif index < self._next_index:
            oldest = self._past[0].step
            if oldest.index - oldest.merged >= index:
                raise InitRejectedError(
                    f"its time {init.sensor_time_ns} ns is older than the {len(self._past)} steps "
                    f"kept"
                )
        if replay:
            self._apply(index, state, replay[0].memory, replay[0].next)
        else:
            self._apply(index, state, self._snn.memory(), self._next_index)
        self._forget()
        for past in replay:
            self._run(past.step)

    def step(self, step: Step) -> PoseEstimate:
        """Run one step and return the pose at its end.

        Steps skipped before it are taken as silence: the membranes and the accumulator leak for
        that long, in closed form.

        Raises:
            ValueError: the step does not lie after the last one; call :meth:`reset` first.
        """
        if self._next_index is not None and step.index < self._next_index:
            raise ValueError(f"step {step.index} comes after step {self._next_index - 1}")
        if self._pending is not None and self._pending[0] <= step.index:
            index, state = self._pending
            self._apply(index, state, self._snn.memory(), self._next_index)
            self._forget()
        self._run(step)
        return self._pose()

    def _apply(self, index: int, state: SnnState, memory: Memory | None, at: int | None) -> None:
        """Take over a state of step ``index``; the memory is that before step ``at``."""
        if self._init_index is None or at is None:  # a state of rest is worth nothing
            self._snn.load(state)
        else:
            self._snn.reload(state, memory, max(0, index - at))
        self._init_index = index
        self._pending = None
        self._next_index = index

    def _forget(self, steps: int | None = None) -> None:
        """Forget the oldest steps, or all; their memories are written over later."""
        for _ in range(len(self._past) if steps is None else steps):
            memory = self._past.popleft().memory
            if memory is not None:
                self._spare.append(memory)

    def _run(self, step: Step) -> None:
        """Run a step and keep it."""
        next_index = step.index if self._next_index is None else self._next_index
        if self._past and len(self._past) == self._past.maxlen:
            self._forget(1)
        memory = self._snn.memory(self._spare.pop() if self._spare else None)
        self._past.append(_Past(step, memory, next_index))
        if self._next_index is not None:
            silent = step.index - step.merged + 1 - self._next_index
            if silent > 0:
                self._snn.silence(silent)
        self._snn.step(step.counts)
        self._next_index = step.index + 1

    def _pose(self) -> PoseEstimate:
        assert self._next_index is not None
        points, confidence = self._snn.decode()
        steps = age_ns = -1
        trust = 0.0
        if self._init_index is not None:
            steps = self._next_index - self._init_index
            age_ns = steps * self._config.step_ns
            trust = 0.5 ** (max(0, age_ns - FRESH_NS) / CONFIDENCE_HALF_LIFE_NS)
        return PoseEstimate(
            sensor_time_ns=self._next_index * self._config.step_ns,
            keypoints=self._view.to_sensor(points).astype(np.float32),
            confidence=(confidence * trust).astype(np.float32),
            source="snn",
            steps_since_init=steps,
            init_age_ns=age_ns,
        )
