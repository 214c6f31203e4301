# SPDX-License-Identifier: Apache-2.0
"""How a late initialisation catches up with the present: one step of the past after another."""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, replace

from hybrid_pose_ros.events.binning import Step
from hybrid_pose_ros.pipeline.state import InitRejectedError
from hybrid_pose_ros.pipeline.timeline import Replica, Start, TimeLine


@dataclass(frozen=True)
class Prelude:
    """Steps to be replayed first, at whose end the memory is that an initialisation needs."""

    start: Start
    steps: Sequence[Step]


class CatchUp:
    """Runs the steps since the moment of a late initialisation again, in a shadow network.

    It may run in another thread than the one that calls :meth:`add`.

    Args:
        shadow: the network; whatever state it is in, it begins with the initialisation.
        line: of the primary network, from which the initialisation cuts a part off.
        start: the initialisation, not blended yet.
        blends: whether the network blends initialisations with its own state.

    Raises:
        InitRejectedError: the steps since that moment are not kept any more, or an initialisation
            came out of turn, so that the memory of that moment is not, and cannot be had again.
    """

    def __init__(self, shadow: Replica, line: TimeLine, start: Start, *, blends: bool) -> None:
        before, after = line.split(start.index)
        self.shadow = shadow
        self._start = start
        self._has_begun = False
        self._prelude: Prelude | None = None
        self._steps = deque(logged.step for logged in after)
        if not blends or line.start is None:  # a state of rest is worth nothing
            return
        memory, silent = after[0].memory, max(0, start.index - after[0].begin)
        self._start = replace(start, memory=memory, silent=silent)
        if memory is None:
            if not line.is_whole:
                raise InitRejectedError(
                    "it comes out of turn, and the steps since the last one are not kept any more"
                )
            self._prelude = Prelude(line.start, [logged.step for logged in before])

    @property
    def is_done(self) -> bool:
        """Whether all steps that are known so far have been run."""
        return self._has_begun and not self._steps

    def add(self, step: Step) -> None:
        """Add a step that the primary network runs meanwhile."""
        self._steps.append(step)

    def advance(self) -> None:
        """Run the next step, if there is one; before the first, take over the state."""
        if not self._has_begun:
            start = self._start
            if self._prelude is not None:
                self.shadow.replay(self._prelude.start, self._prelude.steps)
                start = replace(start, memory=self.shadow.snn.memory())
            self.shadow.begin(start)
            self._has_begun = True
        if self._steps:
            self.shadow.run(self._steps.popleft())
