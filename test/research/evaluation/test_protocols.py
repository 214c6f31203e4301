# SPDX-License-Identifier: Apache-2.0
"""Every model's poses are those of its network run by itself from the right moment."""

from collections.abc import Sequence

import numpy as np
import pytest
import torch

from hybrid_pose_ros.networks.checkpoint import Checkpoint
from hybrid_pose_ros.networks.heatmaps import decode_heatmaps
from hybrid_pose_ros.networks.hybrid import HybridPoseNetwork
from hybrid_pose_ros.networks.snn import SnnState
from hybrid_pose_ros.pipeline.ann_demand import AutoRate
from hybrid_pose_ros.pipeline.ann_estimator import sum_windows
from hybrid_pose_ros.pipeline.step_length import with_step
from hybrid_pose_ros.research.evaluation.engine import Engine
from hybrid_pose_ros.research.evaluation.models import MODELS, RARE_MS, SHORT_STEPS, Networks
from hybrid_pose_ros.research.evaluation.protocols import (
    AHEAD_MS,
    LATE_MS,
    Outcome,
    Protocols,
    answers_late,
    in_short_steps,
)
from hybrid_pose_ros.research.evaluation.runs import Input, Poses, initialise
from hybrid_pose_ros.research.evaluation.test_set import BinnedPerformance, Truth

WINDOWS = 3
LEAD = 110  # instants
CAMERAS = 2

Variants = dict[str, HybridPoseNetwork]


@pytest.fixture(scope="module")
def performance() -> BinnedPerformance:
    rng = np.random.default_rng(0)
    ticks = 10 * (LEAD + 10 * WINDOWS)
    counts = rng.poisson(0.03, (CAMERAS, ticks, 2, 20, 26)).astype(np.uint8)
    nothing = np.zeros((CAMERAS, 10 * WINDOWS, 13, 2), np.float32)
    truth = Truth(nothing, np.ones(nothing.shape[:-1], bool), np.zeros((10 * WINDOWS, 13, 3)))
    return BinnedPerformance(counts, truth)


@pytest.fixture(scope="module")
def networks(small_network: HybridPoseNetwork, small_variants: Variants) -> Networks:
    checkpoint = Checkpoint(small_network, "small", {})
    short = {name: with_step(checkpoint, ns).network for name, ns in SHORT_STEPS.items()}
    return Networks(checkpoint, small_variants | short)


@pytest.fixture(scope="module")
def protocols(networks: Networks) -> Protocols:
    return Protocols(networks)


@pytest.fixture(scope="module")
def outcome(protocols: Protocols, performance: BinnedPerformance) -> Outcome:
    return protocols.run_all(performance)


class Alone:
    """One network on one camera, one step after the other."""

    def __init__(self, network: HybridPoseNetwork, performance: BinnedPerformance) -> None:
        self.network = network
        self.per_instant = 10_000_000 // network.config.step_ns
        self.steps = performance.steps(network.config.step_ns).astype(np.float32)

    def inputs(self, camera: int, instant: int) -> np.ndarray:
        """What the ANN sees at the start of an instant."""
        ann = self.network.config.ann
        steps = self.steps[camera, : (LEAD + instant) * self.per_instant]
        windows = sum_windows(steps[-ann.history_steps :], ann.window_steps)
        events = steps.reshape(-1, ann.activity_steps, *steps.shape[1:]).sum((1, 2))
        ages = np.zeros((len(ann.activity_levels), *steps.shape[2:]), np.float32)
        for age, level in zip(ages, ann.activity_levels, strict=True):
            ago = (events >= level)[::-1].argmax(0)  # in steps of 10 ms
            never = ~(events >= level).any(0)
            age[:] = np.where(never, 0.0, 1.0 - np.log1p(ago) / np.log1p(12_000))
        return np.concatenate((windows, ages))

    def answer(self, camera: int, instant: int) -> tuple[torch.Tensor, SnnState]:
        """The ANN at the start of an instant."""
        inputs = torch.from_numpy(self.inputs(camera, instant)[None])
        with torch.inference_mode():
            return self.network.initial_state(inputs)

    def begin(self, camera: int, instant: int) -> tuple[np.ndarray, SnnState]:
        """The ANN's pose at the start of an instant, and its state."""
        heatmaps, state = self.answer(camera, instant)
        return decode_heatmaps(heatmaps)[0][0].numpy(), state

    def chain(
        self, camera: int, starts: Sequence[int], takes_effect: int = 0, at_rest: bool = False
    ) -> SnnState:
        """The state after the last of several initialisations, the first of which is whole."""
        own, before = None, 0
        for start in starts:
            _, state = self.answer(camera, start)
            if own is not None:
                own = self.run(camera, own, before + takes_effect, start - before)[-1]
            if at_rest:
                state = state._replace(membranes=self.network.snn.rest(1, 20, 26).membranes)
            with torch.inference_mode():
                own = state if own is None else self.network.reinitialise(state, own)
            before = start
        assert own is not None
        return own

    def run(self, camera: int, state: SnnState, start: int, instants: int) -> list[SnnState]:
        begin = (LEAD + start) * self.per_instant
        counts = self.steps[camera, begin : begin + instants * self.per_instant]
        with torch.inference_mode():
            return self.network.trace(state, torch.from_numpy(counts[:, None]))

    def after(self, camera: int, state: SnnState, start: int, instants: int) -> np.ndarray:
        """The pose so many instants after ``start``."""
        heatmaps = self.run(camera, state, start, instants)[-1].heatmaps
        return decode_heatmaps(heatmaps)[0][0].numpy()


def check(outcome: Outcome, model: str, camera: int, instant: int, expected: np.ndarray) -> None:
    found = outcome.poses[model].points[camera, instant]
    # one joint may lie elsewhere: rounding may decide between two cells of the same height
    assert (np.abs(found - expected).max(-1) < 0.02).sum() >= 12


CASES = [(0, 0), (1, 9), (0, 10), (1, 14), (0, 29)]


@pytest.mark.parametrize(("camera", "instant"), CASES)
def test_ann_at_every_instant_and_held(
    networks: Networks, performance: BinnedPerformance, outcome: Outcome, camera: int, instant: int
) -> None:
    alone = Alone(networks.hybrid, performance)
    check(outcome, "ann", camera, instant, alone.begin(camera, instant + 1)[0])
    start = instant // 10 * 10
    held, state = alone.begin(camera, start)
    check(outcome, "ann_held", camera, instant, held)
    assert state.velocity is not None
    moved = held + (instant - start + 1) * state.velocity[0].clamp(-2, 2).numpy()
    check(outcome, "ann_extrapolated", camera, instant, moved)


@pytest.mark.parametrize(("camera", "instant"), CASES)
@pytest.mark.parametrize(
    "model",
    ["hybrid", "hybrid_engine", "hybrid_reset", "hybrid_no_init_untrained", *RARE_MS],
)
def test_hybrid_from_its_initialisations(
    networks: Networks,
    performance: BinnedPerformance,
    outcome: Outcome,
    model: str,
    camera: int,
    instant: int,
) -> None:
    alone = Alone(networks.hybrid, performance)
    period = RARE_MS.get(model, 100) // 10
    start = instant // period * period
    if model == "hybrid_reset":
        state = alone.begin(camera, start)[1]
    else:
        starts = [-10, *range(0, start + 1, period)]
        state = alone.chain(camera, starts, at_rest=model == "hybrid_no_init_untrained")
    check(outcome, model, camera, instant, alone.after(camera, state, start, instant - start + 1))


@pytest.mark.parametrize(("camera", "instant"), CASES)
@pytest.mark.parametrize(
    ("model", "variant"),
    [
        ("hybrid_no_init", "no_init"),
        ("hybrid_no_delta", "no_delta"),
        ("hybrid_200hz", "200hz"),
        ("hybrid_500hz", "500hz"),
        ("hybrid_1000hz", "1000hz"),
    ],
)
def test_variants_run_on_their_own_network(
    networks: Networks,
    performance: BinnedPerformance,
    outcome: Outcome,
    model: str,
    variant: str,
    camera: int,
    instant: int,
) -> None:
    alone = Alone(networks.variants[variant], performance)
    start = instant // 10 * 10
    state = alone.chain(camera, range(-10, start + 1, 10))
    check(outcome, model, camera, instant, alone.after(camera, state, start, instant - start + 1))


@pytest.mark.parametrize(("camera", "instant"), CASES)
def test_snn_alone_begins_from_rest_or_runs_on(
    networks: Networks, performance: BinnedPerformance, outcome: Outcome, camera: int, instant: int
) -> None:
    alone = Alone(networks.variants["snn"], performance)
    rest = alone.network.snn.rest(1, 20, 26)
    start = instant // 10 * 10
    check(outcome, "snn", camera, instant, alone.after(camera, rest, start, instant - start + 1))
    running = alone.after(camera, rest, -LEAD, LEAD + instant + 1)
    check(outcome, "snn_running", camera, instant, running)


@pytest.mark.parametrize(("camera", "instant"), CASES)
@pytest.mark.parametrize("late_ms", LATE_MS)
def test_late_answers(
    networks: Networks,
    performance: BinnedPerformance,
    outcome: Outcome,
    late_ms: int,
    camera: int,
    instant: int,
) -> None:
    alone, late = Alone(networks.hybrid, performance), late_ms // 10
    # the last window whose answer is there before this instant begins
    start = max(10 * w for w in range(-1, WINDOWS) if 10 * w + late <= instant)
    starts = range(-10, start + 1, 10)
    state = alone.chain(camera, starts)
    replayed = alone.after(camera, state, start, instant - start + 1)
    check(outcome, f"hybrid_late_{late_ms}ms", camera, instant, replayed)
    state = alone.chain(camera, starts, takes_effect=late)
    taken = alone.after(camera, state, start + late, instant - start - late + 1)
    check(outcome, f"hybrid_late_{late_ms}ms_no_replay", camera, instant, taken)


@pytest.mark.parametrize("late", [0, 2, 10])
def test_a_replayed_pose_describes_its_own_instant(late: int) -> None:
    # a pose says which instant it describes, and its confidence how old its initialisation is
    def told(times: np.ndarray, ages: np.ndarray) -> Poses:
        points = np.broadcast_to(times[None, ..., None, None], (1, *times.shape, 13, 2))
        confidence = np.broadcast_to(ages[None, ..., None], (1, *ages.shape, 13))
        return Poses(points.astype(np.float32), confidence.astype(np.float32))

    times, ages = np.arange(-10, 40) + 1, np.tile(np.arange(10), 5) + 1
    poses = told(times, ages)
    beyond = told(times.reshape(5, 10) + 10, ages.reshape(5, 10) + 10)
    found = answers_late(poses, beyond, 4, late)
    assert found.points.shape == (1, 40, 13, 2)
    assert (found.points[0, ..., 0] == np.arange(1, 41)[:, None]).all()
    expected = (np.arange(40) - late) % 10 + late + 1
    assert (found.confidence[0] == expected[:, None]).all()


def test_every_model_has_a_pose_at_every_instant_and_every_spiking_one_activity(
    networks: Networks, outcome: Outcome
) -> None:
    ahead = {f"{what}_{ms}ms" for what in ("held", "predicted") for ms in AHEAD_MS}
    assert set(outcome.poses) == set(MODELS) - {"mean_pose"} | ahead
    for poses in outcome.poses.values():
        assert poses.points.shape == (CAMERAS, 10 * WINDOWS, 13, 2)
        assert poses.confidence.shape == (CAMERAS, 10 * WINDOWS, 13)
    needed = {model.activity for model in MODELS.values()} - {None}
    assert set(outcome.activity) == needed
    for name in ("hybrid", "hybrid_engine", "hybrid_300ms", "snn_running"):
        assert outcome.activity[name].steps == CAMERAS * WINDOWS * 10
    assert outcome.activity["hybrid_1000hz"].steps == CAMERAS * WINDOWS * 100
    assert networks.missing() == {}


def test_poses_ahead_are_those_of_some_time_before(outcome: Outcome) -> None:
    now, held = outcome.poses["hybrid_engine"], outcome.poses["held_20ms"]
    assert (held.points[:, 2:] == now.points[:, :-2]).all()
    predicted = outcome.poses["predicted_20ms"]
    assert predicted.points.shape == now.points.shape
    assert (predicted.confidence == held.confidence).all()
    assert np.abs(predicted.points - held.points).max() > 0.01


def test_on_demand_without_a_bound_is_the_hybrid_at_the_longest_interval(
    networks: Networks, performance: BinnedPerformance
) -> None:
    engine, data = Engine(networks.hybrid), Input(performance, networks.hybrid)

    def state(camera: int, instant: int) -> SnnState:
        with torch.inference_mode():
            return networks.hybrid.initial_state(data.inputs([instant])[camera])[1]

    rate = AutoRate(max_drift_px=1e9, min_interval_ms=100.0, max_interval_ms=100.0)
    run, count = engine.run_on_demand(data, -10, 20, state, rate)
    inits = [state(camera, start) for camera in range(2) for start in (-10, 0, 10)]
    joined = SnnState(
        {name: torch.cat([i.membranes[name] for i in inits]) for name in inits[0].membranes},
        torch.cat([i.heatmaps for i in inits]),
        torch.cat([i.velocity for i in inits if i.velocity is not None]),
    )
    fixed = engine.run(data, (-10, 0, 10), 20, joined)
    assert (run.poses.points == fixed.poses.points).all()
    assert count == 2 * CAMERAS  # those at instants 0 and 10
    assert run.activity == fixed.activity


def test_main_run_is_a_part_of_the_whole(
    protocols: Protocols, performance: BinnedPerformance, outcome: Outcome
) -> None:
    main = protocols.run_main(performance)
    assert (main.poses["hybrid"].points == outcome.poses["hybrid"].points).all()
    assert main.activity["hybrid"] == outcome.activity["hybrid"]


def test_models_without_weights_are_missing_and_not_run(
    networks: Networks, performance: BinnedPerformance
) -> None:
    fewer = Networks(networks.checkpoint, {"no_init": networks.variants["no_init"]})
    missing = fewer.missing()
    short = {f"hybrid_{name}" for name in SHORT_STEPS}
    assert set(missing) == {"snn", "snn_running", "hybrid_no_delta"} | short
    assert "variant no_delta" in missing["hybrid_no_delta"]
    assert "steps of 2 ms" in missing["hybrid_500hz"]
    assert not missing.keys() & Protocols(fewer).run_all(performance).poses.keys()


@pytest.mark.parametrize("name", SHORT_STEPS)
def test_initialisations_of_short_steps_are_those_of_the_converted_network(
    networks: Networks, performance: BinnedPerformance, name: str
) -> None:
    whole, short = networks.hybrid, networks.variants[name]
    with torch.inference_mode():
        states = [
            initialise(network, Input(performance, network), [-10, 10])[1]
            for network in (whole, short)
        ]
    found = in_short_steps(states[0], whole.config.step_ns / short.config.step_ns)
    assert torch.equal(found.heatmaps, states[1].heatmaps)
    for layer, membrane in states[1].membranes.items():
        assert torch.equal(found.membranes[layer], membrane)
    assert found.velocity is not None and states[1].velocity is not None
    assert torch.allclose(found.velocity, states[1].velocity, rtol=1e-4, atol=1e-5)


def test_history_longer_than_the_lead_is_refused(performance: BinnedPerformance) -> None:
    class Long:
        class config:  # noqa: N801
            step_ns = 10_000_000

            class ann:  # noqa: N801
                window_steps = (101,)

    with pytest.raises(ValueError, match="history of 101 steps"):
        Input(performance, Long())  # type: ignore[arg-type]
