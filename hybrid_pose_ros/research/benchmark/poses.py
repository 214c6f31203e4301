# SPDX-License-Identifier: Apache-2.0
"""From raw events to the newest pose: the CPU time of a pose, three ways.

The hybrid decodes and bins each packet, steps the SNN, and at 10 Hz runs the ANN, whose state
comes as late as if it ran beside the SNN, and is replayed. The ANN at every step, and DHP19's CNN
on the newest events of every step, are what one would run without it. All run in one process and
one thread, in turn.
"""

import copy
import time
from collections import deque
from collections.abc import Callable
from typing import Any, Final

import numpy as np
import torch

from hybrid_pose_ros.events.array import EventArray
from hybrid_pose_ros.events.binning import Step, StepBinner
from hybrid_pose_ros.events.encodings import EncodedPacket, encode, make_decoder
from hybrid_pose_ros.networks.checkpoint import Checkpoint
from hybrid_pose_ros.networks.heatmaps import decode_heatmaps
from hybrid_pose_ros.networks.layers import fold_batchnorm
from hybrid_pose_ros.pipeline.ann_estimator import AnnEstimator
from hybrid_pose_ros.pipeline.ann_runtime import DTYPES, chosen_precision
from hybrid_pose_ros.pipeline.snn_estimator import SnnEstimator
from hybrid_pose_ros.pipeline.state import StateInit
from hybrid_pose_ros.research.benchmark.statistics import paired_ratios
from hybrid_pose_ros.research.benchmark.streams import Stream
from hybrid_pose_ros.research.evaluation.dhp19_cnn import CNN_EVENTS, Dhp19Cnn, count_image
from hybrid_pose_ros.research.evaluation.published import WINDOW_NS

ENCODING: Final = "mono"

DENSE_POSES: Final = 2
"""Poses of ANN and CNN in a round, during which the hybrid makes all poses of a period."""


class Decoding:
    """Packets to steps, as the nodes do it."""

    def __init__(self, checkpoint: Checkpoint, stream: Stream) -> None:
        config = checkpoint.config
        self.view = config.view.fit(stream.width, stream.height)
        self._decoder = make_decoder(ENCODING, stream.width, stream.height)
        self._binner = StepBinner(self.view, config.step_ns, noise_filter=config.noise_filter)

    def steps(self, packet: EncodedPacket) -> list[Step]:
        """Return the steps that a packet completes."""
        return self._binner.push(self.events(packet))

    def events(self, packet: EncodedPacket) -> EventArray:
        """Return the events of a packet."""
        return self._decoder.decode(packet.time_base, packet.data)


class HybridPoses:
    """The SNN at every step, the ANN at 10 Hz in the same thread."""

    def __init__(self, checkpoint: Checkpoint, stream: Stream) -> None:
        step_ns = checkpoint.config.step_ns
        self._decoding = Decoding(checkpoint, stream)
        self._ann = AnnEstimator(checkpoint, self._decoding.view)
        self._snn = SnnEstimator(checkpoint, self._decoding.view, max_replay_steps=1000)
        self._period = max(1, WINDOW_NS // step_ns)
        self._step_ns = step_ns
        self._late: deque[tuple[int, StateInit]] = deque()

    def push(self, packet: EncodedPacket) -> int:
        """Take a packet; return how many poses came of it."""
        steps = self._decoding.steps(packet)
        for step in steps:
            if self._late and self._late[0][0] <= step.index:
                self._snn.initialise(self._late.popleft()[1])
            self._snn.step(step)
            self._ann.push(step)
            if (step.index + 1) % self._period == 0:
                init = self._ann.infer()
                delay = -(-init.inference_ns // self._step_ns)
                self._late.append((step.index + 1 + delay, init))
        return len(steps)


class AnnPoses:
    """The ANN alone at every step, without the initialiser."""

    def __init__(self, checkpoint: Checkpoint, stream: Stream) -> None:
        self._decoding = Decoding(checkpoint, stream)
        self._windows = AnnEstimator(checkpoint, self._decoding.view)
        self._dtype = DTYPES[chosen_precision("auto")]  # as the hybrid's
        self._ann = copy.deepcopy(checkpoint.network.ann)
        fold_batchnorm(self._ann)
        self._ann.to(dtype=self._dtype, memory_format=torch.channels_last)  # type: ignore[call-overload]

    def push(self, packet: EncodedPacket) -> int:
        """Take a packet; return how many poses came of it."""
        steps = self._decoding.steps(packet)
        for step in steps:
            self._windows.push(step)
            windows, _ = self._windows.snapshot()
            with torch.inference_mode():
                inputs = torch.from_numpy(windows)[None]
                heatmaps, _ = self._ann(inputs.to(self._dtype, memory_format=torch.channels_last))
                points, _ = decode_heatmaps(heatmaps[0].float())
            self._decoding.view.to_sensor(points.numpy())
        return len(steps)


class CnnPoses:
    """DHP19's per-frame CNN at every step, on the newest events; its weights are random."""

    def __init__(self, checkpoint: Checkpoint, stream: Stream) -> None:
        torch.manual_seed(0)
        self._cnn = Dhp19Cnn().eval()
        for kernel in self._cnn.kernels.values():
            torch.nn.init.kaiming_normal_(kernel)
        self._cnn.requires_grad_(False)
        self._decoding = Decoding(checkpoint, stream)
        self._step_ns = checkpoint.config.step_ns
        self._newest: EventArray | None = None

    def push(self, packet: EncodedPacket) -> int:
        """Take a packet; return how many poses came of it, at most one."""
        events = self._decoding.events(packet)
        before = self._newest
        if before is None:
            self._newest = events
            return 0
        self._newest = np.concatenate((before, events))[-CNN_EVENTS:]
        if events["t"][0] // self._step_ns == before["t"][-1] // self._step_ns:
            return 0
        with torch.inference_mode():
            (heatmaps,) = self._cnn(torch.from_numpy(count_image(before))[None, None])
            heatmaps.flatten(1).argmax(1)
        return 1


def measure_poses(checkpoint: Checkpoint, stream: Stream, max_rounds: int) -> dict[str, Any]:
    """Measure the CPU time of a pose.

    Args:
        checkpoint: the model; a pose is made for each of its steps.
        stream: the events.
        max_rounds: periods of 100 ms, at most, that are timed after the first.

    Returns:
        ``cpu_ms_per_pose``: median over the rounds; ``cpu_times_hybrid``: median over the rounds
        of its CPU time per pose over the hybrid's; ``rounds``: how many; ``hz``: poses per second.
    """
    packets = [encode(ENCODING, events) for events in stream.packets(checkpoint.config.step_ns)]
    ways: dict[str, tuple[Callable[[EncodedPacket], int], int]] = {}
    period = max(1, WINDOW_NS // checkpoint.config.step_ns)
    ways["hybrid"] = HybridPoses(checkpoint, stream).push, period
    ways["ann"] = AnnPoses(checkpoint, stream).push, DENSE_POSES
    ways["dhp19_cnn"] = CnnPoses(checkpoint, stream).push, DENSE_POSES
    places = dict.fromkeys(ways, 0)
    times: dict[str, list[float]] = {name: [] for name in ways}
    rounds = min(max_rounds + 1, len(packets) // period)
    for number in range(rounds):
        for name, (push, count) in ways.items():
            first = places[name]
            places[name] = last = first + count
            start = time.process_time_ns()
            poses = sum(push(packet) for packet in packets[first:last])
            spent = time.process_time_ns() - start
            if number:  # the first one warms up
                times[name].append(spent * 1e-6 / poses)
    return {
        "cpu_ms_per_pose": {name: float(np.median(values)) for name, values in times.items()},
        "cpu_times_hybrid": paired_ratios(times, "hybrid"),
        "rounds": rounds - 1,
        "hz": 1e9 / checkpoint.config.step_ns,
    }
