# SPDX-License-Identifier: Apache-2.0
"""How the SNN runs over a performance as it does in use: step by step, on lists of spikes."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np
from numpy.typing import NDArray
from torch import nn

from hybrid_pose_ros.arrays import I64
from hybrid_pose_ros.engine.kernels import Layer
from hybrid_pose_ros.engine.sparse_snn import SparseSnn
from hybrid_pose_ros.engine.spikes import COLUMN_SHIFT, Spikes, compiled
from hybrid_pose_ros.networks.config import SPIKING_LAYERS
from hybrid_pose_ros.networks.hybrid import HybridPoseNetwork
from hybrid_pose_ros.networks.snn import SnnState, SpikingUNet
from hybrid_pose_ros.pipeline.ann_demand import AnnDemand, AutoRate
from hybrid_pose_ros.pipeline.decoding import PoseDecoder
from hybrid_pose_ros.research.evaluation.energy import READOUT, Activity
from hybrid_pose_ros.research.evaluation.runs import Input, Poses, samples
from hybrid_pose_ros.research.evaluation.test_set import INSTANT_NS
from hybrid_pose_ros.skeleton import NUM_JOINTS

_SKIPPED: Final = "res2"
"""Its second input does not go through the convolution."""


@dataclass(frozen=True)
class EngineRun:
    """Poses and activity of a run on the engine.

    Attributes:
        poses: from the first start on, [cameras, instants, ...].
        beyond: after the end of each run, had it gone on: [cameras, runs, instants, ...].
        activity: what the neurons did from instant 0 on, what is beyond not counted.
        velocities: of the joints at ``poses``, in cells per step, [cameras, instants, 13, 2];
            None in a network without.
    """

    poses: Poses
    beyond: Poses
    activity: Activity
    velocities: NDArray[np.float32] | None


Initialise = Callable[[int, int], SnnState]
"""Camera and instant -> what the ANN says then, one sample."""


class Engine:
    """A network's SNN as it runs in use.

    Args:
        network: its SNN, and what an initialisation leaves, are copied.
    """

    def __init__(self, network: HybridPoseNetwork) -> None:
        view = network.config.view
        carry = network.carry if network.config.carry else None
        self._snn = SparseSnn(network.snn, view.grid_height, view.grid_width, carry)
        sizes = network.snn.layer_sizes(view.grid_height, view.grid_width)
        self._counter = _SpikeCounter(network.snn, self._snn.layers, sizes)
        self._config = network.config
        self._view = view.fit(view.view_width, view.view_height)
        self._decoder = PoseDecoder(network.config, self._view)

    def run(
        self,
        data: Input,
        starts: Sequence[int],
        end: int,
        inits: SnnState | None,
        *,
        carry: bool = True,
        beyond: int = 0,
    ) -> EngineRun:
        """Run through initialisations, each of which finds the SNN as the last one left it.

        Args:
            starts: the instants at which they take effect, in order.
            end: the instant at which the last run ends.
            inits: what the ANN says, one sample per camera and start, the starts of the first
                camera first. The first initialisation finds an SNN that had none. None: the SNN
                is at rest at every start.
            carry: whether an initialisation leaves what the network would.
            beyond: go on for so many instants after the end of each run, as if the next
                initialisation had not come yet.
        """
        self._counter.reset()
        runs = list(pairwise((*starts, end)))
        along = _room(data.cameras, end - starts[0])
        velocities = self._velocity_room(along)
        after = _room(data.cameras, len(starts) * beyond)
        for camera in range(data.cameras):
            memory = None
            for number, (start, stop) in enumerate(runs):
                if inits is None:
                    self._snn.rest()
                else:
                    init = samples(inits, [camera * len(starts) + number])
                    self._snn.reload(init, memory)
                first = start - starts[0]
                self._steps(
                    data, camera, start, stop, along, first, velocities=velocities, counted=True
                )
                if inits is not None and carry:
                    memory = self._snn.memory(memory)
                self._steps(data, camera, stop, stop + beyond, after, number * beyond)
        shape = (data.cameras, len(starts), beyond, NUM_JOINTS)
        went_on = Poses(after.points.reshape(*shape, 2), after.confidence.reshape(shape))
        return EngineRun(along, went_on, self._counter.activity(), velocities)

    def run_on_demand(
        self, data: Input, start: int, end: int, initialise: Initialise, rate: AutoRate
    ) -> tuple[EngineRun, int]:
        """Run with an ANN that runs when the SNN asks for it, and first at the start.

        Arguments are those of :meth:`run`.

        Returns:
            what was found, without poses ``beyond``, and the number of runs of the ANN from
            instant 0 on, of all cameras together.
        """
        self._counter.reset()
        along = _room(data.cameras, end - start)
        velocities = self._velocity_room(along)
        demand = AnnDemand(rate, self._config.step_ns, self._view)
        runs = 0
        for camera in range(data.cameras):
            demand.reset()
            self._snn.reload(initialise(camera, start), None)
            demand.taken(INSTANT_NS * (start - data.first_instant))
            for instant in range(start, end):
                counts = data.steps(instant, instant + 1)[camera]
                self._steps(
                    data,
                    camera,
                    instant,
                    instant + 1,
                    along,
                    instant - start,
                    velocities=velocities,
                    counted=True,
                )
                pose = self._decoder.pose(
                    along.points[camera, instant - start],
                    along.confidence[camera, instant - start],
                    self._snn.velocity,
                    sensor_time_ns=INSTANT_NS * (instant + 1 - data.first_instant),
                    source="snn",
                    steps_since_init=0,
                    init_age_ns=0,
                )
                request = demand.observe(pose, int(counts.sum()))
                if request is not None and instant + 1 < end:
                    self._snn.reload(initialise(camera, instant + 1), self._snn.memory())
                    demand.taken(request.sensor_time_ns)
                    runs += instant + 1 >= 0
        nothing = _room(data.cameras, 0)
        return EngineRun(along, nothing, self._counter.activity(), velocities), runs

    def _velocity_room(self, poses: Poses) -> NDArray[np.float32] | None:
        return None if self._snn.velocity is None else np.empty_like(poses.points)

    def _steps(
        self,
        data: Input,
        camera: int,
        start: int,
        stop: int,
        into: Poses,
        first: int,
        *,
        velocities: NDArray[np.float32] | None = None,
        counted: bool = False,
    ) -> None:
        """Run from one instant to another; the first pose goes to the place ``first``."""
        lead = -start * data.steps_per_instant
        for index, counts in enumerate(data.steps(start, stop)[camera], 1):
            self._snn.step(counts)
            if counted and index > lead:
                self._counter.count()
            instant, rest = divmod(index, data.steps_per_instant)
            if not rest:
                points, confidence = self._snn.decode()
                into.points[camera, first + instant - 1] = points
                into.confidence[camera, first + instant - 1] = confidence
                if velocities is not None:
                    velocities[camera, first + instant - 1] = self._snn.velocity


def _room(cameras: int, instants: int) -> Poses:
    shape = (cameras, instants, NUM_JOINTS)
    return Poses(np.empty((*shape, 2), np.float32), np.empty(shape, np.float32))


class _SpikeCounter:
    """Counts from the lists of spikes, as the evaluation's ``SpikeMeter`` does from tensors.

    Args:
        snn: the network.
        layers: those of the engine that runs it.
        sizes: height and width of each.
    """

    def __init__(
        self, snn: SpikingUNet, layers: Mapping[str, Layer], sizes: Mapping[str, tuple[int, int]]
    ) -> None:
        self._out = {name: layer.out for name, layer in layers.items()}
        self._inputs: dict[str, list[tuple[Spikes, I64, I64]]] = {}
        self._channels = {READOUT: NUM_JOINTS, **snn.layer_channels}
        below = dict(zip(SPIKING_LAYERS, ("head", *SPIKING_LAYERS), strict=False))
        for name, layer in layers.items():
            resized = bool(len(layer.upsampled_a.starts))
            lists = [layer.upsampled_a, layer.upsampled_b] if resized else [layer.a, layer.b]
            size = sizes[name if resized else below[name]]
            convolution = snn.synapses[name].conv
            assert isinstance(convolution, nn.Conv2d)
            kernel, stride = convolution.kernel_size[0], convolution.stride[0]
            rows, columns = (_places(length, kernel, stride) for length in size)
            chosen = lists[:1] if name == _SKIPPED else lists
            self._inputs[name] = [(s, rows, columns) for s in chosen if len(s.starts)]
        rows, columns = (np.ones(length, np.int64) for length in sizes["up3"])
        self._inputs[READOUT] = [(self._out[name], rows, columns) for name in ("up3", "head")]
        self.reset()

    def reset(self) -> None:
        """Begin anew."""
        self._count = 0
        self._entered = dict.fromkeys(self._inputs, 0)
        self._accumulated = dict.fromkeys(self._inputs, 0)
        self._fired = dict.fromkeys(self._out, 0)

    def count(self) -> None:
        """Count the step that was run last."""
        self._count += 1
        for name, lists in self._inputs.items():
            for spikes, rows, columns in lists:
                self._entered[name] += int(spikes.starts[-1])
                self._accumulated[name] += _outputs(spikes.starts, spikes.entries, rows, columns)
        for name, spikes in self._out.items():
            self._fired[name] += int(spikes.starts[-1])

    def activity(self) -> Activity:
        """Counts of the run."""
        weights = {name: float(n) * self._channels[name] for name, n in self._accumulated.items()}
        entered = {name: float(n) for name, n in self._entered.items()}
        return Activity(
            self._count, entered, weights, {n: float(k) for n, k in self._fired.items()}
        )


def _places(length: int, kernel: int, stride: int) -> I64:
    """How many outputs of a 'same' convolution along an axis each of its inputs goes into."""
    inputs, outputs = np.arange(length)[:, None], np.arange(-(-length // stride))
    tap = inputs + kernel // 2 - stride * outputs
    return np.asarray(((tap >= 0) & (tap < kernel)).sum(1), np.int64)


@compiled
def _outputs(
    starts: NDArray[np.int32], entries: NDArray[np.int32], rows: I64, columns: I64
) -> int:
    """How many cells the spikes of a list reach, if each reaches rows[y] * columns[x]."""
    total = 0
    for y in range(len(starts) - 1):
        along = 0
        for i in range(starts[y], starts[y + 1]):
            along += columns[entries[i] >> COLUMN_SHIFT]
        total += rows[y] * along
    return total
