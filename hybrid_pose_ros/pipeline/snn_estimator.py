# SPDX-License-Identifier: Apache-2.0
"""The SNN over a stream of event steps: state initialisation, replay, and catch-up."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from functools import partial

import numpy as np

from hybrid_pose_ros.engine.sparse_snn import SparseSnn
from hybrid_pose_ros.events.binning import GridView, Step
from hybrid_pose_ros.networks.checkpoint import Checkpoint
from hybrid_pose_ros.networks.snn import SnnState
from hybrid_pose_ros.pipeline.catch_up import CatchUp
from hybrid_pose_ros.pipeline.codec import decode_state
from hybrid_pose_ros.pipeline.decoding import PoseDecoder
from hybrid_pose_ros.pipeline.state import InitRejectedError, Pose, StateInit
from hybrid_pose_ros.pipeline.timeline import InitSchedule, Replica, Start, TimeLine

FRESH_NS = 250_000_000
"""Up to this age of the state the confidence is the network's own."""

CONFIDENCE_HALF_LIFE_NS = 500_000_000
"""Beyond it, the confidence halves in each further span of this length."""


class InitPolicy(Enum):
    """The ways to treat an initialisation that describes a moment already passed.

    ``REPLAY`` runs the steps since that moment again, from the new state. ``IMMEDIATE`` takes the
    state as if it described the present: the paper's idealisation.
    """

    REPLAY = "replay"
    IMMEDIATE = "immediate"


@dataclass(frozen=True)
class UnpackedInit:
    """A decoded initialisation: a state of the SNN before the step ``index``."""

    index: int
    state: SnnState


class SnnEstimator:
    """Steps the SNN and keeps what is needed to apply a late initialisation exactly.

    With ``REPLAY`` the poses after a late initialisation are, to the bit, those of a punctual one.
    A shadow network runs the steps since its moment again, from the new state, and takes the place
    of the primary one when it has caught up: :meth:`take_over` prepares that, :meth:`catch_up`
    does it. Until the first initialisation the SNN runs from rest and its poses have confidence 0.

    It belongs to one thread. :class:`~hybrid_pose_ros.pipeline.snn_worker.SnnWorker` shares it
    between two.

    Args:
        checkpoint: the model; its SNN is used.
        view: the mapping from the sensor to the model's grid.
        init_policy: see :class:`InitPolicy`.
        max_replay_steps: how many past steps are kept; an older initialisation is rejected.

    Attributes:
        under_way: the initialisation that has not taken effect yet, if there is one.
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
        snn = SparseSnn(network.snn, grid.grid_height, grid.grid_width, carry)
        self._policy = init_policy
        self._blends = snn.memory() is not None
        self._schedule = InitSchedule()
        self._primary = Replica(snn, self._schedule, max_replay_steps)
        self._shadow = self._primary.twin()
        self.under_way: CatchUp | None = None
        self.reset(view)

    def reset(self, view: GridView | None = None) -> None:
        """Return to rest: no state, no past, no initialisation; with a view, for its sensor."""
        if view is not None:
            self._decoder = PoseDecoder(self._config, view)
        self.under_way = None
        self._primary.rest()
        self._schedule.reset()
        self._pending: UnpackedInit | None = None
        self._newest_init: int | None = None  # the moment that it describes

    @property
    def timeline(self) -> TimeLine:
        """The time line that has led to the state that the next step begins with."""
        return self._primary.line

    def state(self) -> SnnState:
        """Return a copy of the state that the next step begins with."""
        return self._primary.snn.state()

    def initialise(self, init: StateInit) -> None:
        """Take over a state, to its full effect.

        Raises:
            InitRejectedError: see :meth:`unpack` and :meth:`take_over`; the state is unchanged.
        """
        self.take_over(self.unpack(init))
        self.catch_up()

    def unpack(self, init: StateInit) -> UnpackedInit:
        """Decode a state from the ANN; nothing is changed.

        Raises:
            InitRejectedError: another model or shape, values that are not finite, or a time
                between two steps.
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
        return UnpackedInit(index, decode_state(init.tensors, self._primary.snn.shapes))

    def take_over(self, init: UnpackedInit) -> None:
        """Take over a state.

        A state for a moment not reached yet is kept and applied when the steps get there, unless
        one for an earlier moment comes after it: then the sensor's time has gone back, and the
        kept state, sent before that, is forgotten. One for a moment that has passed is
        :attr:`under_way` until it has caught up; until then the poses go on without it. One that
        is under way already is brought to its end first.

        Raises:
            InitRejectedError: a moment too old; the state is unchanged.
        """
        self.catch_up()
        line, index = self._primary.line, init.index
        if self._newest_init is not None and index <= self._newest_init:
            raise InitRejectedError(
                f"its time {index * self._config.step_ns} ns is not after that of the last "
                "initialisation"
            )
        if self._pending is not None and index < self._pending.index:
            self._pending = None
            self._schedule.reset()
        self._schedule.add(index)
        if line.next_index is None or index > line.next_index:
            self._pending = init
        elif self._policy is InitPolicy.IMMEDIATE or index == line.next_index:
            self._begin(line.next_index, init)
        else:
            start = Start(index, init.state)
            self.under_way = CatchUp(self._shadow, line, start, blends=self._blends)
            self._newest_init = index

    def catch_up(self, max_steps: int | None = None) -> bool:
        """Run steps again, from the state of the initialisation under way on.

        Args:
            max_steps: how many at most; None: all.

        Returns:
            Whether the initialisation has taken effect by this call.
        """
        under_way, count = self.under_way, 0
        while under_way is not None and (max_steps is None or count < max_steps):
            if self.finish():
                return True
            under_way.advance()
            count += 1
        return False

    def finish(self) -> bool:
        """Put the shadow network in the place of the primary one, if it has caught up."""
        if self.under_way is None or not self.under_way.is_done:
            return False
        self._primary, self._shadow = self._shadow, self._primary
        self.under_way = None
        return True

    def step(self, step: Step) -> Pose:
        """Run one step and return the pose at its end.

        Steps skipped before it are taken as silence: the membranes and the accumulator leak for
        that long, in closed form.

        Raises:
            ValueError: the step does not lie after the last one; call :meth:`reset` first.
        """
        return self.enter(step)()

    def enter(self, step: Step) -> Callable[[], Pose]:
        """Do all of :meth:`step` that belongs to one moment; return what runs the network.

        While that runs, :meth:`finish` may be called, but nothing else.

        Raises:
            ValueError: as for :meth:`step`.
        """
        next_index = self._primary.line.next_index
        if next_index is not None and step.index < next_index:
            raise ValueError(f"step {step.index} comes after step {next_index - 1}")
        if self.under_way is not None:
            self.under_way.add(step)
        if self._pending is not None and self._pending.index <= step.index:
            self._begin(self._pending.index, self._pending)
        return partial(self._run, self._primary, step)

    def _begin(self, index: int, init: UnpackedInit) -> None:
        """Take over a state before step ``index``, which has not been run."""
        primary, start = self._primary, Start(index, init.state)
        line = primary.line
        if line.start is not None and line.next_index is not None:
            silent = max(0, index - line.next_index)
            start = Start(index, init.state, primary.snn.memory(), silent)
        primary.begin(start)
        self._newest_init = init.index
        self._pending = None

    def _run(self, replica: Replica, step: Step) -> Pose:
        replica.run(step)
        line, step_ns = replica.line, self._config.step_ns
        assert line.next_index is not None
        points, confidence = replica.snn.decode()
        steps = age_ns = -1
        trust = 0.0
        if line.start is not None:
            steps = line.next_index - line.start.index
            age_ns = steps * step_ns
            trust = 0.5 ** (max(0, age_ns - FRESH_NS) / CONFIDENCE_HALF_LIFE_NS)
        return self._decoder.pose(
            points,
            confidence * np.float32(trust),
            replica.snn.velocity,
            sensor_time_ns=line.next_index * step_ns,
            source="snn",
            steps_since_init=steps,
            init_age_ns=age_ns,
        )
