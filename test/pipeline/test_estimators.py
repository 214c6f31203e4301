# SPDX-License-Identifier: Apache-2.0
"""Streaming inference: late initialisations, replay, gaps, rejections - to the bit."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch.nn.functional import max_pool2d

from hybrid_pose_ros.engine.sparse_snn import SparseSnn
from hybrid_pose_ros.events.binning import GridView, Step, merge_steps
from hybrid_pose_ros.networks.checkpoint import Checkpoint
from hybrid_pose_ros.networks.config import EDGE, variant_of
from hybrid_pose_ros.networks.heatmaps import UNSURE
from hybrid_pose_ros.networks.hybrid import HybridPoseNetwork
from hybrid_pose_ros.pipeline.ann_estimator import AnnEstimator, longest_block, sum_windows
from hybrid_pose_ros.pipeline.codec import decode_state, decode_tensor, encode_affine, encode_half
from hybrid_pose_ros.pipeline.snn_estimator import (
    CONFIDENCE_HALF_LIFE_NS,
    FRESH_NS,
    InitPolicy,
    SnnEstimator,
)
from hybrid_pose_ros.pipeline.state import InitRejectedError, StateInit
from hybrid_pose_ros.pipeline.step_length import with_step

from .conftest import FIRST, Stream, T, equal, follow


@pytest.mark.parametrize("delay", [1, 3, 7, 15])
def test_a_late_initialisation_with_replay_equals_a_punctual_one_to_the_bit(
    stream: Stream, delay: int
) -> None:
    punctual = stream.poses({10: 10, 20: 20})
    late = stream.poses({10: 10, 20 + delay: 20})
    assert all(map(equal, punctual[:20], late[:20]))
    assert not any(map(equal, punctual[20 : 20 + delay], late[20 : 20 + delay]))
    assert all(map(equal, punctual[20 + delay :], late[20 + delay :]))


def test_without_replay_a_late_initialisation_differs(stream: Stream) -> None:
    punctual = stream.poses({10: 10})
    late = stream.poses({15: 10}, init_policy=InitPolicy.IMMEDIATE)
    assert not any(
        np.array_equal(a.keypoints, b.keypoints)
        for a, b in zip(punctual[15:20], late[15:20], strict=True)
    )
    assert late[15].steps_since_init == 1  # it is taken to describe the present


def test_without_replay_each_late_initialisation_is_taken(stream: Stream) -> None:
    snn = stream.snn(init_policy=InitPolicy.IMMEDIATE)
    poses = follow(
        snn, stream.steps, {22: stream.inits[10], 34: stream.inits[20]}
    )  # each later than the next is due
    assert poses[21].steps_since_init == -1
    assert [poses[k].steps_since_init for k in (22, 33, 34)] == [1, 12, 1]


def test_a_late_initialisation_leaves_the_same_state(stream: Stream) -> None:
    punctual, late = stream.snn(), stream.snn()
    follow(punctual, stream.steps[:30], {10: stream.inits[10], 20: stream.inits[20]})
    follow(late, stream.steps[:30], {10: stream.inits[10], 29: stream.inits[20]})
    found, expected = late.state(), punctual.state()
    assert torch.equal(found.heatmaps, expected.heatmaps)
    assert found.velocity is not None and expected.velocity is not None
    assert torch.equal(found.velocity, expected.velocity)
    assert (found.velocity.abs() > 1e-3).all()
    assert all(torch.equal(v, expected.membranes[k]) for k, v in found.membranes.items())


def test_the_state_arrives_as_the_networks_made_it(stream: Stream) -> None:
    ann = AnnEstimator(stream.checkpoint, stream.view)
    for step in stream.steps[:10]:
        ann.push(step)
    windows, _ = ann.snapshot()
    with torch.no_grad():
        _, expected = stream.checkpoint.network.initial_state(torch.from_numpy(windows)[None])
    found = decode_state(
        stream.inits[10].tensors, SparseSnn(stream.checkpoint.network.snn, 65, 87).shapes
    )
    assert found.velocity is not None and expected.velocity is not None
    assert torch.allclose(found.velocity, expected.velocity, rtol=1e-3, atol=1e-4)
    assert (expected.velocity.abs() > 1e-2).float().mean() > 0.8
    maps = {**expected.membranes, "heatmaps": expected.heatmaps}
    for name, value in {**found.membranes, "heatmaps": found.heatmaps}.items():
        code = float(maps[name].max() - maps[name].min()) / 255
        assert (value - maps[name]).abs().max() < 0.51 * code + 1e-4, name


@pytest.mark.parametrize("name", ["no_init", "no_delta"])
def test_variants_run(name: str, view: GridView, steps: list[Step]) -> None:
    """Their states are taken as those of the full model are."""
    torch.manual_seed(1)
    network = HybridPoseNetwork(variant_of(EDGE, name)).eval()
    checkpoint = Checkpoint(network, "0123456789abcdef", {})
    ann, snn = AnnEstimator(checkpoint, view), SnnEstimator(checkpoint, view)
    ann.push(steps[0])
    snn.initialise(ann.infer())
    assert snn.step(steps[1]).steps_since_init == 1
    assert (snn.state().velocity is None) == (name == "no_delta")


def test_an_initialisation_for_the_future_waits_for_its_moment(stream: Stream) -> None:
    punctual = stream.poses({10: 10})
    early = stream.poses({4: 10})
    assert all(map(equal, punctual, early))


@pytest.mark.parametrize("begun", [False, True])
@pytest.mark.parametrize("ahead", [10, 10**6])
def test_one_from_before_a_jump_back_of_time_stands_in_the_way_of_none(
    stream: Stream, begun: bool, ahead: int
) -> None:
    expected = stream.poses({10: 10, 20: 20})
    stale = replace(stream.inits[10], sensor_time_ns=stream.inits[10].sensor_time_ns + ahead * T)
    snn = stream.snn()
    poses = [snn.step(stream.steps[0])] if begun else []
    snn.initialise(stale)
    poses += follow(snn, stream.steps[len(poses) : 10], {})
    poses += follow(snn, stream.steps[10:], {0: stream.inits[10], 10: stream.inits[20]})
    assert all(map(equal, expected, poses))


def test_nothing_of_the_past_survives_the_first_initialisation(stream: Stream) -> None:
    with_past = stream.poses({10: 10})
    fresh = stream.snn()
    fresh.initialise(stream.inits[10])
    without = [fresh.step(step) for step in stream.steps[10:]]
    assert all(map(equal, with_past[10:], without))


@pytest.mark.parametrize("silent", [0, 3])
def test_a_later_initialisation_leaves_what_the_network_leaves(
    stream: Stream, silent: int
) -> None:
    snn = stream.snn()
    follow(snn, stream.steps[: 20 - silent], {10: stream.inits[10]})
    network = stream.checkpoint.network
    init = decode_state(
        stream.inits[20].tensors, SparseSnn(stream.checkpoint.network.snn, 65, 87).shapes
    )
    with torch.no_grad():
        own = network.snn.silence(snn.state(), silent)
        expected = network.snn(
            torch.from_numpy(stream.steps[20].counts)[None].float(),
            network.reinitialise(init, own),
        )[1]
        overwritten = network.snn(torch.from_numpy(stream.steps[20].counts)[None].float(), init)[1]
    snn.initialise(stream.inits[20])
    snn.step(stream.steps[20])
    found = snn.state()
    assert torch.allclose(found.heatmaps, expected.heatmaps, atol=1e-3)
    assert found.velocity is not None and expected.velocity is not None
    assert torch.allclose(found.velocity, expected.velocity, atol=1e-4)
    assert (overwritten.heatmaps - expected.heatmaps).abs().max() > 0.05


def test_the_stepper_equals_the_network(stream: Stream) -> None:
    snn = stream.snn()
    network = stream.checkpoint.network.snn
    state = network.rest(1, 65, 87)
    for step in stream.steps[:5]:
        pose = snn.step(step)
        with torch.no_grad():
            _, state = network(torch.from_numpy(step.counts.astype(np.float32))[None], state)
        # a peak may be met again elsewhere to the last bit, so its height is what counts
        highest = max_pool2d(state.heatmaps, 3, 1, 1)[0]  # refinement moves it by half a cell
        columns, rows = np.rint((pose.keypoints - 1.5) / 4).astype(int).T
        at_pose, peaks = highest[np.arange(13), rows, columns], state.heatmaps[0].amax((1, 2))
        sure = peaks > UNSURE + 1e-5
        assert torch.allclose(at_pose[sure], peaks[sure], atol=1e-5)
        assert sure.any() or step is stream.steps[0]
        assert pose.sensor_time_ns == (step.index + 1) * T


def test_age_and_confidence(stream: Stream) -> None:
    poses = stream.poses({10: 10})
    assert {(p.steps_since_init, p.init_age_ns) for p in poses[:10]} == {(-1, -1)}
    assert not np.concatenate([p.confidence for p in poses[:10]]).any()
    assert [p.steps_since_init for p in poses[10:]] == list(range(1, 31))
    assert [p.init_age_ns for p in poses[10:]] == [k * T for k in range(1, 31)]
    assert poses[-1].init_age_ns > FRESH_NS
    snn = stream.snn()
    snn.initialise(stream.inits[10])
    later = [snn.step(step) for step in stream.steps[10:]]
    peak = snn.state().heatmaps.flatten(2).max(-1).values.clamp(0, 1)
    trust = 0.5 ** ((later[-1].init_age_ns - FRESH_NS) / CONFIDENCE_HALF_LIFE_NS)
    assert np.allclose(later[-1].confidence, peak[0].numpy() * trust)


def test_skipped_steps_leak_in_closed_form(stream: Stream) -> None:
    snn = stream.snn()
    snn.initialise(stream.inits[10])
    snn.step(stream.steps[10])
    before = snn.state()
    snn.step(replace(stream.steps[11], index=stream.steps[10].index + 201))
    reference = SparseSnn(stream.checkpoint.network.snn, 65, 87)
    with torch.no_grad():
        reference.load(stream.checkpoint.network.snn.silence(before, 200))
    reference.step(stream.steps[11].counts)
    found, expected = snn.state(), reference.state()
    assert torch.allclose(found.heatmaps, expected.heatmaps, atol=1e-6)
    assert found.velocity is not None and expected.velocity is not None
    assert torch.allclose(found.velocity, expected.velocity, atol=1e-6)


def test_merged_steps_are_accepted(stream: Stream) -> None:
    snn = stream.snn()
    snn.initialise(stream.inits[10])
    pose = snn.step(merge_steps(stream.steps[10:14]))
    assert pose.sensor_time_ns == (FIRST + 14) * T
    assert pose.steps_since_init == 4


def test_a_step_backwards_is_an_error(stream: Stream) -> None:
    snn = stream.snn()
    snn.step(stream.steps[1])
    with pytest.raises(ValueError, match="comes after"):
        snn.step(stream.steps[0])
    snn.reset()
    snn.step(stream.steps[0])


def broken(init: StateInit) -> dict[str, StateInit]:
    first, *others = init.tensors
    *maps, velocity = init.tensors
    assert velocity.name == "velocity"
    nan = np.full((13, 2), np.nan, "<f2").tobytes()
    return {
        "comes from model": replace(init, model_id="0123456789abcdef"),
        "no multiple": replace(init, sensor_time_ns=init.sensor_time_ns + 1),
        "its tensors are": replace(init, tensors=init.tensors[1:]),
        "has shape": replace(init, tensors=(replace(first, shape=(16, 87, 65)), *others)),
        "bytes": replace(init, tensors=(replace(first, data=first.data[:-1]), *others)),
        "dtype": replace(init, tensors=(replace(first, dtype="float64"), *others)),
        "not finite": replace(init, tensors=(replace(first, scale=float("nan")), *others)),
        "velocity holds values that are not finite": replace(
            init, tensors=(*maps, replace(velocity, data=nan))
        ),
        "not finite or too large": replace(init, tensors=(replace(first, scale=1e20), *others)),
        "velocity has shape": replace(init, tensors=(*maps, replace(velocity, shape=(2, 13)))),
        "up3'], not": replace(init, tensors=tuple(maps)),
        "is not after": replace(init, sensor_time_ns=init.sensor_time_ns - 10 * T),
    }


@pytest.mark.parametrize(
    "why",
    [
        "comes from model",
        "no multiple",
        "its tensors are",
        "has shape",
        "bytes",
        "dtype",
        "not finite",
        "velocity holds values that are not finite",
        "not finite or too large",
        "velocity has shape",
        "up3'], not",
        "is not after",
    ],
)
def test_an_unusable_initialisation_is_refused_and_the_state_untouched(
    stream: Stream, why: str
) -> None:
    expected = stream.poses({10: 10})
    snn = stream.snn()
    poses = follow(snn, stream.steps[:22], {10: stream.inits[10]})
    with pytest.raises(InitRejectedError, match=why):
        snn.initialise(broken(stream.inits[20])[why])
    poses += [snn.step(step) for step in stream.steps[22:]]
    assert all(map(equal, expected, poses))


def test_an_initialisation_older_than_the_steps_kept_is_refused(stream: Stream) -> None:
    snn = stream.snn(max_replay_steps=5)
    follow(snn, stream.steps[:16], {})
    with pytest.raises(InitRejectedError, match="older than the 5 steps kept"):
        snn.initialise(stream.inits[10])
    in_time = stream.snn(max_replay_steps=5)
    follow(in_time, stream.steps[:15], {})
    in_time.initialise(stream.inits[10])


def test_affine_code_is_exact_to_half_a_code() -> None:
    values = torch.randn(1, 3, 4, 5)
    encoded = encode_affine("x", values)
    assert len(encoded.data) == 60
    assert (decode_tensor(encoded) - values).abs().max() <= encoded.scale * 0.5001
    constant = torch.full((1, 1, 2, 2), -0.75)
    assert torch.equal(decode_tensor(encode_affine("x", constant)), constant)


def test_half_precision_code_is_exact_to_a_thousandth() -> None:
    values = torch.randn(1, 13, 2)
    encoded = encode_half("velocity", values)
    assert (encoded.shape, encoded.dtype, len(encoded.data)) == ((13, 2), "float16", 52)
    assert torch.equal(decode_tensor(encoded), values.half().float())


def test_size_of_an_initialisation(inits: dict[int, StateInit]) -> None:
    assert sum(len(tensor.data) for tensor in inits[10].tensors) < 450_000 - 10_000


def test_windows_grow_towards_the_past() -> None:
    history = np.arange(1, 8, dtype=np.uint8).reshape(7, 1, 1, 1) * np.ones((1, 2, 1, 1), np.uint8)
    windows = sum_windows(history, (1, 2, 4))
    assert windows[:, 0, 0].tolist() == [7, 7, 5 + 6, 5 + 6, 1 + 2 + 3 + 4, 1 + 2 + 3 + 4]


def test_the_ann_sees_the_same_in_blocks(checkpoint: Checkpoint, view: GridView) -> None:
    retimed = with_step(checkpoint, T // 5)
    assert longest_block(retimed.config.ann, 50) == 5
    assert longest_block(retimed.config.ann, 12) == 1
    whole = AnnEstimator(retimed, view)
    blocks = AnnEstimator(retimed, view, block_steps=5)
    rng = np.random.default_rng(3)
    for number in range(3, 7):
        counts = rng.poisson(0.3, (5, *view.shape)).astype(np.uint16)
        for k, part in enumerate(counts):
            whole.push(Step(5 * number + k, part, int(part.sum())))
        blocks.push(Step(number, counts.sum(0, dtype=np.uint16), int(counts.sum())))
    found, expected = blocks.snapshot(), whole.snapshot()
    assert found[1] == expected[1] == 7 * T
    assert expected[0].any()
    assert np.array_equal(found[0], expected[0])


def test_the_windows_are_sums_of_the_history(checkpoint: Checkpoint, view: GridView) -> None:
    ann = AnnEstimator(checkpoint, view)
    ann._sums[:] = 2**32 - 3  # as after years of events: the next ones overflow
    ann._newest = 0
    widths = checkpoint.config.ann.window_steps
    rng = np.random.default_rng(0)
    history: NDArray[np.uint16] = np.zeros((sum(widths), *view.shape), np.uint16)
    index = 0
    for number in range(60):
        gap = int(rng.choice([1, 1, 1, 2, 30]))
        counts = rng.poisson(0.2, view.shape).astype(np.uint16)
        index += gap
        ann.push(Step(index, counts, int(counts.sum())))
        silent = np.zeros((gap - 1, *view.shape), np.uint16)
        history = np.concatenate((history[gap:], silent, counts[None]))
        if number % 7 == 0:
            planes, sensor_time = ann.snapshot()
            assert sensor_time == (index + 1) * T
            assert np.array_equal(planes[: 2 * len(widths)], sum_windows(history, widths))


def test_the_ann_sees_skipped_steps_as_empty(stream: Stream) -> None:
    ann = AnnEstimator(stream.checkpoint, stream.view)
    ann.push(stream.steps[0])
    ann.push(stream.steps[3])
    windows, sensor_time = ann.snapshot()
    assert sensor_time == (FIRST + 4) * T
    assert np.array_equal(windows[0:2], stream.steps[3].counts)
    assert not windows[2:6].any()
    assert np.array_equal(windows[6:8], stream.steps[0].counts)
    ann.push(replace(stream.steps[4], index=FIRST + 5000))
    windows, _ = ann.snapshot()
    assert windows[: 2 * len(EDGE.ann.window_steps)].sum() == stream.steps[4].events
