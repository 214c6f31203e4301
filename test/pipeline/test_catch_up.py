# SPDX-License-Identifier: Apache-2.0
"""A late initialisation is caught up with while poses go on."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from hybrid_pose_ros.engine.sparse_snn import SparseSnn
from hybrid_pose_ros.events.binning import Step
from hybrid_pose_ros.networks.checkpoint import Checkpoint
from hybrid_pose_ros.pipeline.snn_estimator import SnnEstimator
from hybrid_pose_ros.pipeline.state import InitRejectedError, Pose, StateInit
from hybrid_pose_ros.pipeline.timeline import InitSchedule, Replica

from .conftest import FIRST, Stream, T, equal, follow


def test_poses_go_on_without_a_late_initialisation_until_it_has_caught_up(stream: Stream) -> None:
    punctual = stream.poses({10: 10, 20: 20})
    without = stream.poses({10: 10})
    snn = stream.snn()
    poses = follow(snn, stream.steps[:26], {10: stream.inits[10]})
    snn.take_over(snn.unpack(stream.inits[20]))
    taken_at = None
    for position, step in enumerate(stream.steps[26:], 26):
        poses.append(snn.step(step))
        if taken_at is None and snn.catch_up(3):
            taken_at = position + 1
    assert taken_at == 30  # three steps run again for each new one
    assert snn.under_way is None
    assert all(map(equal, poses[:taken_at], without[:taken_at]))
    assert all(map(equal, poses[taken_at:], punctual[taken_at:]))
    assert not any(map(equal, without[20:], punctual[20:]))


def test_another_initialisation_ends_the_catch_up_before_it(stream: Stream) -> None:
    punctual = stream.poses({10: 10, 20: 20})
    snn = stream.snn()
    follow(snn, stream.steps[:24], {})
    snn.take_over(snn.unpack(stream.inits[10]))
    assert not snn.catch_up(2)
    snn.take_over(snn.unpack(stream.inits[20]))
    assert snn.under_way is not None
    assert snn.catch_up()
    assert all(map(equal, punctual[24:], [snn.step(step) for step in stream.steps[24:]]))


def _with_odd_one(
    snn: SnnEstimator, steps: list[Step], inits: dict[int, StateInit], late: int
) -> list[Pose]:
    """Initialise every ten steps, and then once in between, for a moment ``late`` steps ago."""
    third, odd = (replace(inits[10], sensor_time_ns=(FIRST + k) * T) for k in (30, 33))
    return follow(snn, steps, {10: inits[10], 20: inits[20], 30: third, 33 + late: odd})


def test_an_initialisation_out_of_turn_is_replayed_as_exactly(stream: Stream) -> None:
    punctual = _with_odd_one(stream.snn(), stream.steps, stream.inits, 0)
    snn = stream.snn()
    late = _with_odd_one(snn, stream.steps, stream.inits, 3)
    assert late[-1].init_age_ns == (len(stream.steps) - 33) * T
    assert all(map(equal, punctual[36:], late[36:]))
    assert not any(map(equal, punctual[33:36], late[33:36]))


def test_of_the_past_it_keeps_what_the_next_initialisation_needs(stream: Stream) -> None:
    snn = stream.snn()
    follow(snn, stream.steps[:32], {10: stream.inits[10], 20: stream.inits[20]})
    log = snn.timeline.log
    kept = [logged.step.index - FIRST for logged in log if logged.memory is not None]
    assert kept == [20, 30]


def test_one_out_of_turn_is_refused_when_the_past_is_too_short(stream: Stream) -> None:
    snn = stream.snn(max_replay_steps=5)
    follow(snn, stream.steps[:36], {10: stream.inits[10], 20: stream.inits[20]})
    with pytest.raises(InitRejectedError, match="out of turn"):
        snn.initialise(replace(stream.inits[10], sensor_time_ns=(FIRST + 33) * T))
    snn.step(stream.steps[36])


def test_a_reset_drops_what_is_being_caught_up_with(stream: Stream) -> None:
    snn = stream.snn()
    follow(snn, stream.steps[:15], {})
    snn.take_over(snn.unpack(stream.inits[10]))
    snn.catch_up(1)
    snn.reset()
    assert not snn.catch_up()
    fresh = stream.snn()
    assert all(equal(snn.step(step), fresh.step(step)) for step in stream.steps[20:24])


def test_a_time_line_is_a_value_that_another_network_can_replay(stream: Stream) -> None:
    snn = stream.snn()
    follow(snn, stream.steps[:25], {10: stream.inits[10], 20: stream.inits[20]})
    line, state = snn.timeline, snn.state()
    assert line.start is not None and line.start.index == FIRST + 20 and line.is_whole
    assert [logged.step.index - FIRST for logged in line.log] == [20, 21, 22, 23, 24]
    follow(snn, stream.steps[25:], {5: replace(stream.inits[20], sensor_time_ns=(FIRST + 30) * T)})
    other = Replica(
        SparseSnn(stream.checkpoint.network.snn, 65, 87, stream.checkpoint.network.carry),
        InitSchedule(),
        100,
    )
    other.replay(line.start, [logged.step for logged in line.log])
    assert torch.equal(other.snn.state().heatmaps, state.heatmaps)
    for name, membrane in other.snn.state().membranes.items():
        assert torch.equal(membrane, state.membranes[name])


def test_a_twin_shares_the_weights_alone(checkpoint: Checkpoint, steps: list[Step]) -> None:
    snn, reference = (SparseSnn(checkpoint.network.snn, 65, 87) for _ in range(2))
    twin = snn.twin()
    for step, other in zip(steps[:4], steps[10:14], strict=True):
        snn.step(step.counts)
        twin.step(other.counts)
        reference.step(step.counts)
    assert torch.equal(snn.state().heatmaps, reference.state().heatmaps)
    assert not torch.equal(twin.state().heatmaps, reference.state().heatmaps)
    for name, layer in snn.layers.items():
        assert layer.synapses.weights is twin.layers[name].synapses.weights
        assert not np.shares_memory(layer.membrane, twin.layers[name].membrane)
