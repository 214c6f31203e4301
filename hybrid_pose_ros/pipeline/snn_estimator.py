# SPDX-License-Identifier: Apache-2.0
"""The SNN over a stream of event steps: reset on initialisation, replay, and catch-up."""

import math
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from functools import partial

import numpy as np

from hybrid_pose_ros.engine.sparse_snn import Memory, SparseSnn
from hybrid_pose_ros.events.binning import GridView, Step
from hybrid_pose_ros.networks.checkpoint import Checkpoint
from hybrid_pose_ros.networks.snn import SnnState
from hybrid_pose_ros.pipeline.codec import decode_state
from hybrid_pose_ros.pipeline.state import InitRejectedError, PoseEstimate, StateInit

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
class UnpackedInit:
    """A decoded initialisation: a state of the SNN before the step ``index``."""

    index: int
    state: SnnState


@dataclass(frozen=True)
class _Past:
    """A step that was run.

    Attributes:
        memory: what the state before it leaves, at the start of step ``next``; None if it was not
            kept.
    """

    step: Step
    memory: Memory | None
    next: int


class _Moments:
    """The moments that initialisations describe: every so many steps.

    What the network's state would leave to an initialisation is kept for these moments alone; to
    keep it for each step would take a fifth of the step's time.
    """

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        """Know of none again."""
        self._first: int | None = None
        self._period = 0

    def add(self, index: int) -> None:
        """Learn of an initialisation for the beginning of a step."""
        if self._first is None:
            self._first = index
        self._period = math.gcd(self._period, index - self._first)

    def within(self, first: int, last: int) -> bool:
        """Whether one may come for the beginning of a step from ``first`` to ``last``."""
        if self._first is None or not self._period:
            return True  # not known yet
        return (last - self._first) // self._period > (first - 1 - self._first) // self._period


class _Course:
    """A network, and the steps that it has run since it last took over a state.

    Args:
        snn: the network.
        max_steps: how many steps are kept.
        moments: for which memories are kept.
        spare: memories that are not needed any more, to be written over.

    Attributes:
        snn: the network.
        next_index: of the step that it expects; None before the first.
        init_index: of the step before which it took over a state; None before the first.
        origin: begins another course as this one began, before all steps that it has kept; None
            where there is no such way.
    """

    def __init__(
        self, snn: SparseSnn, max_steps: int, moments: _Moments, spare: deque[Memory]
    ) -> None:
        self.snn = snn
        self._past: deque[_Past] = deque(maxlen=max_steps)
        self._moments = moments
        self._spare = spare
        self.origin: Callable[[_Course], None] | None = None
        self.next_index: int | None = None
        self.init_index: int | None = None

    def rest(self) -> None:
        """Return to rest, without a past."""
        self.snn.rest()
        self._forget()
        self.next_index = self.init_index = self.origin = None

    def split(self, index: int) -> tuple[list[_Past], list[_Past]]:
        """Return the steps before ``index`` and from there on.

        Raises:
            InitRejectedError: the latter are not kept any more.
        """
        oldest = self._past[0].step
        if oldest.index - oldest.merged >= index:
            raise InitRejectedError(f"it is older than the {len(self._past)} steps kept")
        past = list(self._past)
        first = next(i for i, one in enumerate(past) if one.step.index >= index)
        return past[:first], past[first:]

    def take_over(
        self, index: int, state: SnnState, known: bool, memory: Memory | None, at: int | None
    ) -> None:
        """Begin before step ``index`` with a state.

        Args:
            known: whether ``memory`` is of a network that had been initialised.
            memory: of the network whose state this one replaces, before step ``at``.
        """
        if not known or at is None:  # a state of rest is worth nothing
            self.snn.load(state)
        else:
            self.snn.reload(state, memory, max(0, index - at))
        self.init_index = self.next_index = index
        self._forget()
        self.origin = lambda other: other.take_over(index, state, known, memory, at)

    def run(self, step: Step) -> None:
        """Run a step and keep it."""
        next_index = step.index if self.next_index is None else self.next_index
        if self._past and len(self._past) == self._past.maxlen:
            self._forget(1)
            self.origin = None
        memory = None
        if self._moments.within(next_index, step.index):
            try:
                memory = self.snn.memory(self._spare.pop())
            except IndexError:
                memory = self.snn.memory()
        self._past.append(_Past(step, memory, next_index))
        silent = step.index - step.merged + 1 - next_index
        if silent > 0:
            self.snn.silence(silent)
        self.snn.step(step.counts)
        self.next_index = step.index + 1

    def _forget(self, steps: int | None = None) -> None:
        """Forget the oldest steps, or all; their memories are written over later."""
        for _ in range(len(self._past) if steps is None else steps):
            memory = self._past.popleft().memory
            if memory is not None:
                self._spare.append(memory)


class SnnEstimator:
    """Steps the SNN and keeps what is needed to apply a late initialisation exactly.

    With ``REPLAY`` the poses after a late initialisation are, to the bit, those of a punctual one.
    A second network runs the steps since its moment again, from the new state, and takes the place
    of the first when it has caught up: :meth:`initialise` prepares that, :meth:`catch_up` does it.
    Until the first initialisation the SNN runs from rest and its poses have confidence 0.

    :meth:`unpack` and :meth:`catch_up` may be called from another thread than the rest, which then
    waits for at most one step of the latter, and :meth:`step` not at all.

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
        snn = SparseSnn(network.snn, grid.grid_height, grid.grid_width, carry)
        self._policy = init_policy
        spare: deque[Memory] = deque()
        self._carries = snn.memory() is not None
        self._moments = _Moments()
        self._live = _Course(snn, max_replay_steps, self._moments, spare)
        self._late = _Course(snn.twin(), max_replay_steps, self._moments, spare)
        self._replay: deque[Step] | None = None  # what the late one has to run
        self._late_begins: Callable[[], None] | None = None
        self._late_at_work = threading.Lock()
        self._swapping = threading.Lock()
        self.reset(view)

    @property
    def catching_up(self) -> bool:
        """Whether an initialisation was taken over that has not taken effect yet."""
        return self._replay is not None

    def reset(self, view: GridView | None = None) -> None:
        """Return to rest: no state, no past, no initialisation; with a view, for its sensor."""
        if view is not None:
            self._view = view
        with self._late_at_work:
            self._replay = self._late_begins = None
        self._live.rest()
        self._moments.forget()
        self._pending: UnpackedInit | None = None
        self._newest_init: int | None = None  # the moment that it describes

    def initialise(self, init: StateInit) -> bool:
        """Do what :meth:`unpack` and then :meth:`take_over` do."""
        return self.take_over(self.unpack(init))

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
        return UnpackedInit(index, decode_state(init.tensors, self._live.snn.shapes))

    def take_over(self, init: UnpackedInit) -> bool:
        """Take over a state.

        A state for a moment not reached yet is kept and applied when the steps get there, unless
        one for an earlier moment comes after it: then the sensor's time has gone back, and the
        kept state, sent before that, is forgotten. One for a moment that has passed takes effect
        through :meth:`catch_up`; until then the poses go on without it. A catch-up that is still
        under way is brought to its end first.

        Returns:
            Whether nothing is left to be caught up with.

        Raises:
            InitRejectedError: a moment too old; the state is unchanged.
        """
        self.catch_up()
        live, index = self._live, init.index
        if self._newest_init is not None and index <= self._newest_init:
            raise InitRejectedError(
                f"its time {index * self._config.step_ns} ns is not after that of the last "
                "initialisation"
            )
        if self._pending is not None and index < self._pending.index:
            self._pending = None
            self._moments.forget()
        self._moments.add(index)
        if live.next_index is None or index > live.next_index:
            self._pending = init
            return True
        if self._policy is InitPolicy.IMMEDIATE or index == live.next_index:
            self._begin(live.next_index, init)
            return True
        before, replay = live.split(index)
        self._late_begins = self._beginning(init, before, replay[0])
        self._newest_init = index
        self._replay = deque(past.step for past in replay)
        return False

    def _beginning(
        self, init: UnpackedInit, before: list[_Past], first: _Past
    ) -> Callable[[], None]:
        """Return what brings the late course to the beginning of ``first``.

        Raises:
            InitRejectedError: what the state of that moment leaves is not known any more.
        """
        live, late = self._live, self._late
        known, memory = live.init_index is not None, first.memory
        if memory is not None or not (known and self._carries):
            kept = None if memory is None else Memory(*(part.copy() for part in memory))
            return partial(late.take_over, init.index, init.state, known, kept, first.next)
        origin = live.origin
        if origin is None:
            raise InitRejectedError(
                "it comes out of turn, and the steps since the last one are not kept any more"
            )

        def begin() -> None:  # run the steps before that moment again, too
            origin(late)
            for past in before:
                late.run(past.step)
            late.take_over(init.index, init.state, known, late.snn.memory(), first.next)

        return begin

    def catch_up(self, limit: int | None = None) -> bool:
        """Run steps again, from the state of the last initialisation on.

        Args:
            limit: how many at most; None: all.

        Returns:
            Whether the initialisation has taken effect by this call.
        """
        while limit is None or limit > 0:
            with self._late_at_work:
                if self._replay is None:
                    return False
                if self._late_begins is not None:
                    self._late_begins()
                    self._late_begins = None
                with self._swapping:
                    if not self._replay:
                        self._live, self._late = self._late, self._live
                        self._replay = None
                        return True
                    step = self._replay.popleft()
                self._late.run(step)
            limit = None if limit is None else limit - 1
        return False

    def step(self, step: Step) -> PoseEstimate:
        """Run one step and return the pose at its end.

        Steps skipped before it are taken as silence: the membranes and the accumulator leak for
        that long, in closed form.

        Raises:
            ValueError: the step does not lie after the last one; call :meth:`reset` first.
        """
        with self._swapping:
            live = self._live
            if live.next_index is not None and step.index < live.next_index:
                raise ValueError(f"step {step.index} comes after step {live.next_index - 1}")
            if self._replay is not None:
                self._replay.append(step)
        if self._pending is not None and self._pending.index <= step.index:
            self._begin(self._pending.index, self._pending)
        live.run(step)
        return self._pose(live)

    def _begin(self, index: int, init: UnpackedInit) -> None:
        """Take over a state before step ``index``, which has not been run."""
        live = self._live
        known = live.init_index is not None
        live.take_over(index, init.state, known, live.snn.memory(), live.next_index)
        self._newest_init = init.index
        self._pending = None

    def _pose(self, course: _Course) -> PoseEstimate:
        assert course.next_index is not None
        points, confidence = course.snn.decode()
        steps = age_ns = -1
        trust = 0.0
        if course.init_index is not None:
            steps = course.next_index - course.init_index
            age_ns = steps * self._config.step_ns
            trust = 0.5 ** (max(0, age_ns - FRESH_NS) / CONFIDENCE_HALF_LIFE_NS)
        return PoseEstimate(
            sensor_time_ns=course.next_index * self._config.step_ns,
            keypoints=self._view.to_sensor(points).astype(np.float32),
            confidence=(confidence * trust).astype(np.float32),
            source="snn",
            steps_since_init=steps,
            init_age_ns=age_ns,
        )
