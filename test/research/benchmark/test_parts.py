# SPDX-License-Identifier: Apache-2.0
"""Each part in little: it gives the figures that are promised. None of them is judged."""

import os
import sys
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from hybrid_pose_ros.events.encodings import encode
from hybrid_pose_ros.networks.checkpoint import Checkpoint
from hybrid_pose_ros.research.benchmark.ann_cost import measure_ann
from hybrid_pose_ros.research.benchmark.peers import PEERS
from hybrid_pose_ros.research.benchmark.poses import AnnPoses, CnnPoses, HybridPoses, measure_poses
from hybrid_pose_ros.research.benchmark.process_usage import usage_of
from hybrid_pose_ros.research.benchmark.scaling import Floor, measure_scaling
from hybrid_pose_ros.research.benchmark.steps import measure_steps
from hybrid_pose_ros.research.benchmark.streams import Stream, at_rate, repeat


def numbers(figures: Any) -> Iterator[float]:
    """Yield all numbers in a table of tables."""
    if isinstance(figures, dict | list):
        for value in figures.values() if isinstance(figures, dict) else figures:
            yield from numbers(value)
    elif not isinstance(figures, str):
        yield figures


def test_steps(checkpoint: Checkpoint, stream: Stream) -> None:
    figures = measure_steps(checkpoint, stream, 12)
    measured = {"engine", "torch", *PEERS} - figures["missing"].keys()
    assert figures["step_ms"].keys() == figures["step_cpu_ms"].keys() == measured
    assert figures["step_times_engine"].keys() == measured - {"engine"}
    assert figures["steps"] == 12
    assert min(figures["step_ms"].values()) > 0
    agreement = figures["agreement"]
    assert agreement.keys() == measured - {"torch"}
    assert agreement["engine"]["neurons_apart"] < 1e-4
    assert agreement["engine"]["heatmaps_max_difference"] < 1e-3


def test_ann(checkpoint: Checkpoint, stream: Stream, monkeypatch: pytest.MonkeyPatch) -> None:
    for library in ("openvino", "onnxruntime", "nncf"):
        monkeypatch.setitem(sys.modules, library, None)
    own = ("torch_float32", "torch_bfloat16")
    others = ("openvino_float32", "openvino_int8", "onnxruntime_float32", "onnxruntime_int8")
    figures = measure_ann(checkpoint, stream, 2, (*own, *others))
    assert figures["missing"].keys() == set(others)
    assert all("pip install" in reason for reason in figures["missing"].values())
    for key in ("ms", "cpu_ms", "start_s", "shift_px", "state_error"):
        assert figures[key].keys() == set(own)
    assert figures["times_faster"].keys() == {"torch_bfloat16"}
    assert figures["runs"] == 2
    for key, most in (("shift_px", 0.2), ("state_error", 0.02)):
        assert figures[key]["torch_float32"] == 0.0
        assert 0.0 < figures[key]["torch_bfloat16"] < most


def test_poses(checkpoint: Checkpoint, stream: Stream) -> None:
    figures = measure_poses(checkpoint, stream, 1)
    assert list(figures["cpu_ms_per_pose"]) == ["hybrid", "ann", "dhp19_cnn"]
    assert list(figures["cpu_times_hybrid"]) == ["ann", "dhp19_cnn"]
    assert figures["rounds"] == 1
    assert min(numbers(figures)) > 0


@pytest.mark.parametrize("way", [HybridPoses, AnnPoses, CnnPoses])
def test_a_pose_comes_of_each_step_that_is_complete(
    way: type, checkpoint: Checkpoint, stream: Stream
) -> None:
    poses = way(checkpoint, stream)
    packets = [encode("mono", events) for events in stream.packets(checkpoint.config.step_ns // 2)]
    assert [poses.push(packet) for packet in packets[:6]] == [0, 0, 1, 0, 1, 0]


def test_scaling(checkpoint: Checkpoint, stream: Stream) -> None:
    figures = measure_scaling(checkpoint, stream, 0.12, (0.1, 1.0))
    low, high = figures["points"]
    assert (low["events"], high["events"]) == (1_000, 10_000)
    assert low["spikes"] < high["spikes"]
    assert low["adds"] < high["adds"]
    for fit in (figures["binning"], figures["step"]):
        assert fit.keys() == {"constant_ms", "slope_ns", "r2"}
    floor = Floor(**figures["floor"])
    assert high["floor_ms"] == floor.ms(high["adds"]) > low["floor_ms"] > 0


def test_the_floor_is_additions_and_traffic() -> None:
    floor = Floor(adds_per_s=1e9, bytes_per_s=1e10, step_bytes=5_000_000)
    assert floor.ms(2e6) == pytest.approx(2.0 + 0.5)


def test_a_stream_of_another_rate_lies_where_the_first_does(stream: Stream) -> None:
    dense = at_rate(stream, 2.0, 0.2)
    assert len(dense.events) == 400_000
    assert dense.rate_mev_s == pytest.approx(2.0)
    assert (np.diff(dense.events["t"]) >= 0).all()
    assert dense.events["t"][-1] < 200_000_000
    first = stream.events[stream.events["t"] < 200_000_000]
    for axis in "xy":
        assert abs(float(dense.events[axis].mean()) - float(first[axis].mean())) < 3


def test_a_stream_repeats_without_a_jump(stream: Stream) -> None:
    events = np.concatenate(list(repeat(stream, 1.2)))
    assert (np.diff(events["t"]) >= 0).all()
    second = events[(events["t"] >= 500_000_000) & (events["t"] < 1_000_000_000)]
    assert np.array_equal(second["x"], stream.events["x"])
    assert events["t"][-1] < 1_200_000_000 <= events["t"][-1] + 10_000_000


def test_what_this_process_uses() -> None:
    before = usage_of(os.getpid())
    held = np.ones(30_000_000)
    while float(sum(os.times()[:2])) < before.cpu_s + 0.05:
        held += 1
    after = usage_of(os.getpid())
    assert after.cpu_s >= before.cpu_s + 0.03
    assert after.memory_mb > before.memory_mb + 200
