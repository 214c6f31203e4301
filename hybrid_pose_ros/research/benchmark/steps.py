# SPDX-License-Identifier: Apache-2.0
"""One step of the SNN: this package's engine, torch, and the neurons of other libraries.

All run in one process and one thread, step by step in turn, each on its own state, on the same
events and from the same initialisations.
"""

from collections.abc import Sequence
from functools import partial
from typing import Any, Final, Protocol

import numpy as np
import torch
from torch import Tensor

from hybrid_pose_ros.engine.sparse_snn import SparseSnn
from hybrid_pose_ros.events.binning import Step, StepBinner
from hybrid_pose_ros.networks.checkpoint import Checkpoint
from hybrid_pose_ros.networks.snn import SnnState, SpikingUNet
from hybrid_pose_ros.pipeline.ann_estimator import AnnEstimator
from hybrid_pose_ros.research.benchmark.peers import PEERS, PeerMissingError, build_peer, folded
from hybrid_pose_ros.research.benchmark.statistics import Stopwatch, paired_ratios
from hybrid_pose_ros.research.benchmark.streams import Stream
from hybrid_pose_ros.research.evaluation.published import WINDOW_NS

COMPARED_STEPS: Final = 10
"""Steps from the first initialisation after which the networks' states are compared."""

APART: Final = 0.5
"""Membranes that differ by more than this had different spikes: a spike takes 1 away."""


class _Runner(Protocol):
    def load(self, state: SnnState) -> None: ...
    def step(self, step: Step, counts: Tensor) -> None: ...
    def state(self) -> SnnState: ...


class _Engine:
    def __init__(self, snn: SpikingUNet, height: int, width: int) -> None:
        self._snn = SparseSnn(snn, height, width)
        self.load, self.state = self._snn.load, self._snn.state

    def step(self, step: Step, counts: Tensor) -> None:
        self._snn.step(step.counts)


class _Torch:
    def __init__(self, snn: SpikingUNet) -> None:
        self._snn = snn
        self._state: SnnState

    def load(self, state: SnnState) -> None:
        self._state = state

    def state(self) -> SnnState:
        return self._state

    def step(self, step: Step, counts: Tensor) -> None:
        _, self._state = self._snn(counts, self._state)


def steps_of(checkpoint: Checkpoint, stream: Stream) -> list[Step]:
    """Bin a stream for a model."""
    config = checkpoint.config
    view = config.view.fit(stream.width, stream.height)
    binner = StepBinner(view, config.step_ns, noise_filter=config.noise_filter)
    return binner.push(stream.events)


def initialisations(
    checkpoint: Checkpoint, stream: Stream, steps: Sequence[Step]
) -> dict[int, SnnState]:
    """Return the state that the ANN gives at the start of every 100 ms: index -> state."""
    config = checkpoint.config
    ann = AnnEstimator(checkpoint, config.view.fit(stream.width, stream.height))
    period = max(1, WINDOW_NS // config.step_ns)
    inputs = {}
    for step in steps:
        if step.index % period == 0 and step.index:
            inputs[step.index] = torch.from_numpy(ann.snapshot()[0])[None]
        ann.push(step)
    return {index: checkpoint.network.initial_state(planes)[1] for index, planes in inputs.items()}


def measure_steps(checkpoint: Checkpoint, stream: Stream, max_steps: int) -> dict[str, Any]:
    """Measure one step of each network.

    Args:
        checkpoint: the model.
        stream: the events.
        max_steps: steps that are timed, from the first initialisation on.

    Returns:
        ``step_ms``: median of each; ``step_cpu_ms``: likewise of CPU time, which waiting for a
        busy core does not lengthen; ``step_times_engine``: median over the steps of its time over
        the engine's; ``missing``: library -> why it was not measured; ``agreement``: how far the
        states are from torch's after :data:`COMPARED_STEPS` steps; ``steps``: how many were timed.
    """
    view = checkpoint.config.view
    snn = checkpoint.network.snn
    runners: dict[str, _Runner] = {
        "engine": _Engine(snn, view.grid_height, view.grid_width),
        "torch": _Torch(folded(snn)),
    }
    missing = {}
    for name in PEERS:
        try:
            runners[name] = _Torch(build_peer(name, snn))
        except PeerMissingError as error:
            missing[name] = str(error)
    steps = steps_of(checkpoint, stream)
    with torch.inference_mode():
        states = initialisations(checkpoint, stream, steps)
        first = min(states)
        steps = steps[first : first + max_steps]
        agreement = _compare(runners, states[first], steps[:COMPARED_STEPS])
        stopwatch = Stopwatch(runners)
        for step in steps:
            counts = _tensor(step)
            if step.index in states:
                for runner in runners.values():
                    runner.load(states[step.index])
            stopwatch.turn(
                {name: partial(runner.step, step, counts) for name, runner in runners.items()}
            )
    times, cpu_times = stopwatch.times, stopwatch.cpu_times
    return {
        "step_ms": _medians_ms(times),
        "step_cpu_ms": _medians_ms(cpu_times),
        "step_times_engine": paired_ratios(times, "engine"),
        "agreement": agreement,
        "missing": missing,
        "steps": len(steps),
    }


def _medians_ms(times: dict[str, list[float]]) -> dict[str, float]:
    return {name: float(np.median(values)) * 1e3 for name, values in times.items()}


def _compare(
    runners: dict[str, _Runner], state: SnnState, steps: Sequence[Step]
) -> dict[str, dict[str, float]]:
    """Run all from one state and compare what becomes of it; this also warms them up."""
    for runner in runners.values():
        runner.load(state)
        for step in steps:
            runner.step(step, _tensor(step))
    reference = runners["torch"].state()
    return {
        name: _distance(runner.state(), reference)
        for name, runner in runners.items()
        if name != "torch"
    }


def _distance(state: SnnState, reference: SnnState) -> dict[str, float]:
    apart = neurons = 0
    for name, membrane in reference.membranes.items():
        apart += int(((state.membranes[name] - membrane).abs() > APART).sum())
        neurons += membrane.numel()
    heatmaps = float((state.heatmaps - reference.heatmaps).abs().max())
    return {"neurons_apart": apart / neurons, "heatmaps_max_difference": heatmaps}


def _tensor(step: Step) -> Tensor:
    return torch.from_numpy(step.counts.astype(np.float32))[None]
