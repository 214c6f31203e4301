# SPDX-License-Identifier: Apache-2.0
"""The engine over a performance: what it counts, and with which state each run begins."""

import numpy as np
import pytest
import torch

from hybrid_pose_ros.networks.hybrid import HybridPoseNetwork
from hybrid_pose_ros.networks.snn import SnnState
from hybrid_pose_ros.research.evaluation.energy import Activity, SpikeMeter
from hybrid_pose_ros.research.evaluation.engine import Engine, EngineRun
from hybrid_pose_ros.research.evaluation.runs import (
    Input,
    Poses,
    initialise,
    run_torch,
    samples,
)
from hybrid_pose_ros.research.evaluation.test_set import BinnedPerformance, Truth

CAMERAS = 2
STARTS = (0, 10, 20)
END = 30


def make_input(network: HybridPoseNetwork) -> Input:
    rng = np.random.default_rng(1)
    counts = rng.poisson(0.03, (CAMERAS, 1100 + 10 * END, 2, 20, 26)).astype(np.uint8)
    truth = Truth(np.zeros((2, END, 13, 2)), np.ones((2, END, 13), bool), np.zeros((END, 13, 3)))
    return Input(BinnedPerformance(counts, truth), network)


def states(network: HybridPoseNetwork, data: Input) -> SnnState:
    with torch.inference_mode():
        return initialise(network, data, STARTS)[1]


def same(found: Poses, expected: Poses) -> bool:
    return np.array_equal(found.points, expected.points) and np.array_equal(
        found.confidence, expected.confidence
    )


def test_it_counts_what_the_meter_of_the_torch_network_counts(
    lively_network: HybridPoseNetwork,
) -> None:
    data = make_input(lively_network)
    inits = states(lively_network, data)
    found = Engine(lively_network).run(data, STARTS, END, inits).activity
    meter = SpikeMeter(lively_network.snn)
    with torch.inference_mode():
        run_torch(lively_network, data, inits, STARTS, END, meter)
    assert found.steps == meter.activity.steps == CAMERAS * END
    for name in ("entered", "accumulated", "fired"):
        expected = getattr(meter.activity, name)
        assert min(expected.values()) > 100
        # a spike at the threshold's edge may be missing; and a cell that lies exactly on one of
        # the cells that it is interpolated from gets, by rounding, something of the next in torch
        near = 1e-3 if lively_network.config.snn.levels else 1e-2
        assert getattr(found, name) == pytest.approx(expected, rel=near), name


def test_steps_before_the_first_instant_and_beyond_runs_are_not_counted(
    small_network: HybridPoseNetwork,
) -> None:
    data = make_input(small_network)
    engine = Engine(small_network)

    def counted(starts: tuple[int, ...], beyond: int) -> Activity:
        return engine.run(data, starts, END, None, beyond=beyond).activity

    assert counted((-7, 15), 0).steps == CAMERAS * END
    assert counted((0, 15), 5) == counted((0, 15), 0)
    assert counted((5,), 0).steps == CAMERAS * (END - 5)


def test_runs_go_on_beyond_their_end_as_if_nothing_had_come(
    small_network: HybridPoseNetwork,
) -> None:
    data = make_input(small_network)
    inits = states(small_network, data)
    engine = Engine(small_network)
    long = engine.run(data, STARTS[:2], END, samples(inits, [0, 1, 3, 4]), beyond=0)
    found = engine.run(data, STARTS, END, inits, beyond=10)
    assert found.beyond.points.shape == (CAMERAS, 3, 10, 13, 2)
    # the second run ends at 20; without the third initialisation it goes on to 30
    beyond = Poses(found.beyond.points[:, 1], found.beyond.confidence[:, 1])
    assert same(beyond, long.poses.last(10))
    assert not same(found.poses.last(10), long.poses.last(10))
    # and what comes after does not know of it
    assert same(found.poses, engine.run(data, STARTS, END, inits).poses)


def test_initialisations_leave_nothing_where_that_is_asked(
    small_network: HybridPoseNetwork,
) -> None:
    data = make_input(small_network)
    inits = states(small_network, data)
    engine = Engine(small_network)

    def alone(number: int) -> EngineRun:
        chosen = samples(inits, [number, 3 + number])
        return engine.run(data, [STARTS[number]], STARTS[number] + 10, chosen)

    apart = Poses.joined([alone(number).poses for number in range(3)])
    assert same(engine.run(data, STARTS, END, inits, carry=False).poses, apart)
    carried = engine.run(data, STARTS, END, inits).poses
    assert same(Poses(carried.points[:, :10], carried.confidence[:, :10]), alone(0).poses)
    assert not same(carried.last(10), alone(2).poses)


def test_without_initialisations_every_run_begins_at_rest(
    small_network: HybridPoseNetwork,
) -> None:
    data = make_input(small_network)
    engine = Engine(small_network)
    last = engine.run(data, [20], END, None).poses
    assert same(engine.run(data, STARTS, END, None).poses.last(10), last)
    assert not same(engine.run(data, [0], END, None).poses.last(10), last)
