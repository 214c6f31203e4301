# SPDX-License-Identifier: Apache-2.0
"""How each model runs over a performance: when it is initialised, and what it does in between.

All models are compared at the same instants, every 10 ms, in windows of 100 ms. The ANN sees the
events up to the start of a window; instant 1 of the window lies 10 ms after it and instant 10
where the next window starts.

``ann`` and ``hybrid`` run in torch, as they were trained. All other SNNs run on the engine that
runs in use: ``hybrid_engine`` with the very initialisations that ``hybrid`` gets, so that the two
can be compared, and ``hybrid_live`` with what arrives of them as messages.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import torch

from hybrid_pose_ros.networks.heatmap_motion import MAX_VELOCITY
from hybrid_pose_ros.networks.snn import SnnState
from hybrid_pose_ros.pipeline.ann_demand import AutoRate
from hybrid_pose_ros.pipeline.prediction import way_s
from hybrid_pose_ros.research.evaluation.energy import Activity, SpikeMeter
from hybrid_pose_ros.research.evaluation.engine import Engine, EngineRun
from hybrid_pose_ros.research.evaluation.models import AUTO_PX, RARE_MS, SHORT_STEPS, Networks
from hybrid_pose_ros.research.evaluation.published import WINDOW_NS
from hybrid_pose_ros.research.evaluation.runs import (
    Input,
    Poses,
    as_sent,
    decoded,
    initialise,
    run_ann,
    run_torch,
)
from hybrid_pose_ros.research.evaluation.test_set import INSTANT_NS, BinnedPerformance

WINDOW_INSTANTS: Final = WINDOW_NS // INSTANT_NS
"""Instants in a window."""

LATE_MS: Final = (20, 50, 100)
"""How late the ANN's answer comes in ``hybrid_late_*``; not more than a window."""

AHEAD_MS: Final = (10, 20, 50)
"""How far ahead poses are predicted; not more than a window."""

_VARIANTS: Final = {"no_init": "hybrid_no_init", "no_delta": "hybrid_no_delta"}
"""Trained variant that is initialised as the hybrid is -> the model that it is."""


@dataclass(frozen=True)
class Outcome:
    """All models on one performance.

    Attributes:
        poses: model -> its poses at the instants, [cameras, instants, ...].
        activity: model -> what its neurons did, of those that have neurons of their own.
        ann_hz: model -> runs of the ANN per second and camera, of those whose SNN asks for it.
    """

    poses: Mapping[str, Poses]
    activity: Mapping[str, Activity]
    ann_hz: Mapping[str, float]


class Protocols:
    """Runs models over performances.

    Args:
        networks: all that are compared.
    """

    def __init__(self, networks: Networks) -> None:
        self._networks = networks
        self._engine = Engine(networks.hybrid)
        self._engines = {name: Engine(network) for name, network in networks.variants.items()}

    def run_all(self, performance: BinnedPerformance) -> Outcome:
        """Run every model there is."""
        with torch.inference_mode():
            main = _Performance(self._networks, performance)
            main.run_main()
            main.run_engine(self._engine)
            main.run_on_demand(self._engine)
            for name, engine in self._engines.items():
                if name == "snn":
                    main.run_alone(engine)
                elif name in SHORT_STEPS:
                    main.run_short(name, engine)
                else:
                    main.run_variant(name, engine)
        return main.outcome

    def run_main(self, performance: BinnedPerformance) -> Outcome:
        """Run the ANN and the hybrid, at its fixed rate and on demand."""
        with torch.inference_mode():
            main = _Performance(self._networks, performance)
            main.run_main()
            main.run_on_demand(self._engine)
        return main.outcome


class _Performance:
    """One performance, and what was found on it so far."""

    def __init__(self, networks: Networks, performance: BinnedPerformance) -> None:
        self._networks = networks
        self._performance = performance
        self._data = Input(performance, networks.hybrid)
        self._end = self._data.windows * WINDOW_INSTANTS
        # the window before the test comes first: answers that come late need it
        self._starts = range(-WINDOW_INSTANTS, self._end, WINDOW_INSTANTS)
        self._poses: dict[str, Poses] = {}
        self._activity: dict[str, Activity] = {}
        self._ann_hz: dict[str, float] = {}
        self._heatmaps, self._inits = initialise(networks.hybrid, self._data, self._starts)

    @property
    def outcome(self) -> Outcome:
        """Poses and activity found so far."""
        return Outcome(self._poses, self._activity, self._ann_hz)

    def run_main(self) -> None:
        """The ANN at every instant, held and extrapolated, and the hybrid, all in torch."""
        data, inits = self._data, self._inits
        network = self._networks.hybrid
        instants = range(1, self._end + 1)
        self._poses["ann"] = run_ann(network, data, instants)
        latest = np.repeat(np.arange(1, data.windows + 1), WINDOW_INSTANTS)
        held = decoded(self._heatmaps, data.cameras).at(latest)
        self._poses["ann_held"] = held
        if inits.velocity is not None:
            velocity = inits.velocity.clamp(-MAX_VELOCITY, MAX_VELOCITY)
            velocity = velocity.unflatten(0, (data.cameras, -1))[:, latest]
            steps = np.tile(np.arange(1, WINDOW_INSTANTS + 1), data.windows)
            steps = (steps * data.steps_per_instant)[:, None, None].astype(np.float32)
            moved = held.points + velocity.numpy() * steps
            self._poses["ann_extrapolated"] = Poses(moved, held.confidence)
        meter = SpikeMeter(network.snn)
        found = run_torch(network, data, inits, self._starts, self._end, meter)
        self._poses["hybrid"] = found.last(self._end)
        self._activity["hybrid"] = meter.activity

    def run_engine(self, engine: Engine) -> None:
        """The hybrid on the engine; with late, rare and missing initialisations."""
        data, inits, starts, end = self._data, self._inits, self._starts, self._end
        on_time = engine.run(data, starts, end, inits, beyond=WINDOW_INSTANTS)
        self._found("hybrid_engine", on_time)
        self._predict(on_time)
        self._found("hybrid_live", engine.run(data, starts, end, as_sent(inits)))
        for late_ms in LATE_MS:
            late = late_ms * 1_000_000 // INSTANT_NS
            name = f"hybrid_late_{late_ms}ms"
            self._poses[name] = answers_late(on_time.poses, on_time.beyond, data.windows, late)
            arrivals = [start + late for start in starts]
            taken = engine.run(data, arrivals, end, inits)
            self._poses[f"{name}_no_replay"] = taken.poses.last(end)

        for name, period_ms in RARE_MS.items():
            rare = [starts[0], *range(0, end, period_ms * 1_000_000 // INSTANT_NS)]
            _, few = initialise(self._networks.hybrid, data, rare)
            self._found(name, engine.run(data, rare, end, few))

        if self._networks.hybrid.config.carry:
            self._found("hybrid_reset", engine.run(data, starts, end, inits, carry=False))

        snn = self._networks.hybrid.snn
        rest = snn.rest(len(inits.heatmaps), *inits.heatmaps.shape[-2:])
        at_rest = inits._replace(membranes=rest.membranes)
        self._found("hybrid_no_init_untrained", engine.run(data, starts, end, at_rest))

    def run_on_demand(self, engine: Engine) -> None:
        """The hybrid with an ANN that runs when the SNN asks for it."""
        data, network = self._data, self._networks.hybrid
        bounds = AutoRate()
        first, step_ns = self._starts[0], network.config.step_ns
        every = bounds.min_steps(step_ns) * step_ns // INSTANT_NS
        inputs = data.inputs(range(first, self._end, every))
        for name, drift_px in AUTO_PX.items():
            run, ann_runs = engine.run_on_demand(
                data,
                first,
                self._end,
                lambda camera, instant: network.initial_state(
                    inputs[camera, (instant - first) // every][None]
                )[1],
                replace(bounds, max_drift_px=drift_px),
            )
            self._found(name, run)
            seconds = self._end * INSTANT_NS * 1e-9
            self._ann_hz[name] = ann_runs / data.cameras / seconds

    def _predict(self, run: EngineRun) -> None:
        """The hybrid's pose of some time before, held and moved on with its velocities."""
        if run.velocities is None:
            return
        step_s = self._networks.hybrid.config.step_ns * 1e-9
        for ms in AHEAD_MS:
            instants = ms * 1_000_000 // INSTANT_NS
            then = slice(run.poses.points.shape[1] - self._end - instants, -instants)
            points, confidence = run.poses.points[:, then], run.poses.confidence[:, then]
            moved = points + run.velocities[:, then] * (way_s(ms * 1e-3) / step_s)
            self._poses[f"held_{ms}ms"] = Poses(points, confidence)
            self._poses[f"predicted_{ms}ms"] = Poses(moved.astype(np.float32), confidence)

    def run_variant(self, variant: str, engine: Engine) -> None:
        """A variant that was trained, initialised by its own ANN."""
        network = self._networks.variants[variant]
        data = Input(self._performance, network)
        _, inits = initialise(network, data, self._starts)
        self._found(_VARIANTS[variant], engine.run(data, self._starts, self._end, inits))

    def run_short(self, name: str, engine: Engine) -> None:
        """The hybrid's weights at shorter steps."""
        network = self._networks.variants[name]
        data = Input(self._performance, network)
        parts = data.steps_per_instant / self._data.steps_per_instant
        inits = in_short_steps(self._inits, parts)
        self._found(f"hybrid_{name}", engine.run(data, self._starts, self._end, inits))

    def run_alone(self, engine: Engine) -> None:
        """The SNN that was trained alone: from rest in every window, and running on."""
        data = Input(self._performance, self._networks.variants["snn"])
        self._found("snn", engine.run(data, self._starts[1:], self._end, None))
        self._found("snn_running", engine.run(data, [data.first_instant], self._end, None))

    def _found(self, name: str, run: EngineRun) -> None:
        self._poses[name] = run.poses.last(self._end)
        self._activity[name] = run.activity


def in_short_steps(inits: SnnState, parts: float) -> SnnState:
    """Convert initialisations for the same SNN at steps that are ``parts`` times shorter.

    The ANN of a converted model has the same weights and sees the same windows; only velocities
    are per step.
    """
    if inits.velocity is None:
        return inits
    return inits._replace(velocity=inits.velocity / parts)


def answers_late(poses: Poses, beyond: Poses, windows: int, late: int) -> Poses:
    """Put together what is published when each initialisation comes late and is replayed.

    Until it comes, the SNN goes on from the one before. An initialisation that comes with an
    instant serves the next one. What was missed meanwhile is in the poses of the new run.

    Args:
        poses: [cameras, (windows + 1) * instants, ...], runs from every window's start on, and
            first from that of the window before.
        beyond: [cameras, windows + 1, instants, ...], how these runs go on after their window.
        late: instants from an initialisation's window start to its arrival.

    Returns:
        [cameras, windows * WINDOW_INSTANTS, ...].
    """
    instants = np.arange(windows * WINDOW_INSTANTS)
    window = (instants - late) // WINDOW_INSTANTS
    age = instants - window * WINDOW_INSTANTS
    on_time = poses.at(instants + WINDOW_INSTANTS)
    old = beyond.at(window + 1, age % WINDOW_INSTANTS)
    new = age < WINDOW_INSTANTS
    return Poses(
        np.where(new[:, None, None], on_time.points, old.points),
        np.where(new[:, None], on_time.confidence, old.confidence),
    )
