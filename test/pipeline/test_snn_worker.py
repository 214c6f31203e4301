# SPDX-License-Identifier: Apache-2.0
"""The worker: steps in one thread, late initialisations in another, the same poses."""

import threading
from collections.abc import Iterator
from dataclasses import replace

import pytest

from hybrid_pose_ros.pipeline.snn_worker import SnnWorker
from hybrid_pose_ros.pipeline.state import InitRejectedError, Pose, StateInit
from hybrid_pose_ros.pipeline.worker import IsValid, Worker

from .conftest import FIRST, Stream, T, equal

LIMIT_S = 30


class Bench:
    """A worker whose answers can be waited for, and whose decoding can be held up."""

    def __init__(self) -> None:
        self.taken: list[StateInit] = []
        self.refused: list[tuple[StateInit, str]] = []
        self.decoding, self.go_on = threading.Event(), threading.Event()
        self.go_on.set()
        self._answered = threading.Semaphore(0)
        self.worker: SnnWorker[StateInit] = SnnWorker(self._decode, self._take, self._refuse)

    def _decode(self, init: StateInit) -> StateInit:
        self.decoding.set()
        assert self.go_on.wait(LIMIT_S)
        return init

    def _take(self, init: StateInit) -> None:
        self.taken.append(init)
        self._answered.release()

    def _refuse(self, init: StateInit, error: InitRejectedError) -> None:
        self.refused.append((init, str(error)))
        self._answered.release()

    def wait(self) -> None:
        assert self._answered.acquire(timeout=LIMIT_S)


@pytest.fixture
def bench() -> Iterator[Bench]:
    bench = Bench()
    yield bench
    bench.go_on.set()
    bench.worker.close()


@pytest.fixture
def punctual(stream: Stream) -> list[Pose]:
    return stream.poses({10: 10, 20: 20})


def test_late_initialisations_lead_to_the_poses_of_punctual_ones(
    bench: Bench, stream: Stream, punctual: list[Pose]
) -> None:
    bench.worker.begin(stream.snn(), stream.view)
    poses = [bench.worker.step(step) for step in stream.steps[:15]]
    bench.worker.submit(stream.inits[10])
    bench.wait()
    poses += [bench.worker.step(step) for step in stream.steps[15:26]]
    bench.worker.submit(stream.inits[20])  # catches up while steps go on
    poses += [bench.worker.step(step) for step in stream.steps[26:36]]
    bench.wait()
    poses += [bench.worker.step(step) for step in stream.steps[36:]]
    assert [init.sensor_time_ns for init in bench.taken] == [(FIRST + k) * T for k in (10, 20)]
    begun = [pose.sensor_time_ns - pose.init_age_ns for pose in poses[26:]]
    has_second = [time == (FIRST + 20) * T for time in begun]
    assert has_second == sorted(has_second)
    assert all(has_second[10:])
    for pose, second, expected in zip(poses[26:], has_second, punctual[26:], strict=True):
        assert equal(pose, expected) == second
    assert all(map(equal, poses[15:20], punctual[15:20]))


def test_one_that_comes_before_the_first_step_waits_for_its_moment(
    bench: Bench, stream: Stream, punctual: list[Pose]
) -> None:
    assert not bench.worker.submit(stream.inits[10])
    assert bench.worker.has_early
    bench.worker.begin(stream.snn(), stream.view)
    poses = [bench.worker.step(step) for step in stream.steps[:20]]
    assert all(map(equal, poses, punctual))


def test_a_reset_makes_void_what_is_on_its_way(bench: Bench, stream: Stream) -> None:
    bench.worker.begin(stream.snn(), stream.view)
    bench.worker.step(stream.steps[10])
    bench.go_on.clear()
    bench.worker.submit(stream.inits[10])
    assert bench.decoding.wait(LIMIT_S)
    bench.worker.reset()
    bench.go_on.set()
    bench.worker.submit(replace(stream.inits[10], model_id="another"))
    bench.wait()
    assert [words for _, words in bench.refused] == [
        f"it comes from model another, this one is {stream.checkpoint.digest}"
    ]
    assert not bench.taken
    assert bench.worker.step(stream.steps[11]).init_age_ns == -1


def test_the_newest_of_those_that_wait_is_taken(bench: Bench, stream: Stream) -> None:
    bench.worker.begin(stream.snn(), stream.view)
    bench.worker.step(stream.steps[5])
    bench.go_on.clear()
    first, second, third = (
        replace(stream.inits[10], sensor_time_ns=(FIRST + k) * T) for k in (10, 11, 12)
    )
    assert not bench.worker.submit(first)
    assert bench.decoding.wait(LIMIT_S)
    assert not bench.worker.submit(second)
    assert bench.worker.submit(third)
    bench.go_on.set()
    bench.wait()
    bench.wait()
    assert bench.taken == [first, third]


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_work_that_fails_is_noticed() -> None:
    done = threading.Event()

    def fail(item: int, is_valid: IsValid) -> None:
        done.set()
        raise SystemExit

    worker = Worker(fail, "failing")
    assert not worker.has_failed
    worker.put(1)
    assert done.wait(LIMIT_S)
    for thread in threading.enumerate():
        if thread.name == "failing":
            thread.join(LIMIT_S)
    assert worker.has_failed
    worker.close()
    assert not worker.has_failed
