# SPDX-License-Identifier: Apache-2.0
"""The SNN in two threads: steps in the caller's, late initialisations in one of its own.

Here are all locks and threads of an SNN; the estimator knows nothing of them. One condition guards
the estimator. It is let go while a network runs, so that the primary and the shadow network may
run at once, and the caller's thread waits for no more than bookkeeping.
"""

import threading
from collections.abc import Callable
from contextlib import nullcontext
from typing import Generic, TypeVar

from hybrid_pose_ros.events.binning import GridView, Step
from hybrid_pose_ros.pipeline.snn_estimator import SnnEstimator
from hybrid_pose_ros.pipeline.state import InitRejectedError, Pose, StateInit
from hybrid_pose_ros.pipeline.worker import IsValid, Worker

T = TypeVar("T")


class SnnWorker(Generic[T]):
    """Runs an estimator's steps, and takes over initialisations beside them.

    All methods belong to one thread. When the next initialisation has come before one has caught
    up, steps wait until it has; of several that wait the newest is taken.

    Args:
        decode: makes an initialisation of what :meth:`submit` gets; raises InitRejectedError.
        taken: is called with each initialisation that has taken effect.
        refused: is called with each one that cannot be used (None: nor decoded), and why.

    ``decode``, ``taken`` and ``refused`` are called in the worker's thread.
    """

    def __init__(
        self,
        decode: Callable[[T], StateInit],
        taken: Callable[[StateInit], None],
        refused: Callable[[StateInit | None, InitRejectedError], None],
    ) -> None:
        self._decode, self._taken, self._refused = decode, taken, refused
        self._changed = threading.Condition()
        self._is_stepping = False
        self._estimator: SnnEstimator | None = None
        self._early: T | None = None
        self._worker = Worker(self._take, "replay")

    @property
    def has_failed(self) -> bool:
        """Whether the thread ended by an error, whose traceback is on stderr."""
        return self._worker.has_failed

    @property
    def has_early(self) -> bool:
        """Whether an initialisation waits for :meth:`begin`."""
        return self._early is not None

    def close(self) -> None:
        """End the thread, after the step that is being run again."""
        self._worker.cancel()
        self._worker.close()

    def begin(self, estimator: SnnEstimator, view: GridView) -> None:
        """Go on with an estimator at rest, for a sensor.

        An initialisation that came before waits for its moment.
        """
        self._worker.cancel()
        with self._changed:
            estimator.reset(view)
            self._estimator = estimator
        early, self._early = self._early, None
        if early is not None:
            self._take(early, lambda: True)

    def forget(self) -> None:
        """Let go of the estimator, until the next :meth:`begin`."""
        self._worker.cancel()
        self._estimator = self._early = None

    def reset(self) -> None:
        """Return to rest; initialisations that have come or are under way are void."""
        with self._changed:
            self._worker.cancel()
            if self._estimator is not None:
                self._estimator.reset()

    def submit(self, item: T) -> bool:
        """Give an initialisation; return whether it replaced one that nobody had begun with."""
        if self._estimator is not None:
            return self._worker.put(item)
        self._early = item
        return False

    def step(self, step: Step) -> Pose:
        """Run a step; see :meth:`SnnEstimator.step`."""
        assert self._estimator is not None, "step before begin"
        with self._changed:
            run = self._estimator.enter(step)
            self._is_stepping = True
        try:
            return run()
        finally:
            with self._changed:
                self._is_stepping = False
                self._changed.notify()

    def _take(self, item: T, is_valid: IsValid) -> None:
        """Take over an initialisation, and let it catch up."""
        estimator = self._estimator
        if estimator is None or not is_valid():
            return
        init = None
        try:
            init = self._decode(item)
            unpacked = estimator.unpack(init)
            with self._changed:
                self._changed.wait_for(lambda: not self._is_stepping)
                if not is_valid():
                    return
                estimator.take_over(unpacked)
                under_way = estimator.under_way
        except InitRejectedError as error:
            self._refused(init, error)
            return
        while under_way is not None:
            with self._changed if self._worker.is_behind else nullcontext():
                under_way.advance()
            with self._changed:
                if not is_valid():
                    return
                if estimator.finish():
                    break
        self._taken(init)
