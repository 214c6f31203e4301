# SPDX-License-Identifier: Apache-2.0
"""How each model runs over a performance: when it is initialised, and what it does in between.

All models are compared at the same instants, every 10 ms, in windows of 100 ms. The ANN sees the
events up to the start of a window; instant 1 of the window lies 10 ms after it and instant 10
where the next window starts.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hybrid_pose_ros.evaluation.energy import Activity, SpikeMeter
from hybrid_pose_ros.evaluation.models import FAST, Networks
from hybrid_pose_ros.evaluation.test_set import INSTANT_NS, LEAD_NS, WINDOW_NS, BinnedPerformance
from hybrid_pose_ros.inference.ann_estimator import sum_windows
from hybrid_pose_ros.networks.heatmaps import decode_heatmaps
from hybrid_pose_ros.networks.hybrid import HybridPoseNetwork
from hybrid_pose_ros.networks.motion import MAX_VELOCITY
from hybrid_pose_ros.networks.snn import SnnState

WINDOW_INSTANTS: Final = WINDOW_NS // INSTANT_NS
"""Instants in a window."""

LONG_WINDOWS: Final = 3
"""Windows without a new initialisation in ``hybrid_300ms``."""

LATE_MS: Final = (20, 50, 100)
"""How late the ANN's answer comes in ``hybrid_late_*``; not more than a window."""

_ANN_BATCH = 24


@dataclass(frozen=True)
class Poses:
    """Poses of one model.

    Attributes:
        points: in cells, float32 [cameras, ..., 13, 2].
        confidence: float32 [cameras, ..., 13].
    """

    points: NDArray[np.float32]
    confidence: NDArray[np.float32]

    def at(self, *places: NDArray[np.int64]) -> "Poses":
        """Choose poses by their indices along the axes after the cameras."""
        every = np.arange(len(self.points)).reshape(-1, *(1,) * places[0].ndim)
        return Poses(self.points[every, *places], self.confidence[every, *places])

    def in_order(self) -> "Poses":
        """Join the axes of runs and of instants in a run: [cameras, runs * instants, ...]."""
        cameras = len(self.points)
        return Poses(
            self.points.reshape(cameras, -1, *self.points.shape[-2:]),
            self.confidence.reshape(cameras, -1, self.confidence.shape[-1]),
        )


@dataclass(frozen=True)
class Outcome:
    """All models on one performance.

    Attributes:
        poses: model -> its poses at the instants, [cameras, instants, ...].
        activity: model -> what its neurons did, of those that have neurons of their own.
    """

    poses: Mapping[str, Poses]
    activity: Mapping[str, Activity]


class Input:
    """A performance's steps of one length, as inputs of ANN and SNN.

    One window of empty steps follows the end: runs that begin late in the last window go on into
    it, and nothing that they find there is used.

    Args:
        performance: binned events.
        network: the step length and the ANN's windows are its.
    """

    def __init__(self, performance: BinnedPerformance, network: HybridPoseNetwork) -> None:
        step_ns = network.config.step_ns
        self._widths = network.config.ann.window_steps
        steps = performance.steps(step_ns)
        self.steps_per_instant = INSTANT_NS // step_ns
        self._lead = LEAD_NS // step_ns
        self.windows = (steps.shape[1] - self._lead) * step_ns // WINDOW_NS
        empty = np.zeros_like(steps[:, : WINDOW_NS // step_ns])
        self._steps = np.concatenate((steps, empty), 1)
        if sum(self._widths) > self._lead - WINDOW_NS // step_ns:
            raise ValueError(
                f"the ANN's history of {sum(self._widths)} steps is longer than what the test set "
                f"has before the first window"
            )

    @property
    def cameras(self) -> int:
        """Number of cameras."""
        return len(self._steps)

    @property
    def first_instant(self) -> int:
        """The instant, counted from the first window, at which the recording begins."""
        return -self._lead // self.steps_per_instant

    def histories(self, instants: Iterable[int]) -> Tensor:
        """The ANN's inputs: events before these instants, [cameras * instants, planes, H, W]."""
        length = sum(self._widths)
        windows = []
        ends = [self._lead + instant * self.steps_per_instant for instant in instants]
        for camera in self._steps:
            windows += [sum_windows(camera[end - length : end], self._widths) for end in ends]
        return torch.from_numpy(np.stack(windows))

    def step(self, instants: Sequence[int], offset: int) -> Tensor:
        """The SNN's inputs so many steps after these instants: [cameras * instants, 2, H, W]."""
        rows = [self._lead + instant * self.steps_per_instant + offset for instant in instants]
        return torch.from_numpy(self._steps[:, rows].astype(np.float32)).flatten(0, 1)


def _decoded(heatmaps: Tensor, cameras: int) -> Poses:
    """[cameras * runs, 13, H, W] to poses [cameras, runs, ...]."""
    points, confidence = decode_heatmaps(heatmaps)
    return Poses(
        points.unflatten(0, (cameras, -1)).numpy(), confidence.unflatten(0, (cameras, -1)).numpy()
    )


def _stacked(parts: Sequence[Poses]) -> Poses:
    """Poses per instant, [cameras, runs, ...] each, to [cameras, runs, instants, ...]."""
    return Poses(
        np.stack([part.points for part in parts], 2),
        np.stack([part.confidence for part in parts], 2),
    )


def run_snn(
    network: HybridPoseNetwork,
    state: SnnState,
    data: Input,
    starts: Sequence[int],
    instants: int,
    meter: SpikeMeter | None = None,
) -> tuple[Poses, SnnState]:
    """Run the SNN from several instants at once.

    Args:
        state: one sample per camera and start, the starts of the first camera first.
        starts: the instants at which the runs begin.
        instants: length of the runs.
        meter: counts the spikes.

    Returns:
        the poses after each instant, [cameras, starts, instants, ...], and the state in the end.
    """
    found = []
    with meter or nullcontext():
        for offset in range(instants * data.steps_per_instant):
            _, state = network.snn(data.step(starts, offset), state)
            if (offset + 1) % data.steps_per_instant == 0:
                found.append(_decoded(state.heatmaps, data.cameras))
    return _stacked(found), state


def run_chain(
    network: HybridPoseNetwork,
    inits: SnnState,
    data: Input,
    starts: Sequence[int],
    instants: int = WINDOW_INSTANTS,
    meter: SpikeMeter | None = None,
    own: SnnState | None = None,
) -> tuple[Poses, SnnState, SnnState]:
    """Run the hybrid through initialisations, each of which finds the SNN as the last one left it.

    Args:
        inits: what the ANN says, one sample per camera and start, the starts of the first camera
            first.
        starts: the instants at which the initialisations take effect, in order.
        instants: length of the runs; the next one begins where one ends.
        meter: counts the spikes.
        own: the SNN's state before the first; None: it had none.

    Returns:
        the poses after each instant, [cameras, starts, instants, ...], and the states at the
        beginnings and ends of the runs, samples as in ``inits``.
    """
    if not network.config.carry:  # then no run needs the one before
        poses, ended = run_snn(network, inits, data, starts, instants, meter)
        return poses, inits, ended
    runs, begun, ends = [], [], []
    for number, start in enumerate(starts):
        state = chosen(inits, data.cameras, [number])
        if own is not None:
            state = network.reinitialise(state, own)
        begun.append(state)
        poses, own = run_snn(network, state, data, [start], instants, meter)
        runs.append(poses)
        ends.append(own)
    joined = Poses(
        np.concatenate([run.points for run in runs], 1),
        np.concatenate([run.confidence for run in runs], 1),
    )
    return joined, _interleaved(begun), _interleaved(ends)


def chosen(state: SnnState, cameras: int, numbers: Sequence[int]) -> SnnState:
    """Keep some of the runs of a state [cameras * runs, ...]."""

    def choose(values: Tensor) -> Tensor:
        return values.unflatten(0, (cameras, -1))[:, list(numbers)].flatten(0, 1)

    return SnnState(
        {name: choose(membrane) for name, membrane in state.membranes.items()},
        choose(state.heatmaps),
        None if state.velocity is None else choose(state.velocity),
    )


def _interleaved(states: Sequence[SnnState]) -> SnnState:
    """States of one run each, [cameras, ...], to [cameras * runs, ...]."""

    def join(values: list[Tensor]) -> Tensor:
        return torch.stack(values, 1).flatten(0, 1)

    velocities = [state.velocity for state in states if state.velocity is not None]
    return SnnState(
        {name: join([state.membranes[name] for state in states]) for name in states[0].membranes},
        join([state.heatmaps for state in states]),
        join(velocities) if velocities else None,
    )


def run_ann(network: HybridPoseNetwork, data: Input) -> Poses:
    """Run the ANN at every instant: [cameras, instants, ...]."""
    instants = range(1, data.windows * WINDOW_INSTANTS + 1)
    parts = []
    for start in range(0, len(instants), _ANN_BATCH):
        heatmaps, _ = network.ann(data.histories(instants[start : start + _ANN_BATCH]))
        parts.append(_decoded(heatmaps, data.cameras))
    return Poses(
        np.concatenate([part.points for part in parts], 1),
        np.concatenate([part.confidence for part in parts], 1),
    )


def answers_late(poses: Poses, windows: int, late: int, *, replay: bool) -> Poses:
    """Put together what is published when each initialisation comes late.

    Until it comes, the SNN goes on from the one before. An initialisation that comes with an
    instant serves the next one.

    Args:
        poses: [cameras, windows + 1, instants, ...], runs from every window's start on, and first
            from that of the window before. With ``replay`` they begin at that start, so what was
            missed meanwhile is in them; without, ``late`` instants after it.
        late: instants from an initialisation's window start to its arrival.

    Returns:
        [cameras, windows * WINDOW_INSTANTS, ...].
    """
    instants = np.arange(windows * WINDOW_INSTANTS)
    window = (instants - late) // WINDOW_INSTANTS
    age = instants - window * WINDOW_INSTANTS
    return poses.at(window + 1, age if replay else age - late)


def run_all(networks: Networks, performance: BinnedPerformance) -> Outcome:
    """Run every model there is over a performance."""
    with torch.inference_mode():
        data = Input(performance, networks.hybrid)
        main = _run_main(networks.hybrid, data)
        poses, activity = _run_ablations(networks.hybrid, data, main)
        for name, network in networks.variants.items():
            more, did = _VARIANT_RUNS[name](network, Input(performance, network))
            poses |= more
            activity |= did
    return Outcome({**main.poses, **poses}, {"hybrid": main.activity, **activity})


def run_main(networks: Networks, performance: BinnedPerformance) -> Outcome:
    """Run the ANN and the hybrid over a performance."""
    with torch.inference_mode():
        main = _run_main(networks.hybrid, Input(performance, networks.hybrid))
    return Outcome(main.poses, {"hybrid": main.activity})


_Found = tuple[dict[str, Poses], dict[str, Activity]]


@dataclass(frozen=True)
class _Main:
    """The ANN (at every instant, held, extrapolated) and the hybrid, and how it came to its poses.

    Attributes:
        poses: by model.
        activity: of the hybrid.
        starts: the instants at which windows start, that of the window before the test first:
            answers that come late need it.
        inits: what the ANN says at these.
        begun: the states after the initialisations.
        runs: the poses in the window after each.
        ended: the states at the windows' ends.
    """

    poses: dict[str, Poses]
    activity: Activity
    starts: list[int]
    inits: SnnState
    begun: SnnState
    runs: Poses
    ended: SnnState


def _run_main(network: HybridPoseNetwork, data: Input) -> _Main:
    poses = {"ann": run_ann(network, data)}
    starts = [window * WINDOW_INSTANTS for window in range(-1, data.windows)]
    heatmaps, state = network.initial_state(data.histories(starts))
    latest = np.repeat(np.arange(1, data.windows + 1), WINDOW_INSTANTS)
    poses["ann_held"] = held = _decoded(heatmaps, data.cameras).at(latest)
    if state.velocity is not None:
        velocity = state.velocity.clamp(-MAX_VELOCITY, MAX_VELOCITY)
        velocity = velocity.unflatten(0, (data.cameras, -1))[:, latest]
        steps = np.tile(np.arange(1, WINDOW_INSTANTS + 1), data.windows) * data.steps_per_instant
        moved = velocity.numpy() * steps[:, None, None].astype(np.float32)
        poses["ann_extrapolated"] = Poses(held.points + moved, held.confidence)
    meter = SpikeMeter(network.snn)
    runs, begun, ended = run_chain(network, state, data, starts, meter=meter)
    poses["hybrid"] = answers_late(runs, data.windows, 0, replay=True)
    return _Main(poses, meter.activity, starts, state, begun, runs, ended)


def _run_ablations(network: HybridPoseNetwork, data: Input, main: _Main) -> _Found:
    """The hybrid's own network with late, rare and missing initialisations."""
    poses = _run_late(network, data, main)
    activity = {}

    meter = SpikeMeter(network.snn)
    rare = list(range(1, data.windows + 1, LONG_WINDOWS))  # numbers among the starts
    starts = [main.starts[number] for number in rare]
    length = LONG_WINDOWS * WINDOW_INSTANTS
    inits = chosen(main.inits, data.cameras, rare)
    before = chosen(main.ended, data.cameras, [0])
    found, _, _ = run_chain(network, inits, data, starts, length, meter, before)
    poses["hybrid_300ms"] = found.in_order()
    activity["hybrid_300ms"] = meter.activity

    if network.config.carry:
        meter = SpikeMeter(network.snn)
        found, _ = run_snn(network, main.inits, data, main.starts, WINDOW_INSTANTS, meter)
        poses["hybrid_reset"] = answers_late(found, data.windows, 0, replay=True)
        activity["hybrid_reset"] = meter.activity

    meter = SpikeMeter(network.snn)
    rest = network.snn.rest(len(main.inits.heatmaps), *main.inits.heatmaps.shape[-2:])
    inits = main.inits._replace(membranes=rest.membranes)
    found, _, _ = run_chain(network, inits, data, main.starts, meter=meter)
    poses["hybrid_no_init_untrained"] = answers_late(found, data.windows, 0, replay=True)
    activity["hybrid_no_init_untrained"] = meter.activity
    return poses, activity


def _run_late(network: HybridPoseNetwork, data: Input, main: _Main) -> dict[str, Poses]:
    ends = [start + WINDOW_INSTANTS for start in main.starts]
    after, _ = run_snn(network, main.ended, data, ends, WINDOW_INSTANTS)
    long = Poses(
        np.concatenate((main.runs.points, after.points), 2),
        np.concatenate((main.runs.confidence, after.confidence), 2),
    )
    poses = {}
    for late_ms in LATE_MS:
        late = late_ms * 1_000_000 // INSTANT_NS
        name = f"hybrid_late_{late_ms}ms"
        poses[name] = answers_late(long, data.windows, late, replay=True)
        arrivals = [start + late for start in main.starts]
        taken, _, _ = run_chain(network, main.inits, data, arrivals)
        poses[f"{name}_no_replay"] = answers_late(taken, data.windows, late, replay=False)
    return poses


def _run_alone(network: HybridPoseNetwork, data: Input) -> _Found:
    """The SNN that was trained alone: from rest in every window, and running on."""
    view = network.config.view
    starts = [window * WINDOW_INSTANTS for window in range(data.windows)]
    meter = SpikeMeter(network.snn)
    rest = network.snn.rest(data.cameras * len(starts), view.grid_height, view.grid_width)
    reset, _ = run_snn(network, rest, data, starts, WINDOW_INSTANTS, meter)
    activity = {"snn": meter.activity}

    rest = network.snn.rest(data.cameras, view.grid_height, view.grid_width)
    begin, length = data.first_instant, data.windows * WINDOW_INSTANTS
    _, warm = run_snn(network, rest, data, [begin], -begin)
    meter = SpikeMeter(network.snn)
    running, _ = run_snn(network, warm, data, [0], length, meter)
    activity["snn_running"] = meter.activity
    return {"snn": reset.in_order(), "snn_running": running.in_order()}, activity


def _run_windows(name: str) -> Callable[[HybridPoseNetwork, Input], _Found]:
    def run(network: HybridPoseNetwork, data: Input) -> _Found:
        starts = [window * WINDOW_INSTANTS for window in range(-1, data.windows)]
        meter = SpikeMeter(network.snn)
        _, state = network.initial_state(data.histories(starts))
        found, _, _ = run_chain(network, state, data, starts, meter=meter)
        return {name: answers_late(found, data.windows, 0, replay=True)}, {name: meter.activity}

    return run


_VARIANT_RUNS: Final = {
    "snn": _run_alone,
    "no_init": _run_windows("hybrid_no_init"),
    "no_delta": _run_windows("hybrid_no_delta"),
    FAST: _run_windows("hybrid_200hz"),
}
"""Name of the trained variant -> how it is run."""
