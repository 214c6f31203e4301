# SPDX-License-Identifier: Apache-2.0
"""The SNN's time line as a value: the state that it began with, and the steps run since then.

A network's state follows from its time line. So an initialisation for a moment that has passed is
a change of the past: the time line is cut at that moment, and another network, a replica, begins
there with the new state and runs the steps that came after it again.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, NamedTuple

from hybrid_pose_ros.engine.sparse_snn import Memory, SparseSnn
from hybrid_pose_ros.events.binning import Step
from hybrid_pose_ros.networks.snn import SnnState
from hybrid_pose_ros.pipeline.state import InitRejectedError


@dataclass(frozen=True)
class Start:
    """A state that a network takes over.

    Attributes:
        index: of the step before which it does.
        state: from the ANN.
        memory: of the network until then, which the state is blended with; None: it is not.
        silent: steps of silence between the memory and the beginning of step ``index``.
    """

    index: int
    state: SnnState
    memory: Memory | None = None
    silent: int = 0


class LoggedStep(NamedTuple):
    """A step that was run.

    Attributes:
        step: the step.
        begin: index of the first bin after the step before it; silence lies between the two.
        memory: of the network at ``begin``; None if it was not kept.
    """

    step: Step
    begin: int
    memory: Memory | None


class TimeLine(NamedTuple):
    """The past of a network, from which its state follows.

    Attributes:
        start: the last state that it took over; None: it was at rest.
        log: the steps since then, oldest first; of many, only the newest.
        next_index: of the next step; None before the first.
        is_whole: whether ``log`` goes back to the start.
    """

    start: Start | None = None
    log: tuple[LoggedStep, ...] = ()
    next_index: int | None = None
    is_whole: bool = True

    def append(self, logged: LoggedStep, max_steps: int) -> "TimeLine":
        """Return the time line with another step, of which at most ``max_steps`` are kept."""
        is_full = len(self.log) >= max_steps
        return TimeLine(
            self.start,
            (*self.log[is_full:], logged),
            logged.step.index + 1,
            self.is_whole and not is_full,
        )

    def split(self, index: int) -> tuple[tuple[LoggedStep, ...], tuple[LoggedStep, ...]]:
        """Return the steps before ``index``, which has been run, and those from there on.

        Raises:
            InitRejectedError: the latter are not kept any more.
        """
        oldest = self.log[0].step
        if oldest.index - oldest.merged >= index:
            raise InitRejectedError(f"it is older than the {len(self.log)} steps kept")
        first = next(i for i, one in enumerate(self.log) if one.step.index >= index)
        return self.log[:first], self.log[first:]


AT_REST: Final = TimeLine()


class InitSchedule:
    """The moments that initialisations describe: every so many steps.

    The memory that an initialisation needs is kept for these moments alone; to keep it for each
    step would take a fifth of the step's time.
    """

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Forget the moments."""
        self._first: int | None = None
        self._period = 0

    def add(self, index: int) -> None:
        """Learn of an initialisation for the beginning of a step."""
        if self._first is None:
            self._first = index
        self._period = math.gcd(self._period, index - self._first)

    def is_due(self, first: int, last: int) -> bool:
        """Whether one may come for the beginning of a step from ``first`` to ``last``."""
        if self._first is None or not self._period:
            return True  # not known yet
        return (last - self._first) // self._period > (first - 1 - self._first) // self._period


class Replica:
    """A network and its time line.

    Args:
        snn: the network.
        schedule: says for which moments memories are kept.
        max_steps: how many steps of the time line are kept.
    """

    def __init__(self, snn: SparseSnn, schedule: InitSchedule, max_steps: int) -> None:
        self.snn = snn
        self.line = AT_REST
        self._schedule = schedule
        self._max_steps = max_steps

    def twin(self) -> "Replica":
        """Return another one at rest, which shares the weights and the schedule."""
        return Replica(self.snn.twin(), self._schedule, self._max_steps)

    def rest(self) -> None:
        """Return to rest, without a past."""
        self.snn.rest()
        self.line = AT_REST

    def begin(self, start: Start) -> None:
        """Take over a state."""
        self.snn.reload(start.state, start.memory, start.silent)
        self.line = TimeLine(start, next_index=start.index)

    def run(self, step: Step) -> None:
        """Run a step, after the silence since the one before it."""
        begin = step.index if self.line.next_index is None else self.line.next_index
        memory = self.snn.memory() if self._schedule.is_due(begin, step.index) else None
        silent = step.index - step.merged + 1 - begin
        if silent > 0:
            self.snn.silence(silent)
        self.snn.step(step.counts)
        self.line = self.line.append(LoggedStep(step, begin, memory), self._max_steps)

    def replay(self, start: Start, steps: Iterable[Step]) -> None:
        """Begin with a state and run steps: the state becomes that of any network that did so."""
        self.begin(start)
        for step in steps:
            self.run(step)
