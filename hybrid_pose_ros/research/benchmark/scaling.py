# SPDX-License-Identifier: Apache-2.0
"""How the cost grows with events and with spikes, and how far it is from the least possible.

The floor of a step: its state is read and written once, its weights are read once, and each spike
adds its weights to the currents that it reaches. Both are timed on this machine with loops that
do nothing else, on data that fit the cache. All times are CPU times of one thread.
"""

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

import numba
import numpy as np
import torch
from numpy.typing import NDArray

from hybrid_pose_ros.engine.sparse_snn import SparseSnn
from hybrid_pose_ros.events.encodings import encode
from hybrid_pose_ros.networks.checkpoint import Checkpoint
from hybrid_pose_ros.research.benchmark.peers import folded
from hybrid_pose_ros.research.benchmark.poses import ENCODING, Decoding
from hybrid_pose_ros.research.benchmark.statistics import fit_line
from hybrid_pose_ros.research.benchmark.steps import initialisations, steps_of
from hybrid_pose_ros.research.benchmark.streams import Stream, at_rate
from hybrid_pose_ros.research.evaluation.energy import SpikeMeter

REPETITIONS: Final = 50
"""The fastest of so many counts."""

RATES_MEV_S: Final = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0)

_F32 = NDArray[np.float32]


@dataclass(frozen=True)
class Point:
    """Medians over the steps at one event rate.

    Attributes:
        mev_s: millions of events per second.
        events: per step.
        spikes, adds: that neurons fired, and weights that inputs added, in a step.
        firing_rate: spikes per neuron and step.
        bin_ms: from packet to step: decoding and binning.
        step_ms: of the engine.
        floor_ms: the least that the step could take on this machine.
    """

    mev_s: float
    events: float
    spikes: float
    adds: float
    firing_rate: float
    bin_ms: float
    step_ms: float
    floor_ms: float


@dataclass(frozen=True)
class Floor:
    """Limits of this machine in one thread.

    Attributes:
        adds_per_s: additions of weights to currents.
        bytes_per_s: read and written by a copy.
        step_bytes: that a step at least reads and writes.
    """

    adds_per_s: float
    bytes_per_s: float
    step_bytes: int

    def ms(self, adds: float) -> float:
        """Return the least duration of a step with so many additions of weights."""
        return 1e3 * (adds / self.adds_per_s + self.step_bytes / self.bytes_per_s)


def measure_scaling(
    checkpoint: Checkpoint,
    stream: Stream,
    seconds: float,
    rates_mev_s: Sequence[float] = RATES_MEV_S,
) -> dict[str, Any]:
    """Measure binning and step at several event rates, and fit lines.

    Args:
        checkpoint: the model.
        stream: where the events lie; others are drawn at each rate.
        seconds: of sensor time at each rate, at most those of the stream.

    Returns:
        ``points``: fields of :class:`Point`; ``binning``: ms per step over events, ``step``: ms
        over additions of weights, each ``constant_ms``, ``slope_ns`` and ``r2``; ``floor``: fields
        of :class:`Floor`.
    """
    floor = measure_floor(checkpoint)
    points = [_measure(checkpoint, stream, rate, seconds, floor) for rate in rates_mev_s]
    return {
        "points": [asdict(point) for point in points],
        "binning": _line([p.events for p in points], [p.bin_ms for p in points]),
        "step": _line([p.adds for p in points], [p.step_ms for p in points]),
        "floor": asdict(floor),
    }


def _line(x: list[float], y: list[float]) -> dict[str, float]:
    line = fit_line(x, y)
    return {"constant_ms": line.constant, "slope_ns": line.slope * 1e6, "r2": line.r2}


def _measure(
    checkpoint: Checkpoint, base: Stream, mev_s: float, seconds: float, floor: Floor
) -> Point:
    stream = at_rate(base, mev_s, seconds, checkpoint.config.step_ns)
    view = checkpoint.config.view
    decoding = Decoding(checkpoint, stream)
    bin_s = []
    for events in stream.packets(checkpoint.config.step_ns):
        packet = encode(ENCODING, events)
        start = time.process_time()
        decoding.steps(packet)
        bin_s.append(time.process_time() - start)
    twin = folded(checkpoint.network.snn)
    engine = SparseSnn(checkpoint.network.snn, view.grid_height, view.grid_width)
    steps = steps_of(checkpoint, stream)
    step_s, spikes, adds = [], [], []
    with torch.inference_mode():
        state = twin.rest(1, view.grid_height, view.grid_width)
        states = initialisations(checkpoint, stream, steps)
        for step in steps:
            if step.index in states:
                state = states[step.index]
                engine.load(state)
            with SpikeMeter(twin) as meter:
                counts = torch.from_numpy(step.counts.astype(np.float32))[None]
                _, state = twin(counts, state)
            start = time.process_time()
            engine.step(step.counts)
            step_s.append(time.process_time() - start)
            spikes.append(sum(meter.activity.fired.values()))
            adds.append(sum(meter.activity.accumulated.values()))
    neurons = sum(membrane.numel() for membrane in state.membranes.values())
    fired, added = float(np.median(spikes)), float(np.median(adds))
    return Point(
        mev_s=mev_s,
        events=float(np.median([step.events for step in steps])),
        spikes=fired,
        adds=added,
        firing_rate=fired / neurons,
        bin_ms=float(np.median(bin_s)) * 1e3,
        step_ms=float(np.median(step_s)) * 1e3,
        floor_ms=floor.ms(added),
    )


def measure_floor(checkpoint: Checkpoint) -> Floor:
    """Time additions and copies on data of the network's size."""
    view = checkpoint.config.view
    snn = checkpoint.network.snn
    rest = snn.rest(1, view.grid_height, view.grid_width)
    state = sum(membrane.numel() for membrane in rest.membranes.values())
    state += rest.heatmaps.numel()
    weights = sum(parameter.numel() for parameter in snn.parameters())
    source, target = np.zeros(state, np.float32), np.ones(state, np.float32)
    copy_s = _fastest(lambda: np.copyto(target, source))
    rows = np.full((64, 64), 1e-3, np.float32)
    out, rounds = np.zeros(64, np.float32), 1000
    add_s = _fastest(lambda: _add_rows(rows, rounds, out))
    return Floor(
        adds_per_s=rounds * rows.size / add_s,
        bytes_per_s=2 * source.nbytes / copy_s,
        step_bytes=4 * (2 * state + weights),
    )


def _fastest(run: Any) -> float:
    run()
    times = []
    for _ in range(REPETITIONS):
        start = time.process_time()
        run()
        times.append(time.process_time() - start)
    return min(times)


@numba.njit(cache=True, fastmath={"contract", "nsz"})
def _add_rows(rows: _F32, rounds: int, out: _F32) -> None:
    """Add weights to currents, in the order of the rows.

    Four rows at a time: a current that is read and written for each of them would limit the speed.
    """
    for _ in range(rounds):
        for row in range(0, rows.shape[0], 4):
            for o in range(rows.shape[1]):
                out[o] = (
                    out[o] + rows[row, o] + rows[row + 1, o] + rows[row + 2, o] + rows[row + 3, o]
                )
